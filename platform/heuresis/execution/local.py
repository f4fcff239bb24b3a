"""Runs tasks on this machine without Ray: one thread per worker.

The thread of an isolated oracle only waits for the child process that computes, so a machine can
have as many of them as it has room for: a worker costs one small process and no actor. What is not
isolated runs in its thread, in this process, and can take the campaign with it when it dies; on Ray
it takes its actor.

Tasks wait in one queue per pool. Where they are short, a worker also has the next one at hand, in
its process: it goes on without waiting until this process has looked at its answer.
"""

from __future__ import annotations

import contextlib
import functools
import os
import queue
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from heuresis.execution.bookkeeping import PoolUse, Tally, check_pools, settlement, worker_name
from heuresis.execution.isolation import IsolatedWorker, open_worker
from heuresis.execution.worker import INSTALLED_PLUGINS, WorkerHost, check_task
from heuresis.tasks import EvaluateTask, PoolSpec, Settlement, Task

STARTS_PER_CORE = 2
"""Workers that load their libraries at the same time; more would only wait for each other."""
_FAREWELL_S = 5.0
"""How long to wait at the end for threads whose plug-in runs in this process."""


AT_HAND_BELOW_S = 5.0
"""A worker whose last task took less than this is given the next one ahead.

The way from an answer to the next task takes some milliseconds when many workers answer: much of a
short task, nothing of a long one. And a long task holds up what waits behind it, while another
worker may be idle.
"""
_Item = tuple[Task, float]
"""A task, and the Unix seconds at which it was submitted."""


@dataclass(eq=False)
class _Place:
    """One worker's place: what it works on and what it does next."""

    name: str
    worker: WorkerHost | IsolatedWorker | None = None
    """None until it is started."""
    is_ready: bool = False
    is_busy: bool = False
    is_quick: bool = False
    following: _Item | None = None
    """The task at hand, which the worker does next."""


class _Pool:
    """The queue of one pool and its workers' places; every method may be called by any thread."""

    def __init__(self, spec: PoolSpec) -> None:
        self.spec = spec
        self.tally = Tally()
        self.places = [_Place(worker_name(spec, number + 1)) for number in range(spec.workers)]
        self.threads: list[threading.Thread] = []
        self.unsettled: set[str] = set()
        self.broken: Exception | None = None
        self._waiting: deque[_Item] = deque()
        self._hungry: deque[_Place] = deque()
        """Busy and quick places with nothing at hand, the one that began first in front."""
        self._idle = 0
        self._dismissed = False
        self._changed = threading.Condition()

    def put(self, item: _Item) -> None:
        """Queue a task, or hand it to a worker that has nothing to do next."""
        with self._changed:
            if self._idle or not self._hungry:
                self._waiting.append(item)
                self._changed.notify()
            else:
                self._give_ahead(self._hungry.popleft(), item)

    def take(self, place: _Place) -> _Item | None:
        """Wait for the next task of a place and mark it busy; None: no more will come."""
        with self._changed:
            item, place.following = place.following, None
            self._idle += 1
            while item is None and not self._dismissed:
                if self._waiting:
                    item = self._waiting.popleft()
                else:
                    self._changed.wait()
            self._idle -= 1
            place.is_busy = item is not None and not self._dismissed
            return item if place.is_busy else None

    def began(self, place: _Place) -> None:
        """A place has its task; see what it can do next."""
        if not place.is_quick:
            return
        with self._changed:
            if self._dismissed:
                return
            if self._waiting and not self._idle:
                self._give_ahead(place, self._waiting.popleft())
            else:
                self._hungry.append(place)

    def _give_ahead(self, place: _Place, item: _Item) -> None:
        place.following = item
        task, _ = item
        if isinstance(place.worker, IsolatedWorker) and isinstance(task, EvaluateTask):
            place.worker.announce(task)

    def ended(self, place: _Place, duration_s: float) -> None:
        """A place is done with its task."""
        with self._changed:
            place.is_busy = False
            place.is_quick = duration_s < AT_HAND_BELOW_S
            with contextlib.suppress(ValueError):
                self._hungry.remove(place)

    def dismiss(self) -> None:
        """Let the threads end: nothing waits any more, and their children are killed."""
        with self._changed:
            self._dismissed = True
            self._waiting.clear()
            self._hungry.clear()
            self._changed.notify_all()
        for place in self.places:
            if isinstance(place.worker, IsolatedWorker):
                place.worker.abort()

    def use(self) -> PoolUse:
        """Return the figures of this moment."""
        at_hand = sum(place.following is not None for place in self.places)
        return self.tally.use(
            self.spec,
            ready=sum(place.is_ready for place in self.places),
            running=sum(place.is_busy for place in self.places),
            waiting=len(self._waiting) + at_hand,
        )


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
            for place in pool.places:
                # A daemon: what hangs in this process must not keep it from ending.
                thread = threading.Thread(
                    target=self._serve, args=(pool, place), name=place.name, daemon=True
                )
                pool.threads.append(thread)
                thread.start()

    def _serve(self, pool: _Pool, place: _Place) -> None:
        """Be one worker, whatever happens: an error is raised where results are waited for."""
        try:
            with self._starting:
                if self._closing.is_set():
                    return
                worker = place.worker = open_worker(pool.spec, self._plugins)
                if isinstance(worker, IsolatedWorker):
                    worker.wait_until_ready()
            place.is_ready = True
            with contextlib.closing(worker):
                self._work(pool, place, worker)
        except Exception as error:
            self._done.put((pool, error))
        finally:
            place.is_ready = place.is_busy = False

    def _work(self, pool: _Pool, place: _Place, worker: WorkerHost | IsolatedWorker) -> None:
        while (item := pool.take(place)) is not None:
            task, submitted_at = item
            if isinstance(worker, IsolatedWorker):
                report = worker.run(task, functools.partial(pool.began, place))
            else:
                report = worker.run(task)
            pool.ended(place, report.duration_s)
            settled = settlement(
                task.id, report, submitted_at=submitted_at, worker=place.name, host=self._host
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
        pool.put((task, time.time()))

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
        pool.dismiss()
        raise error

    def utilisation(self) -> list[PoolUse]:
        """Return how much each pool has been used."""
        return [pool.use() for pool in self._pools.values()]

    def close(self) -> None:
        """Stop all workers; what they were at is forgotten. Safe to call twice."""
        self._closing.set()
        for pool in self._pools.values():
            pool.dismiss()
        deadline = time.monotonic() + _FAREWELL_S
        for pool in self._pools.values():
            for thread in pool.threads:
                thread.join(max(0.0, deadline - time.monotonic()))
        self._pools.clear()
