"""Coming pools of documents, written by other processes while an accelerator computes.

A pool depends on its number alone (`stream.DocumentStream`), so it does not matter who writes it:
with any number of processes the stream is the same, batch by batch.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final

from heuresis_models.errors import TrainingError

AHEAD: Final = 2
"""Pools that each process has written or is writing."""
_PR_SET_PDEATHSIG: Final = 1

_build: Callable[[int], Any] | None = None


class Prefetcher:
    """Builds numbered things in other processes, in order and ahead of their use.

    On Linux the processes are forked, so they share the memory of what they read from; make this
    object before an accelerator is touched.

    Args:
        build: number → thing; pure.
        workers: number of processes.
    """

    def __init__(self, build: Callable[[int], Any], workers: int) -> None:
        self._workers = workers
        method = "fork" if sys.platform == "linux" else "spawn"
        self._pool = ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context(method),
            initializer=_enter,
            initargs=(build, os.getpid()),
        )
        self._pool.submit(_hello).result()  # starts all of them now

    def things(self, numbers: Iterator[int]) -> Iterator[Any]:
        """Yield the things of endless numbers, in their order.

        Raises:
            TrainingError: a process died.
        """
        waiting: deque[Future[Any]] = deque()
        while True:
            try:
                while len(waiting) < AHEAD * self._workers:
                    waiting.append(self._pool.submit(_call, next(numbers)))
                yield waiting.popleft().result()
            except BrokenProcessPool as error:
                raise TrainingError(
                    "a process that writes documents died, perhaps for lack of memory; lower"
                    " pool_workers; the same command continues from the last checkpoint"
                ) from error

    def close(self) -> None:
        """End the processes without waiting for what they still write."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _enter(build: Callable[[int], Any], parent: int) -> None:
    global _build
    _build = build
    # Ctrl-C is the parent's to handle, and its end, however sudden, is the end of its helpers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _hello() -> None:
    return None


def _call(number: int) -> Any:
    assert _build is not None
    return _build(number)
