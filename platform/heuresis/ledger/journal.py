"""What a ledger is, whatever database keeps it: append, read, lease, sessions, specs, artifacts.

A database is a subclass with five small methods; see `heuresis.ledger.sqlite`. All statements are
written here once, in the common part of SQL, with ``?`` for a value.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from pydantic import ValidationError

from heuresis.errors import CorruptLedgerError, LeaseLostError, LedgerError, LedgerInUseError
from heuresis.events import Entry
from heuresis.ledger.lease import RENEW_S, Heartbeat, Holder, Lease, why_held
from heuresis.ledger.rows import GENESIS, Row, broken_chain, chain, entry_of, payload_of, row_of

READ_BATCH = 1000
_SELECT_EVENTS = (
    "SELECT sequence, kind, payload, checksum, recorded_at, timing, version FROM events"
)
Values = Sequence[Any]


class JournalLedger(ABC):
    """Implements the `heuresis.ports.Ledger` port over a database.

    A subclass opens the database, then calls `_begin`. Close it when done: that frees the lease.

    Attributes:
        place: what messages call this ledger.
        run: what the advice in messages calls the run.
        schema: version of its tables.
    """

    lock_clause: ClassVar[str] = ""
    """Ends a SELECT whose row nobody else may change until the transaction ends."""

    def __init__(self, place: str, *, schema: int, clock: Callable[[], float] = time.time) -> None:
        self.place = place
        self.run = "RUN"
        self.schema = schema
        self._clock = clock
        self._last, self._checksum = 0, GENESIS
        self._token: int | None = None
        self._renewed_at = 0.0
        self._taken_over = ""
        self._heartbeat: Heartbeat | None = None

    # -- what a database provides ----------------------------------------------------------------

    @abstractmethod
    def _query(self, statement: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """Run one statement; return its rows. Raises `LedgerError`."""

    @abstractmethod
    def _insert_rows(self, rows: Sequence[Row]) -> None:
        """Insert events inside a transaction. Raises `LedgerError`."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[None]:
        """One writing transaction: all of it is durable, or nothing happened."""

    @abstractmethod
    def _apart(self, statement: str, values: Values) -> int:
        """Run one writing statement on a connection of its own, from any thread; rows changed."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Close the connection."""

    def now(self) -> float:
        """Return the time by the clock that leases are judged by, Unix seconds."""
        return self._clock()

    def put_aside(self, last: int) -> str:
        """Move all entries above ``last`` away, where the database can; return where they are.

        Raises:
            LedgerError: it cannot.
        """
        raise LedgerError(f"{self.place} is recovered as a file, not entry by entry (above {last})")

    def _appended(self) -> None:  # noqa: B027 - most databases have nothing to do
        """Called after entries became durable."""

    # -- the journal -----------------------------------------------------------------------------

    @property
    def last_sequence(self) -> int:
        """Sequence number of the last entry; 0 when the ledger is empty."""
        return self._last

    @property
    def checksum(self) -> str:
        """Head of the checksum chain: equal for two ledgers with equal payloads."""
        return self._checksum

    def append(self, entries: Sequence[Entry]) -> None:
        """Write all entries in one transaction, or none; they are durable when this returns.

        Entries already present with the same payload are skipped (idempotent).

        Raises:
            LeaseLostError: another process writes this ledger now; nothing was written.
            LedgerError: a gap or a conflict in sequence numbers, or the disk refuses.
        """
        if not entries:
            return
        rows: list[Row] = []
        last, checksum = self._last, self._checksum
        for entry in entries:
            payload = payload_of(entry)
            if entry.sequence <= self._last:
                self._require_same(entry.sequence, payload)
                continue
            if entry.sequence != last + 1:
                raise LedgerError(f"{self.place}: expected entry {last + 1}, got {entry.sequence}")
            last, checksum = entry.sequence, chain(checksum, payload)
            rows.append(row_of(entry, payload, checksum))
        with self._transaction():
            self._require_lease()
            self._insert_rows(rows)
        self._last, self._checksum = last, checksum
        self._appended()

    def checksum_of(self, sequence: int) -> str:
        """Return the checksum of an entry; that of nothing for 0."""
        if sequence == 0:
            return GENESIS
        found = self._query("SELECT checksum FROM events WHERE sequence = ?", (sequence,))
        if not found:
            raise CorruptLedgerError(f"{self.place}: entry {sequence} is missing")
        return str(found[0][0])

    def _require_same(self, sequence: int, payload: str) -> None:
        stored = self._query("SELECT payload FROM events WHERE sequence = ?", (sequence,))
        if not stored or stored[0][0] != payload:
            raise LedgerError(
                f"{self.place}: entry {sequence} is already written with another payload"
            )

    def read(self, after: int = 0) -> Iterator[Entry]:
        """Yield entries above ``after`` in order, checking the chain.

        Raises:
            CorruptLedgerError: names the first entry that cannot be trusted.
        """
        expected, checksum, batch = after + 1, self.checksum_of(after), READ_BATCH
        while True:
            try:
                rows = self._rows(expected, batch)
            except CorruptLedgerError:
                if batch == 1:
                    raise
                batch = 1  # what can be read before the damage is worth having
                continue
            for row in rows:
                try:
                    checksum = chain(checksum, row.payload)
                except (AttributeError, UnicodeError):  # the database holds no text there
                    raise broken_chain(self.place, expected, self.run) from None
                if row.sequence != expected or checksum != row.checksum:
                    raise broken_chain(self.place, expected, self.run)
                yield entry_of(row, self.place, self.run)
                expected += 1
            if len(rows) < batch:
                return

    def of_kind(self, *kinds: str) -> list[Entry]:
        """Return the entries of these kinds, in order; their place in the chain is not checked."""
        marks = ", ".join("?" * len(kinds))
        found = self._query(
            f"{self._select()} WHERE kind IN ({marks}) ORDER BY sequence",
            kinds,
        )
        return [entry_of(Row(*row), self.place, self.run) for row in found]

    def _select(self) -> str:
        return _SELECT_EVENTS if self.schema >= 2 else _SELECT_EVENTS.replace("version", "1")

    def _rows(self, first: int, count: int) -> list[Row]:
        try:
            found = self._query(
                f"{self._select()} WHERE sequence >= ? ORDER BY sequence LIMIT ?", (first, count)
            )
        except LedgerError as error:
            raise CorruptLedgerError(f"{error}; see: heuresis verify {self.run}") from error
        return [Row(*row) for row in found]

    # -- the lease -------------------------------------------------------------------------------

    def _begin(self, *, write: bool, take_over: bool = False) -> None:
        """Read where the ledger ends; for writing, take the lease first, in one transaction."""
        if not write:
            self._find_end()
            return
        me = Holder.of_this_process(self)
        with self._transaction():
            lease = self.lease(lock=True)
            now = self.now()
            why = None if take_over else why_held(lease, me, now)
            if why is not None:
                raise LedgerInUseError(f"{self.place} is in use by {lease.words()}; {why}")
            self._query(
                "UPDATE lease SET token = ?, holder = ?, taken_at = ?, renewed_at = ?",
                (lease.token + 1, me.model_dump_json(), now, now),
            )
            self._find_end()
        self._token, self._renewed_at = lease.token + 1, now

    def _find_end(self) -> None:
        found = self._query("SELECT sequence, checksum FROM events ORDER BY sequence DESC LIMIT 1")
        self._last, self._checksum = found[0] if found else (0, GENESIS)

    def lease(self, *, lock: bool = False) -> Lease:
        """Return who may write this ledger."""
        if self.schema < 2:
            return Lease(token=0)
        clause = self.lock_clause if lock else ""
        rows = self._query(f"SELECT token, holder, taken_at, renewed_at FROM lease{clause}")  # noqa: S608
        if not rows:
            raise CorruptLedgerError(
                f"{self.place}: its lease is missing; see: heuresis verify RUN"
            )
        token, holder, taken_at, renewed_at = rows[0]
        try:
            who = Holder.model_validate_json(holder) if holder else None
        except ValidationError as error:
            raise CorruptLedgerError(f"{self.place}: its lease cannot be read") from error
        return Lease(token, who, taken_at, renewed_at)

    def _require_lease(self) -> None:
        """Check the fencing token inside a writing transaction, and renew what is half run out."""
        if self._taken_over:
            raise LeaseLostError(self._taken_over)
        if self._token is None:
            raise LedgerError(f"cannot append to {self.place}: it is open for reading only")
        lease = self.lease(lock=True)
        if lease.token != self._token:
            self._taken_over = self._lost_to(lease)
            raise LeaseLostError(self._taken_over)
        now = self.now()
        if not 0.0 <= now - self._renewed_at < RENEW_S:
            self._query("UPDATE lease SET renewed_at = ?", (now,))
            self._renewed_at = now

    def _lost_to(self, lease: Lease) -> str:
        who = lease.words() or "another process, which has ended"
        return (
            f"{self.place} was taken over by {who}; this process stops and has written nothing"
            " since. Nothing is lost: what it had not journaled yet is done again over there"
        )

    def require_lease(self) -> None:
        """Make sure that this process is still the writer.

        Raises:
            LeaseLostError: it is not.
        """
        with self._transaction():
            self._require_lease()

    def keep_lease(
        self, lost: Callable[[], None] = lambda: None, *, interval_s: float = RENEW_S
    ) -> None:
        """Renew the lease from a thread until `close`; ``lost`` is called if it is taken over."""
        self._heartbeat = Heartbeat(self._renew, lost, interval_s=interval_s)
        self._heartbeat.start()

    def _renew(self) -> None:
        renewed = self._apart(
            "UPDATE lease SET renewed_at = ? WHERE token = ?", (self.now(), self._token)
        )
        if not renewed:
            raise LeaseLostError(f"{self.place} was taken over")

    def close(self) -> None:
        """Free the lease and close the connection."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
        try:
            if self._token is not None and not self._taken_over:
                with self._transaction():
                    self._query("UPDATE lease SET holder = NULL WHERE token = ?", (self._token,))
        except LedgerError:
            pass  # whoever comes next sees that this process is gone
        finally:
            self._token = None
            self._disconnect()

    # -- beside the journal ----------------------------------------------------------------------

    def begin_session(self, now: float, details: dict[str, Any]) -> int:
        """Note that a process starts to work on this campaign; return the session's number."""
        with self._transaction():
            self._require_lease()
            found = self._query("SELECT COALESCE(MAX(number), 0) FROM sessions")
            number = int(found[0][0]) + 1
            self._query(
                "INSERT INTO sessions (number, started_at, seconds, details) VALUES (?, ?, 0, ?)",
                (number, now, json.dumps(details, sort_keys=True)),
            )
        return number

    def note_session(self, number: int, now: float, seconds: float, ending: str | None) -> None:
        """Update a session's running time (seconds); ``ending`` closes it."""
        with self._transaction():
            self._require_lease()
            self._query(
                "UPDATE sessions SET seconds = ?, ending = ?, ended_at = ? WHERE number = ?",
                (seconds, ending, now if ending else None, number),
            )

    def sessions(self) -> list[dict[str, Any]]:
        """Return all sessions, oldest first, as dictionaries of the table's columns."""
        names = ("number", "started_at", "ended_at", "seconds", "details", "ending")
        rows = self._query(f"SELECT {', '.join(names)} FROM sessions ORDER BY number")  # noqa: S608
        found = [dict(zip(names, row, strict=True)) for row in rows]
        for session in found:
            session["details"] = json.loads(session["details"])
        return found

    def note_spec(self, spec_hash: str, document: dict[str, Any]) -> None:
        """Keep a resolved campaign under its hash; what is kept already stays."""
        with self._transaction():
            self._require_lease()
            self._query(
                "INSERT INTO specs (hash, document) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING",
                (spec_hash, json.dumps(document, sort_keys=True)),
            )

    def note_artifact(self, name: str, digest: str) -> None:
        """Keep the digest of a file or folder that belongs to the run; the latest one counts."""
        with self._transaction():
            self._require_lease()
            self._query(
                "INSERT INTO artifacts (name, digest) VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET digest = excluded.digest",
                (name, digest),
            )

    def specs(self) -> dict[str, dict[str, Any]]:
        """Return hash → resolved campaign: the first one, and one for each fork of it."""
        if self.schema < 2:
            return {}
        rows = self._query("SELECT hash, document FROM specs")
        return {spec_hash: json.loads(document) for spec_hash, document in rows}

    def artifacts(self) -> dict[str, str]:
        """Return name → digest of what belongs to the run."""
        if self.schema < 2:
            return {}
        return dict(self._query("SELECT name, digest FROM artifacts ORDER BY name"))
