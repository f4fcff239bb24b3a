"""What the ledger costs: appending, resuming, memory.

Run: .venv/bin/python benchmarks/ledger.py [--events 100000] [--sizes 10000 100000 400000]
         [--postgresql URL]

Appending: real events of a campaign, in batches of several sizes, every batch synced to the disk;
the time of a bare sync of this disk, measured in the same run, stands beside it. Resuming: the
ledger of a campaign with so many events is opened for writing, its lease taken, every checksum
checked, the state folded, and the next decision made. Memory: peak of fresh processes that read,
append or fold ledgers of several sizes, each less a process that does so with an empty one.

``--postgresql`` measures appending and reading there too; a password comes from the environment.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from controller_throughput import FreeExecutor, make_plan

from heuresis.engine.controller import Controller
from heuresis.engine.decisions import next_decision
from heuresis.engine.state import CampaignState
from heuresis.events import Entry
from heuresis.ledger import SQLiteLedger
from heuresis.ledger.journal import JournalLedger
from heuresis.ledger.verification import verify_sqlite
from heuresis.report.projections import CampaignView

BATCHES = (1, 8, 64, 512)
SECONDS_PER_BATCH_SIZE = 4.0
FOR_EVER = 10**9


class LongEnough(Exception):  # noqa: N818 - no error
    """The ledger has as many events as were wanted."""


class Until:
    """Ends a campaign when its ledger is long enough."""

    def __init__(self, events: int) -> None:
        self.events = events

    def record(self, entries: list[Entry]) -> None:
        if entries[-1].sequence >= self.events:
            raise LongEnough

    def finish(self, status: str) -> None: ...


def write_campaign(path: Path, events: int) -> None:
    """Write the ledger of a campaign whose oracles cost nothing."""
    with closing(SQLiteLedger.open(path, create=True)) as ledger:
        ledger._query("PRAGMA synchronous=OFF")  # not what is measured here
        controller = Controller(
            make_plan(FOR_EVER), ledger, FreeExecutor(), [Until(events)], now=time.time
        )
        try:
            controller.replay()
            controller.run()
        except LongEnough:
            return


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
    open_ledger: Callable[[int], JournalLedger], entries: list[Entry], folder: Path
) -> None:
    for batch in BATCHES:
        with closing(open_ledger(batch)) as ledger:
            sync = sync_ms(folder)
            watch, done = Watch(), 0
            for chunk in batches(entries, batch):
                ledger.append(chunk)
                done += len(chunk)
                if watch.wall_s > SECONDS_PER_BATCH_SIZE:
                    break
            wall_s, processor_s = watch.wall_s, watch.processor_s
        print(
            f"  batch {batch:4}: {done / wall_s:8.0f} events/s;"
            f" {1000 * wall_s * batch / done:.2f} ms per append, a bare sync {sync:.2f} ms;"
            f" {1e6 * processor_s / done:.0f} µs of processor per event",
            flush=True,
        )


class Watch:
    """Wall and processor seconds since it was made; on a busy machine they differ."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    @property
    def wall_s(self) -> float:
        return time.perf_counter() - self._wall

    @property
    def processor_s(self) -> float:
        return time.process_time() - self._processor

    def says(self, events: int) -> str:
        wall_s, processor_s = self.wall_s, self.processor_s
        return (
            f"{events} events in {wall_s:.2f} s ({events / wall_s:.0f} per second),"
            f" {processor_s:.2f} s of processor"
        )


def batches(entries: list[Entry], size: int) -> Iterator[list[Entry]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]


def resume(path: Path) -> None:
    watch = Watch()
    with closing(SQLiteLedger.open(path)) as ledger:
        controller = Controller(make_plan(FOR_EVER), ledger, FreeExecutor(), now=time.time)
        controller.replay()
        next_decision(controller.plan, controller.state)
        print(f"  ready to go on: {watch.says(ledger.last_sequence)}", flush=True)
        watch = Watch()
        for _ in ledger.read():
            pass
        print(f"  reading alone: {watch.says(ledger.last_sequence)}", flush=True)
    watch = Watch()
    findings = verify_sqlite(path)
    assert findings.is_good
    print(f"  heuresis verify: {watch.says(findings.entries)}", flush=True)


# -- memory: each measured in a process of its own ----------------------------------------------


def do(what: str, path: Path) -> None:
    if what == "append":
        with closing(SQLiteLedger.open(path, read_only=True)) as source:
            copy = path.with_name(f"{path.name}.copy")
            with closing(SQLiteLedger.open(copy, create=True)) as target:
                target._query("PRAGMA synchronous=OFF")
                entries = source.read()
                while chunk := list(itertools.islice(entries, 64)):
                    target.append(chunk)
        return
    with closing(SQLiteLedger.open(path, read_only=True)) as ledger:
        if what == "read":
            for _ in ledger.read():
                pass
        elif what == "show":
            CampaignView().apply_all(ledger.read())
        else:
            state = CampaignState(make_plan(FOR_EVER))
            state.apply_all(entry.event for entry in ledger.read())


def peak_mib(what: str, path: Path) -> float:
    done = subprocess.run(
        [sys.executable, __file__, "--child", what, str(path)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(done.stdout)


def memory(folder: Path, sizes: list[int]) -> None:
    empty = folder / "empty.sqlite"
    write_campaign(empty, 0)
    print("  " + "events".rjust(9) + "".join(name.rjust(12) for name in WHATS))
    for size in sizes:
        path = folder / f"{size}.sqlite"
        if not path.exists():
            write_campaign(path, size)
        grown = [peak_mib(what, path) - peak_mib(what, empty) for what in WHATS]
        print(f"  {size:9}" + "".join(f"{mib:8.1f} MiB" for mib in grown), flush=True)


WHATS = ("read", "append", "show", "resume")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 400_000])
    parser.add_argument("--postgresql", metavar="URL")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        do(arguments.child[0], Path(arguments.child[1]))
        # Not getrusage: its peak includes what the parent had when it started this process.
        status = Path("/proc/self/status").read_text()
        print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / f"{arguments.events}.sqlite"
        write_campaign(path, arguments.events)
        with closing(SQLiteLedger.open(path, read_only=True)) as ledger:
            entries = list(itertools.islice(ledger.read(), 60_000))
        print("appending, SQLite:")
        append_rates(
            lambda batch: SQLiteLedger.open(folder / f"b{batch}.sqlite", create=True),
            entries,
            folder,
        )
        if arguments.postgresql:
            from heuresis.ledger.location import chosen_url
            from heuresis.ledger.postgresql import PostgreSQLLedger

            url = chosen_url(arguments.postgresql)
            assert url is not None
            stamp = f"{int(time.time()):x}"
            print("appending, PostgreSQL:")
            append_rates(
                lambda batch: PostgreSQLLedger.open(url, f"bench-{stamp}-{batch}", create=True),
                entries,
                folder,
            )
            with closing(PostgreSQLLedger.open(url, f"bench-{stamp}-512")) as there:
                watch = Watch()
                print(f"  reading alone: {watch.says(sum(1 for _ in there.read()))}")
        del entries
        print("resuming:")
        resume(path)
        print("peak memory above that with an empty ledger:")
        memory(folder, arguments.sizes)


if __name__ == "__main__":
    main()
