"""What all executors count and name in the same way."""

from __future__ import annotations

import time

from heuresis.execution.worker import Report
from heuresis.records import Record, Timing
from heuresis.tasks import PoolSpec, Settlement


class PoolUse(Record):
    """How one pool has been used since its start, for people to look at."""

    pool: str
    workers: int
    ready: int
    """Workers that have loaded their plug-in and live."""
    running: int
    """Workers with a task."""
    waiting: int
    """Tasks that no worker has begun."""
    settled: int
    busy_s: float
    """Seconds inside plug-in code, summed over the workers."""
    elapsed_s: float
    restarts: int = 0
    held_up: str = ""
    """Why workers cannot start, in words; empty when nothing is known to hold them up."""

    @property
    def busy_share(self) -> float:
        """Share of the workers' time spent inside plug-in code, 0 to 1."""
        available_s = self.workers * self.elapsed_s
        return min(1.0, self.busy_s / available_s) if available_s > 0 else 0.0


class Tally:
    """Counts of one pool; the clock starts at its making."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.settled = 0
        self.busy_s = 0.0
        self.restarts = 0

    def note(self, settlement: Settlement) -> Settlement:
        """Count a settlement and hand it on."""
        self.settled += 1
        self.busy_s += settlement.timing.duration_s
        return settlement

    def use(self, pool: PoolSpec, *, ready: int, running: int, waiting: int) -> PoolUse:
        """Return the figures of this moment."""
        return PoolUse(
            pool=pool.name,
            workers=pool.workers,
            ready=ready,
            running=running,
            waiting=waiting,
            settled=self.settled,
            busy_s=self.busy_s,
            elapsed_s=time.monotonic() - self._began,
            restarts=self.restarts,
        )


def worker_name(pool: PoolSpec, number: int) -> str:
    """Return the name people see, ``xtb[1]`` or ``proposer:language-model``; counts from 1."""
    return f"proposer:{pool.name}" if pool.role == "proposer" else f"{pool.name}[{number}]"


def settlement(
    task: str, report: Report, *, submitted_at: float, worker: str, host: str
) -> Settlement:
    """Make the settlement of a task from its worker's report."""
    return Settlement(
        task=task,
        result=report.result,
        timing=Timing(
            submitted_at=submitted_at,
            started_at=report.started_at,
            ended_at=report.ended_at,
            duration_s=report.duration_s,
            cpu_s=report.cpu_s,
            worker=worker,
            host=host,
        ),
    )


def check_pools(pools: list[PoolSpec], known: set[str]) -> None:
    """Refuse pools that no executor can run.

    Raises:
        ValueError: a name appears twice, or a proposer has several workers (a defect of the
            caller: copies of a proposer would learn different things).
    """
    for pool in pools:
        if pool.name in known:
            raise ValueError(f"two pools are named '{pool.name}'; names are unique over all pools")
        known = known | {pool.name}
        if pool.workers < 1:
            raise ValueError(f"pool '{pool.name}' has {pool.workers} workers, expected at least 1")
        if pool.role == "proposer" and pool.workers != 1:
            raise ValueError(
                f"proposer pool '{pool.name}' has {pool.workers} workers, expected 1:"
                " copies of a proposer would learn different things"
            )
