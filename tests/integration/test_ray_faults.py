"""What Ray adds to the executor contract: actors die, hang and come back."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from observed_campaign import answers_known, observed_plan

from heuresis.engine.controller import Controller
from heuresis.errors import PoolError
from heuresis.events import Proposed
from heuresis.execution.ray_pool import DEATHS_ALLOWED, RayExecutor
from heuresis.ledger import SQLiteLedger
from heuresis.records import Failure, FailureCause
from heuresis.tasks import LearnResult, ProposeResult, ProposeTask, Settlement, Task
from heuresis.testing.executor_contract import (
    await_end,
    causes_of,
    evaluate,
    learn,
    oracle_pool,
    outcomes_of,
    propose,
    proposer_pool,
    settle_all,
    value_of,
)
from heuresis.testing.fakes import PLUGINS


@pytest.fixture(scope="module")
def ray_session() -> Iterator[RayExecutor]:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    session = RayExecutor(dashboard=False)
    session.start([])
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    yield session
    session.close()


@pytest.fixture
def executor(ray_session: RayExecutor) -> Iterator[RayExecutor]:
    executor = RayExecutor(plugins=PLUGINS, namespace="faults", grace_s=0.5)
    with contextlib.closing(executor):
        yield executor


def actor_of(worker: int) -> int:
    """Return the process of the actor that holds an isolated worker: parent of its guardian."""
    guardian = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
    return int(Path(f"/proc/{guardian}/stat").read_text().rpartition(")")[2].split()[1])


def process_measured(executor: RayExecutor, name: str = "pid") -> int:
    settled = settle_all(executor, [evaluate(name, "process")])
    return int(value_of(outcomes_of(settled[name])[0]))


def wait_for(executor: RayExecutor, tasks: int) -> dict[str, Settlement]:
    settled: dict[str, Settlement] = {}
    deadline = time.monotonic() + 120.0
    while len(settled) < tasks and time.monotonic() < deadline:
        settlement = executor.next_settled(1.0)
        if settlement is not None:
            assert settlement.task not in settled
            settled[settlement.task] = settlement
    return settled


def test_actor_killed_in_mid_task_loses_only_what_it_held(executor: RayExecutor) -> None:
    executor.start([oracle_pool(timeout_s=30.0)])
    worker = process_measured(executor)
    for name in ("running", "next", "waiting", "too"):
        executor.submit(evaluate(name, "sleep:0.4"))
    time.sleep(0.1)
    os.kill(actor_of(worker), signal.SIGKILL)
    settled = wait_for(executor, 4)
    assert {name: causes_of(s) for name, s in settled.items()} == {
        "running": ["lost"],
        "next": ["lost"],
        "waiting": ["ok"],
        "too": ["ok"],
    }
    assert executor.next_settled(0.05) is None
    await_end(worker)
    assert executor.utilisation()[0].restarts == 1


def test_death_of_an_actor_in_its_own_oracle_is_a_crash(executor: RayExecutor) -> None:
    executor.start([oracle_pool(isolated=False, timeout_s=30.0)])
    settled = settle_all(executor, [evaluate("a", "segfault"), evaluate("b", "x")])
    assert [causes_of(settled[name]) for name in ("a", "b")] == [["crash"], ["ok"]]


def test_driver_stops_a_hung_actor(executor: RayExecutor) -> None:
    executor.start([oracle_pool(isolated=False, timeout_s=0.5)])
    settled = settle_all(executor, [evaluate("a", "x"), evaluate("b", "hang"), evaluate("c", "x")])
    causes = [causes_of(settled[name]) for name in ("a", "b", "c")]
    assert causes == [["ok"], ["timeout"], ["ok"]]


def test_reborn_proposer_knows_what_it_had_saved(executor: RayExecutor, tmp_path: Path) -> None:
    executor.start([proposer_pool(checkpoint_root=str(tmp_path))])
    settled = settle_all(executor, [learn("one", "x"), learn("two", "kill"), propose("three")])
    learned, failed, proposed = (settled[name].result for name in ("one", "two", "three"))
    assert isinstance(learned, LearnResult)
    assert isinstance(failed, Failure)
    assert failed.cause is FailureCause.CRASH
    assert isinstance(proposed, ProposeResult)
    assert proposed.model_version == "lessons-1"


def test_reborn_observer_is_told_everything(executor: RayExecutor, tmp_path: Path) -> None:
    campaign = observed_plan(tmp_path)
    asks: list[ProposeTask] = []

    class Deadly:
        """Kills the proposer's idle actor just before its seventh ask."""

        start, next_settled, close = executor.start, executor.next_settled, executor.close

        def submit(self, task: Task) -> None:
            if isinstance(task, ProposeTask):
                asks.append(task)
                if len(asks) == 7:
                    ray.kill(executor._pools["words"].slots[0].actor)
            executor.submit(task)

    ledger = SQLiteLedger.open(tmp_path / "ledger.sqlite", create=True)
    with contextlib.closing(ledger):
        controller = Controller(campaign, ledger, Deadly(), now=time.time)
        controller.replay()
        executor.start(campaign.pools)
        assert controller.run().kind == "finished"
        entries = list(ledger.read())
    failures = [
        e.event.failure for e in entries if isinstance(e.event, Proposed) and e.event.failure
    ]
    assert [failure.cause for failure in failures] in (["crash"], ["lost"])
    assert asks[6].news_from > 0, "its news alone would have been too little"
    assert (asks[7].news_from, len(asks[7].news)) == (0, asks[7].observed)
    assert asks[7].observed > 4
    assert answers_known(entries, campaign) >= 8
    executor.close()


def test_crash_loop_breaks_the_pool_and_only_it(executor: RayExecutor) -> None:
    sick = oracle_pool("sick", isolated=False, timeout_s=30.0)
    executor.start([sick, oracle_pool("sound", isolated=False, timeout_s=30.0)])
    tasks: list[Task] = [evaluate(f"s{n}", f"segfault#{n}", pool="sick") for n in range(12)]
    for task in tasks:
        executor.submit(task)
    with pytest.raises(PoolError, match=rf"'sick' died {DEATHS_ALLOWED + 1} times in a row"):
        wait_for(executor, 12)
    with pytest.raises(PoolError, match="'sick'"):
        executor.submit(evaluate("more", "x", pool="sick"))
    while executor.next_settled(0.0) is not None:
        pass
    assert causes_of(settle_all(executor, [evaluate("a", "x", pool="sound")])["a"]) == ["ok"]


def test_actor_that_never_starts_is_given_up(ray_session: RayExecutor) -> None:
    executor = RayExecutor(plugins=PLUGINS, namespace="slow", start_limit_s=0.3)
    with contextlib.closing(executor):
        executor.start([oracle_pool(config={"start_s": 30.0})])
        executor.submit(evaluate("a", "x"))
        with pytest.raises(PoolError, match="last while starting: it gave no sign of life"):
            wait_for(executor, 1)


def test_work_spreads_over_the_workers_of_a_pool(executor: RayExecutor) -> None:
    executor.start([oracle_pool(isolated=False, timeout_s=30.0, workers=2)])
    settle_all(executor, [evaluate(f"warm{n}", "sleep:0.3") for n in range(2)])
    began = time.monotonic()
    settled = settle_all(executor, [evaluate(str(n), "sleep:0.4") for n in range(10)])
    assert time.monotonic() - began < 3.6, "one worker would need 4 s"
    workers = [settlement.timing.worker for settlement in settled.values()]
    assert {workers.count(name) for name in ("measured[1]", "measured[2]")} <= {4, 5, 6}
    use = executor.utilisation()[0]
    assert (use.settled, use.running, use.waiting, use.ready) == (12, 0, 0, 2)
    assert use.busy_s == pytest.approx(4.6, abs=0.5)


def test_same_names_twice_on_one_cluster(executor: RayExecutor) -> None:
    executor.start([oracle_pool(isolated=False, timeout_s=30.0)])
    twin = RayExecutor(plugins=PLUGINS, namespace="faults")
    with contextlib.closing(twin):
        twin.start([oracle_pool(isolated=False, timeout_s=30.0)])
        assert causes_of(settle_all(twin, [evaluate("a", "x")])["a"]) == ["ok"]
    assert causes_of(settle_all(executor, [evaluate("a", "x")])["a"]) == ["ok"]
