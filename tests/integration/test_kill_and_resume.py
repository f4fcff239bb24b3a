"""A real `heuresis run` process, killed with SIGKILL at arbitrary moments, then resumed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from heuresis.errors import LedgerError
from heuresis.events import Settled, Submitted
from heuresis.ledger import SQLiteLedger

CAMPAIGN = """
campaign: killed
space: {kind: molecule, heavy_atoms: [5, 30]}
oracles:
  descriptors: {kind: rdkit-descriptors}
objectives:
  drug-like: {measure: descriptors.qed, above: 0.8, softness: 0.3}
  small: {measure: descriptors.molecular_weight_Da, below: 300, softness: 100}
proposers:
  - {kind: graph-moves, batch: 8}
search: {islands: 3, reset_every: 150}
budget: {evaluations: 600}
seed: 11
"""
HEURESIS = [sys.executable, "-m", "heuresis.cli.main"]


def run(*arguments: str | Path, executor: str = "inline") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*HEURESIS, *map(str, arguments), "--executor", executor, "--no-mlflow", "--quiet"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error.decode()


def last_sequence(folder: Path) -> int:
    try:
        ledger = SQLiteLedger.open(folder / "ledger.sqlite", read_only=True)
    except LedgerError:
        return 0
    try:
        return ledger.last_sequence
    finally:
        ledger.close()


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    file = tmp_path / "campaign.yaml"
    file.write_text(CAMPAIGN)
    return file


def test_killed_three_times_the_ledger_equals_the_uninterrupted_one(
    tmp_path: Path, campaign: Path
) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finish(run("run", campaign, "--run-dir", whole))
    target = last_sequence(whole)
    process = run("run", campaign, "--run-dir", broken)
    for part in (0.1, 0.4, 0.7):
        deadline = time.monotonic() + 60
        while last_sequence(broken) < part * target and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        process.communicate()  # reaps it and closes its pipe
        assert 0 < last_sequence(broken) < target, "it was not killed in the middle"
        process = run("resume", broken)
    finish(process)

    ledgers = [
        SQLiteLedger.open(folder / "ledger.sqlite", read_only=True) for folder in (whole, broken)
    ]
    assert ledgers[0].checksum == ledgers[1].checksum
    settled = Counter(
        (e.event.oracle, e.event.candidate)
        for e in ledgers[1].read()
        if isinstance(e.event, Settled)
    )
    submitted = [e.event for e in ledgers[1].read() if isinstance(e.event, Submitted)]
    assert sum(settled.values()) == sum(len(s.candidates) for s in submitted) == 600
    assert max(settled.values()) == 1
    assert len(ledgers[1].sessions()) == 4
    for ledger in ledgers:
        ledger.close()


def test_killed_with_many_at_work_nothing_is_lost_and_nothing_measured_twice(
    tmp_path: Path, campaign: Path
) -> None:
    folder = tmp_path / "run"
    process = run("run", campaign, "--run-dir", folder, executor="local")
    deadline = time.monotonic() + 120.0
    while last_sequence(folder) < 300:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert last_sequence(folder) < 1200, "it had ended: nothing was tested"
    finish(run("resume", folder, executor="local"))
    ledger = SQLiteLedger.open(folder / "ledger.sqlite", read_only=True)
    try:
        events = [entry.event for entry in ledger.read()]
    finally:
        ledger.close()
    settled = Counter(event.candidate for event in events if isinstance(event, Settled))
    submitted = Counter(
        c for event in events if isinstance(event, Submitted) for c in event.candidates
    )
    assert settled == submitted
    assert set(settled.values()) == {1}
    assert len(settled) == 600
