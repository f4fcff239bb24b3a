"""What a run called its oracle with: one line per call, small enough to keep.

A call is one candidate that reached the oracle, at its first attempt: the engine drops invalid
texts and repeats before, so calls are unique canonical SMILES (as RDKit writes them, after the
rules of the campaign's space), as PMO counts them. A call that failed has no score; the rule
counts it, with the lowest score there is.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from heuresis.events import BudgetExtended, Entry, Finished, Learned, Proposed, Settled
from heuresis.records import Evaluation

SCORE_DIGITS = 6


@dataclass(frozen=True)
class Call:
    """One call: a canonical SMILES and its score in [0, 1]; None if it failed."""

    smiles: str
    score: float | None

    @property
    def counted(self) -> float:
        """The score that the rule counts: a failed call is worth nothing."""
        return self.score if self.score is not None else 0.0


@dataclass(kw_only=True)
class Ledgered:
    """What a ledger says of a run, as far as the benchmark wants to know."""

    calls: list[Call]
    finished: str | None
    """Why the campaign ended; None: it did not."""
    seconds: dict[str, float]
    """Processor seconds inside plug-ins: ``propose``, ``learn``, ``measure``."""
    duration_s: float
    """Wall seconds inside plug-ins; the rest of a run's time is the engine's."""
    proposed: int
    """Texts that proposers gave."""
    rejected: dict[str, int]
    """Texts that were dropped before the oracle, by reason; free in PMO."""
    operators: dict[str, int]
    """Calls by the operator that made the candidate."""


def read_ledger(entries: Iterable[Entry], oracle: str) -> Ledgered:
    """Fold a ledger into its calls of one oracle, in the order in which they settled."""
    texts: dict[str, str] = {}
    operator: dict[str, str] = {}
    found: dict[str, Call] = {}
    seen_tasks: set[str] = set()
    told = Ledgered(
        calls=[], finished=None, seconds={"propose": 0.0, "learn": 0.0, "measure": 0.0},
        duration_s=0.0, proposed=0, rejected={}, operators={},
    )  # fmt: skip
    for entry in entries:
        event = entry.event
        role = "measure"
        match event:
            case Proposed():
                role = "propose"
                told.proposed += len(event.accepted) + sum(event.rejected.values())
                for reason, count in event.rejected.items():
                    told.rejected[reason] = told.rejected.get(reason, 0) + count
                for accepted in event.accepted:
                    texts[accepted.candidate.id] = accepted.candidate.text
                    operator[accepted.candidate.id] = accepted.operator
            case Settled():
                if event.oracle == oracle:
                    score = (
                        event.outcome.measurements["score"].value
                        if isinstance(event.outcome, Evaluation)
                        else None
                    )
                    if event.candidate not in found:
                        name = operator[event.candidate]
                        told.operators[name] = told.operators.get(name, 0) + 1
                    # A retry replaces the outcome; the place among the calls stays the first.
                    found[event.candidate] = Call(texts[event.candidate], score)
            case Learned():
                role = "learn"
            case BudgetExtended():
                told.finished = None
            case Finished():
                told.finished = event.reason
            case _:
                pass
        if entry.timing is not None and isinstance(event, Proposed | Settled | Learned):
            if event.task in seen_tasks:
                continue  # a batch has one timing, repeated beside each of its settlements
            seen_tasks.add(event.task)
            told.seconds[role] += entry.timing.cpu_s or 0.0
            told.duration_s += entry.timing.duration_s
    told.calls = list(found.values())
    return told


def write_calls(path: Path, calls: Sequence[Call]) -> None:
    """Write calls as gzipped CSV, ``smiles,score``; equal calls give equal bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("smiles", "score"))
    for call in calls:
        score = "" if call.score is None else f"{call.score:.{SCORE_DIGITS}f}"
        writer.writerow((call.smiles, score))
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(gzip.compress(text.getvalue().encode(), 9, mtime=0))
    temporary.replace(path)


def read_calls(path: Path) -> list[Call]:
    """Read what `write_calls` wrote."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return [
            Call(row["smiles"], float(row["score"]) if row["score"] else None)
            for row in csv.DictReader(file)
        ]
