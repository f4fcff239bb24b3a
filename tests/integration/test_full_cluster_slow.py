"""A campaign on a cluster that has no room yet: it says so, waits, and then runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.chaos.cluster import NODE_CORES, LocalCluster

COMMAND = str(Path(sys.executable).with_name("heuresis"))
CAMPAIGN = """\
campaign: patient
space: {kind: molecule, heavy_atoms: [3, 12]}
oracles:
  easy: {kind: rdkit-descriptors, workers: 2}
objectives:
  size: {measure: easy.molecular_weight_Da, target: 120, tolerance: 30}
proposers:
  - {kind: graph-moves, batch: 8}
search: {islands: 1}
budget: {evaluations: 24}
seed: 3
"""
OCCUPANT = f"""\
import ray, sys, time
ray.init(sys.argv[1], namespace="occupant")

@ray.remote(num_cpus={NODE_CORES})
class Occupant:
    def here(self):
        return True

occupant = Occupant.remote()
ray.get(occupant.here.remote())
print("occupied", flush=True)
sys.stdin.readline()
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_campaign_says_that_it_waits_for_room_and_runs_when_there_is(tmp_path: Path) -> None:
    file = tmp_path / "patient.yaml"
    file.write_text(CAMPAIGN)
    cluster = LocalCluster(tmp_path, nodes=1)
    try:
        occupant = subprocess.Popen(
            [sys.executable, "-c", OCCUPANT, cluster.address],
            env=cluster.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert occupant.stdout is not None
        assert any("occupied" in line for line in occupant.stdout)
        campaign = subprocess.Popen(
            [COMMAND, "run", str(file), "--ray-address", cluster.address, "--no-mlflow"],
            cwd=tmp_path,
            env=cluster.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert campaign.stdout is not None
        said = []
        for line in campaign.stdout:
            said.append(line)
            if "wait for room" in line:
                occupant.communicate("\n", timeout=60)
                break
        rest, _ = campaign.communicate(timeout=400)
    finally:
        cluster.close()
    text = "".join(said) + rest
    waiting = [line for line in said if line.startswith("waiting: easy: 2 workers")]
    assert waiting, text
    assert f"each needs 1 processor, and 0 of its {NODE_CORES} are free" in waiting[0]
    assert campaign.returncode == 0, text
    assert "finished (budget)" in text
