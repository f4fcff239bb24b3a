"""What must be right around Ray: token, addresses, memory, signals, quiet. Does not import it.

Ray's defaults suit a cluster behind a firewall. A local session of Heuresis listens on loopback
only, asks for a token, sends no usage statistics and takes little memory.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

LOOPBACK = "127.0.0.1"
DASHBOARD_PORT = 8265
OBJECT_STORE_BYTES = 200 * 2**20
"""Messages are a few kilobytes; Ray's own default is a third of the machine."""
CONNECTION_LIMIT_S = 10.0
_SMALLEST_OBJECT_STORE_BYTES = 80 * 2**20
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a kernel interface, nothing is written here
_LOOPBACK_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    # Ray 2.60 announces a change of this default at every start; this states today's behaviour.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_PATIENT = {
    # A busy machine is slow, not dead: how long Ray's processes wait for each other at the start.
    "RAY_agent_register_timeout_ms": "200000",
    "RAY_worker_register_timeout_seconds": "200",
}


def prepare_local_session() -> None:
    """Set this process's environment for a local Ray session: token on, statistics off.

    Must run before ``ray.init``; Ray's processes inherit the environment.
    """
    os.environ.update(_QUIET | _PATIENT)
    # Ray reads the mode once, when it is imported. Only for a local session without a stated mode
    # does it read it again, and then it chooses the token; `session_asks_for_token` checks that.
    os.environ.pop("RAY_AUTH_MODE", None)
    # Ray's switch for desktops whose firewall asks questions: all of it listens on loopback only.
    os.environ[_LOOPBACK_SWITCH] = "0"
    # When an actor ends, Ray would kill the guardian of its oracle before that has cleaned up.
    os.environ["RAY_kill_child_processes_on_worker_exit"] = "false"  # noqa: SIM112 - Ray's name
    if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
        _ensure_token_file()


def check_port(port: int | None) -> None:
    """Refuse a port that is taken, before Ray has started half of its processes.

    Raises:
        OSError: the port is taken.
    """
    if port is None:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise OSError(f"port {port} for the dashboard: {error.strerror}") from error


def forget_local_session() -> None:
    """Take back what would keep this process from joining a cluster later."""
    os.environ.pop(_LOOPBACK_SWITCH, None)


def prepare_connection(address: str) -> None:
    """Set this process's environment for joining a cluster, whose authentication is its own.

    Raises:
        ConnectionError: nobody listens there (Ray itself would try for minutes), or the address
            is one of Ray Client, whose driver lives elsewhere and cannot host a campaign.
    """
    os.environ.update(_QUIET)
    if "://" in address:
        raise ConnectionError("expected host:port or auto; run the campaign inside the cluster")
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECTION_LIMIT_S):
            pass


def answers(address: str) -> bool:
    """Tell whether somebody listens at ``host:port``."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1.0):
            return True
    except OSError:
        return False


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
        new = _new_token_file(path.parent)
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(new)  # whole or not at all, and never over somebody's token
        new.unlink()
    except (OSError, RuntimeError):
        # The home folder is missing or read-only: a token of this session's own.
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(_new_token_file(None))


def _new_token_file(folder: Path | None) -> Path:
    handle, name = tempfile.mkstemp(prefix="heuresis-ray-token-", dir=folder)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(32))
    return Path(name)


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


def why_it_died(error: Exception) -> str:
    """Return the line of Ray's page of explanation that says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next((line for line in lines if "exit detail:" in line), None)
    if told is not None:
        return told.partition("exit detail:")[2].partition(" Some common causes")[0].strip()
    return lines[-1] if lines else type(error).__name__


def web_address(dashboard_url: str | None) -> str | None:
    """Return the full address of a dashboard that Ray names by host and port."""
    return f"http://{dashboard_url}" if dashboard_url else None


@contextlib.contextmanager
def own_signal_handlers() -> Iterator[None]:
    """Keep the program's own handlers: Ray replaces that of SIGTERM by one that exits."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            if handler is not None:  # None: set by something other than Python
                signal.signal(number, handler)
