"""The driver's books about actors."""

import time

import pytest

from heuresis.execution.bookkeeping import PoolUse
from heuresis.execution.slots import Call, SlotPool, fate, report_of
from heuresis.records import Failure, FailureCause
from heuresis.tasks import EvaluateResult, PoolSpec
from heuresis.testing.executor_contract import evaluate, oracle_pool, propose, proposer_pool


def filled(pool: SlotPool, tasks: int) -> list[str]:
    """Put tasks into a pool of ready actors and return who was given what."""
    for slot in pool.slots:
        slot.actor = object()
    pool.waiting.extend((evaluate(str(n), "x"), 0.0) for n in range(tasks))
    given = []
    for slot, task, submitted_at in pool.assignments():
        slot.calls.append(Call(task, submitted_at, object()))
        given.append(f"{task.id}:{slot.name}")
    return given


def test_tasks_go_in_order_to_whoever_has_least() -> None:
    pool = SlotPool(oracle_pool("xtb", workers=2))
    given = filled(pool, 6)
    assert given == ["0:xtb[1]", "1:xtb[2]", "2:xtb[1]", "3:xtb[2]"], "two each, no more"
    assert [task.id for task, _ in pool.waiting] == ["4", "5"]
    use = pool.use()
    assert (use.running, use.waiting, use.ready) == (2, 4, 2)


def test_who_can_take_its_actor_along_gets_one_task_at_a_time() -> None:
    assert filled(SlotPool(oracle_pool("pure", isolated=False)), 3) == ["0:pure[1]"]


def test_actors_that_start_get_nothing() -> None:
    pool = SlotPool(oracle_pool())
    pool.waiting.append((evaluate("a", "x"), 0.0))
    assert list(pool.assignments()) == []
    pool.slots[0].actor = pool.slots[0].starting = object()
    assert list(pool.assignments()) == []


def test_patience_grows_with_the_batch_and_ends() -> None:
    pool = SlotPool(oracle_pool(isolated=False, timeout_s=2.0))
    slot = pool.slots[0]
    slot.calls.append(Call(evaluate("a", "x", "y", "z"), 0.0, None))
    before = time.monotonic()
    pool.watch(slot, grace_s=1.0)
    assert slot.patience_until is not None
    assert slot.patience_until - before == pytest.approx(7.0, abs=0.5)
    assert pool.overdue() == []
    slot.patience_until = before
    assert pool.overdue() == [slot]
    slot.calls.clear()
    pool.watch(slot, grace_s=1.0)
    assert slot.patience_until is None


@pytest.mark.parametrize(
    ("spec", "hung", "blameless", "was_next", "cause"),
    [
        (oracle_pool(isolated=False), False, False, True, FailureCause.CRASH),
        (proposer_pool(), False, False, True, FailureCause.CRASH),
        (oracle_pool(), False, False, True, FailureCause.LOST),
        (proposer_pool(), False, True, True, FailureCause.LOST),
        (oracle_pool(isolated=False), False, False, False, FailureCause.LOST),
        (oracle_pool(), True, False, True, FailureCause.TIMEOUT),
        (oracle_pool(), True, False, False, FailureCause.LOST),
    ],
)
def test_only_the_guilty_task_is_blamed(
    spec: PoolSpec, hung: bool, blameless: bool, was_next: bool, cause: FailureCause
) -> None:
    failure = fate(spec, reason="why", hung=hung, blameless=blameless, was_next=was_next)
    assert failure.cause is cause


def test_a_lost_batch_fails_one_by_one_and_a_lost_proposal_as_a_whole() -> None:
    failure = Failure(cause=FailureCause.LOST, message="gone")
    result = report_of(failure, evaluate("a", "x", "y")).result
    assert isinstance(result, EvaluateResult)
    assert result.outcomes == (failure, failure)
    assert report_of(failure, propose("a")).result == failure


def test_share_of_time_in_use() -> None:
    use = PoolUse(
        pool="xtb",
        workers=2,
        ready=2,
        running=0,
        waiting=0,
        settled=9,
        busy_s=6.0,
        elapsed_s=4.0,
    )
    assert use.busy_share == pytest.approx(0.75)
    assert use.model_copy(update={"elapsed_s": 0.0}).busy_share == 0.0
