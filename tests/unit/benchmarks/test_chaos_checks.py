"""The judge of the chaos runs finds what is broken; one that finds nothing proves nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from benchmarks.chaos.call_log import read_calls
from benchmarks.chaos.ledger_checks import Snapshot, check_ledger, snapshot
from benchmarks.chaos.monkey import SHARES, planned
from engine_toys import ToyExecutor, ledger_path, plan

from heuresis.engine.controller import Controller
from heuresis.events import Event, Finished, Judged, Settled, Submitted
from heuresis.ledger import SQLiteLedger
from heuresis.records import Failure

LIMIT = 20


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = ledger_path(tmp_path_factory.mktemp("whole"))
    with closing(SQLiteLedger.open(file, create=True)) as ledger:
        campaign = plan(budget={"evaluations": LIMIT})
        controller = Controller(campaign, ledger, ToyExecutor(), now=lambda: 100.0)
        controller.replay()
        assert controller.run().kind == "finished"
    return file


def events_of(file: Path) -> list[Event]:
    with closing(SQLiteLedger.open(file, read_only=True)) as ledger:
        return [entry.event for entry in ledger.read()]


def written(folder: Path, whole: Path, events: Sequence[Event]) -> Path:
    """Write other events into a ledger of their own, with good checksums."""
    file = ledger_path(folder)
    with closing(SQLiteLedger.open(whole, read_only=True)) as ledger:
        first = next(ledger.read())
    with closing(SQLiteLedger.open(file, create=True)) as ledger:
        ledger.append(
            [
                first.model_copy(update={"sequence": number, "event": event})
                for number, event in enumerate(events, 1)
            ]
        )
    return file


def test_a_good_ledger_is_found_good(whole: Path) -> None:
    found = check_ledger(whole, [snapshot(whole)], metered="costly", limit=LIMIT)
    assert found.is_good, found
    assert (found.spent, found.limit) == (LIMIT, LIMIT)
    assert found.settled > LIMIT
    assert found.failures.total() >= 1


def place(events: Sequence[Event], kind: type[Any], **values: Any) -> int:
    return next(
        i
        for i, event in reversed(list(enumerate(events)))
        if isinstance(event, kind)
        and all(getattr(event, name) == value for name, value in values.items())
    )


def a_result_twice(events: list[Event]) -> None:
    at = place(events, Settled)
    events[at + 2 : at + 2] = events[at : at + 2]


def handed_out_again(events: list[Event]) -> None:
    done = next(e for e in events if isinstance(e, Settled) and not isinstance(e.outcome, Failure))
    again = Submitted(
        task="again", oracle=done.oracle, candidates=(done.candidate,), attempt=1, seed=1
    )
    outcome = done.model_copy(update={"task": "again", "attempt": 1})
    judged = events[events.index(done) + 1]
    events[-1:-1] = [again, outcome, judged]


def never_settled(events: list[Event]) -> None:
    at = place(events, Settled)
    del events[at : at + 2]


def more_than_granted(events: list[Event]) -> None:
    extra = Submitted(task="extra", oracle="costly", candidates=("x",), attempt=0, seed=1)
    events.insert(-1, extra)


def less_than_granted(events: list[Event]) -> None:
    at = place(events, Submitted, oracle="costly")
    task = getattr(events[at], "task", "")
    settled = place(events, Settled, task=task)
    del events[settled : settled + 2]
    del events[at]


def no_reason(events: list[Event]) -> None:
    for at, event in enumerate(events):
        if isinstance(event, Settled) and isinstance(event.outcome, Failure):
            nothing = event.outcome.model_copy(update={"message": " "})
            events[at] = event.model_copy(update={"outcome": nothing})


def failed_without_failing(events: list[Event]) -> None:
    at = place(events, Judged, verdict="completed")
    events[at] = events[at].model_copy(update={"verdict": "failed"})


def not_finished(events: list[Event]) -> None:
    assert isinstance(events.pop(), Finished)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (a_result_twice, None),
        (handed_out_again, None),
        (never_settled, "never settled"),
        (more_than_granted, f"{LIMIT + 1} spent of {LIMIT}"),
        (less_than_granted, f"finished with {LIMIT - 1} evaluations spent of {LIMIT}"),
        (no_reason, "failed without a reason"),
        (failed_without_failing, "without a cause"),
        (not_finished, "not finished"),
    ],
)
def test_every_broken_promise_is_found(
    break_it: Callable[[list[Event]], None], words: str | None, whole: Path, tmp_path: Path
) -> None:
    events = events_of(whole)
    break_it(events)
    found = check_ledger(written(tmp_path, whole, events), [], metered="costly", limit=LIMIT)
    assert not found.is_good
    if words is None:
        assert found.duplicated >= 1
    else:
        assert any(words in broken for broken in found.broken), found.broken


def test_what_a_snapshot_saw_must_be_there_and_unchanged(whole: Path, tmp_path: Path) -> None:
    events = events_of(whole)
    seen = snapshot(whole)
    never_settled(events)
    file = written(tmp_path, whole, [*events[:-1], events[-1], events[-1], events[-1]])
    found = check_ledger(file, [seen], metered="costly", limit=LIMIT)
    assert found.lost == 1
    assert f"the history up to entry {seen.sequence} was changed" in found.broken
    empty = Snapshot(sequence=0, checksum="0" * 64, settled=frozenset())
    assert check_ledger(whole, [empty], metered="costly", limit=LIMIT).is_good


def test_calls_are_compared_with_the_ledger(whole: Path, tmp_path: Path) -> None:
    events = events_of(whole)
    submitted = next(e for e in events if isinstance(e, Submitted) and e.oracle == "costly")
    call = {"oracle": "costly", "candidate": submitted.candidates[0], "seed": submitted.seed}

    def lines(*calls: tuple[str, int, float, str | None]) -> str:
        return "".join(
            json.dumps({**call, "what": what, "process": process, "at": at, "fault": fault}) + "\n"
            for what, process, at, fault in calls
        )

    log = tmp_path / "calls.jsonl"
    log.write_text(
        lines(
            ("began", 1, 90.0, None),  # killed: it counts with its planned length
            ("began", 2, 91.0, "segfault"),
            ("began", 3, 92.0, None),
            ("ended", 3, 92.5, None),
            ("began", 4, 101.0, None),  # after the result was written, at 100
            ("ended", 4, 101.25, None),
        )
    )
    report = read_calls(log, whole, {"costly": 2.0})
    assert (report.calls, report.redone_calls, report.after_settled) == (4, 3, 1)
    assert report.computed_s == pytest.approx(2.0 + 2.0 + 0.5 + 0.25)
    assert report.redone_s == pytest.approx(2.0 + 2.0 + 0.5)
    assert report.faults == {"segfault": 1}


def test_every_kind_of_kill_is_planned() -> None:
    assert set(planned(1)) == set(SHARES)
    assert planned(200)["driver"] == 11
    assert 0.4 < planned(200).total() / 200 < 0.6, "the oracles do the rest"
