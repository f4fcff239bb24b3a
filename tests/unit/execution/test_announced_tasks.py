"""The next task lies in the process while it works on the one before; nobody pays for another."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import pytest

from heuresis.execution.isolation import IsolatedWorker
from heuresis.execution.local import LocalExecutor
from heuresis.records import Evaluation, Failure, FailureCause, Outcome
from heuresis.tasks import EvaluateResult, EvaluateTask
from heuresis.testing.executor_contract import evaluate, oracle_pool
from heuresis.testing.fakes import PLUGINS


@pytest.fixture
def worker() -> Iterator[IsolatedWorker]:
    made = IsolatedWorker(oracle_pool(timeout_s=1.0), plugins=PLUGINS)
    made.wait_until_ready()
    yield made
    made.close()


def outcomes_of(result: object) -> tuple[Outcome, ...]:
    assert isinstance(result, EvaluateResult)
    return result.outcomes


def run_with_next(
    worker: IsolatedWorker, task: EvaluateTask, following: EvaluateTask
) -> tuple[Outcome, ...]:
    return outcomes_of(worker.run(task, partial(worker.announce, following)).result)


def failure_of(outcome: Outcome) -> Failure:
    assert isinstance(outcome, Failure)
    return outcome


def test_the_process_goes_on_before_its_answer_is_read(worker: IsolatedWorker) -> None:
    first, second = evaluate("a", "sleep:0.05"), evaluate("b", "hello")
    run_with_next(worker, first, second)
    time.sleep(0.5)
    asked_at = time.time()
    report = worker.run(second)
    assert report.ended_at < asked_at
    assert isinstance(outcomes_of(report.result)[0], Evaluation)


@pytest.mark.parametrize(
    ("text", "cause"),
    [("leave:3", FailureCause.CRASH), ("hang", FailureCause.TIMEOUT)],
)
def test_an_announced_task_survives_the_process(
    worker: IsolatedWorker, text: str, cause: FailureCause
) -> None:
    second = evaluate("b", "hello")
    (outcome,) = run_with_next(worker, evaluate("a", text), second)
    assert failure_of(outcome).cause is cause
    (outcome,) = outcomes_of(worker.run(second).result)
    assert isinstance(outcome, Evaluation)


def test_an_announced_task_that_kills_ahead_of_time_is_blamed_itself(
    worker: IsolatedWorker,
) -> None:
    second, third = evaluate("b", "leave:3"), evaluate("c", "hello")
    (outcome,) = run_with_next(worker, evaluate("a", "noise"), second)
    assert isinstance(outcome, Evaluation)
    time.sleep(0.3)  # it is dead before it is asked for its answer
    (outcome,) = run_with_next(worker, second, third)
    assert failure_of(outcome).cause is FailureCause.CRASH
    assert failure_of(outcome).detail == "out of licences", "and not what the first one printed"
    (outcome,) = outcomes_of(worker.run(third).result)
    assert isinstance(outcome, Evaluation)


def test_a_batch_that_is_taken_apart_keeps_its_place_before_the_next(
    worker: IsolatedWorker,
) -> None:
    batch, second = evaluate("a", "one", "leave:3", "three"), evaluate("b", "hello")
    outcomes = run_with_next(worker, batch, second)
    assert [isinstance(outcome, Evaluation) for outcome in outcomes] == [True, False, True]
    (outcome,) = outcomes_of(worker.run(second).result)
    assert isinstance(outcome, Evaluation)


def test_messages_may_be_larger_than_any_pipe(worker: IsolatedWorker) -> None:
    texts = [f"{number:04d}{'x' * 900}" for number in range(1500)]
    second = evaluate("b", *texts)
    run_with_next(worker, evaluate("a", "sleep:0.05"), second)
    assert len(outcomes_of(worker.run(second).result)) == len(texts)


def test_a_broken_promise_is_a_defect(worker: IsolatedWorker) -> None:
    run_with_next(worker, evaluate("a", "hello"), evaluate("b", "hello"))
    with pytest.raises(ValueError, match="'b' went out before 'c'"):
        worker.run(evaluate("c", "hello"))


@pytest.mark.parametrize("workers", [1, 3])
def test_tasks_at_hand_settle_once_whatever_the_others_do(workers: int) -> None:
    scripts = ["hello", "sleep:0.02", "leave:3", "kill", "calculation", "hang", "sleep:0.01"]
    texts = [f"{scripts[number % len(scripts)]}#{number}" for number in range(28)]
    executor = LocalExecutor(plugins=PLUGINS)
    try:
        executor.start([oracle_pool(workers=workers, timeout_s=0.7)])
        for number, text in enumerate(texts):
            executor.submit(evaluate(f"task-{number}", text))
        found: dict[str, str] = {}
        while len(found) < len(texts):
            settled = executor.next_settled(60.0)
            assert settled is not None, "nothing settles any more"
            assert settled.task not in found
            (outcome,) = outcomes_of(settled.result)
            found[settled.task] = (
                outcome.cause.value if isinstance(outcome, Failure) else outcome.kind
            )
        assert executor.next_settled(0.0) is None
        (use,) = executor.utilisation()
    finally:
        executor.close()
    by_script = {"leave:3": "crash", "kill": "crash", "calculation": "calculation"}
    by_script["hang"] = "timeout"
    for number, text in enumerate(texts):
        assert found[f"task-{number}"] == by_script.get(text.split("#")[0], "evaluation"), text
    assert (use.settled, use.waiting, use.running) == (len(texts), 0, 0)
