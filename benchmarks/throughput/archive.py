"""Table and picture: what one evaluation costs the controller as the archive grows.

The controller, the archive and the SQLite ledger with a sync at every append are real; oracle and
proposer cost nothing and run in this process, so what is measured is the loop alone.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.controller_throughput import FreeExecutor, make_plan
from benchmarks.throughput.processes import memory_MiB
from benchmarks.throughput.tables import print_kept, progress_bar, save, table

from heuresis.engine.controller import Controller
from heuresis.ledger import SQLiteLedger
from heuresis.records import Record

MILLION = 1_000_000
MARKS_PER_DECADE = (1, 2, 5)
BATCHES = ((32, 1), (1, 64))
"""(candidates per task, workers): a cheap oracle that batches, many slots of a dear one."""
SHORT = 20_000


class Mark(Record):
    """What the evaluations since the mark before cost, and how much memory there is now."""

    settled: int
    evaluations: int
    """Since the mark before."""
    wall_s: float
    processor_s: float
    memory_MiB: float

    @property
    def wall_ms(self) -> float:
        """Time per evaluation."""
        return 1000 * self.wall_s / self.evaluations

    @property
    def processor_ms(self) -> float:
        """Processor time per evaluation."""
        return 1000 * self.processor_s / self.evaluations


class Marker:
    """A tracker that takes a mark at each of some sizes; the executor's own time is left out."""

    def __init__(
        self,
        sizes: Sequence[int],
        executor: FreeExecutor,
        progress: Callable[[int], None],
        marked: Callable[[Sequence[Mark]], None],
    ) -> None:
        self.marks: list[Mark] = []
        self._marked = marked
        self._sizes = list(sizes)
        self._executor = executor
        self._progress = progress
        self._settled = 0
        self._before = self._clocks()

    def _clocks(self) -> tuple[int, float, float]:
        free = self._executor
        return (
            self._settled,
            time.perf_counter() - free.seconds,
            time.process_time() - free.processor_seconds,
        )

    def record(self, entries: Any) -> None:
        self._settled += sum(entry.event.kind == "settled" for entry in entries)
        self._progress(self._settled)
        if not self._sizes or self._settled < self._sizes[0]:
            return
        while self._sizes and self._settled >= self._sizes[0]:
            self._sizes.pop(0)
        now = self._clocks()
        settled, wall, processor = (b - a for a, b in zip(self._before, now, strict=True))
        gc.collect()
        self.marks.append(
            Mark(
                settled=self._settled,
                evaluations=int(settled),
                wall_s=wall,
                processor_s=processor,
                memory_MiB=memory_MiB(),
            )
        )
        self._marked(self.marks)
        self._before = self._clocks()

    def finish(self, status: str) -> None: ...


def sizes_up_to(largest: int) -> list[int]:
    """Return 1,000, 2,000, 5,000, 10,000 … up to a size, which is the last."""
    sizes = [m * 10**decade for decade in range(3, 12) for m in MARKS_PER_DECADE]
    return [*(size for size in sizes if size < largest), largest]


def measure(
    largest: int,
    *,
    batch: int,
    workers: int,
    what: str,
    marked: Callable[[Sequence[Mark]], None] = lambda _: None,
) -> list[Mark]:
    """Run a campaign of so many evaluations; return its marks, show them as they are taken."""
    plan = make_plan(largest, batch=batch, workers=workers)
    with tempfile.TemporaryDirectory(prefix="throughput-") as name:
        path = Path(name) / "ledger.sqlite"
        with (
            closing(SQLiteLedger.open(path, create=True)) as ledger,
            progress_bar(what, largest) as progress,
        ):
            executor = FreeExecutor()
            marker = Marker(sizes_up_to(largest), executor, progress, marked)
            controller = Controller(plan, ledger, executor, [marker], now=time.time)
            controller.replay()
            controller.run()
    return marker.marks


def slope(sizes: Sequence[float], values: Sequence[float], weights: Sequence[float]) -> float:
    """Return the rise of a weighted straight line, per candidate."""
    x, y, w = (np.asarray(each, dtype=float) for each in (sizes, values, weights))
    centred = x - np.average(x, weights=w)
    return float((w * centred * y).sum() / (w * centred**2).sum())


def slopes(marks: Sequence[Mark]) -> tuple[float, float]:
    """Return how an evaluation's processor time grows (µs per million), and bytes per candidate.

    Times belong to the middle of the stretch that they were measured over, and count by its length.
    """
    middles = [mark.settled - mark.evaluations / 2 for mark in marks]
    time_ms = slope(middles, [m.processor_ms for m in marks], [m.evaluations for m in marks])
    memory = slope([m.settled for m in marks], [m.memory_MiB for m in marks], [1.0] * len(marks))
    return 1000 * time_ms * MILLION, memory * 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--largest", type=int, default=MILLION, help="candidates in the archive")


def run(options: argparse.Namespace) -> None:
    largest, short = (2000, 1000) if options.quick else (options.largest, SHORT)
    # The short ones first: who stops the long one has what it measured so far.
    other = {
        f"{batch} x {workers}": measure(
            short, batch=batch, workers=workers, what=f"tasks of {batch}, {workers} workers"
        )
        for batch, workers in BATCHES
    }

    def keep(grown: Sequence[Mark]) -> None:
        save(
            "archive",
            {
                "marks": [mark.model_dump() for mark in grown],
                "batches": {name: [m.model_dump() for m in marks] for name, marks in other.items()},
            },
            rendered(grown, other),
            options.output,
        )

    measure(largest, batch=32, workers=1, what="growing archive", marked=keep)
    print_kept("archive", options.output)


def rendered(grown: Sequence[Mark], other: dict[str, list[Mark]]) -> str:
    """Return the tables in Markdown, and what they say of growth."""
    lines = [
        [
            f"{mark.settled:,}",
            f"{1000 / mark.wall_ms:,.0f}",
            f"{mark.wall_ms:.3f} ms",
            f"{mark.processor_ms:.3f} ms",
            f"{mark.memory_MiB:.0f} MiB",
        ]
        for mark in grown
    ]
    heads = ["candidates", "settled per second", "time each", "processor each", "memory"]
    text = table(heads, lines)
    if len(grown) > 1:
        microseconds, size = slopes(grown)
        text += (
            f"\nProcessor time of an evaluation: {microseconds:+.1f} µs per million candidates"
            f" before it. A candidate takes {size:.0f} bytes of memory.\n"
        )
    lines = []
    for name, marks in other.items():
        evaluations = sum(mark.evaluations for mark in marks)
        wall_s = sum(mark.wall_s for mark in marks)
        processor_s = sum(mark.processor_s for mark in marks)
        batch, _, workers = name.partition(" x ")
        lines.append(
            [
                batch, workers, f"{evaluations / wall_s:,.0f}",
                f"{1000 * wall_s / evaluations:.3f} ms",
                f"{1000 * processor_s / evaluations:.3f} ms",
            ]
        )  # fmt: skip
    heads = ["candidates per task", "workers", "settled per second", "time each", "processor each"]
    return f"{text}\n{table(heads, lines)}"


def draw(marks: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw time per evaluation and memory against the size of the archive."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "heuresis"  # the same figures give the same file
    import matplotlib.pyplot as plt

    found = [Mark.model_validate(mark) for mark in marks]
    sizes = [mark.settled for mark in found]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
    left.plot(sizes, [m.wall_ms for m in found], "o-", color="#c1440e", label="by the clock")
    left.plot(sizes, [m.processor_ms for m in found], "o-", color="#0b6e99", label="processor")
    left.set_ylabel("ms per settled evaluation")
    left.set_yscale("log")
    left.axhline(2.0, color="#888888", linewidth=1, linestyle="--", label="goal: 2 ms")
    left.legend(fontsize=8, frameon=False)
    left.set_xscale("log")
    right.plot(sizes, [m.memory_MiB for m in found], "o-", color="#3f7d20")
    right.set_ylabel("memory of the controller, MiB")
    right.set_ylim(bottom=0)
    for axis in (left, right):
        axis.set_xlabel("candidates in the archive")
        axis.grid(alpha=0.25)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
