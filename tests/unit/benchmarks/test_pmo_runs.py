"""The PMO benchmark runs ordinary campaigns, does not repeat itself, and survives a kill."""

from __future__ import annotations

import gzip
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.pmo.configuration import load_configuration
from benchmarks.pmo.runs import Run, run_all

from heuresis.errors import RunError
from heuresis.ledger import SQLiteLedger

ROOT = Path(__file__).parents[3]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "zinc250k.smi.gz"
    rings = ("c1ccccc1", "C1CCOCC1", "c1ccncc1", "C1CCNC1")
    texts = [f"{'C' * n}O{ring}" for n in range(1, 40) for ring in rings]
    path.write_bytes(gzip.compress("\n".join(texts).encode()))
    return path


def run_of(name: str, library: Path, output: Path) -> Run:
    return Run(load_configuration(name, library=library), "median1", 3, output, output / "runs")


def test_a_run_is_made_once_and_continues_when_more_calls_are_granted(
    library: Path, tmp_path: Path
) -> None:
    run = run_of("random", library, tmp_path / "out")
    said: list[str] = []
    assert run_all([run], calls=60, processes=1, say=said.append) == []
    assert said[0] == "0 of 1 runs have ended, 1 to do"
    summary = run.summary()
    assert summary is not None
    assert summary.finished == "budget"
    assert summary.processor_s is not None
    first = run.calls()
    assert len(first) == len({call.smiles for call in first}) == summary.calls == 60
    assert all(call.score is not None and 0.0 <= call.score <= 1.0 for call in first)

    stamp = run.summary_file.stat().st_mtime_ns
    said.clear()
    assert run_all([run], calls=60, processes=1, say=said.append) == []
    assert said == ["1 of 1 runs have ended, 0 to do"]
    assert run.summary_file.stat().st_mtime_ns == stamp

    assert run_all([run], calls=90, processes=1, discard=True, say=said.append) == []
    more = run.calls()
    assert len(more) == 90
    assert more[:60] == first
    assert not run.folder.exists(), "the ledger was to be discarded"
    assert run.ended(90)
    assert not run.ended(91)

    changed = load_configuration("random", library=library, changes=["proposers.0.batch=8"])
    with pytest.raises(RunError, match="another version of the configuration"):
        Run(changed, "median1", 3, tmp_path / "out", tmp_path / "out" / "runs").summary()


@pytest.mark.slow
def test_a_killed_benchmark_stops_its_runs_and_continues_them(
    library: Path, tmp_path: Path
) -> None:
    whole = run_of("graph-moves", library, tmp_path / "whole")
    assert run_all([whole], calls=150, processes=1) == []
    killed = run_of("graph-moves", library, tmp_path / "killed")
    command = [
        sys.executable, "-m", "benchmarks.pmo", "run", "graph-moves", "--tasks", "median1",
        "--seeds", "3", "--calls", "150", "--processes", "1", "--library", str(library),
        "--output", str(tmp_path / "killed"), "--scratch", str(tmp_path / "killed" / "runs"),
    ]  # fmt: skip
    harness = subprocess.Popen(command, cwd=ROOT)
    ledger_file = killed.folder / "ledger.sqlite"
    try:
        wait_for(lambda: ledger_file.exists() and entries(ledger_file) > 250)
    finally:
        harness.send_signal(signal.SIGKILL)
        harness.wait()
    # The run's own process notices that nobody holds its line any more.
    wait_for(lambda: not_locked(killed.folder / "lock"))
    assert not killed.ended(150)
    assert run_all([killed], calls=150, processes=1) == []
    assert killed.calls() == whole.calls()


def entries(path: Path) -> int:
    ledger = SQLiteLedger.open(path, read_only=True)
    try:
        return ledger.last_sequence
    finally:
        ledger.close()


def not_locked(path: Path) -> bool:
    import fcntl

    with path.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def wait_for(condition: object, limit_s: float = 120.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
