"""What stands in the environment is written nowhere: a real campaign, then every byte it wrote."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HEURESIS = [sys.executable, "-m", "heuresis.cli.main"]
SECRET = "Zq7-planted-and-never-to-be-seen-41"
NAMES = (
    "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "PGPASSWORD", "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN", "HF_TOKEN", "HEURESIS_ANYTHING", "SOME_PASSWORD",
)  # fmt: skip
CAMPAIGN = """\
campaign: secretive
space: {kind: molecule, heavy_atoms: [5, 20]}
oracles:
  cheap: {kind: rdkit-descriptors}
  costly: {kind: xtb, relax: false, timeout_s: 20}
objectives:
  druglike: {measure: cheap.qed, above: 0.4, softness: 0.3}
  gap: {measure: costly.gap_eV, target: 3.0, tolerance: 1.0}
proposers:
  - {kind: graph-moves, batch: 4}
search: {islands: 2}
budget: {evaluations: 6}
seed: 3
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A short path, for Ray's sockets; everything that is written lands below it."""
    path = Path(tempfile.mkdtemp(prefix="hs-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def run(place: Path, *options: str) -> str:
    """Run the campaign with secrets in its environment; return all that it printed."""
    (place / "campaign.yaml").write_text(CAMPAIGN)
    for name in ("home", "tmp"):
        (place / name).mkdir()
    environment = {
        **os.environ,
        **dict.fromkeys(NAMES, SECRET),
        "HOME": str(place / "home"),
        "TMPDIR": str(place / "tmp"),
        "RAY_TMPDIR": str(place / "tmp"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [*HEURESIS, "run", "campaign.yaml", "--run-dir", "run", *options],
        cwd=place, env=environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def files_with_secret(place: Path) -> list[str]:
    found, checked = [], 0
    for file in place.rglob("*"):
        if file.is_file() and not file.is_symlink():
            checked += 1
            if SECRET.encode() in file.read_bytes():
                found.append(str(file.relative_to(place)))
    assert checked >= 10, "the test looked in the wrong place"
    return found


def test_inline_with_mlflow(place: Path) -> None:
    printed = run(place, "--executor", "inline")
    assert SECRET not in printed
    there = {file.name for file in place.rglob("*") if file.is_file()}
    assert {"ledger.sqlite", "mlflow.sqlite", "report.html", "run.json", "versions.json"} <= there
    assert files_with_secret(place) == []


@pytest.mark.slow
def test_on_ray_with_its_logs(place: Path) -> None:
    printed = run(place, "--executor", "ray")
    assert SECRET not in printed
    assert list(place.rglob("gcs_server*")), "Ray has logged elsewhere"
    assert files_with_secret(place) == []
