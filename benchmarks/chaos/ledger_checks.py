"""What must be true of a campaign after any number of kills, read from its ledger alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from heuresis.engine.policies import may_retry
from heuresis.errors import LedgerError
from heuresis.events import (
    BudgetExtended,
    CampaignStarted,
    Entry,
    Event,
    Finished,
    Judged,
    Settled,
    Submitted,
)
from heuresis.ledger.sqlite import SQLiteLedger
from heuresis.ledger.verification import verify_sqlite
from heuresis.records import Evaluation, Failure

Key = tuple[str, str, int]
"""Oracle, candidate, attempt."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a ledger had acknowledged at one moment, as a process saw that did not write it."""

    sequence: int
    checksum: str
    settled: frozenset[Key]


def last_sequence(file: Path) -> int:
    """Return the number of the last entry; 0 before there is one."""
    try:
        with closing(SQLiteLedger.open(file, read_only=True)) as ledger:
            return ledger.last_sequence
    except LedgerError:
        return 0


def snapshot(file: Path) -> Snapshot:
    """Read all that is acknowledged now."""
    with closing(SQLiteLedger.open(file, read_only=True)) as ledger:
        entries = list(ledger.read())
        sequence = entries[-1].sequence if entries else 0
        return Snapshot(
            sequence=sequence,
            checksum=ledger.checksum_of(sequence),
            settled=frozenset(_settled_keys(entries)),
        )


def _settled_keys(entries: Iterable[Entry]) -> list[Key]:
    return [
        (entry.event.oracle, entry.event.candidate, entry.event.attempt)
        for entry in entries
        if isinstance(entry.event, Settled)
    ]


@dataclass(kw_only=True)
class Verdict:
    """Counts that must be zero, and figures of the campaign."""

    lost: int = 0
    """Settled results that a snapshot saw and the ledger does not have, or not in their place."""
    duplicated: int = 0
    """Results settled twice, and evaluations handed out again after they had settled."""
    broken: list[str] = field(default_factory=list)
    """Everything else that is not as promised, in words."""
    settled: int = 0
    spent: int = 0
    limit: int = 0
    quarantined: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    """By oracle and cause."""

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.duplicated or self.broken)


def check_ledger(file: Path, snapshots: Iterable[Snapshot], *, metered: str, limit: int) -> Verdict:
    """Read a finished campaign's ledger and judge it.

    Args:
        file: the SQLite file.
        snapshots: what it had acknowledged before each kill.
        metered: the oracle whose evaluations the budget counts.
        limit: evaluations that the first session was granted.
    """
    findings = verify_sqlite(file)
    verdict = Verdict(limit=limit)
    verdict.broken += findings.problems
    with closing(SQLiteLedger.open(file, read_only=True)) as ledger:
        entries = list(ledger.read())
        final = Counter(_settled_keys(entries))
        for seen in snapshots:
            verdict.lost += len(seen.settled - final.keys())
            if ledger.checksum_of(seen.sequence) != seen.checksum:
                verdict.broken.append(f"the history up to entry {seen.sequence} was changed")
    verdict.settled = final.total()
    verdict.duplicated += sum(count - 1 for count in final.values())
    _Reader(verdict, metered).read([entry.event for entry in entries])
    return verdict


class _Reader:
    """Goes through the events once and notes what does not follow."""

    def __init__(self, verdict: Verdict, metered: str) -> None:
        self.verdict = verdict
        self.metered = metered
        self.open: dict[Key, str] = {}
        """Handed out and not settled, with the task."""
        self.submitted: set[Key] = set()
        self.measured: set[tuple[str, str]] = set()
        self.last_failure: tuple[Failure, int] | None = None

    def read(self, events: list[Event]) -> None:
        broken = self.verdict.broken
        if sum(isinstance(event, CampaignStarted) for event in events) != 1:
            broken.append("the campaign did not start exactly once")
        if not isinstance(events[-1], Finished):
            broken.append("the campaign is not finished")
        for event in events:
            match event:
                case Submitted():
                    self._submitted(event)
                case Settled():
                    self._settled(event)
                case Judged():
                    self._judged(event)
                case BudgetExtended():
                    self.verdict.limit = int(event.budget["evaluations"])
                case Finished(reason="budget"):
                    self._finished()
                case Finished():
                    broken.append(f"finished for another reason: {event.reason}")
                case _:
                    pass
        if self.open:
            broken.append(f"{len(self.open)} evaluations were handed out and never settled")

    def _submitted(self, event: Submitted) -> None:
        for candidate in event.candidates:
            key = (event.oracle, candidate, event.attempt)
            again = key in self.submitted or (event.oracle, candidate) in self.measured
            self.verdict.duplicated += again
            self.submitted.add(key)
            self.open[key] = event.task
        if event.oracle == self.metered:
            self.verdict.spent += len(event.candidates)
            if self.verdict.spent > self.verdict.limit:
                self.verdict.broken.append(f"{self.verdict.spent} spent of {self.verdict.limit}")

    def _settled(self, event: Settled) -> None:
        key = (event.oracle, event.candidate, event.attempt)
        if self.open.pop(key, None) != event.task:
            self.verdict.broken.append(f"{key} settled without being handed out by {event.task}")
        self.last_failure = None
        if isinstance(event.outcome, Evaluation):
            self.measured.add((event.oracle, event.candidate))
            return
        self.last_failure = (event.outcome, event.attempt)
        self.verdict.failures[f"{event.oracle}: {event.outcome.cause.value}"] += 1
        if not event.outcome.message.strip():
            self.verdict.broken.append(f"{key} failed without a reason")

    def _judged(self, event: Judged) -> None:
        if (self.last_failure is None) == (event.verdict in ("retry", "failed")):
            self.verdict.broken.append(f"{event.candidate} judged {event.verdict} without a cause")
        if self.last_failure is None:
            return
        if may_retry(*self.last_failure) != (event.verdict == "retry"):
            self.verdict.broken.append(f"{event.candidate} judged {event.verdict} against policy")
        self.verdict.quarantined += (event.reason or "").startswith("quarantined")

    def _finished(self) -> None:
        if self.verdict.spent != self.verdict.limit:
            self.verdict.broken.append(
                f"finished with {self.verdict.spent} evaluations spent of {self.verdict.limit}"
            )
