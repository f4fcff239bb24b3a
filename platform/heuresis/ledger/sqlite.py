"""The ledger in one SQLite file.

Durability: write-ahead log with ``synchronous=FULL``: when `append` returns, the entries survive
the death of the process and of the machine. Beside the file stands ``<file>.head`` with the number
and checksum of the last entry, so that a lost end (a removed write-ahead log, an older copy put in
its place) is noticed, which a chain of checksums alone cannot.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from heuresis import __version__
from heuresis.errors import CorruptLedgerError, LedgerError
from heuresis.ledger.journal import JournalLedger, Values
from heuresis.ledger.rows import Row
from heuresis.ledger.schema import LEDGER_SCHEMA, TABLES, steps

BUSY_TIMEOUT_S = 5.0


class SQLiteLedger(JournalLedger):
    """Implements the `Ledger` port. Open with `SQLiteLedger.open`, close when done."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        *,
        schema: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(str(path), schema=schema, clock=clock)
        self._connection = connection
        self.path = path
        self._head: int | None = None

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        create: bool = False,
        read_only: bool = False,
        take_over: bool = False,
        check_end: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Open a ledger file. Unless ``read_only``, this process becomes its only writer.

        An older schema is migrated when opened for writing; the old file stays beside it.

        Args:
            path: the file.
            create: make it if it does not exist.
            read_only: only look; several may, also while one writes.
            take_over: take the lease, whoever holds it.
            check_end: raise when entries that had been written are no longer there.
            clock: Unix seconds.

        Raises:
            LedgerInUseError: another process writes it.
            CorruptLedgerError: its end is missing, or it holds what no ledger holds.
            LedgerError: missing, not a ledger, or written by a later version.
        """
        if not path.exists() and not create:
            raise LedgerError(f"there is no ledger at {path}")
        noted = read_head(path)  # before the ledger, which a writer may extend meanwhile
        connection = connect(path, read_only=read_only)
        try:
            schema = _schema(connection, path, create=create)
            if schema < LEDGER_SCHEMA and not read_only:
                schema = _migrate(connection, path, schema)
            ledger = cls(connection, path, schema=schema, clock=clock)
            ledger._begin(write=not read_only, take_over=take_over)
        except sqlite3.Error as error:
            connection.close()
            raise LedgerError(f"cannot open the ledger {path}: {error}") from error
        except BaseException:
            connection.close()
            raise
        if check_end and noted is not None:
            try:
                ledger.require_end(*noted)
            except CorruptLedgerError:
                ledger.close()
                raise
        return ledger

    def require_end(self, sequence: int, checksum: str) -> None:
        """Make sure that an entry which had been written is there, and is that one.

        Raises:
            CorruptLedgerError: it is not.
        """
        found = self._query("SELECT checksum FROM events WHERE sequence = ?", (sequence,))
        if not found and self._last < sequence:
            raise CorruptLedgerError(
                f"{self.place} ends at entry {self._last}, but {sequence} had been written: its"
                " end is missing (was a file ending in -wal removed, or an older copy put here?);"
                " put it back, or accept the loss with: heuresis recover RUN"
            )
        if not found or found[0][0] != checksum:
            raise CorruptLedgerError(
                f"{self.place}: entry {sequence} is not the one that was written here; its"
                " history was replaced; see: heuresis verify RUN"
            )

    def integrity(self, limit: int = 5) -> list[tuple[str]]:
        """Let SQLite check its own structure: one row 'ok', or up to ``limit`` complaints."""
        return self._query(f"PRAGMA integrity_check({limit:d})")

    # -- what `JournalLedger` asks for -------------------------------------------------------------

    def _query(self, statement: str, values: Values = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise LedgerError(f"{self.place}: {error}") from error

    def _insert_rows(self, rows: Sequence[Row]) -> None:
        self._connection.executemany(
            "INSERT INTO events (sequence, kind, payload, checksum, recorded_at, timing, version)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a failed COMMIT may have rolled back
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise LedgerError(f"cannot append to the ledger {self.place}: {error}") from error

    def _apart(self, statement: str, values: Values) -> int:
        try:
            with contextlib.closing(connect(self.path)) as connection:
                return connection.execute(statement, values).rowcount
        except sqlite3.Error as error:
            raise LedgerError(f"{self.place}: {error}") from error

    def _disconnect(self) -> None:
        self._connection.close()
        if self._head is not None:
            os.close(self._head)
            self._head = None

    def _appended(self) -> None:
        # Not synced: after a power failure it may be behind the ledger, never ahead of it.
        if self._head is None:
            self._head = os.open(head_path(self.path), os.O_WRONLY | os.O_CREAT, 0o644)
        os.pwrite(self._head, f"{self._last:>20} {self._checksum}\n".encode(), 0)


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the SQLite file of a ledger with all its safeguards.

    Raises:
        LedgerError: it cannot be opened.
    """
    try:
        uri = f"{path.absolute().as_uri()}{'?mode=ro' if read_only else ''}"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)
        try:
            # A file from elsewhere may be crafted: its schema runs no functions, its cells are
            # checked before they are used.
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA cell_size_check=ON")
            if not read_only:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise LedgerError(f"cannot open the ledger {path}: {error}") from error
    return connection


def head_path(path: Path) -> Path:
    """Return the file that says where the ledger ``path`` ends."""
    return path.with_name(path.name + ".head")


def read_head(path: Path) -> tuple[int, str] | None:
    """Return number and checksum of the last entry as noted beside a ledger; None: not noted."""
    try:
        sequence, checksum = head_path(path).read_text(encoding="ascii").split()
        return (int(sequence), checksum) if len(checksum) == 64 else None
    except (OSError, ValueError):
        return None


def _schema(connection: sqlite3.Connection, path: Path, *, create: bool) -> int:
    """Return the schema version of a file, 0 for an empty one that may become a ledger."""
    found = connection.execute("SELECT type, name FROM sqlite_master").fetchall()
    if not found and create:
        return 0
    names = {name for kind, name in found if kind == "table"}
    if "events" not in names or "meta" not in names:
        raise LedgerError(f"{path} is an SQLite file, but not a Heuresis ledger")
    for kind, name in found:
        if name not in TABLES and not name.startswith("sqlite_autoindex_"):
            raise CorruptLedgerError(
                f"{path} holds a {kind} '{name}', which no ledger has: somebody changed the file"
            )
    row = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    version = row[0] if row else "none"
    if not version.isdecimal() or not 1 <= int(version) <= LEDGER_SCHEMA:
        raise LedgerError(
            f"{path} has ledger schema {version}; this Heuresis ({__version__}) knows schemas 1 to"
            f" {LEDGER_SCHEMA}: upgrade Heuresis, or use the version that wrote it"
        )
    return int(version)


def _migrate(connection: sqlite3.Connection, path: Path, version: int) -> int:
    """Bring a file up to date in one transaction; an old one is copied beside it first."""
    if version:
        _back_up(connection, path.with_name(f"{path.name}.schema-{version}"))
    connection.execute("BEGIN IMMEDIATE")
    try:
        tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone()
        version = _schema(connection, path, create=False) if tables else 0  # another may be faster
        for statement in steps(version, integer="INTEGER", real="REAL", strict=" STRICT"):
            connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return LEDGER_SCHEMA


def _back_up(connection: sqlite3.Connection, target: Path) -> None:
    unfinished = target.with_name(target.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(unfinished)) as copy:
        connection.backup(copy)
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable: what was created, renamed or removed there."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
