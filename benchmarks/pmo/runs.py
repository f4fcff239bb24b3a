"""Tasks × seeds in parallel processes, each an ordinary campaign with its own ledger.

A run is a folder with a ledger; when its campaign has ended, a call log and a summary stand beside
it, and it is not repeated. A run that was killed continues from its ledger. A run that ended with a
smaller budget is granted more and continues, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.pmo.call_log import Call, read_calls
from benchmarks.pmo.configuration import Configuration
from benchmarks.pmo.readings import Readings, read
from benchmarks.pmo.reference import Reference

from heuresis.errors import RunError
from heuresis.records import Record, content_id

ROOT = Path(__file__).parents[2]


class Summary(Record):
    """What is kept of a run beside its calls."""

    configuration: str
    identity: str
    task: str
    seed: int
    calls: int
    budget: int
    finished: str
    wall_s: float
    """Running time over all sessions; on a busy machine much more than the work."""
    processor_s: float | None
    """Processor seconds of the process over all sessions; None: a session was killed."""
    plugin_s: dict[str, float]
    """Processor seconds inside plug-ins: propose, learn, measure."""
    proposed: int
    rejected: dict[str, int]
    operators: dict[str, int]
    versions: dict[str, str]


@dataclass(frozen=True)
class Run:
    """One task with one seed in one configuration, and where it is kept."""

    configuration: Configuration
    task: str
    seed: int
    output: Path
    scratch: Path
    """Where run folders are: on a fast disk, for the ledger waits for it at every append."""

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"{self.configuration.name} {self.task} seed {self.seed}"

    def _beside(self, ending: str) -> Path:
        return self.output / self.configuration.name / f"{self.task}-{self.seed}{ending}"

    @property
    def folder(self) -> Path:
        """The campaign's run folder."""
        return self.scratch / self.configuration.name / f"{self.task}-{self.seed}"

    @property
    def log(self) -> Path:
        """The call log."""
        return self._beside(".csv.gz")

    @property
    def summary_file(self) -> Path:
        """The summary, written last: where it is, the run has ended."""
        return self._beside(".json")

    def summary(self) -> Summary | None:
        """Return the summary of a run that has ended, None for another.

        Raises:
            RunError: it was made with another version of the configuration.
        """
        if not self.summary_file.is_file():
            return None
        summary = Summary.model_validate_json(self.summary_file.read_text(encoding="utf-8"))
        if summary.identity != self.configuration.identity:
            raise RunError(
                f"{self.summary_file} was made with another version of the configuration"
                f" '{self.configuration.name}'; choose another --output, or move it away"
            )
        return summary

    def ended(self, calls: int) -> bool:
        """Return whether the run has made so many calls, or all that it could."""
        summary = self.summary()
        return summary is not None and (
            summary.calls >= calls or summary.finished.startswith("exhausted")
        )

    def calls(self) -> list[Call]:
        """Return the calls of a run that has ended."""
        return read_calls(self.log)

    def readings(self, budget: int, reference: Reference) -> Readings:
        """Return the readings, kept beside the log: diversity takes some seconds to work out."""
        key = content_id(
            str(budget), reference.in_words(), str(self.log.stat().st_size), self.log.name
        )
        store = self._beside(".readings.json")
        if store.is_file() and store.stat().st_mtime >= self.log.stat().st_mtime:
            kept = json.loads(store.read_text(encoding="utf-8"))
            if kept["key"] == key:
                return Readings.model_validate(kept["readings"])
        readings = read(self.calls(), budget=budget, reference=reference)
        document = {"key": key, "readings": readings.model_dump(mode="json")}
        store.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        return readings


def run_all(
    runs: Sequence[Run],
    *,
    calls: int,
    processes: int,
    discard: bool = False,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Bring every run to its end; return one complaint for each that did not get there.

    Args:
        runs: what to run; those that have ended are passed over.
        calls: budget of each.
        processes: how many run at the same time, one thread each.
        discard: remove run folders whose call log is written.
        say: called with one line when a run ends.
    """
    waiting = [run for run in runs if not run.ended(calls)]
    say(f"{len(runs) - len(waiting)} of {len(runs)} runs have ended, {len(waiting)} to do")
    complaints = []
    children: set[subprocess.Popen[bytes]] = set()
    lock = threading.Lock()
    pool = ThreadPoolExecutor(max_workers=processes)
    try:
        futures = {pool.submit(_one, run, calls, discard, children, lock): run for run in waiting}
        for done, future in enumerate(as_completed(futures), 1):
            complaint = future.result()
            say(f"[{done}/{len(waiting)}] {complaint or _in_a_line(futures[future])}")
            if complaint:
                complaints.append(complaint)
    finally:
        # Children hold a line to us and stop when it closes, so that nothing is left running.
        pool.shutdown(wait=False, cancel_futures=True)
        with lock:
            for child in children:
                if child.stdin is not None:
                    child.stdin.close()
        pool.shutdown(wait=True)
    return complaints


def _one(
    run: Run,
    calls: int,
    discard: bool,
    children: set[subprocess.Popen[bytes]],
    lock: threading.Lock,
) -> str | None:
    """Run one campaign in a process of its own; return a complaint or None."""
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    run.log.parent.mkdir(parents=True, exist_ok=True)
    command: dict[str, Any] = {
        "file": str(run.configuration.file.absolute()),
        "folder": str(run.folder.absolute()),
        "overrides": run.configuration.overrides(run.task, run.seed, calls),
        "oracle": run.configuration.oracle,
        "calls": calls,
        "log": str(run.log.absolute()),
        "summary": str(run.summary_file.absolute()),
        "configuration": run.configuration.name,
        "identity": run.configuration.identity,
        "task": run.task,
        "seed": run.seed,
        "discard": discard,
    }
    messages = run.log.parent / f"{run.folder.name}.log"
    with messages.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.pmo.child", json.dumps(command)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={**os.environ, **_one_thread()},
        )
        with lock:
            children.add(child)
        code = child.wait()
    with lock:
        children.discard(child)
        if child.stdin is not None:
            child.stdin.close()
    if code == 0:
        messages.unlink()
        return None
    last = messages.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"{run.title} did not end (code {code}): {last[-1] if last else 'no message'}"


def _one_thread() -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return dict.fromkeys(names, "1")


def _in_a_line(run: Run) -> str:
    summary = run.summary()
    assert summary is not None
    spent = "?" if summary.processor_s is None else f"{summary.processor_s:.0f}"
    return (
        f"{run.title}: {summary.calls} calls, {summary.wall_s:.0f} s ({spent} s of processor),"
        f" {summary.finished}"
    )


def unfinished(runs: Iterable[Run], calls: int) -> list[Run]:
    """Return the runs that have not made so many calls."""
    return [run for run in runs if not run.ended(calls)]
