"""What failures lead to: retry, quarantine, a pause with a reason; never a burnt budget."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from engine_toys import ToyExecutor, ledger_path, plan

from heuresis.cli.tables import failures
from heuresis.engine.controller import Controller, RunEnd
from heuresis.engine.policies import MAX_ATTEMPTS, CircuitBreaker
from heuresis.errors import PoolBrokenError, PoolError
from heuresis.events import Entry, Judged, Proposed, Settled, Submitted
from heuresis.ledger import SQLiteLedger
from heuresis.records import Evaluation, Failure, FailureCause
from heuresis.report.projections import CampaignView
from heuresis.report.sections import failures as failures_section
from heuresis.report.summary import summary
from heuresis.tasks import EvaluateTask, Settlement

BUDGET = 40


class Failing(ToyExecutor):
    """Fails at every fifth candidate of the costly oracle, at every try, with one cause."""

    def __init__(self, cause: FailureCause) -> None:
        super().__init__()
        self.cause = cause

    def outcome(self, task: EvaluateTask, number: int) -> Evaluation | Failure:
        if task.pool == "costly" and number % 5 == 0:
            return Failure(cause=self.cause, message="told to")
        return super().outcome(task, number)


def run(folder: Path, executor: Any) -> tuple[RunEnd, list[Entry]]:
    ledger = SQLiteLedger.open(ledger_path(folder), create=True)
    controller = Controller(
        plan(budget={"evaluations": BUDGET}), ledger, executor, now=lambda: 0.0, settle_limit_s=1.0
    )
    try:
        controller.replay()
        return controller.run(), list(ledger.read())
    finally:
        ledger.close()


@pytest.mark.parametrize("cause", list(FailureCause))
def test_each_cause_is_tried_as_often_as_it_can_help_and_the_budget_is_exact(
    cause: FailureCause, tmp_path: Path
) -> None:
    end, entries = run(tmp_path, Failing(cause))
    assert end == RunEnd(kind="finished", reason="budget")
    events = [entry.event for entry in entries]
    costly = [e for e in events if isinstance(e, Submitted) and e.oracle == "costly"]
    assert sum(len(e.candidates) for e in costly) == BUDGET
    failed = Counter(
        e.candidate
        for e in events
        if isinstance(e, Settled) and isinstance(e.outcome, Failure) and e.outcome.cause is cause
        and e.oracle == "costly"
    )  # fmt: skip
    given_up = [
        e
        for e in events
        if isinstance(e, Judged) and e.verdict == "failed" and e.oracle == "costly"
    ]
    assert given_up
    assert {failed[e.candidate] for e in given_up} == {MAX_ATTEMPTS[cause]}
    assert max(failed.values()) == MAX_ATTEMPTS[cause]
    poison = [e for e in given_up if (e.reason or "").startswith("quarantined after 3 tries, ")]
    assert poison == (given_up if cause is FailureCause.CRASH else [])

    view = CampaignView().apply_all(entries)
    assert view.failures["costly"][cause] == failed.total()
    assert summary(view)["stages"]["costly"]["quarantined"] == len(poison)
    [line] = [line for line in failures(view) if line.startswith("costly: ")]
    assert f"{failed.total()} {cause.value}" in line
    assert (f"{len(poison)} candidate" in line) == bool(poison)
    page = failures_section(view)
    assert f"<td>{cause.value}</td>" in page
    assert (f"every try killed the worker: {len(poison)}." in page) == bool(poison)


def lost() -> Failure:
    return Failure(cause=FailureCause.LOST, message="the node died")


def test_a_dying_node_takes_what_it_has_without_a_pause_but_not_again_and_again() -> None:
    breaker = CircuitBreaker(in_flight={"md": 16})
    for task in range(16):
        for _ in range(32):  # candidates of a batch are lost with one blow
            breaker.failure("md", lost(), f"evaluate-{task}")
    assert breaker.tripped(frozenset()) is None
    for task in range(16, 28):
        breaker.failure("md", lost(), f"evaluate-{task}")
    assert "md failed 28 times in a row; last cause: lost" in str(breaker.tripped(frozenset()))


def test_what_is_not_lost_is_not_forgiven_for_the_size_of_the_pool() -> None:
    breaker = CircuitBreaker(in_flight={"md": 16})
    for number in range(12):
        assert breaker.tripped(frozenset()) is None
        crash = Failure(cause=FailureCause.CRASH, message="SIGSEGV")
        breaker.failure("md", crash, f"evaluate-{number}")
    assert "last cause: crash: SIGSEGV" in str(breaker.tripped(frozenset()))


def test_a_proposer_that_only_fails_pauses_the_campaign_after_three_asks(tmp_path: Path) -> None:
    class Speechless(ToyExecutor):
        def result(self, task: Any) -> Any:
            if task.pool == "walker":
                return Failure(cause=FailureCause.CALCULATION, message="CUDA is gone")
            return super().result(task)

    end, entries = run(tmp_path, Speechless())
    assert end.kind == "paused"
    assert end.reason == ("walker failed 3 times in a row; last cause: calculation: CUDA is gone")
    asks = [e for e in entries if isinstance(e.event, Proposed) and e.event.failure is not None]
    assert len(asks) == 3


class Breaking(ToyExecutor):
    """After some results of its own the costly pool is broken; the others go on."""

    def __init__(self, error: PoolError, after: int) -> None:
        super().__init__()
        self.error, self.left = error, after
        self.broken = False
        self.settled: list[str] = []

    def next_settled(self, timeout_s: float) -> Settlement | None:
        if self.left == 0 and not self.broken:
            self.broken = True
            self.queue = type(self.queue)(t for t in self.queue if t.pool != "costly")
            raise self.error
        self.left -= 1
        settlement = super().next_settled(timeout_s)
        if settlement is not None:
            self.settled.append(settlement.task)
        return settlement


@pytest.mark.parametrize("after", range(20, 26))
def test_a_broken_pool_pauses_the_campaign_and_what_had_settled_is_kept(
    after: int, tmp_path: Path
) -> None:
    executor = Breaking(PoolBrokenError("the workers of pool 'costly' died 4 times"), after)
    end, entries = run(tmp_path, executor)
    assert end == RunEnd(kind="paused", reason="the workers of pool 'costly' died 4 times")
    journaled = {e.event.task for e in entries if hasattr(e.event, "task")}
    assert set(executor.settled) <= journaled
    settled = {e.event.task for e in entries if isinstance(e.event, Settled)}
    assert {t for t in executor.settled if t.startswith("evaluate")} == settled
    end, entries = run(tmp_path, ToyExecutor())
    assert end.kind == "finished"
    costly = [e.event for e in entries if isinstance(e.event, Submitted)]
    assert sum(len(e.candidates) for e in costly if e.oracle == "costly") == BUDGET


@pytest.mark.parametrize("after", range(20, 24))
def test_a_plug_in_that_cannot_start_loses_nothing_that_had_settled(
    after: int, tmp_path: Path
) -> None:
    executor = Breaking(PoolError("pool 'costly' cannot start: no licence"), after)
    with pytest.raises(PoolError, match="no licence"):
        run(tmp_path, executor)
    ledger = SQLiteLedger.open(ledger_path(tmp_path), read_only=True)
    settled = {e.event.task for e in ledger.read() if isinstance(e.event, Settled)}
    ledger.close()
    assert {t for t in executor.settled if t.startswith("evaluate")} == settled


def test_who_shares_a_batch_with_poison_is_not_quarantined_with_it(tmp_path: Path) -> None:
    class Deadly(ToyExecutor):
        """A candidate of the cheap oracle takes its whole batch along, as in an actor."""

        def result(self, task: Any) -> Any:
            result = super().result(task)
            if task.pool == "cheap" and any(int(c.text) % 7 == 0 for c in task.candidates):
                crash = Failure(cause=FailureCause.CRASH, message="SIGSEGV")
                outcomes = (crash,) * len(task.candidates)
                return result.model_copy(update={"outcomes": outcomes})
            return result

    end, entries = run(tmp_path, Deadly())
    assert end.kind == "finished"
    texts = {
        a.candidate.id: a.candidate.text
        for e in entries if isinstance(e.event, Proposed)
        for a in e.event.accepted
    }  # fmt: skip
    quarantined = [
        texts[e.event.candidate]
        for e in entries
        if isinstance(e.event, Judged) and (e.event.reason or "").startswith("quarantined")
    ]
    assert len(quarantined) > 5
    assert all(int(text) % 7 == 0 for text in quarantined)
