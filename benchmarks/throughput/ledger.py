"""Tables: what a ledger costs: appending, resuming from cold, memory.

Appending: real events of a campaign in batches of several sizes, every batch synced to the disk
before the append returns; the time of a bare sync of that disk stands beside it. Resuming: a fresh
process opens the ledger of so many events for writing, takes the lease, checks every checksum,
folds the state and decides what is next; the file was put out of the system's cache before, as far
as the system lets go of it. Memory: peak of fresh processes, less that of one with an empty ledger.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.controller_throughput import FreeExecutor, make_plan
from benchmarks.throughput.processes import Watch, memory_MiB
from benchmarks.throughput.tables import print_kept, progress_bar, save, table

from heuresis.engine.controller import Controller
from heuresis.engine.decisions import next_decision
from heuresis.events import Entry
from heuresis.ledger import SQLiteLedger
from heuresis.ledger.journal import JournalLedger
from heuresis.ledger.verification import verify_sqlite
from heuresis.report.projections import CampaignView

ROOT = Path(__file__).parents[2]
BATCHES = (1, 8, 64, 512)
SECONDS_PER_BATCH_SIZE = 4.0
EVENTS_APPENDED = 60_000
FOR_EVER = 10**9
Figures = dict[str, float]


class LongEnough(Exception):  # noqa: N818 - no error
    """The ledger has as many events as were wanted."""


class Until:
    """Ends a campaign when its ledger is long enough."""

    def __init__(self, events: int, progress: Callable[[int], None]) -> None:
        self._events = events
        self._progress = progress

    def record(self, entries: list[Entry]) -> None:
        self._progress(entries[-1].sequence)
        if entries[-1].sequence >= self._events:
            raise LongEnough

    def finish(self, status: str) -> None: ...


def write_campaign(path: Path, events: int) -> Figures:
    """Write the ledger of a campaign whose oracles cost nothing; not synced, only the code."""
    with (
        closing(SQLiteLedger.open(path, create=True)) as ledger,
        progress_bar(f"writing {events:,} events", events) as progress,
    ):
        ledger._query("PRAGMA synchronous=OFF")
        controller = Controller(
            make_plan(FOR_EVER), ledger, FreeExecutor(), [Until(events, progress)], now=time.time
        )
        watch = Watch()
        with contextlib.suppress(LongEnough):
            controller.replay()
            controller.run()
        return {"wall_s": watch.wall_s, "processor_s": watch.own_s, "events": ledger.last_sequence}


def sync_ms(folder: Path) -> float:
    """Return how long this disk takes to sync 4 KiB, milliseconds; the middle of fifty."""
    times = []
    with (folder / "sync").open("wb") as file:
        for _ in range(50):
            start = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return 1000 * sorted(times)[25]


def append_rates(
    what: str,
    open_ledger: Callable[[int], JournalLedger],
    entries: list[Entry],
    folder: Path,
    seconds: float,
) -> list[Figures]:
    """Append in batches of each size for some seconds."""
    found = []
    for batch in BATCHES:
        with (
            closing(open_ledger(batch)) as ledger,
            progress_bar(f"{what}, batches of {batch}", len(entries)) as progress,
        ):
            bare_ms = sync_ms(folder)
            watch, done = Watch(), 0
            for chunk in batches(entries, batch):
                ledger.append(chunk)
                done += len(chunk)
                progress(done)
                if watch.wall_s > seconds:
                    break
            found.append(
                {
                    "batch": batch,
                    "events": done,
                    "wall_s": watch.wall_s,
                    "processor_s": watch.own_s,
                    "sync_ms": bare_ms,
                }
            )
    return found


def batches(entries: list[Entry], size: int) -> Iterator[list[Entry]]:
    """Yield entries in lists of a size; the last may be shorter."""
    for start in range(0, len(entries), size):
        yield entries[start : start + size]


# -- in processes of their own ------------------------------------------------------------------


def resume(path: Path) -> Figures:
    """Open for writing, fold, decide."""
    watch = Watch()
    with closing(SQLiteLedger.open(path)) as ledger:
        controller = Controller(make_plan(FOR_EVER), ledger, FreeExecutor(), now=time.time)
        controller.replay()
        next_decision(controller.plan, controller.state)
        return {"wall_s": watch.wall_s, "processor_s": watch.own_s, "events": ledger.last_sequence}


def read(path: Path) -> Figures:
    """Read and check every entry."""
    watch = Watch()
    with closing(SQLiteLedger.open(path, read_only=True)) as ledger:
        events = sum(1 for _ in ledger.read())
    return {"wall_s": watch.wall_s, "processor_s": watch.own_s, "events": events}


def show(path: Path) -> Figures:
    """Fold what ``heuresis show`` shows."""
    watch = Watch()
    with closing(SQLiteLedger.open(path, read_only=True)) as ledger:
        CampaignView().apply_all(ledger.read())
        return {"wall_s": watch.wall_s, "processor_s": watch.own_s, "events": ledger.last_sequence}


def verify(path: Path) -> Figures:
    """Do what ``heuresis verify`` does."""
    watch = Watch()
    findings = verify_sqlite(path)
    assert findings.is_good, findings.problems
    return {"wall_s": watch.wall_s, "processor_s": watch.own_s, "events": findings.entries}


def append(path: Path) -> Figures:
    """Copy the ledger, 64 entries at a time, without syncs."""
    copy = path.with_name(f"{path.name}.copy")
    watch = Watch()
    with closing(SQLiteLedger.open(path, read_only=True)) as source:
        with closing(SQLiteLedger.open(copy, create=True)) as target:
            target._query("PRAGMA synchronous=OFF")
            entries = source.read()
            while chunk := list(itertools.islice(entries, 64)):
                target.append(chunk)
        events = source.last_sequence
    copy.unlink()
    return {"wall_s": watch.wall_s, "processor_s": watch.own_s, "events": events}


READINGS: dict[str, Callable[[Path], Figures]] = {
    "resume": resume, "read": read, "verify": verify, "show": show, "append": append,
}  # fmt: skip


def put_out_of_cache(path: Path) -> None:
    """Ask the system to forget what it holds of a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def alone(what: str, path: Path) -> Figures:
    """Do a reading in a fresh process; return its figures and its peak memory."""
    put_out_of_cache(path)
    command = [sys.executable, "-m", "benchmarks.throughput.ledger", what, str(path)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: Figures = json.loads(done.stdout)
    return found


def child(what: str, path: str) -> None:
    """Be the fresh process."""
    figures = READINGS[what](Path(path))
    # Not getrusage: its peak includes what the parent had when it started this process.
    print(json.dumps(figures | {"peak_MiB": memory_MiB(field="VmHWM")}))


# -- the command --------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--events", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="to resume"
    )
    parser.add_argument(
        "--postgresql", metavar="URL", help="appends and reads there too; 'start' starts a server"
    )


def run(options: argparse.Namespace) -> None:
    sizes = [500] if options.quick else sorted(options.events)
    seconds = 0.2 if options.quick else SECONDS_PER_BATCH_SIZE
    readings = list(READINGS)[: 2 if options.quick else None]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="throughput-")))
        result: dict[str, Any] = {"written": {}, "readings": {}, "append": {}}
        for size in [0, *sizes]:
            written = write_campaign(folder / f"{size}.sqlite", size)
            if size:
                result["written"][str(size)] = written
        with closing(SQLiteLedger.open(folder / f"{sizes[-1]}.sqlite", read_only=True)) as ledger:
            entries = list(itertools.islice(ledger.read(), EVENTS_APPENDED))
        result["append"]["SQLite"] = append_rates(
            "SQLite",
            lambda batch: SQLiteLedger.open(folder / f"b{batch}.sqlite", create=True),
            entries, folder, seconds,
        )  # fmt: skip
        if options.postgresql:
            result |= postgresql(options.postgresql, entries, folder, seconds, result, stack)
        del entries
        for size in [0, *sizes]:
            result["readings"][str(size)] = {
                what: alone(what, folder / f"{size}.sqlite") for what in readings
            }
        save("ledger", result, rendered(result), options.output)
    print_kept("ledger", options.output)


def postgresql(
    where: str,
    entries: list[Entry],
    folder: Path,
    seconds: float,
    result: dict[str, Any],
    stack: contextlib.ExitStack,
) -> dict[str, Any]:
    """Append to PostgreSQL and read it back."""
    from heuresis.ledger.location import chosen_url, parse_url
    from heuresis.ledger.postgresql import PostgreSQLLedger

    if where == "start":
        sys.path.append(str(ROOT / "tests" / "helpers"))
        from postgres_server import binaries, running_server

        if binaries() is None:
            raise SystemExit("PostgreSQL is not installed; give the URL of a server instead")
        where = stack.enter_context(running_server())
        url = parse_url(where, "the server")
    else:
        chosen = chosen_url(where)
        assert chosen is not None
        url = chosen
    stamp = f"{int(time.time()):x}"

    def open_ledger(batch: int) -> JournalLedger:
        return PostgreSQLLedger.open(url, f"bench-{stamp}-{batch}", create=True)

    rates = append_rates("PostgreSQL", open_ledger, entries, folder, seconds)
    with closing(PostgreSQLLedger.open(url, f"bench-{stamp}-{BATCHES[-1]}")) as there:
        watch = Watch()
        events = sum(1 for _ in there.read())
        reading = {"wall_s": watch.wall_s, "processor_s": watch.own_s, "events": events}
    return {
        "append": result["append"] | {"PostgreSQL": rates},
        "postgresql_read": reading,
    }


def rendered(result: dict[str, Any]) -> str:
    """Return the tables in Markdown."""
    lines: list[list[object]] = [
        [
            database,
            int(one["batch"]),
            f"{one['events'] / one['wall_s']:,.0f}",
            f"{1000 * one['wall_s'] * one['batch'] / one['events']:.2f} ms",
            f"{1e6 * one['processor_s'] / one['events']:.0f} µs",
            f"{one['sync_ms']:.2f} ms",
        ]
        for database, rates in result["append"].items()
        for one in rates
    ]
    text = table(
        ["database", "events per append", "events/s", "an append", "processor per event",
         "a bare sync"],
        lines,
    )  # fmt: skip
    lines = []
    empty = result["readings"]["0"]
    for size, readings in result["readings"].items():
        for what, found in readings.items():
            if size == "0":
                continue
            lines.append(
                [
                    f"{int(found['events']):,}", what, f"{found['wall_s']:.2f} s",
                    f"{found['processor_s']:.2f} s",
                    f"{1e6 * found['processor_s'] / found['events']:.0f} µs",
                    f"{found['peak_MiB'] - empty[what]['peak_MiB']:.1f} MiB",
                ]
            )  # fmt: skip
    heads = ["events", "", "time", "processor", "processor per event", "memory above an empty one"]
    text += f"\n{table(heads, lines)}"
    reading = result.get("postgresql_read")
    if reading:
        text += (
            f"\nPostgreSQL, {int(reading['events']):,} events read and checked:"
            f" {reading['wall_s']:.2f} s, {reading['processor_s']:.2f} s of processor here.\n"
        )
    return text


if __name__ == "__main__":
    child(*sys.argv[1:3])
