"""What is compared: our loop on its executors, and plain pools that know no campaign.

Each side keeps a number of slots busy with tasks that sleep, two tasks per slot in flight, and
hands out the next when one comes back. All are warm before the clock starts. The other sides do
only that; ours decides what is next, writes it to the ledger with a sync before it is handed out
and after it settled, and runs every task in a child process that may crash.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.throughput.processes import Watch, proportional_MiB
from benchmarks.throughput.resting import Rester, rest

from heuresis.engine.budget import Budget
from heuresis.engine.controller import Controller
from heuresis.engine.plan import CampaignPlan, OraclePlan, ProposerPlan
from heuresis.ledger import SQLiteLedger
from heuresis.records import Record
from heuresis.report.timeline import Timeline
from heuresis.search.objective import DesirabilityTerm, Objective
from heuresis.search.settings import SearchSettings
from heuresis.testing.executor_contract import evaluate, oracle_pool, proposer_pool
from heuresis.testing.fakes import PLUGINS, TEXT_SPACE, ScriptedOracle

WARM_UP_s = 0.2
ORACLE = "sleeper"
Progress = Callable[[int], None]
"""Is told how many tasks have come back."""


class Took(Record):
    """What one side needed for its tasks."""

    side: str
    slots: int
    seconds: float
    """That a task sleeps."""
    tasks: int
    started_s: float
    """Until all slots were ready; not part of the rest."""
    wall_s: float
    own_s: float
    """Processor seconds of the process that decides."""
    others_s: float
    """Processor seconds of all processes that it started, and theirs."""
    memory_MiB: float
    """Proportional set size of all of them at the end."""
    ledger_share: float | None = None
    """Slot utilisation by the ledger's own timeline."""

    @property
    def useful_share(self) -> float:
        """Share of the slots' time in which a task slept what it was told: late waking is loss."""
        return useful_share(self.tasks, self.seconds, self.slots, self.wall_s)


def useful_share(tasks: int, seconds: float, slots: int, wall_s: float) -> float:
    """Return the share of ``slots`` times ``wall_s`` that the tasks were asked to sleep."""
    return tasks * seconds / (slots * wall_s)


# -- ours ---------------------------------------------------------------------------------------


def plan_of(slots: int, seconds: float, tasks: int) -> CampaignPlan:
    """Return a campaign whose one oracle sleeps, a candidate at a time."""
    config = {"call_s": seconds, "timeout_s": 60.0 + 10 * seconds}
    declaration = ScriptedOracle.declare(ScriptedOracle.Config.model_validate(config))
    pool = oracle_pool(
        ORACLE, config=config, workers=slots, timeout_s=declaration.timeout_s
    )  # isolated, as every oracle with native code is
    return CampaignPlan(
        campaign="throughput",
        seed=0,
        spec_hash="0",
        space=TEXT_SPACE,
        objective=Objective({"long": DesirabilityTerm(measure=f"{ORACLE}.length", above=8.0)}, {}),
        oracles=(OraclePlan(name=ORACLE, declaration=declaration, pool=pool),),
        proposers=(ProposerPlan(name="words", pool=proposer_pool("words"), batch=max(16, slots)),),
        search=SearchSettings(),
        budget=Budget(evaluations=tasks),
    )


def make_executor(name: str) -> Any:
    """Return one of our executors."""
    if name == "local":
        from heuresis.execution.local import LocalExecutor

        return LocalExecutor(plugins=PLUGINS)
    from heuresis.execution.ray_pool import RayExecutor

    return RayExecutor(plugins=PLUGINS, namespace="throughput", dashboard=False)


def start_all(executor: Any, plan: CampaignPlan) -> float:
    """Start the workers and return when all of them are ready; seconds."""
    began = time.perf_counter()
    executor.start(plan.pools)
    number = 0
    while any(pool.ready < pool.workers for pool in executor.utilisation()):
        executor.submit(evaluate(f"warm-{number}", "x", pool=ORACLE))
        while executor.next_settled(1.0) is None:
            pass
        number += 1
    return time.perf_counter() - began


class Counted:
    """A tracker that counts settled evaluations."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._settled = 0

    def record(self, entries: Any) -> None:
        self._settled += sum(entry.event.kind == "settled" for entry in entries)
        self._progress(self._settled)

    def finish(self, status: str) -> None: ...


def ours(
    name: str, slots: int, seconds: float, tasks: int, progress: Progress, folder: Path
) -> Took:
    """Run a campaign on one of our executors."""
    plan = plan_of(slots, seconds, tasks)
    executor = make_executor(name)
    with closing(executor):
        started_s = start_all(executor, plan)
        with closing(
            SQLiteLedger.open(folder / f"{name}-{slots}-{seconds}.sqlite", create=True)
        ) as ledger:
            controller = Controller(plan, ledger, executor, [Counted(progress)], now=time.time)
            controller.replay()
            began, watch = time.time(), Watch()
            controller.run()
            wall_s, own_s, others_s = watch.wall_s, watch.own_s, watch.others_s
            session = {"started_at": began, "seconds": wall_s}
            timeline = Timeline([session], {ORACLE: slots}).apply_all(ledger.read())
        return Took(
            side=f"heuresis, {name}",
            slots=slots,
            seconds=seconds,
            tasks=tasks,
            started_s=started_s,
            wall_s=wall_s,
            own_s=own_s,
            others_s=others_s,
            memory_MiB=proportional_MiB(os.getpid()),
            ledger_share=timeline.pool_share(ORACLE),
        )


# -- others -------------------------------------------------------------------------------------


def closed_loop(
    submit: Callable[[], None], come: Callable[[], None], slots: int, tasks: int, progress: Progress
) -> None:
    """Keep two tasks per slot in flight until all have come back."""
    given = came = 0
    while came < tasks:
        while given < min(tasks, came + 2 * slots):
            submit()
            given += 1
        come()
        came += 1
        progress(came)


def processes(slots: int, seconds: float, tasks: int, progress: Progress, folder: Path) -> Took:
    """`concurrent.futures.ProcessPoolExecutor`."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    began = time.perf_counter()
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with ProcessPoolExecutor(slots, mp_context=get_context("forkserver")) as pool:

        def submit(sleep_s: float) -> None:
            pool.submit(rest, sleep_s).add_done_callback(done.put)

        def come() -> None:
            done.get().result()

        closed_loop(lambda: submit(WARM_UP_s), come, slots, 2 * slots, lambda _: None)
        started_s = time.perf_counter() - began
        watch = Watch()
        closed_loop(lambda: submit(seconds), come, slots, tasks, progress)
        return Took(
            side="concurrent.futures, processes", slots=slots, seconds=seconds, tasks=tasks,
            started_s=started_s, wall_s=watch.wall_s, own_s=watch.own_s, others_s=watch.others_s,
            memory_MiB=proportional_MiB(os.getpid()),
        )  # fmt: skip


def actor_pool(slots: int, seconds: float, tasks: int, progress: Progress, folder: Path) -> Took:
    """`ray.util.ActorPool`."""
    import ray
    from ray.util import ActorPool

    from heuresis.execution.ray_session import RaySession

    began = time.perf_counter()
    session = RaySession(dashboard=False)  # only for its settings: loopback, a token, no statistics
    session.start()
    with closing(session):
        actor_class = ray.remote(num_cpus=0)(Rester)
        pool = ActorPool([actor_class.remote() for _ in range(slots)])

        def submit(sleep_s: float) -> None:
            pool.submit(lambda actor, value: actor.rest.remote(value), sleep_s)

        def come() -> None:
            pool.get_next_unordered()

        closed_loop(lambda: submit(WARM_UP_s), come, slots, 2 * slots, lambda _: None)
        started_s = time.perf_counter() - began
        watch = Watch()
        closed_loop(lambda: submit(seconds), come, slots, tasks, progress)
        return Took(
            side="ray.util.ActorPool", slots=slots, seconds=seconds, tasks=tasks,
            started_s=started_s, wall_s=watch.wall_s, own_s=watch.own_s, others_s=watch.others_s,
            memory_MiB=proportional_MiB(os.getpid()),
        )  # fmt: skip


def colmena(interpreter: Path, slots: int, seconds: float, tasks: int) -> Took:
    """Colmena under its own interpreter; no progress is told."""
    script = Path(__file__).with_name("colmena_side.py")
    done = subprocess.run(
        [str(interpreter), str(script), str(slots), str(seconds), str(tasks)],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    return Took(side="Colmena, processes", slots=slots, seconds=seconds, tasks=tasks, **found)
