"""Measure what executors cost: start, one task at a time, many tasks, batches, sleeping slots.

Run: ``python benchmarks/executors.py`` (about a minute on two quiet cores).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from heuresis.execution.inline import InlineExecutor
from heuresis.execution.ray_pool import RayExecutor
from heuresis.tasks import Task
from heuresis.testing.executor_contract import (
    evaluate,
    oracle_pool,
    propose,
    proposer_pool,
    settle_all,
)
from heuresis.testing.fakes import PLUGINS

BATCH = 100
Executors = InlineExecutor | RayExecutor


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def one_by_one_us(executor: Executors, pool: str, tasks: int = 300) -> float:
    """Return microseconds per task when each is awaited before the next is given."""

    def work() -> None:
        for number in range(tasks):
            executor.submit(evaluate(str(number), "x", pool=pool))
            while executor.next_settled(10.0) is None:
                pass

    return seconds(work) / tasks * 1e6


def per_second(executor: Executors, pool: str, tasks: int, size: int) -> float:
    """Return no-op candidates per second when all tasks are handed out at once."""
    texts = tuple(f"x{number}" for number in range(size))
    todo: list[Task] = [evaluate(str(number), *texts, pool=pool) for number in range(tasks)]
    return tasks * size / seconds(lambda: settle_all(executor, todo))


def busy_share(executor: Executors, pool: str, tasks: int, workers: int, sleep_s: float) -> float:
    """Return the share of the slots' time spent asleep in tasks that sleep."""
    todo: list[Task] = [evaluate(str(n), f"sleep:{sleep_s}", pool=pool) for n in range(tasks)]
    return tasks * sleep_s / (workers * seconds(lambda: settle_all(executor, todo)))


def measure(name: str, executor: Executors, workers: int) -> None:
    """Print one line per pool of an executor."""
    began = time.perf_counter()
    pools = [
        oracle_pool("child", timeout_s=60.0, workers=workers),
        oracle_pool("own", isolated=False, timeout_s=60.0, workers=workers),
    ]
    executor.start([proposer_pool(), *pools])
    up_s = time.perf_counter() - began
    settle_all(executor, [propose("first")])
    proposed_s = time.perf_counter() - began
    settle_all(executor, [evaluate("first", "x", pool="child")])
    measured_s = time.perf_counter() - began
    print(
        f"{name}: start returns {up_s:.1f} s, first proposal {proposed_s:.1f} s,"
        f" first isolated measurement {measured_s:.1f} s"
    )
    for pool in ("own", "child"):
        settle_all(executor, [evaluate(str(n), "sleep:0.3", pool=pool) for n in range(workers)])
        print(
            f"{name}, {pool} process: {one_by_one_us(executor, pool):.0f} µs per task,"
            f" {per_second(executor, pool, 500, 1):.0f} tasks/s of one,"
            f" {per_second(executor, pool, 50, BATCH):.0f} candidates/s in batches of {BATCH},"
            f" slots busy {busy_share(executor, pool, 40 * workers, workers, 0.1):.3f}"
            " with tasks of 100 ms"
        )
    executor.close()


if __name__ == "__main__":
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    measure("inline", InlineExecutor(plugins=PLUGINS), workers=1)
    measure("ray", RayExecutor(plugins=PLUGINS, namespace="benchmark"), workers=2)
