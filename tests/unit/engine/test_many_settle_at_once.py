"""Nobody waits for the slowest, and more settlements than fit into one append lose nothing."""

from pathlib import Path
from typing import Any

from engine_toys import ToyExecutor, ledger_path, plan

from heuresis.engine.controller import SETTLEMENTS_PER_APPEND, Controller
from heuresis.engine.plan import CampaignPlan
from heuresis.ledger import SQLiteLedger
from heuresis.tasks import EvaluateTask, Settlement


class Eager(ToyExecutor):
    """Has done everything by the time it is asked; lets nobody ask for ever."""

    waits_in_vain = 0

    def next_settled(self, timeout_s: float) -> Settlement | None:
        settlement = super().next_settled(1.0)
        if settlement is None and timeout_s > 0.0:
            self.waits_in_vain += 1
            assert self.waits_in_vain < 3, "it waits for what had settled: a settlement was lost"
        return settlement


def many_slots() -> CampaignPlan:
    """Return a plan with more tasks in flight than settlements in an append."""
    given = plan(budget={"candidates": 6 * SETTLEMENTS_PER_APPEND})
    changes: dict[str, Any] = {"workers": SETTLEMENTS_PER_APPEND}
    pools = [oracle.pool.model_copy(update=changes) for oracle in given.oracles]
    cheap, costly = (
        type(oracle)(name=oracle.name, declaration=oracle.declaration, pool=pool)
        for oracle, pool in zip(given.oracles, pools, strict=True)
    )
    walker = given.proposers[1]
    proposer = type(walker)(name=walker.name, pool=walker.pool, batch=8 * SETTLEMENTS_PER_APPEND)
    return CampaignPlan(**{**vars(given), "oracles": (cheap, costly), "proposers": (proposer,)})


def test_nothing_is_lost_when_many_settle_at_once(tmp_path: Path) -> None:
    executor = Eager()
    ledger = SQLiteLedger.open(ledger_path(tmp_path), create=True)
    controller = Controller(many_slots(), ledger, executor, now=lambda: 0.0)
    controller.replay()
    end = controller.run()
    ledger.close()
    assert end.kind == "finished", end
    assert not controller.state.outstanding
    assert len(executor.log) > 2 * SETTLEMENTS_PER_APPEND


class OneStraggler(ToyExecutor):
    """Ends the first costly measurement only when there is nothing else left to do."""

    straggler = ""

    def next_settled(self, timeout_s: float) -> Settlement | None:
        for task in self.queue:
            if not self.straggler and isinstance(task, EvaluateTask) and task.pool == "costly":
                self.straggler = task.id
        if len(self.queue) > 1 and self.queue[0].id == self.straggler:
            self.queue.rotate(-1)
        return super().next_settled(timeout_s)


def test_a_straggler_holds_up_nobody(tmp_path: Path) -> None:
    executor = OneStraggler()
    ledger = SQLiteLedger.open(ledger_path(tmp_path), create=True)
    controller = Controller(plan(budget={"evaluations": 60}), ledger, executor, now=lambda: 0.0)
    controller.replay()
    end = controller.run()
    ledger.close()
    assert (end.kind, end.reason) == ("finished", "budget")
    costly = [task.id for task in executor.log if task.pool == "costly"]
    assert len(costly) == 60
    assert costly[-1] == executor.straggler == min(costly, key=lambda name: int(name[9:]))
