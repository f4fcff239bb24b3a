"""Which programs may be started and which hosts asked: for the machine to say, not for a file.

A campaign file can come from anybody: a colleague, a queue, an agent. So it can only *name* a
program; that it may run is said by the environment of the machine that would run it.
"""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path

from heuresis.errors import UserError

PROGRAMS = "HEURESIS_PROGRAMS"
"""Absolute folders, separated by colons, whose executable files campaigns may run."""
HOSTS = "HEURESIS_ORACLE_HOSTS"
"""Hosts besides this one, separated by commas, that campaigns may ask."""


def permitted_program(name: str) -> Path:
    """Return the absolute path of a program that this machine allows.

    Raises:
        UserError: it is not allowed, not there, or not executable; says what to do.
    """
    if not name or name in {".", ".."} or Path(name).name != name:
        raise UserError(
            f"command: expected the name of a program without a path, got '{name}'; the folder it"
            f" lies in is named by the environment variable {PROGRAMS}"
        )
    folders = [Path(folder) for folder in os.environ.get(PROGRAMS, "").split(os.pathsep) if folder]
    if not folders:
        raise UserError(
            f"command: '{name}' is not started, for this machine allows no programs; if you trust"
            f" it, set {PROGRAMS} to the absolute folder it lies in"
        )
    for folder in folders:
        if not folder.is_absolute():
            raise UserError(f"{PROGRAMS}: expected absolute folders, got '{folder}'")
    for folder in folders:
        program = folder / name
        if program.is_file():
            if not os.access(program, os.X_OK):
                raise UserError(
                    f"command: {program} is not executable; run: chmod +x {program} (and begin a"
                    " script with a line such as #!/usr/bin/env python3)"
                )
            return program
    listed = ", ".join(map(str, folders))
    raise UserError(f"command: there is no program '{name}' in {listed} ({PROGRAMS})")


def require_permitted_host(host: str) -> None:
    """Refuse a host that is neither this machine nor allowed by it.

    Raises:
        UserError: says how to allow it.
    """
    allowed = {name.strip().lower() for name in os.environ.get(HOSTS, "").split(",")}
    if is_loopback(host) or host.lower() in allowed:
        return
    raise UserError(
        f"url: '{host}' is not this machine and is not asked; if you trust it, name it in the"
        f" environment variable {HOSTS}"
    )


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
