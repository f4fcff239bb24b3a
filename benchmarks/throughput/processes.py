"""Clocks of this process and of all that descend from it. Nothing but the standard library.

`colmena_side.py` uses it too, under an interpreter that has no Heuresis.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def family(root: int) -> dict[int, float]:
    """Return living process → processor seconds so far, for a process and its descendants."""
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        parents[int(folder.name)] = int(fields[1])
        seconds[int(folder.name)] = (int(fields[11]) + int(fields[12])) / _TICKS
    return {process: seconds[process] for process in seconds if _descends(process, root, parents)}


def _descends(process: int, root: int, parents: dict[int, int]) -> bool:
    while process != root:
        process = parents.get(process, 0)
        if process == 0:
            return False
    return True


def memory_MiB(process: int | str = "self", field: str = "VmRSS") -> float:
    """Return resident memory of a process; ``VmHWM`` for its peak."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) / 1024


def proportional_MiB(root: int) -> float:
    """Return the memory of a process and its descendants, shared pages counted once."""
    total_kB = 0
    for process in family(root):
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total_kB += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total_kB / 1024


class Watch:
    """Seconds since it was made: of the wall clock, of this process, of its descendants."""

    def __init__(self) -> None:
        self._family = family(os.getpid())
        self._own = time.process_time()
        self._wall = time.perf_counter()

    @property
    def wall_s(self) -> float:
        """Seconds by the clock on the wall."""
        return time.perf_counter() - self._wall

    @property
    def own_s(self) -> float:
        """Processor seconds of this process."""
        return time.process_time() - self._own

    @property
    def others_s(self) -> float:
        """Processor seconds of living descendants; those that ended meanwhile are not seen."""
        me = os.getpid()
        return sum(
            seconds - self._family.get(process, 0.0)
            for process, seconds in family(me).items()
            if process != me
        )
