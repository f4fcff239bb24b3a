"""Is a ledger whole, and if not, back to its last good entry. Never silently, never in place."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from heuresis.errors import LedgerError, LedgerInUseError
from heuresis.events import SCHEMA_VERSION, Entry
from heuresis.ledger.boundary import Boundary
from heuresis.ledger.journal import JournalLedger
from heuresis.ledger.lease import Holder, why_held
from heuresis.ledger.schema import LEDGER_SCHEMA
from heuresis.ledger.sqlite import SQLiteLedger, head_path, read_head, sync_folder

COPY_BATCH = 1000


@dataclass(kw_only=True)
class Findings:
    """What `verify` found in a ledger."""

    place: str
    schema: int | None = None
    """Version of its tables; None: it cannot be opened as a ledger."""
    events_version: int = SCHEMA_VERSION
    entries: int = 0
    """Good entries: each follows from the one before it and can be read."""
    checksum: str = ""
    """Head of the chain over the good entries: equal for two runs with equal payloads."""
    cut: int = 0
    """Last entry at which it may be cut: where `recover` goes back to if there is damage."""
    kinds: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    """What is wrong, one sentence each; empty: it is whole."""
    writer: str = ""
    """Who writes it now; empty: nobody."""

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def document(self) -> dict[str, Any]:
        """Return it as plain values with stable keys."""
        return {
            "ledger": self.place,
            "good": self.is_good,
            "schema": self.schema,
            "events_version": self.events_version,
            "entries": self.entries,
            "checksum": self.checksum,
            "recover_to": None if self.is_good else self.cut,
            "kinds": dict(self.kinds),
            "problems": self.problems,
            "writer": self.writer or None,
        }


def verify_entries(ledger: JournalLedger, findings: Findings) -> Findings:
    """Read every entry of an open ledger; note what is good and what is not."""
    findings.schema = ledger.schema
    boundary = Boundary()
    try:
        for entry in ledger.read():
            boundary.apply(entry)
            findings.entries = entry.sequence
            findings.kinds[entry.event.kind] += 1
        findings.writer = ledger.lease().words()
    except LedgerError as error:
        findings.problems.append(str(error))
    findings.cut = boundary.last
    with contextlib.suppress(LedgerError):
        findings.checksum = ledger.checksum_of(findings.entries)
    return findings


def recover_entries(ledger: JournalLedger, put_aside: Callable[[int], str]) -> Recovery | None:
    """Go back to the last good entry of a ledger whose database is sound.

    Args:
        ledger: open for writing.
        put_aside: moves all entries above a number away and returns where they are.

    Raises:
        LedgerError: not even its first entry is good.
    """
    findings = verify_entries(ledger, Findings(place=ledger.place))
    if findings.is_good:
        return None
    if findings.cut == 0:
        raise LedgerError(f"nothing can be recovered of {ledger.place}: {findings.problems[0]}")
    written = ledger.last_sequence
    return Recovery(
        kept=findings.cut,
        good=findings.entries,
        written=written,
        damaged=put_aside(findings.cut),
        problems=tuple(findings.problems),
    )


def verify_sqlite(path: Path) -> Findings:
    """Check a ledger file from end to end; changes nothing.

    Checks the database's own structure, that its end is there, every checksum and every event.
    """
    findings = Findings(place=str(path))
    noted = read_head(path)
    try:
        ledger = SQLiteLedger.open(path, read_only=True, check_end=False)
    except LedgerError as error:
        findings.problems.append(str(error))
        return findings
    with contextlib.closing(ledger):
        try:
            found = [row[0] for row in ledger.integrity()]
            findings.problems += [f"SQLite: {text}" for text in found if text != "ok"]
        except LedgerError as error:
            findings.problems.append(str(error))
        verify_entries(ledger, findings)
        if noted is not None and not findings.problems:
            try:
                ledger.require_end(*noted)
            except LedgerError as error:
                findings.problems.append(str(error))
    return findings


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """What `recover_sqlite` did."""

    kept: int
    """Entries of the mended ledger."""
    good: int
    """Entries that could be read; those above ``kept`` were cut off to end at a whole place."""
    written: int | None
    """Entries that had been written, if that is known."""
    damaged: str
    """Where the damaged part is now: a file, or a table beside the ledger's."""
    problems: tuple[str, ...]


def recover_sqlite(path: Path) -> Recovery | None:
    """Go back to the last good entry; the damaged file is kept beside it.

    Returns:
        What was done; None: nothing is wrong, nothing was done.

    Raises:
        LedgerInUseError: a process is writing it.
        LedgerError: nothing of it can be read, or the disk refuses.
    """
    _undo_half_recovery(path)
    findings = verify_sqlite(path)
    if findings.is_good:
        return None
    if findings.schema is None or findings.cut == 0:
        raise LedgerError(
            f"nothing can be recovered of {path}: {'; '.join(findings.problems)}."
            " It was left as it is; a copy from a backup is the only way on"
        )
    if findings.schema != LEDGER_SCHEMA:
        raise LedgerError(
            f"{path} has ledger schema {findings.schema} and is damaged; recover it with the"
            " Heuresis that wrote it"
        )
    unfinished = path.with_name(path.name + ".recovering")
    for leftover in (unfinished, head_path(unfinished)):
        leftover.unlink(missing_ok=True)
    noted = read_head(path)
    with contextlib.closing(SQLiteLedger.open(path, read_only=True, check_end=False)) as source:
        _require_idle(source)
        with contextlib.closing(SQLiteLedger.open(unfinished, create=True)) as target:
            for _ in copy_entries(source, target, findings.cut):
                pass
            _copy_beside(source, target)
    damaged = _free_name(path)
    try:
        _put_aside(path, damaged)
        unfinished.replace(path)
        head_path(unfinished).replace(head_path(path))
        sync_folder(path.parent)
    except OSError as error:
        raise LedgerError(f"cannot recover {path}: {error.strerror}") from error
    return Recovery(
        kept=findings.cut,
        good=findings.entries,
        written=noted[0] if noted is not None else None,
        damaged=str(damaged),
        problems=tuple(findings.problems),
    )


def copy_entries(source: JournalLedger, target: JournalLedger, last: int) -> Iterator[Entry]:
    """Copy entries 1 to ``last``, checking each; yields them, and must be read to its end."""
    batch: list[Entry] = []
    for entry in islice(source.read(), last):
        batch.append(entry)
        if len(batch) == COPY_BATCH:
            target.append(batch)
            batch = []
        yield entry
    target.append(batch)


def _copy_beside(source: JournalLedger, target: JournalLedger) -> None:
    """Copy what stands beside the journal, as far as it can be read."""
    with contextlib.suppress(LedgerError, ValueError):
        for session in source.sessions():
            number = target.begin_session(session["started_at"], session["details"])
            ended_at = session["ended_at"] or session["started_at"]
            target.note_session(number, ended_at, session["seconds"], session["ending"])
    with contextlib.suppress(LedgerError, ValueError):
        for spec_hash, document in source.specs().items():
            target.note_spec(spec_hash, document)
    with contextlib.suppress(LedgerError):
        for name, digest in source.artifacts().items():
            target.note_artifact(name, digest)


def _require_idle(ledger: SQLiteLedger) -> None:
    """Refuse to mend what a living process writes."""
    try:
        lease = ledger.lease()
    except LedgerError:  # the damage is there
        return
    why = why_held(lease, Holder.of_this_process(ledger), ledger.now())
    if why is not None:
        raise LedgerInUseError(f"{ledger.place} is in use by {lease.words()}; {why}")


def _free_name(path: Path) -> Path:
    number = 1
    while (damaged := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return damaged


def _put_aside(path: Path, damaged: Path) -> None:
    """Move the log first: SQLite must never find it beside another file."""
    for ending in ("-wal", "-shm", ".head"):
        with contextlib.suppress(FileNotFoundError):
            _beside(path, ending).replace(_beside(damaged, ending))
    sync_folder(path.parent)
    damaged.hardlink_to(path)


def _undo_half_recovery(path: Path) -> None:
    """If an earlier recovery died between moving the log and the file, put the log back."""
    damaged = _free_name(path)
    for ending in ("-wal", ".head"):
        with contextlib.suppress(FileNotFoundError):
            _beside(damaged, ending).replace(_beside(path, ending))


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


__all__ = ["Findings", "Recovery", "copy_entries", "recover_sqlite", "verify_sqlite"]
