"""What a new user does: the shipped campaign on Ray with MLflow, killed half-way and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from heuresis.events import Learned, Settled
from heuresis.ledger.sqlite import SQLiteLedger

ROOT = Path(__file__).parents[2]
COMMAND = str(Path(sys.executable).with_name("heuresis"))
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


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


def events(run: Path) -> list[object]:
    ledger = SQLiteLedger.open(run / "ledger.sqlite", read_only=True)
    try:
        return [entry.event for entry in ledger.read()]
    finally:
        ledger.close()


def measured(run: Path) -> list[tuple[str, str, int]]:
    return [(e.oracle, e.candidate, e.attempt) for e in events(run) if isinstance(e, Settled)]


def test_quickstart_on_ray_killed_and_resumed(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "quickstart-1"
    small = ["--set", "budget.evaluations=30", "--set", "proposers.0.learn_every=8"]
    process = start(tmp_path, "run", str(ROOT / "campaigns/quickstart/campaign.yaml"), *small)
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if (run / "run.json").exists() and sum(e[0] == "xtb" for e in measured(run)) >= 3:
            break
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    before = measured(run)
    assert sum(e[0] == "xtb" for e in before) >= 3

    resumed = start(tmp_path, "resume", "quickstart-1")
    out, errors = resumed.communicate(timeout=420)
    assert resumed.returncode == 0, out + errors
    assert "Traceback" not in out + errors
    for part in ("finished (", "rmsf", "heuresis ui", "report.html", "127.0.0.1:"):
        assert part in out
    after = measured(run)
    assert after[: len(before)] == before
    assert len(after) == len(set(after)), "something was measured twice"
    learned = [e for e in events(run) if isinstance(e, Learned)]
    assert learned
    assert all(e.failure is None for e in learned)
    assert (run / "report.html").stat().st_size > 10_000

    facts = json.loads((run / "run.json").read_text())
    assert facts["mlflow_run_id"], "the run was published"
    top = subprocess.run(
        [COMMAND, "top", "quickstart-1", "--json"], cwd=tmp_path, env=ENVIRONMENT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    best = json.loads(top.stdout)[0]
    assert set(best["measurements"]) >= {
        "descriptors.sa_score", "xtb.gap_eV", "md.rmsf_angstrom",
    }  # fmt: skip
    assert best["measurements"]["md.rmsf_angstrom"]["uncertainty"] > 0
