"""The ledger in one SQLite file: append-only, chained checksums, one transaction per append.

Each row's checksum is SHA-256 over the previous checksum and the row's payload, so a changed,
missing or reordered row is detected on reading. Clocks (``recorded_at``, ``timing``) stand outside
the checksum: the chain of payloads is what two equal runs share byte for byte.

Durability: write-ahead log with ``synchronous=FULL``: when `append` returns, the entries survive
the death of the process and of the machine.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from heuresis.errors import CorruptLedgerError, LedgerError
from heuresis.events import EVENT_ADAPTER, SCHEMA_VERSION, Entry
from heuresis.records import Timing, canonical_json

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    checksum TEXT NOT NULL,
    recorded_at REAL NOT NULL,
    timing TEXT
) STRICT;
CREATE TABLE sessions (
    number INTEGER PRIMARY KEY,
    started_at REAL NOT NULL,
    ended_at REAL,
    seconds REAL NOT NULL DEFAULT 0,
    details TEXT NOT NULL,
    ending TEXT
) STRICT;
"""
GENESIS = "0" * 64
_READ_BATCH = 1000


def chain(previous: str, payload: str) -> str:
    """Return the checksum of a payload that follows ``previous``."""
    return hashlib.sha256(previous.encode() + payload.encode()).hexdigest()


class SQLiteLedger:
    """Implements the `Ledger` port. Open with `SQLiteLedger.open`, close when done."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path
        row = connection.execute(
            "SELECT sequence, checksum FROM events ORDER BY sequence DESC LIMIT 1"
        ).fetchone()
        self._last: int = row[0] if row else 0
        self._checksum: str = row[1] if row else GENESIS

    @classmethod
    def open(cls, path: Path, *, create: bool = False, read_only: bool = False) -> Self:
        """Open a ledger file.

        Raises:
            LedgerError: missing, not a ledger, or written by another schema version.
        """
        if not path.exists() and not create:
            raise LedgerError(f"there is no ledger at {path}")
        try:
            uri = f"{path.absolute().as_uri()}{'?mode=ro' if read_only else ''}"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None)
            connection.execute("PRAGMA busy_timeout=5000")
            if not read_only:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
            known = connection.execute("SELECT 1 FROM sqlite_master WHERE name='events'").fetchone()
            if known is None:
                if not create:
                    raise LedgerError(f"{path} is an SQLite file, but not a Heuresis ledger")
                connection.executescript(f"BEGIN;{_SCHEMA}COMMIT;")
                connection.execute(
                    "INSERT INTO meta VALUES ('schema_version', ?)", (str(SCHEMA_VERSION),)
                )
            version = connection.execute(
                "SELECT value FROM meta WHERE key='schema_version'"
            ).fetchone()
        except sqlite3.Error as error:
            raise LedgerError(f"cannot open the ledger {path}: {error}") from error
        if version is None or version[0] != str(SCHEMA_VERSION):
            raise LedgerError(
                f"{path} has ledger schema {version[0] if version else 'none'};"
                f" this Heuresis reads schema {SCHEMA_VERSION}"
            )
        return cls(connection, path)

    @property
    def last_sequence(self) -> int:
        """Sequence number of the last entry; 0 when the ledger is empty."""
        return self._last

    @property
    def checksum(self) -> str:
        """Head of the checksum chain: equal for two ledgers with equal payloads."""
        return self._checksum

    def append(self, entries: Sequence[Entry]) -> None:
        """Write all entries in one transaction, or none.

        Entries already present with the same payload are skipped (idempotent).

        Raises:
            LedgerError: a gap or a conflict in sequence numbers, or the disk refuses.
        """
        if not entries:
            return
        rows = []
        last, checksum = self.last_sequence, self.checksum
        for entry in entries:
            payload = canonical_json(entry.event.model_dump(mode="json"))
            if entry.sequence <= self.last_sequence:
                self._require_same(entry.sequence, payload)
                continue
            if entry.sequence != last + 1:
                raise LedgerError(f"expected entry {last + 1}, got {entry.sequence}")
            last, checksum = entry.sequence, chain(checksum, payload)
            timing = entry.timing.model_dump_json() if entry.timing else None
            rows.append((last, entry.event.kind, payload, checksum, entry.recorded_at, timing))
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany("INSERT INTO events VALUES (?,?,?,?,?,?)", rows)
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise LedgerError(f"cannot append to the ledger {self.path}: {error}") from error
        self._last, self._checksum = last, checksum

    def _require_same(self, sequence: int, payload: str) -> None:
        stored = self._connection.execute(
            "SELECT payload FROM events WHERE sequence=?", (sequence,)
        ).fetchone()
        if stored is None or stored[0] != payload:
            raise LedgerError(f"entry {sequence} is already written with another payload")

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Yield entries above ``after`` in order, checking the chain.

        Raises:
            CorruptLedgerError: names the first entry that cannot be trusted.
        """
        expected, checksum = after + 1, GENESIS
        if after:
            row = self._connection.execute(
                "SELECT checksum FROM events WHERE sequence=?", (after,)
            ).fetchone()
            if row is None:
                raise CorruptLedgerError(f"{self.path}: entry {after} is missing")
            checksum = row[0]
        while True:
            rows = self._rows(expected)
            for sequence, payload, stored, recorded_at, timing in rows:
                checksum = chain(checksum, payload)
                if sequence != expected or checksum != stored:
                    raise CorruptLedgerError(
                        f"{self.path}: entry {expected} is missing or was changed"
                        f" (its checksum does not follow from entry {expected - 1})"
                    )
                yield self._entry(sequence, payload, recorded_at, timing)
                expected += 1
            if len(rows) < _READ_BATCH:
                return

    def _rows(self, first: int) -> list[tuple[int, str, str, float, str | None]]:
        try:
            return self._connection.execute(
                "SELECT sequence, payload, checksum, recorded_at, timing FROM events"
                " WHERE sequence >= ? ORDER BY sequence LIMIT ?",
                (first, _READ_BATCH),
            ).fetchall()
        except sqlite3.Error as error:
            raise CorruptLedgerError(f"{self.path}: cannot be read: {error}") from error

    def _entry(self, sequence: int, payload: str, recorded_at: float, timing: str | None) -> Entry:
        try:
            return Entry(
                sequence=sequence,
                event=EVENT_ADAPTER.validate_json(payload),
                recorded_at=recorded_at,
                timing=Timing.model_validate_json(timing) if timing else None,
            )
        except ValidationError as error:
            raise CorruptLedgerError(
                f"{self.path}: entry {sequence} does not follow the schema:"
                f" {error.errors()[0]['msg']}"
            ) from error

    def begin_session(self, now: float, details: dict[str, Any]) -> int:
        """Note that a process starts to work on this campaign; return the session's number."""
        cursor = self._connection.execute(
            "INSERT INTO sessions (started_at, details) VALUES (?, ?)",
            (now, json.dumps(details, sort_keys=True)),
        )
        return int(cursor.lastrowid or 0)

    def note_session(self, number: int, now: float, seconds: float, ending: str | None) -> None:
        """Update a session's running time (seconds); ``ending`` closes it."""
        self._connection.execute(
            "UPDATE sessions SET seconds=?, ending=?, ended_at=? WHERE number=?",
            (seconds, ending, now if ending else None, number),
        )

    def sessions(self) -> list[dict[str, Any]]:
        """Return all sessions, oldest first, as dictionaries of the table's columns."""
        rows = self._connection.execute(
            "SELECT number, started_at, ended_at, seconds, details, ending FROM sessions"
            " ORDER BY number"
        ).fetchall()
        return [
            {
                "number": number,
                "started_at": started_at,
                "ended_at": ended_at,
                "seconds": seconds,
                "details": json.loads(details),
                "ending": ending,
            }
            for number, started_at, ended_at, seconds, details, ending in rows
        ]

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
