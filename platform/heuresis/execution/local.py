"""Runs tasks on this machine without Ray: one thread per worker.

The thread of an isolated oracle only waits for the child process that computes, so a machine can
have as many of them as it has room for: a worker costs one small process and no actor. What is not
isolated runs in its thread, in this process, and can take the campaign with it when it dies; on Ray
it takes its actor.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from heuresis.execution.bookkeeping import PoolUse, Tally, check_pools, settlement, worker_name
from heuresis.execution.isolation import IsolatedWorker, open_worker
from heuresis.execution.worker import INSTALLED_PLUGINS, WorkerHost, check_task
from heuresis.tasks import PoolSpec, Settlement, Task

STARTS_PER_CORE = 2
"""Workers that load their libraries at the same time; more would only wait for each other."""
_FAREWELL_S = 5.0
"""How long to wait at the end for threads whose plug-in runs in this process."""


@dataclass(eq=False)
class _Pool:
    spec: PoolSpec
    tally: Tally = field(default_factory=Tally)
    waiting: queue.SimpleQueue[tuple[Task, float] | None] = field(default_factory=queue.SimpleQueue)
    threads: list[threading.Thread] = field(default_factory=list)
    workers: list[WorkerHost | IsolatedWorker] = field(default_factory=list)
    ready: set[str] = field(default_factory=set)
    """Names of the workers that have loaded their plug-in."""
    busy: set[str] = field(default_factory=set)
    unsettled: set[str] = field(default_factory=set)
    broken: Exception | None = None


class LocalExecutor:
    """An `heuresis.ports.Executor` on the threads and child processes of this process.

    Args:
        plugins: where plug-in classes come from, see `heuresis.execution.worker`.
    """

    def __init__(self, *, plugins: str = INSTALLED_PLUGINS) -> None:
        self._plugins = plugins
        self._host = socket.gethostname()
        self._pools: dict[str, _Pool] = {}
        self._done: queue.SimpleQueue[tuple[_Pool, Settlement | Exception]] = queue.SimpleQueue()
        self._starting = threading.Semaphore(STARTS_PER_CORE * (os.cpu_count() or 1))
        self._closing = threading.Event()

    def start(self, pools: Sequence[PoolSpec]) -> None:
        """Start all workers, without waiting for them."""
        check_pools(list(pools), set(self._pools))
        for spec in pools:
            pool = self._pools[spec.name] = _Pool(spec)
            for number in range(1, spec.workers + 1):
                name = worker_name(spec, number)
                # A daemon: what hangs in this process must not keep it from ending.
                thread = threading.Thread(
                    target=self._serve, args=(pool, name), name=name, daemon=True
                )
                pool.threads.append(thread)
                thread.start()

    def _serve(self, pool: _Pool, name: str) -> None:
        """Be one worker, whatever happens: an error is raised where results are waited for."""
        try:
            with self._starting:
                if self._closing.is_set():
                    return
                worker = open_worker(pool.spec, self._plugins)
                pool.workers.append(worker)
                if isinstance(worker, IsolatedWorker):
                    worker.wait_until_ready()
            pool.ready.add(name)
            with contextlib.closing(worker):
                self._work(pool, name, worker)
        except Exception as error:
            self._done.put((pool, error))
        finally:
            pool.ready.discard(name)

    def _work(self, pool: _Pool, name: str, worker: WorkerHost | IsolatedWorker) -> None:
        while (item := pool.waiting.get()) is not None:
            task, submitted_at = item
            pool.busy.add(name)
            try:
                report = worker.run(task)
            finally:
                pool.busy.discard(name)
            settled = settlement(
                task.id, report, submitted_at=submitted_at, worker=name, host=self._host
            )
            self._done.put((pool, settled))

    def submit(self, task: Task) -> None:
        """Put a task at the end of its pool's queue.

        Raises:
            PoolError: the pool is broken; see `next_settled`.
        """
        check_task(task, {name: pool.spec for name, pool in self._pools.items()})
        pool = self._pools[task.pool]
        if task.id in pool.unsettled:
            raise ValueError(f"task '{task.id}' was submitted before and has not settled")
        if pool.broken is not None:
            raise pool.broken
        pool.unsettled.add(task.id)
        pool.waiting.put((task, time.time()))

    def next_settled(self, timeout_s: float) -> Settlement | None:
        """Return the next settled task; None when nothing settled in time or nothing is queued.

        Raises:
            PoolError: the plug-in of a pool cannot start. Its unsettled tasks stay unsettled.
                Raised once; other pools can go on settling.
        """
        deadline = time.monotonic() + timeout_s
        while any(pool.unsettled for pool in self._pools.values()):
            try:
                pool, came = self._done.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return None
            if isinstance(came, Exception):
                if pool.broken is None:
                    self._break(pool, came)
            elif came.task in pool.unsettled:  # else its pool broke meanwhile
                pool.unsettled.remove(came.task)
                return pool.tally.note(came)
        return None

    def _break(self, pool: _Pool, error: Exception) -> None:
        pool.broken = error
        pool.unsettled.clear()
        _dismiss(pool)
        raise error

    def utilisation(self) -> list[PoolUse]:
        """Return how much each pool has been used."""
        return [
            pool.tally.use(
                pool.spec,
                ready=len(pool.ready),
                running=len(pool.busy),
                waiting=pool.waiting.qsize(),
            )
            for pool in self._pools.values()
        ]

    def close(self) -> None:
        """Stop all workers; what they were at is forgotten. Safe to call twice."""
        self._closing.set()
        for pool in self._pools.values():
            _dismiss(pool)
        deadline = time.monotonic() + _FAREWELL_S
        for pool in self._pools.values():
            for thread in pool.threads:
                thread.join(max(0.0, deadline - time.monotonic()))
        self._pools.clear()


def _dismiss(pool: _Pool) -> None:
    """Let a pool's threads end: nothing waits any more, and their children are killed."""
    with contextlib.suppress(queue.Empty):
        while True:
            pool.waiting.get_nowait()
    for _ in pool.threads:
        pool.waiting.put(None)
    for worker in list(pool.workers):
        if isinstance(worker, IsolatedWorker):
            worker.abort()
