"""The loop: budget, cascade, failures, and above all exact resume after a kill at any point."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from engine_toys import ToyExecutor, ledger_path, plan
from mortal_ledger import Killed, MortalLedger

from heuresis.engine.controller import Controller, RunEnd
from heuresis.engine.plan import CampaignPlan
from heuresis.errors import LedgerError
from heuresis.events import (
    Asked,
    BudgetExtended,
    Entry,
    IslandsReset,
    Judged,
    Learned,
    LearnRequested,
    Settled,
    Submitted,
)
from heuresis.ledger import SQLiteLedger
from heuresis.records import Evaluation, Failure, FailureCause
from heuresis.tasks import EvaluateTask, Task


def run(
    folder: Path,
    campaign: CampaignPlan,
    executor: ToyExecutor | None = None,
    ledger_type: type[SQLiteLedger] = SQLiteLedger,
) -> tuple[Controller, RunEnd]:
    ledger = ledger_type.open(ledger_path(folder), create=True)
    controller = Controller(campaign, ledger, executor or ToyExecutor(), now=lambda: 0.0)
    try:
        controller.replay()
        return controller, controller.run()
    finally:
        ledger.close()


def entries(folder: Path) -> list[Entry]:
    ledger = SQLiteLedger.open(ledger_path(folder), read_only=True)
    found = list(ledger.read())
    ledger.close()
    return found


def events(folder: Path, kind: type[Any]) -> list[Any]:
    return [entry.event for entry in entries(folder) if isinstance(entry.event, kind)]


def checksum(folder: Path) -> str:
    ledger = SQLiteLedger.open(ledger_path(folder), read_only=True)
    value = ledger.checksum
    ledger.close()
    return value


def test_a_campaign_runs_to_its_budget_exactly(tmp_path: Path) -> None:
    controller, end = run(tmp_path, plan())
    assert end == RunEnd(kind="finished", reason="budget")
    costly = [s for s in events(tmp_path, Submitted) if s.oracle == "costly"]
    assert sum(len(s.candidates) for s in costly) == 60
    assert not controller.state.outstanding
    assert len(events(tmp_path, IslandsReset)) >= 2
    assert len(events(tmp_path, Learned)) >= 5


def test_every_submission_settles_once_and_nothing_is_measured_twice(tmp_path: Path) -> None:
    run(tmp_path, plan())
    settled = Counter((s.oracle, s.candidate, s.attempt) for s in events(tmp_path, Settled))
    submitted = Counter(
        (s.oracle, c, s.attempt) for s in events(tmp_path, Submitted) for c in s.candidates
    )
    assert settled == submitted
    assert max(settled.values()) == 1


def test_nobody_learns_when_nobody_will_be_asked_again(tmp_path: Path) -> None:
    run(tmp_path, plan(learn_every=1, budget={"evaluations": 40}))
    order = [e.event for e in entries(tmp_path) if isinstance(e.event, Submitted | LearnRequested)]
    costly = [i for i, e in enumerate(order) if isinstance(e, Submitted) and e.oracle == "costly"]
    lessons = [i for i, e in enumerate(order) if isinstance(e, LearnRequested)]
    assert len(lessons) > 5
    assert max(lessons) < costly[-1]


def test_the_cascade_drops_what_cannot_win(tmp_path: Path) -> None:
    run(tmp_path, plan(search={"islands": 1, "promotion": {"random_share": 0.0, "warm_up": 5}}))
    judged = events(tmp_path, Judged)
    dropped = [j for j in judged if j.verdict == "dropped"]
    assert dropped
    assert all(j.bound < j.threshold for j in dropped)
    measured = {j.candidate for j in judged if j.oracle == "costly"}
    assert not measured & {j.candidate for j in dropped}


def test_failures_are_values_with_a_cause_and_only_what_can_change_is_retried(
    tmp_path: Path,
) -> None:
    run(tmp_path, plan(seed=1))
    failures = [s for s in events(tmp_path, Settled) if isinstance(s.outcome, Failure)]
    causes = Counter(f.outcome.cause for f in failures)
    assert causes[FailureCause.SETUP] >= 1
    assert causes[FailureCause.CALCULATION] >= 1
    by_candidate = Counter((f.oracle, f.candidate) for f in failures)
    for failure in failures:
        limit = 1 if failure.outcome.cause is FailureCause.SETUP else 2
        assert by_candidate[failure.oracle, failure.candidate] <= limit
    failed = {j.candidate for j in events(tmp_path, Judged) if j.verdict == "failed"}
    scored = {j.candidate for j in events(tmp_path, Judged) if j.score is not None}
    assert failed
    assert not failed & scored


def test_a_hard_constraint_makes_infeasible(tmp_path: Path) -> None:
    run(tmp_path, plan(constraints={"even": {"measure": "cheap.value", "max": 70}}))
    verdicts = [j for j in events(tmp_path, Judged) if j.verdict == "infeasible"]
    assert verdicts
    assert verdicts[0].reason.startswith("even: cheap.value = ")


def test_selection_steers_towards_high_scores(tmp_path: Path) -> None:
    controller, _ = run(tmp_path, plan(budget={"evaluations": 80}))
    asked = [a for a in events(tmp_path, Asked) if a.exemplars][-10:]
    elite = {m.candidate.id: m.score for m in controller.state.archive.best(1000)}
    mean = sum(elite.values()) / len(elite)
    shown = [elite[e] for a in asked for e in a.exemplars if e in elite]
    assert sum(shown) / len(shown) > mean
    for ask in asked:
        assert list(ask.exemplars) == sorted(ask.exemplars, key=lambda e: elite.get(e, 0.0))


def test_two_equal_runs_write_equal_ledgers_byte_for_byte(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        run(tmp_path / name, plan())
    assert checksum(tmp_path / "a") == checksum(tmp_path / "b")
    (tmp_path / "c").mkdir()
    run(tmp_path / "c", plan(seed=4))
    assert checksum(tmp_path / "a") != checksum(tmp_path / "c")


@pytest.mark.parametrize("after_writing", [False, True])
def test_killed_at_any_append_the_resumed_ledger_equals_the_uninterrupted_one(
    tmp_path: Path, after_writing: bool
) -> None:
    campaign = plan(budget={"evaluations": 25})
    (tmp_path / "whole").mkdir()
    run(tmp_path / "whole", campaign)
    expected = checksum(tmp_path / "whole")
    kills = 0
    for at in range(1, 400, 3):
        folder = tmp_path / f"killed-{at}"
        folder.mkdir()
        MortalLedger.appends_left, MortalLedger.after_writing = at, after_writing
        try:
            run(folder, campaign, ledger_type=MortalLedger)
        except Killed:
            kills += 1
        else:
            break
        _, end = run(folder, campaign)
        assert end.kind == "finished"
        assert checksum(folder) == expected, f"killed at append {at}"
    assert kills >= 12


def test_a_resumed_run_does_not_repeat_what_had_settled(tmp_path: Path) -> None:
    campaign = plan(budget={"evaluations": 25})
    MortalLedger.appends_left, MortalLedger.after_writing = 30, True
    first, second = ToyExecutor(), ToyExecutor()
    with pytest.raises(Killed):
        run(tmp_path, campaign, first, MortalLedger)
    settled = {s.task for s in events(tmp_path, Settled)}
    run(tmp_path, campaign, second)
    redone = {t.id for t in second.log if isinstance(t, EvaluateTask)}
    assert settled
    assert not settled & redone


def test_asking_to_stop_settles_and_can_be_resumed(tmp_path: Path) -> None:
    class Stopping(ToyExecutor):
        controller: Controller

        def submit(self, task: Task) -> None:
            super().submit(task)
            if task.id == "evaluate-9":
                self.controller.ask_stop("Ctrl-C")

    ledger = SQLiteLedger.open(ledger_path(tmp_path), create=True)
    executor = Stopping()
    executor.controller = Controller(plan(), ledger, executor, now=lambda: 0.0)
    executor.controller.replay()
    end = executor.controller.run()
    ledger.close()
    assert end == RunEnd(kind="interrupted", reason="Ctrl-C")
    assert not executor.controller.state.outstanding
    _, end = run(tmp_path, plan())
    assert end.kind == "finished"


def test_more_budget_is_an_event_and_reopens_a_finished_campaign(tmp_path: Path) -> None:
    run(tmp_path, plan(budget={"evaluations": 10}))
    ledger = SQLiteLedger.open(ledger_path(tmp_path))
    controller = Controller(
        plan(budget={"evaluations": 10}), ledger, ToyExecutor(), now=lambda: 0.0
    )
    controller.replay()
    controller.extend_budget(BudgetExtended(budget={"evaluations": 20}))
    controller.run()
    ledger.close()
    costly = [s for s in events(tmp_path, Submitted) if s.oracle == "costly"]
    assert sum(len(s.candidates) for s in costly) == 20


def test_a_pool_that_only_fails_pauses_the_campaign_with_the_reason(tmp_path: Path) -> None:
    class Broken(ToyExecutor):
        def outcome(self, task: EvaluateTask, number: int) -> Evaluation | Failure:
            return Failure(cause=FailureCause.SETUP, message="no licence")

    _, end = run(tmp_path, plan(), Broken())
    assert end.kind == "paused"
    assert "cheap failed 12 times in a row" in end.reason
    assert "no licence" in end.reason
    _, end = run(tmp_path, plan())
    assert end.kind == "finished"


def test_proposers_with_nothing_new_end_the_campaign(tmp_path: Path) -> None:
    class Stuck(ToyExecutor):
        def result(self, task: Task) -> Any:
            result = super().result(task)
            return result.model_copy(update={"proposals": ()}) if "ask" in task.id else result

    _, end = run(tmp_path, plan(), Stuck())
    assert end.kind == "finished"
    assert end.reason.startswith("exhausted: ")
    assert "asks in a row gave no new valid candidate" in end.reason


def test_a_ledger_of_another_spec_is_refused(tmp_path: Path) -> None:
    run(tmp_path, plan(budget={"evaluations": 5}))
    other = plan(budget={"evaluations": 5})
    other = CampaignPlan(**{**other.__dict__, "spec_hash": "0" * 64})
    with pytest.raises(LedgerError, match="written for spec ffffffffffff"):
        run(tmp_path, other)
