"""Command line of the benchmark: ``python -m benchmarks.pmo run | table | plot``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.pmo.configuration import Configuration, choose_tasks, load_configuration, names
from benchmarks.pmo.plot import draw
from benchmarks.pmo.reference import Reference, load_reference, shipped_reference
from benchmarks.pmo.runs import ROOT, Run, run_all
from benchmarks.pmo.table import Configured, Result, comparison, own_table

from heuresis.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command continues", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pmo", description="PMO: sample efficiency of a search."
    )
    commands = parser.add_subparsers(required=True, metavar="run | table | plot")
    run = commands.add_parser("run", help="run tasks x seeds, then print the table")
    run.set_defaults(command=_run)
    table = commands.add_parser("table", help="print the tables of what has been run")
    table.set_defaults(command=_table)
    plot = commands.add_parser("plot", help="draw learning curves, a panel per task")
    plot.set_defaults(command=_plot)
    for one in (run, table, plot):
        one.add_argument(
            "configurations", nargs="+", metavar="CONFIGURATION",
            help=f"one of {', '.join(names())}, or the path of a campaign file",
        )  # fmt: skip
        one.add_argument(
            "--tasks", nargs="+", default=["all"], metavar="TASK",
            help="names, 'all' (20) or 'tuning' (zaleplon_mpo and perindopril_mpo)",
        )  # fmt: skip
        one.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], metavar="SEED")
        one.add_argument("--calls", type=int, default=10_000, help="budget of a run")
        one.add_argument(
            "--area",
            type=int,
            metavar="CALLS",
            help="the area is over so many calls, with the last value held; default: as --calls",
        )
        one.add_argument(
            "--library", type=Path, metavar="FILE",
            help="zinc250k.smi.gz: read by proposers, and the world of the filtered readings",
        )  # fmt: skip
        one.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes")
        one.add_argument(
            "--output", type=Path, default=ROOT / "runs" / "pmo", help="call logs and readings"
        )
        one.add_argument(
            "--scratch", type=Path,
            help="run folders with their ledgers, best on a fast disk; default: as --output",
        )  # fmt: skip
    run.add_argument("--processes", type=int, default=max(1, os.cpu_count() or 1))
    run.add_argument(
        "--discard", action="store_true", help="remove ledgers once the call log is written"
    )
    plot.add_argument("--figure", type=Path, help="default: OUTPUT/learning-curves.png")
    return parser


def _configurations(options: argparse.Namespace) -> list[Configuration]:
    return [
        load_configuration(name, library=options.library, changes=options.changes)
        for name in options.configurations
    ]


def _runs(options: argparse.Namespace, configuration: Configuration) -> list[Run]:
    return [
        Run(configuration, task, seed, options.output, options.scratch or options.output)
        for task in choose_tasks(options.tasks)
        for seed in options.seeds
    ]


def _run(options: argparse.Namespace) -> int:
    runs = [run for one in _configurations(options) for run in _runs(options, one)]
    complaints = run_all(
        runs,
        calls=options.calls,
        processes=options.processes,
        discard=options.discard,
        say=lambda line: print(line, flush=True),
    )
    _table(options)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


def _reference(options: argparse.Namespace) -> Reference:
    if options.library is None:
        return shipped_reference()
    return load_reference(options.library, options.output / "zinc250k-world.npz")


def _table(options: argparse.Namespace) -> int:
    reference = _reference(options)
    area = options.area or options.calls
    found = []
    for configuration in _configurations(options):
        runs = _runs(options, configuration)
        ended = [run for run in runs if run.ended(options.calls)]
        for run in runs:
            if run not in ended:
                print(f"not ended: {run.title}", file=sys.stderr)
        results = tuple(
            Result(summary, run.readings(area, reference))
            for run in ended
            if (summary := run.summary()) is not None
        )
        if results:
            found.append(Configured(configuration.name, configuration.honesty, results))
    if not found:
        print("no run has ended")
        return 1
    if area > options.calls:
        print(
            f"\nRuns of {options.calls:,} calls, areas over {area:,} with the last value held: what"
            " the search would have found in the rest is left out, so areas are lower bounds."
        )
    for configured in found:
        print(f"\n{own_table(configured)}")
    print(f"\n{comparison(found, area)}")
    return 0


def _plot(options: argparse.Namespace) -> int:
    curves: dict[str, dict[str, list[list[float]]]] = {}
    for configuration in _configurations(options):
        by_task = curves.setdefault(configuration.name, {})
        for run in _runs(options, configuration):
            if run.ended(options.calls):
                scores = [call.counted for call in run.calls()]
                by_task.setdefault(run.task, []).append(scores)
    if not any(curves.values()):
        print("no run has ended")
        return 1
    figure = options.figure or options.output / "learning-curves.png"
    longest = max(
        len(run) for by_task in curves.values() for runs in by_task.values() for run in runs
    )
    draw(curves, longest, figure)
    print(figure)
    return 0


if __name__ == "__main__":
    sys.exit(main())
