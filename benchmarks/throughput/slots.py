"""Table: how busy slots are kept that need no processor, and by whom."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.throughput import sides
from benchmarks.throughput.sides import Took
from benchmarks.throughput.tables import print_kept, progress_bar, save, table

SIDES = ("local", "ray", "processes", "actor-pool", "colmena")
ON_RAY = ("ray", "actor-pool")
FREE_TASKS = 4000
"""Tasks of no length that are run instead of a span of sleep."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=0.1, help="that a task sleeps")
    parser.add_argument("--span", type=float, help="seconds that each side would take at least")
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument(
        "--ray-slots", type=int, default=16,
        help="slots of the sides on Ray: an actor takes 100 MiB and a second of processor to start",
    )  # fmt: skip
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES[:-1])
    parser.add_argument(
        "--colmena", type=Path, metavar="PYTHON",
        help="interpreter of a virtual environment with Colmena: compares with it too",
    )  # fmt: skip


def run(options: argparse.Namespace) -> None:
    seconds = options.seconds
    chosen: list[str] = list(options.sides)
    if options.colmena is not None and "colmena" not in chosen:
        chosen.append("colmena")
    if options.quick:
        options.slots, options.ray_slots, chosen = 4, 2, [n for n in chosen if n not in ON_RAY]
    span = options.span or (1.0 if options.quick else 15.0 if seconds < 1.0 else 40.0)
    rows: list[Took] = []
    with tempfile.TemporaryDirectory(prefix="throughput-") as name:
        for side in chosen:
            slots = options.ray_slots if side in ON_RAY else options.slots
            tasks = number_of_tasks(slots, seconds, span, quick=options.quick)
            rows.append(_one(side, slots, seconds, tasks, options.colmena, Path(name)))
            # Each at once: who stops the command has what it measured so far.
            save(
                f"slots-{seconds:g}s", {"rows": [row.model_dump() for row in rows]},
                rendered(rows), options.output,
            )  # fmt: skip
    print_kept(f"slots-{seconds:g}s", options.output)


def number_of_tasks(slots: int, seconds: float, span_s: float, *, quick: bool) -> int:
    """Return how many tasks fill a span; a whole number per slot, so that none ends alone."""
    if seconds == 0.0:
        return FREE_TASKS // (20 if quick else 1)
    return slots * max(2, round(span_s / seconds))


def _one(
    side: str, slots: int, seconds: float, tasks: int, interpreter: Path | None, folder: Path
) -> Took:
    with progress_bar(f"{side}, {slots} slots", tasks) as progress:
        if side in ("local", "ray"):
            return sides.ours(side, slots, seconds, tasks, progress, folder)
        if side == "processes":
            return sides.processes(slots, seconds, tasks, progress, folder)
        if side == "actor-pool":
            return sides.actor_pool(slots, seconds, tasks, progress, folder)
        if interpreter is None:
            raise SystemExit("--sides colmena needs --colmena PYTHON")
        return sides.colmena(interpreter, slots, seconds, tasks)


def rendered(rows: Sequence[Took]) -> str:
    """Return the table in Markdown."""
    sleeping = rows[0].seconds > 0.0
    heads = ["", "slots", "tasks", "seconds"]
    heads += ["slots busy", "by the ledger"] if sleeping else []
    heads += ["tasks/s", "processor per task: deciding", "all others", "memory", "start"]
    lines = []
    for row in rows:
        line = [row.side, row.slots, f"{row.tasks:,}", f"{row.wall_s:.1f}"]
        if sleeping:
            share = "" if row.ledger_share is None else f"{row.ledger_share:.3f}"
            line += [f"**{row.useful_share:.3f}**", share]
        line += [
            f"{row.tasks / row.wall_s:.0f}",
            f"{1000 * row.own_s / row.tasks:.2f} ms",
            f"{1000 * row.others_s / row.tasks:.2f} ms",
            f"{row.memory_MiB / 1024:.1f} GiB",
            f"{row.started_s:.0f} s",
        ]
        lines.append(line)
    return table(heads, lines)
