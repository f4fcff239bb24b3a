"""A real PostgreSQL server on this machine, started for the tests and removed after them."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PASSWORD = "Rw9-of-the-test-server-63"


def binaries() -> Path | None:
    """Return the folder of initdb and pg_ctl; None: PostgreSQL is not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    return None


def _unprivileged() -> tuple[int, int] | None:
    """PostgreSQL does not run as root: return the user and group that shall run it."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return user.pw_uid, user.pw_gid
    raise RuntimeError("no user to run PostgreSQL as")


@contextmanager
def running_server() -> Iterator[str]:
    """Run a server with one database; yields its URL, with its password."""
    programs = binaries()
    assert programs is not None
    who = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if who is not None:
        os.chown(folder, *who)
    password = folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data, log = folder / "data", folder / "log"

    def call(*command: str) -> None:
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, timeout=120,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            user=who[0] if who is not None else None,
            group=who[1] if who is not None else None,
        )  # fmt: skip

    try:
        call(
            str(programs / "initdb"), "-D", str(data), "-U", "heuresis", "--pwfile", str(password),
            "--auth=scram-sha-256", "-E", "UTF8",
        )  # fmt: skip
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder}"
        call(
            str(programs / "pg_ctl"), "-D", str(data), "-l", str(log), "-o", options, "-w", "start"
        )
        try:
            yield f"postgresql://heuresis:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            call(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
