"""What the oracles wrote down of their calls, against what the ledger says of them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heuresis.events import Settled, Submitted
from heuresis.ledger.sqlite import SQLiteLedger

Call = tuple[str, str, int]
"""Oracle, candidate, seed of the attempt."""


@dataclass(frozen=True, kw_only=True)
class CallReport:
    """What was computed, and what of it more than once."""

    calls: int
    faults: Counter[str]
    """What went wrong inside oracles, by kind."""
    computed_s: float
    redone_s: float
    """Spent on calls whose candidate was computed again in the same attempt."""
    redone_calls: int
    after_settled: int
    """Calls that began when their result was in the ledger already."""


def injected_faults(log: Path) -> Counter[str]:
    """Count what has gone wrong inside oracles so far, by kind."""
    return Counter(
        line["fault"] for line in _lines(log) if line["what"] == "began" and line["fault"]
    )


def read_calls(log: Path, ledger_file: Path, planned_s: dict[str, float]) -> CallReport:
    """Compare the log with the ledger.

    Args:
        log: of the oracles.
        ledger_file: of the campaign.
        planned_s: oracle → length of a call; what a call that was killed costs at most.
    """
    began: dict[Call, list[float]] = defaultdict(list)
    spent: dict[Call, list[float]] = defaultdict(list)
    running: dict[tuple[Call, int], float] = {}
    for line in _lines(log):
        call = (line["oracle"], line["candidate"], line["seed"])
        place = (call, line["process"])
        if line["what"] == "began":
            running[place] = line["at"]
            began[call].append(line["at"])
            spent[call].append(planned_s[line["oracle"]])
        elif place in running:
            start = running.pop(place)
            spent[call][began[call].index(start)] = line["at"] - start
    settled_at = _settled_at(ledger_file)
    return CallReport(
        calls=sum(map(len, began.values())),
        faults=injected_faults(log),
        computed_s=sum(map(sum, spent.values())),
        redone_s=sum(sum(seconds[:-1]) for seconds in spent.values()),
        redone_calls=sum(len(seconds) - 1 for seconds in spent.values()),
        after_settled=sum(
            at > settled_at[call]
            for call, times in began.items()
            if call in settled_at
            for at in times
        ),
    )


def _lines(log: Path) -> list[dict[str, Any]]:
    if not log.is_file():
        return []
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def _settled_at(file: Path) -> dict[Call, float]:
    """Return when each attempt's result was written, Unix seconds."""
    seeds: dict[str, int] = {}
    found: dict[Call, float] = {}
    with closing(SQLiteLedger.open(file, read_only=True)) as ledger:
        for entry in ledger.read():
            if isinstance(entry.event, Submitted):
                seeds[entry.event.task] = entry.event.seed
            elif isinstance(entry.event, Settled):
                event = entry.event
                found[event.oracle, event.candidate, seeds[event.task]] = entry.recorded_at
    return found
