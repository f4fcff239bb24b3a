"""A program of a user's as an oracle, on Ray workers; then again, from what was measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from external_programs import write_program

COMMAND = str(Path(sys.executable).with_name("heuresis"))
CAMPAIGN = """\
campaign: outside
space: {kind: molecule, heavy_atoms: [3, 12]}
oracles:
  mine:
    kind: command
    command: [measure.py]
    workers: 2
    outputs:
      length: {unit: "1", description: characters}
      seed: {unit: "1", description: seed modulo 1000}
    reference: none
    timeout_s: 60
objectives:
  size: {measure: mine.length, target: 9, tolerance: 4}
proposers:
  - {kind: graph-moves, batch: 8}
search: {islands: 1}
budget: {evaluations: 24}
seed: 3
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def heuresis(folder: Path, *arguments: str) -> str:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "HEURESIS_PROGRAMS": str(folder / "programs"),
    }
    done = subprocess.run(
        [COMMAND, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def summary(folder: Path, run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(heuresis(folder, "show", run, "--json"))
    return found


def test_a_program_measures_on_ray_and_its_values_are_shared(tmp_path: Path) -> None:
    (tmp_path / "programs").mkdir()
    write_program(tmp_path / "programs")
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN)
    run = ["run", "campaign.yaml", "--executor", "ray", "--no-mlflow", "--quiet"]
    share = ["--measurements", "m.sqlite"]
    heuresis(tmp_path, *run, *share)
    first = summary(tmp_path, "outside-1")
    assert first["finished"] == "budget"
    assert first["stages"]["mine"]["evaluated"] == 24, first["failures"]
    assert first["best_score"] > 0.5
    [best] = json.loads(heuresis(tmp_path, "top", "outside-1", "-n", "1", "--json"))
    measured = best["measurements"]["mine.length"]["value"]
    assert measured == len(best["text"])

    # The program is gone: whatever is measured again fails.
    write_program(tmp_path / "programs", misdeed='\nsys.exit("the licence has run out")\n')
    heuresis(tmp_path, *run, *share, "--set", "budget.evaluations=8")
    second = summary(tmp_path, "outside-2")["stages"]["mine"]
    assert second["shared"] >= 6, "the first asks are the same; later ones depend on arrival"
