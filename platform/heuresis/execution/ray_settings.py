"""What must be right before Ray starts: token, ports, memory, quiet. Does not import Ray.

Ray's defaults suit a cluster behind a firewall. A local session of Heuresis listens on loopback
only, asks for a token, sends no usage statistics and takes little memory.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
import tempfile
from pathlib import Path

LOOPBACK = "127.0.0.1"
DASHBOARD_PORT = 8265
OBJECT_STORE_BYTES = 200 * 2**20
"""Messages are a few kilobytes; Ray's own default is a third of the machine."""
_SMALLEST_OBJECT_STORE_BYTES = 80 * 2**20
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a kernel interface, nothing is written here
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    # Ray 2.60 announces a change of this default at every start; this states today's behaviour.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def prepare_local_session() -> None:
    """Set this process's environment for a local Ray session: token on, statistics off.

    Must run before ``ray.init``; Ray's processes inherit the environment.
    """
    os.environ.update(_QUIET)
    # Ray reads the mode once, when it is imported. Only for a local session without a stated mode
    # does it read it again, and then it chooses the token; `session_asks_for_token` checks that.
    os.environ.pop("RAY_AUTH_MODE", None)
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        _ensure_token_file()


def prepare_connection() -> None:
    """Set this process's environment for joining a cluster, whose authentication is its own."""
    os.environ.update(_QUIET)


def session_asks_for_token() -> bool:
    """Tell whether the session that this process started has token authentication on."""
    return os.environ.get("RAY_AUTH_MODE") == "token"


def _token_file() -> Path:
    return Path.home() / ".ray" / "auth_token"


def _ensure_token_file() -> None:
    """Make sure that there is a token which only this user can read."""
    try:
        path = _token_file()
        if path.exists():
            path.chmod(0o600)  # Ray itself writes it readable by all
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except (OSError, RuntimeError):
        # The home folder is missing or read-only: a token of this session's own.
        handle, name = tempfile.mkstemp(prefix="heuresis-ray-token-")
        os.environ["RAY_AUTH_TOKEN_PATH"] = name
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(32))


def token_advice() -> str:
    """Return one line that says how to get past the dashboard's question for a token."""
    command = Path(sys.executable).with_name("ray")
    shown = str(command) if command.exists() else "ray"
    path = os.environ.get("RAY_AUTH_TOKEN_PATH")
    prefix = f"RAY_AUTH_TOKEN_PATH={path} " if path else ""
    return f"it asks for a token once; print it with: {prefix}{shown} get-auth-token"


def object_store_bytes() -> int:
    """Return a size for the object store that fits into shared memory (64 MB in plain Docker)."""
    try:
        free = shutil.disk_usage(_SHARED_MEMORY).free
    except OSError:
        return OBJECT_STORE_BYTES
    return max(_SMALLEST_OBJECT_STORE_BYTES, min(OBJECT_STORE_BYTES, int(0.9 * free)))


def session_folder() -> str | None:
    """Return a folder for Ray's session files, None for Ray's default if we may write there."""
    default = Path(tempfile.gettempdir()) / "ray"
    if not default.exists() or os.access(default, os.W_OK | os.X_OK):
        return None
    # Another user of this machine started Ray first. Short: socket paths end at 107 characters.
    return str(default.with_name(f"ray-{os.getuid()}"))


def port_is_free(port: int) -> bool:
    """Tell whether a server could listen on a loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
