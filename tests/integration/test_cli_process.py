"""The installed command as a real process: killed, interrupted, piped; real plug-ins."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heuresis.events import Finished, Settled
from heuresis.ledger.sqlite import SQLiteLedger

COMMAND = str(Path(sys.executable).with_name("heuresis"))
CAMPAIGN = """\
campaign: soluble
question: Which small molecule is drug-like and polar?
space: {kind: molecule, heavy_atoms: [5, 20]}
oracles:
  cheap: {kind: rdkit-descriptors}
  again: {kind: rdkit-descriptors}
objectives:
  polar: {measure: cheap.tpsa_angstrom2, target: 60, tolerance: 30}
  druglike: {measure: again.qed, above: 0.6}
proposers:
  - {kind: graph-moves, batch: 8}
search: {islands: 2}
budget: {candidates: 160}
seed: 3
"""
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [COMMAND, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def settled(run: Path) -> list[tuple[str, str, int]]:
    ledger = SQLiteLedger.open(run / "ledger.sqlite", read_only=True)
    try:
        events = [entry.event for entry in ledger.read()]
    finally:
        ledger.close()
    return [(e.oracle, e.candidate, e.attempt) for e in events if isinstance(e, Settled)]


def wait_for_results(run: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (run / "run.json").exists() and len(settled(run)) >= count:
            return
        time.sleep(0.05)
    pytest.fail("the run has settled nothing within 60 s")


def test_killed_interrupted_and_resumed(tmp_path: Path) -> None:
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN)
    run = tmp_path / "runs" / "soluble-1"
    process = start(tmp_path, "run", "campaign.yaml", "--executor", "inline", "--no-mlflow")
    wait_for_results(run, 24)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    killed = settled(run)
    assert len(killed) >= 24

    process = start(tmp_path, "resume", "soluble-1")
    wait_for_results(run, len(killed) + 24)
    os.kill(process.pid, signal.SIGTERM)
    out, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "Traceback" not in out + errors
    assert "SIGTERM: letting running work settle" in out
    interrupted = settled(run)
    assert interrupted[: len(killed)] == killed

    done = start(tmp_path, "resume", "soluble-1", "--json")
    out, errors = done.communicate(timeout=120)
    assert done.returncode == 0, errors
    result = json.loads(out)
    assert result["ending"] == "finished"
    everything = settled(run)
    assert everything[: len(interrupted)] == interrupted
    assert len(everything) == len(set(everything)), "something was measured twice"
    assert len([s for s in everything if s[0] == "cheap"]) == 160
    ledger = SQLiteLedger.open(run / "ledger.sqlite", read_only=True)
    sessions = ledger.sessions()
    last = list(ledger.read())[-1].event
    ledger.close()
    assert [s["ending"] for s in sessions] == [None, "interrupted", "finished"]
    assert isinstance(last, Finished)

    # The reader of a pipe may go away.
    head = subprocess.run(
        f"{COMMAND} top soluble-1 -n 200 --json | head -1", shell=True, cwd=tmp_path,
        env=ENVIRONMENT, capture_output=True, text=True,
    )  # fmt: skip
    assert head.stdout == "[\n"
    assert head.stderr == ""
