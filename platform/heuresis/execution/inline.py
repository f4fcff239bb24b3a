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

from heuresis.execution.isolation import IsolatedWorker, open_worker
from heuresis.execution.worker import INSTALLED_PLUGINS, WorkerHost, check_task
from heuresis.records import Timing
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
        self._waiting: deque[tuple[Task, float]] = deque()
        self._known: set[str] = set()

    def start(self, pools: Sequence[PoolSpec]) -> None:
        """Start one worker per pool.

        Raises:
            PoolError: a plug-in cannot be started.
        """
        for pool in pools:
            if pool.name in self._pools:
                raise ValueError(f"two pools are named '{pool.name}'")
            self._workers[pool.name] = open_worker(pool, self._plugins)
            self._pools[pool.name] = pool

    def submit(self, task: Task) -> None:
        """Put a task at the end of the queue."""
        check_task(task, self._pools)
        if task.id in self._known:
            raise ValueError(f"task '{task.id}' was submitted before and has not settled")
        self._known.add(task.id)
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
        self._known.remove(task.id)
        return Settlement(
            task=task.id,
            result=report.result,
            timing=Timing(
                submitted_at=submitted_at,
                started_at=report.started_at,
                ended_at=report.ended_at,
                duration_s=report.duration_s,
                cpu_s=report.cpu_s,
                worker=worker_name(self._pools[task.pool], 1),
                host=socket.gethostname(),
            ),
        )

    def close(self) -> None:
        """Stop all workers; tasks that wait are forgotten. Safe to call twice."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()
        self._pools.clear()
        self._waiting.clear()
        self._known.clear()


def worker_name(pool: PoolSpec, number: int) -> str:
    """Return the name people see, ``xtb[1]`` or ``proposer:language-model``; counts from 1."""
    return f"proposer:{pool.name}" if pool.role == "proposer" else f"{pool.name}[{number}]"
