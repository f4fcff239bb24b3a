"""Where a ledger lives: a file in the run folder, or a schema of a PostgreSQL database.

A password may come with a URL from the environment. It is never part of what is stored, shown or
raised: `LedgerURL` keeps it apart, and everything that prints a URL prints `LedgerURL.shown`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, quote, unquote, urlsplit

from heuresis.errors import UserError

ENVIRONMENT = "HEURESIS_LEDGER"
SCHEMES = ("postgresql", "postgres")
_RUN = re.compile(r"^[a-z0-9][a-z0-9_-]{0,50}$")
_SECRET_WORDS = ("password", "passfile", "sslpassword", "sslkey")


@dataclass(frozen=True)
class LedgerURL:
    """A PostgreSQL database that keeps ledgers."""

    shown: str
    """The URL without any password; this is what is stored and shown."""
    password: str | None = field(default=None, repr=False)
    """None: libpq finds one by itself (``PGPASSWORD``, ``~/.pgpass``), or needs none."""


def parse_url(text: str, where: str) -> LedgerURL:
    """Read a URL such as ``postgresql://user@host/database``.

    Args:
        text: the URL; it may hold a password.
        where: what it came from, for messages.

    Raises:
        UserError: it is no such URL; the message does not repeat it.
    """
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise UserError(f"{where} is not a URL; {_EXPECTED}") from None
    if parts.scheme not in SCHEMES:
        raise UserError(f"{where} starts with '{parts.scheme or '?'}:'; {_EXPECTED}")
    words = [item.partition("=")[0].lower() for item in parts.query.split("&")]
    for word in _SECRET_WORDS:
        if word in words:
            raise UserError(f"{where} has '{word}' behind '?'; {_PASSWORD}")
    if not parts.path.strip("/"):
        raise UserError(f"{where} names no database; {_EXPECTED}")
    password = unquote(parts.password) if parts.password is not None else None
    return LedgerURL(_without_password(parts), password)


_EXPECTED = "expected postgresql://user@host:port/database"
_PASSWORD = (
    f"give a password in {ENVIRONMENT} (postgresql://user:password@host/database), in PGPASSWORD"
    " or in ~/.pgpass, where no other user of this machine sees it"
)


def _without_password(parts: SplitResult) -> str:
    user = f"{quote(unquote(parts.username))}@" if parts.username else ""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port is not None else ""
    query = f"?{parts.query}" if parts.query else ""
    return f"postgresql://{user}{host}{port}{parts.path}{query}"


def chosen_url(
    option: str | None, environment: Mapping[str, str] | None = None
) -> LedgerURL | None:
    """Return the database that a new run shall use; None: a file in the run folder.

    Args:
        option: from the command line; ``file`` means a file whatever the environment says.
        environment: default: this process's.

    Raises:
        UserError: it is no URL, or the command line holds a password.
    """
    if option == "file":
        return None
    if option is not None:
        url = parse_url(option, "--ledger")
        if url.password is not None:
            raise UserError(
                "--ledger holds a password, which every user of this machine can see in the list"
                f" of processes; {_PASSWORD}"
            )
        return with_password(url, environment)
    text = (os.environ if environment is None else environment).get(ENVIRONMENT)
    return parse_url(text, f"the environment variable {ENVIRONMENT}") if text else None


def with_password(url: LedgerURL, environment: Mapping[str, str] | None = None) -> LedgerURL:
    """Add the password that the environment has for this very database, if it has one."""
    text = (os.environ if environment is None else environment).get(ENVIRONMENT)
    if not text:
        return url
    known = parse_url(text, f"the environment variable {ENVIRONMENT}")
    return known if known.shown == url.shown else url


def require_run_id(run: str) -> str:
    """Return the name of a run inside a database, if it can be one.

    Raises:
        UserError: it holds anything but small letters, digits, ``-`` and ``_``.
    """
    if not _RUN.match(run):
        raise UserError(f"'{run}' cannot name a run in a database; expected a-z, 0-9, - and _")
    return run
