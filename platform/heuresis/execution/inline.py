"""Runs tasks in this process, one after the other: the reference for what an executor does.

First in, first out over all pools, so the same campaign with the same seed writes the same ledger.
Isolated oracles still run in a child process and keep their time limit; oracles that declare
themselves pure and fast run right here, where nothing can interrupt them.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Sequence

from heuresis.execution.bookkeeping import PoolUse, Tally, check_pools, settlement, worker_name
from heuresis.execution.isolation import IsolatedWorker, open_worker
from heuresis.execution.worker import INSTALLED_PLUGINS, WorkerHost, check_task
from heuresis.tasks import PoolSpec, Settlement, Task


class InlineExecutor:
    """An `heuresis.ports.Executor` with one worker per pool and no concurrency.

    Args:
        plugins: where plug-in classes come from, see `heuresis.execution.worker`.
    """

    def __init__(self, *, plugins: str = INSTALLED_PLUGINS) -> None:
        self._plugins = plugins
        self._pools: dict[str, PoolSpec] = {}
        self._workers: dict[str, WorkerHost | IsolatedWorker] = {}
        self._tallies: dict[str, Tally] = {}
        self._waiting: deque[tuple[Task, float]] = deque()
        self._unsettled: set[str] = set()

    def start(self, pools: Sequence[PoolSpec]) -> None:
        """Start one worker per pool; isolated ones load in the background.

        Raises:
            PoolError: a plug-in cannot be started.
        """
        check_pools(list(pools), set(self._pools))
        for pool in pools:
            self._workers[pool.name] = open_worker(pool, self._plugins)
            self._pools[pool.name] = pool.model_copy(update={"workers": 1})
            self._tallies[pool.name] = Tally()

    def submit(self, task: Task) -> None:
        """Put a task at the end of the queue."""
        check_task(task, self._pools)
        if task.id in self._unsettled:
            raise ValueError(f"task '{task.id}' was submitted before and has not settled")
        self._unsettled.add(task.id)
        self._waiting.append((task, time.time()))

    def next_settled(self, timeout_s: float) -> Settlement | None:
        """Run the oldest task and return what came of it; None when nothing is queued.

        With a timeout of zero nothing is run, so there is never anything settled to return.

        Raises:
            PoolError: the task's plug-in cannot be started; the task stays unsettled.
        """
        if not self._waiting or timeout_s <= 0.0:
            return None
        task, submitted_at = self._waiting[0]
        # An interruption in here leaves the task in the queue: it settles once, later.
        report = self._workers[task.pool].run(task)
        self._waiting.popleft()
        self._unsettled.remove(task.id)
        return self._tallies[task.pool].note(
            settlement(
                task.id,
                report,
                submitted_at=submitted_at,
                worker=worker_name(self._pools[task.pool], 1),
                host=socket.gethostname(),
            )
        )

    def utilisation(self) -> list[PoolUse]:
        """Return how much each pool has been used."""
        waiting = [task.pool for task, _ in self._waiting]
        return [
            self._tallies[name].use(pool, ready=1, running=0, waiting=waiting.count(name))
            for name, pool in self._pools.items()
        ]

    def close(self) -> None:
        """Stop all workers; tasks that wait are forgotten. Safe to call twice."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()
        self._pools.clear()
        self._tallies.clear()
        self._waiting.clear()
        self._unsettled.clear()
