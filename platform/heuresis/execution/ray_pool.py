"""Runs tasks in Ray actors, on this machine or on a cluster.

One actor hosts one worker of one pool and does one task at a time. Tasks wait in the driver, first
in first out per pool, and an actor has at most two: the one it works on and the next. Ray restarts
nothing and retries nothing here: when an actor dies, what it held settles as a `Failure`, a fresh
actor takes its place (a proposer with the state it last saved), and the campaign's own policy
decides what is worth trying again.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter as PlainCounter
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import ray
from ray.exceptions import ActorUnavailableError, NodeDiedError, RayError
from ray.util.metrics import Counter, Gauge, Histogram

from heuresis.errors import PoolBrokenError, PoolError
from heuresis.execution import ray_settings
from heuresis.execution.actor import HeuresisWorker
from heuresis.execution.bookkeeping import PoolUse, check_pools, settlement
from heuresis.execution.isolation import START_LIMIT_S
from heuresis.execution.ray_room import Room
from heuresis.execution.ray_session import LOST_AFTER_S, RaySession
from heuresis.execution.slots import Call, Slot, SlotPool, fate, report_of
from heuresis.execution.worker import INSTALLED_PLUGINS, Report, check_task
from heuresis.records import Failure
from heuresis.tasks import EvaluateResult, LearnTask, PoolSpec, Settlement, Task

DEATHS_ALLOWED = 3
"""Actors of a pool that may die in a row, without one settled task between.

One more for each further worker: who kills all of them at once has killed each one once. An actor
whose node died does not count.
"""
START_SHOULD_TAKE_S = 10.0
"""An actor of a cluster that starts for longer is asked about: there may be no room for it."""
GRACE_S = 10.0
"""How much later than the worker's own time limit the driver loses patience."""
_FAREWELL_S = 2.0
_NODE_DIED = "node has died"


class RayExecutor:
    """An `heuresis.ports.Executor` on Ray actors.

    Args:
        address: address of a running cluster; None: a session of our own on this machine,
            listening on loopback only, with token authentication.
        dashboard: serve Ray's dashboard (own sessions only).
        dashboard_port: port for it; None: 8265, or the next free one.
        namespace: where the actors' names live; one per campaign.
        plugins: where plug-in classes come from, see `heuresis.execution.worker`.
        grace_s: how much later than a worker's own time limit the driver kills its actor.
        start_limit_s: how long an actor may take to start.
        worker_logs: print what Ray's processes print (for debugging).
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        dashboard: bool = True,
        dashboard_port: int | None = None,
        namespace: str = "heuresis",
        plugins: str = INSTALLED_PLUGINS,
        grace_s: float = GRACE_S,
        start_limit_s: float = START_LIMIT_S,
        worker_logs: bool = False,
    ) -> None:
        self._address = address
        self._namespace = namespace
        self._plugins = plugins
        self._grace_s = grace_s
        self._start_limit_s = start_limit_s
        self._session = RaySession(
            address,
            dashboard=dashboard,
            dashboard_port=dashboard_port,
            worker_logs=worker_logs,
        )
        self._pools: dict[str, SlotPool] = {}
        self._slot_of: dict[Any, tuple[SlotPool, Slot]] = {}
        self._settled: deque[Settlement] = deque()
        self._unsettled: set[str] = set()
        self._metrics: _Metrics | None = None
        self._lost = False
        self._room = Room()
        # Made once: for each anew, Ray takes the class apart and sends it to the cluster.
        self._actor_class: Any = ray.remote(HeuresisWorker)

    @property
    def dashboard_url(self) -> str | None:
        """Address of the dashboard, None without one."""
        return self._session.dashboard_url

    @property
    def dashboard_advice(self) -> str | None:
        """One line for the user: where the dashboard is and how to get in; None without one."""
        return self._session.dashboard_advice

    # --- start and stop ---

    def start(self, pools: Sequence[PoolSpec]) -> None:
        """Start Ray if needed, then the actors of all pools at once, without waiting for them.

        Raises:
            UserError: no cluster answers, or Ray cannot start here.
        """
        check_pools(list(pools), set(self._pools))
        self._session.start()
        if self._metrics is None:
            self._metrics = _Metrics(self._namespace)
        for spec in pools:
            pool = self._pools[spec.name] = SlotPool(spec)
            for slot in pool.slots:
                self._start_actor(pool, slot)

    def _start_actor(self, pool: SlotPool, slot: Slot) -> None:
        slot.lives += 1
        options: dict[str, Any] = {
            "namespace": self._namespace,
            # Here the pools' sizes are the plan; on a cluster Ray finds nodes with room.
            "num_cpus": 0 if self._address is None else pool.spec.threads,
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": 1,
        }
        arguments = (pool.spec.model_dump_json(), slot.name, self._plugins)
        try:
            slot.actor = self._actor_class.options(name=slot.name, **options).remote(*arguments)
        except ValueError:
            # The name is taken: by the slot's last actor, not buried yet, or by another campaign.
            name = f"{slot.name}~{os.getpid()}.{slot.lives}"
            slot.actor = self._actor_class.options(name=name, **options).remote(*arguments)
        slot.starting = slot.actor.ready.remote()
        slot.patience_until = time.monotonic() + self._start_limit_s
        self._slot_of[slot.starting] = (pool, slot)

    def close(self) -> None:
        """Kill our actors, and end the Ray session if it is our own. Safe to call twice."""
        if ray.is_initialized() and not self._lost:
            slots = [slot for pool in self._pools.values() for slot in pool.slots]
            idle = [slot.actor.close.remote() for slot in slots if slot.is_ready and not slot.calls]
            if idle:
                ray.wait(idle, num_returns=len(idle), timeout=_FAREWELL_S)
            for slot in slots:
                self._forget(slot)
        self._session.close()
        self._pools.clear()
        self._slot_of.clear()
        self._settled.clear()
        self._unsettled.clear()

    def _forget(self, slot: Slot) -> None:
        """Kill a slot's actor and drop all that we expect of it."""
        for reference in [slot.starting, *(call.reference for call in slot.calls)]:
            self._slot_of.pop(reference, None)
        slot.calls.clear()
        slot.starting = slot.patience_until = None
        if slot.actor is not None:
            with contextlib.suppress(RayError, ValueError):
                ray.kill(slot.actor, no_restart=True)
        slot.actor = None

    # --- tasks ---

    def submit(self, task: Task) -> None:
        """Put a task at the end of its pool's queue.

        Raises:
            PoolError: the pool is broken; see `next_settled`.
        """
        check_task(task, {name: pool.spec for name, pool in self._pools.items()})
        if task.id in self._unsettled:
            raise ValueError(f"task '{task.id}' was submitted before and has not settled")
        pool = self._pools[task.pool]
        if pool.broken is not None:
            raise pool.broken
        self._unsettled.add(task.id)
        pool.waiting.append((task, time.time()))
        self._dispatch(pool)

    def _dispatch(self, pool: SlotPool) -> None:
        for slot, task, submitted_at in pool.assignments():
            reference = slot.actor.run.remote(task.model_dump_json())
            self._slot_of[reference] = (pool, slot)
            slot.calls.append(Call(task, submitted_at, reference))
            if len(slot.calls) == 1:
                pool.watch(slot, self._grace_s)

    def next_settled(self, timeout_s: float) -> Settlement | None:
        """Return the next settled task; None when nothing settled in time or nothing is queued.

        Raises:
            PoolError: a pool is broken: its plug-in cannot start, or its actors keep dying. Its
                unsettled tasks stay unsettled. Raised once; other pools can go on settling. Or
                the whole cluster is lost: nothing will settle any more.
        """
        deadline = time.monotonic() + timeout_s
        while not self._settled:
            if not self._unsettled:
                return None
            limits = (slot.patience_until for _, slot in self._slot_of.values())
            wake = min([deadline, *(limit for limit in limits if limit is not None)])
            for reference in _arrived(list(self._slot_of), max(0.0, wake - time.monotonic())):
                if reference in self._slot_of:  # else its actor was given up a moment ago
                    self._collect(reference)
            for pool in self._pools.values():
                for slot in pool.overdue():
                    if slot.starting is not None and self._held_up(pool):
                        slot.patience_until = time.monotonic() + self._start_limit_s
                    else:
                        self._died(pool, slot, None)
            if self._session.is_lost():
                self._give_up()
            if not self._settled and time.monotonic() >= deadline:
                return None
        return self._settled.popleft()

    def _collect(self, reference: Any) -> None:
        pool, slot = self._slot_of.pop(reference)
        try:
            complaint, answer = ray.get(reference)
        except RayError as error:
            self._died(pool, slot, error)
            return
        if complaint:
            self._break(pool, PoolError(complaint))
        if reference == slot.starting:
            slot.starting = None
            slot.host = answer
        else:
            call = slot.calls.popleft()
            report = Report.model_validate_json(answer)
            pool.deaths = 0
            if isinstance(call.task, LearnTask) and not isinstance(report.result, Failure):
                # What the next actor must start from, should this one die.
                folder = Path(pool.spec.checkpoint_root or "") / call.task.checkpoint
                pool.spec = pool.spec.model_copy(update={"checkpoint": str(folder)})
            self._settle(pool, slot, call, report)
        pool.watch(slot, self._grace_s)
        self._dispatch(pool)

    def _settle(self, pool: SlotPool, slot: Slot, call: Call, report: Report) -> None:
        self._unsettled.discard(call.task.id)
        settled = settlement(
            call.task.id,
            report,
            submitted_at=call.submitted_at,
            worker=slot.name,
            host=slot.host,
        )
        self._settled.append(pool.tally.note(settled))
        if self._metrics is not None:
            self._metrics.note(pool.spec.name, settled, len(self._unsettled))

    # --- deaths ---

    def _died(self, pool: SlotPool, slot: Slot, error: RayError | None) -> None:
        """Settle what a dead (or, without an error, hung) actor held, and start its successor."""
        calls, was_starting = list(slot.calls), slot.starting is not None
        reason = "it gave no sign of life" if error is None else ray_settings.why_it_died(error)
        if not self._session.await_answer():
            self._give_up()
        self._forget(slot)
        node_died = isinstance(error, NodeDiedError) or _NODE_DIED in str(error)
        for call in calls:
            failure = fate(
                pool.spec,
                reason=reason,
                hung=error is None,
                blameless=node_died or isinstance(error, ActorUnavailableError),
                was_next=call is calls[0],
            )
            self._settle(pool, slot, call, report_of(failure, call.task))
        pool.deaths += 0 if node_died else 1
        pool.tally.restarts += 1
        if pool.deaths > DEATHS_ALLOWED + pool.spec.workers - 1:
            message = (
                f"the workers of pool '{pool.spec.name}' died {pool.deaths} times in a row without"
                f" a result, last {'while starting' if was_starting else 'at work'}: {reason}"
            )
            self._break(pool, PoolBrokenError(message))
        self._start_actor(pool, slot)

    def _give_up(self) -> NoReturn:
        """Let go of a cluster that is lost, without asking Ray for anything."""
        self._lost = True
        self._session.abandon()
        where = f"at '{self._address}'" if self._address else "on this machine"
        error = PoolBrokenError(
            f"the Ray cluster {where} has not answered for {LOST_AFTER_S:g} s; what was running is"
            " handed out again by the next session, there or elsewhere (--ray-address)"
        )
        for pool in self._pools.values():
            pool.broken = error
            pool.drop_everything()
        self._slot_of.clear()
        self._unsettled.clear()
        raise error

    def _break(self, pool: SlotPool, error: PoolError) -> NoReturn:
        pool.broken = error
        self._unsettled -= pool.drop_everything()
        for slot in pool.slots:
            self._forget(slot)
        raise pool.broken

    def utilisation(self) -> list[PoolUse]:
        """Return how much each pool has been used, and what holds its workers up."""
        return [
            pool.use().model_copy(update={"held_up": self._held_up(pool)})
            for pool in self._pools.values()
        ]

    def _held_up(self, pool: SlotPool) -> str:
        """Return why actors of a pool cannot start, as far as the cluster's room tells.

        Empty: they are not late, this is our own session, where Ray counts no processors, or a
        processor is free for each, so that something else must be wrong.
        """
        due = time.monotonic() + self._start_limit_s - START_SHOULD_TAKE_S
        late = [
            slot
            for slot in pool.slots
            if slot.starting is not None and (slot.patience_until or due) < due
        ]
        if self._address is None or self._lost or not late:
            return ""
        return self._room.lacks(len(late), pool.spec.threads)


class _Metrics:
    """What Ray's metrics endpoints, and so Prometheus and Grafana, see of a campaign."""

    def __init__(self, campaign: str) -> None:
        tags = {"campaign": campaign}
        self._outcomes = Counter(
            "heuresis_outcomes_total",
            "Candidates measured, batches proposed, lessons learned: by pool and outcome.",
            ("campaign", "pool", "outcome"),
        )
        self._seconds = Histogram(
            "heuresis_task_seconds",
            "Seconds that a task spent in plug-in code.",
            [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0],
            ("campaign", "pool"),
        )
        self._unsettled = Gauge(
            "heuresis_tasks_unsettled", "Tasks handed out, not back yet.", ("campaign",)
        )
        for metric in (self._outcomes, self._seconds, self._unsettled):
            metric.set_default_tags(tags)

    def note(self, pool: str, settled: Settlement, unsettled: int) -> None:
        result = settled.result
        outcomes = result.outcomes if isinstance(result, EvaluateResult) else (result,)
        for name, number in PlainCounter(
            outcome.cause.value if isinstance(outcome, Failure) else outcome.kind
            for outcome in outcomes
        ).items():
            self._outcomes.inc(number, {"pool": pool, "outcome": name})
        self._seconds.observe(settled.timing.duration_s, {"pool": pool})
        self._unsettled.set(unsettled)


def _arrived(references: list[Any], timeout_s: float) -> list[Any]:
    """Wait for the first answer, return all that have come by then, in the order given."""
    arrived, rest = ray.wait(references, num_returns=1, timeout=timeout_s)
    if arrived and rest:
        arrived += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
    return list(arrived)
