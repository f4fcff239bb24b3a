"""A proposer that is told everything: in whatever portions, and after a kill at any point."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_toys import ToyExecutor, ledger_path
from engine_toys import plan as toy_plan
from mortal_ledger import Killed, MortalLedger
from observed_campaign import answers_known, observed_plan

from heuresis.engine.controller import Controller, RunEnd
from heuresis.engine.plan import CampaignPlan, ProposerPlan
from heuresis.events import Asked, Entry, Judged, Learned, LearnRequested, Proposed
from heuresis.execution.inline import InlineExecutor
from heuresis.execution.isolation import open_worker
from heuresis.ledger import SQLiteLedger
from heuresis.records import Observation
from heuresis.tasks import ProposeTask, Task
from heuresis.testing.fakes import PLUGINS


class Executor(InlineExecutor):
    """Keeps the asks that it was given."""

    def __init__(self) -> None:
        super().__init__(plugins=PLUGINS)
        self.asks: list[ProposeTask] = []

    def submit(self, task: Task) -> None:
        if isinstance(task, ProposeTask):
            self.asks.append(task)
        super().submit(task)


def run(
    folder: Path,
    campaign: CampaignPlan,
    ledger_type: type[SQLiteLedger] = SQLiteLedger,
    executor: Executor | None = None,
) -> tuple[Executor, RunEnd]:
    """One session, as `heuresis.campaign.session` drives it."""
    folder.mkdir(exist_ok=True)
    ledger = ledger_type.open(ledger_path(folder), create=True)
    executor = executor or Executor()
    controller = Controller(campaign, ledger, executor, now=lambda: 0.0)
    try:
        controller.replay()
        pools = []
        for pool in campaign.pools:
            learned = controller.state.checkpoints.get(pool.name)
            path = str(folder / "checkpoints" / learned) if learned else None
            pools.append(pool.model_copy(update={"checkpoint": path}))
        executor.start(pools)
        return executor, controller.run()
    finally:
        executor.close()
        ledger.close()


def entries(folder: Path) -> Iterator[Entry]:
    ledger = SQLiteLedger.open(ledger_path(folder), read_only=True)
    try:
        yield from ledger.read()
    finally:
        ledger.close()


def checksum(folder: Path) -> str:
    ledger = SQLiteLedger.open(ledger_path(folder), read_only=True)
    try:
        return ledger.checksum
    finally:
        ledger.close()


def test_every_answer_knows_all_that_was_judged_before_the_ask(tmp_path: Path) -> None:
    campaign = observed_plan(tmp_path)
    executor, end = run(tmp_path, campaign)
    assert end.kind == "finished"
    assert answers_known(entries(tmp_path), campaign) >= 8
    assert len({ask.observed for ask in executor.asks}) > 5


def test_an_ask_brings_the_latest_news_only(tmp_path: Path) -> None:
    executor, _ = run(tmp_path, observed_plan(tmp_path))
    told = 0
    for ask in executor.asks:
        assert (ask.news_from, len(ask.news)) == (told, ask.observed - told)
        told = ask.observed
    assert told > 25


def test_who_does_not_observe_is_told_nothing_and_nothing_is_kept(tmp_path: Path) -> None:
    ledger = SQLiteLedger.open(ledger_path(tmp_path), create=True)
    executor = ToyExecutor()
    controller = Controller(toy_plan(), ledger, executor, now=lambda: 0.0)
    controller.replay()
    controller.run()
    ledger.close()
    asks = [task for task in executor.log if isinstance(task, ProposeTask)]
    assert asks
    assert all(ask.observed == 0 and not ask.news for ask in asks)
    assert controller.state.history == []


def test_the_history_holds_every_verdict_once_in_order(tmp_path: Path) -> None:
    campaign = toy_plan(
        constraints={"small": {"measure": "cheap.value", "max": 70}},
        search={"islands": 1, "promotion": {"warm_up": 5, "random_share": 0.0}},
    )
    proposers = tuple(
        ProposerPlan(name=p.name, pool=p.pool, batch=p.batch, observes=True)
        for p in campaign.proposers
    )
    campaign = CampaignPlan(**{**campaign.__dict__, "proposers": proposers})
    ledger = SQLiteLedger.open(ledger_path(tmp_path), create=True)
    controller = Controller(campaign, ledger, ToyExecutor(), now=lambda: 0.0)
    controller.replay()
    controller.run()
    ledger.close()
    verdicts = [
        (e.event.candidate, e.event.verdict, e.event.score)
        for e in entries(tmp_path)
        if isinstance(e.event, Judged) and e.event.verdict not in ("promoted", "retry")
    ]
    history = controller.state.history
    assert [(o.candidate.id, o.verdict, o.score) for o in history] == verdicts
    by_verdict: dict[str, list[Observation]] = {}
    for observation in history:
        by_verdict.setdefault(observation.verdict, []).append(observation)
    assert by_verdict.keys() == {"completed", "dropped", "infeasible", "failed"}
    assert all(set(o.desirabilities) == {"cheap", "costly"} for o in by_verdict["completed"])
    assert all(set(o.desirabilities) == {"cheap"} for o in by_verdict["dropped"])
    for verdict in ("dropped", "infeasible", "failed"):
        assert all(o.score is None for o in by_verdict[verdict]), "a failure is never a score"
    assert all(o.bound is not None for o in by_verdict["dropped"])


@pytest.mark.parametrize(
    "changes", [{}, {"raise_share": 0.25, "learn_every": 3}], ids=["sound", "failing"]
)
def test_killed_anywhere_the_resumed_ledger_equals_the_uninterrupted_one(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    whole = tmp_path / "whole"
    campaign = observed_plan(whole, **changes)
    executor, end = run(whole, campaign)
    assert end.kind == "finished", end
    assert answers_known(entries(whole), campaign) >= 8
    if changes:
        failed = [
            type(e.event).__name__
            for e in entries(whole)
            if isinstance(e.event, Proposed | Learned) and e.event.failure is not None
        ]
        assert {"Proposed", "Learned"} == set(failed), "the test exercises both"
        causes = {
            e.event.failure.cause.value
            for e in entries(whole)
            if isinstance(e.event, Proposed) and e.event.failure is not None
        }
        assert causes == {"calculation"}, "nothing is lost in one process"
    expected = checksum(whole)
    kills = 0
    for at in range(2, 400, 7):
        folder = tmp_path / f"killed-{at}"
        MortalLedger.appends_left, MortalLedger.after_writing = at, at % 2 == 0
        campaign = observed_plan(folder, **changes)
        try:
            run(folder, campaign, MortalLedger)
        except Killed:
            kills += 1
        else:
            break
        executor, end = run(folder, campaign)
        assert end.kind == "finished"
        if executor.asks:
            assert executor.asks[0].news_from == 0, "a new session tells everything"
        assert checksum(folder) == expected, f"killed at append {at}"
    assert kills >= 4


def test_one_that_observes_is_not_asked_behind_its_own_lesson(tmp_path: Path) -> None:
    run(tmp_path, observed_plan(tmp_path, learn_every=3))
    learning = False
    lessons = 0
    for entry in entries(tmp_path):
        if isinstance(entry.event, LearnRequested | Learned):
            learning = isinstance(entry.event, LearnRequested)
            lessons += learning
        assert not (learning and isinstance(entry.event, Asked))
    assert lessons >= 5


def test_a_worker_replaced_while_idle_costs_one_ask_and_is_told_everything(tmp_path: Path) -> None:
    class Forgetful(Executor):
        """Puts a new worker in place just before the seventh ask, and tells nobody."""

        def submit(self, task: Task) -> None:
            super().submit(task)
            if len(self.asks) == 7 and task is self.asks[6]:
                self._workers["words"] = open_worker(self._pools["words"], PLUGINS)

    campaign = observed_plan(tmp_path)
    executor, end = run(tmp_path, campaign, executor=Forgetful())
    assert end.kind == "finished"
    failures = [
        (e.event.task, e.event.failure.cause.value)
        for e in entries(tmp_path)
        if isinstance(e.event, Proposed) and e.event.failure is not None
    ]
    assert failures == [(executor.asks[6].id, "lost")]
    assert executor.asks[6].news_from > 0
    assert executor.asks[7].news_from == 0
    assert executor.asks[8].news_from == executor.asks[7].observed
    assert answers_known(entries(tmp_path), campaign) >= 8
