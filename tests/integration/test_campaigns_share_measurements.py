"""Campaigns that share measurements, through the command line and with real oracles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from toy_runs import RUN, events, heuresis, write_toy

from heuresis.events import Settled, Submitted
from heuresis.ledger.sqlite import SQLiteLedger
from heuresis.records import Origin


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("HEURESIS_MEASUREMENTS", raising=False)
    return write_toy(tmp_path, monkeypatch)


def origins(run: Path) -> list[Origin | None]:
    ledger = SQLiteLedger.open(run / "ledger.sqlite", read_only=True)
    try:
        return [
            entry.timing.origin
            for entry in ledger.read()
            if isinstance(entry.event, Settled) and entry.event.oracle == "slow" and entry.timing
        ]
    finally:
        ledger.close()


def test_a_second_campaign_is_told_what_the_first_measured(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    share = ["--measurements", "shared/m.sqlite"]
    for number in (1, 2):
        assert heuresis("run", toy, *RUN, "-q", *share) == 0
        assert (tmp_path / "runs" / f"toy-{number}" / "ledger.sqlite").is_file()
    assert heuresis("run", toy, *RUN, "-q") == 0
    first, second, alone = (tmp_path / "runs" / f"toy-{n}" for n in (1, 2, 3))
    # The first event names the commit, which may change while this runs.
    assert events(first)[1:] == events(second)[1:] == events(alone)[1:]
    assert origins(first) == [None] * 30
    assert {o.run for o in origins(second) if o is not None} == {"toy-1"}
    assert None not in origins(second)

    capsys.readouterr()
    assert heuresis("show", "toy-2") == 0
    assert "slow: 30 of 30 (100 %) measured before" in capsys.readouterr().out
    assert heuresis("show", "toy-2", "--json") == 0
    stage = json.loads(capsys.readouterr().out)["stages"]["slow"]
    assert (stage["shared"], stage["settled"]) == (30, 30)
    assert stage["saved_core_s"] > 0.0
    assert "30 of 30 (100 %) measured before" in (second / "report.html").read_text()
    assert "measured before" not in (first / "report.html").read_text()

    text = events(second)[2].accepted[0].candidate.text
    assert heuresis("show", "toy-2", text) == 0
    shown = capsys.readouterr().out
    assert "measured by toy-1" in shown or "dropped" in shown


def test_other_seeds_share_when_the_oracles_have_a_seed_of_their_own(
    toy: Path, tmp_path: Path
) -> None:
    def submitted(run: str) -> set[int]:
        return {e.seed for e in events(tmp_path / "runs" / run) if isinstance(e, Submitted)}

    for seed in ("1", "2"):
        assert heuresis("run", toy, *RUN, "-q", "--seed", seed) == 0
    assert not submitted("toy-1") & submitted("toy-2")
    for seed in ("1", "2"):
        assert heuresis("run", toy, *RUN, "-q", "--seed", seed, "--set", "measurement_seed=5") == 0
    assert submitted("toy-3") == submitted("toy-4")
    assert "measurement_seed: 5" in (tmp_path / "runs/toy-3/resolved.yaml").read_text()
    assert "measurement_seed" not in (tmp_path / "runs/toy-1/resolved.yaml").read_text()


def test_a_resumed_run_goes_on_sharing_and_can_be_told_not_to(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "runs" / "toy-1"
    assert heuresis("run", toy, *RUN, "-q", "--measurements", "m.sqlite") == 0
    facts = json.loads((run / "run.json").read_text())
    assert facts["measurements"] == str(tmp_path / "m.sqlite")
    more = ["-q", "--budget", "evaluations=40"]
    assert heuresis("resume", run, *more) == 0
    assert json.loads((run / "run.json").read_text())["measurements"] == facts["measurements"]
    more[-1] = "evaluations=50"
    assert heuresis("resume", run, *more, "--measurements", "none") == 0
    assert json.loads((run / "run.json").read_text())["measurements"] is None


def test_a_file_that_is_none_of_measurements_stops_before_a_run_is_made(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.sqlite").write_text("these are not the bytes you are looking for " * 50)
    assert heuresis("run", toy, *RUN, "--measurements", "m.sqlite") == 2
    assert "cannot use" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def three_rungs(folder: Path, **changes: Any) -> Path:
    """Write a real campaign: descriptors, xTB on a force field structure, relaxed xTB."""
    budget = changes.pop("budget", "{evaluations: {relaxed: 16}}")
    seed = changes.pop("seed", 5)
    file = folder / "rungs.yaml"
    file.write_text(f"""\
campaign: rungs
space: {{kind: molecule, heavy_atoms: [3, 8], elements: [C, N, O]}}
oracles:
  descriptors: {{kind: rdkit-descriptors}}
  rough: {{kind: xtb, relax: false, conformers: 1}}
  relaxed: {{kind: xtb, conformers: 2}}
objectives:
  small: {{measure: descriptors.logp, below: 1.5, softness: 1.5}}
  foreseen: {{measure: rough.gap_eV, target: 4.0, tolerance: 1.5, weight: 0.5}}
  gap: {{measure: relaxed.gap_eV, target: 4.0, tolerance: 1.5}}
proposers:
  - {{kind: graph-moves, batch: 8}}
search: {{islands: 1, promotion: {{rule: learned, warm_up: 6, random_share: 0.15}}}}
budget: {budget}
seed: {seed}
measurement_seed: 0
""")
    return file


@pytest.mark.slow
def test_three_rungs_of_real_xtb_learn_whom_to_promote_and_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = three_rungs(tmp_path, budget="{evaluations: {relaxed: 60}}")
    share = ["--measurements", "m.sqlite"]
    assert heuresis("run", file, *RUN, "-q", *share) == 0
    capsys.readouterr()
    assert heuresis("show", "rungs-1", "--json") == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert list(stages) == ["descriptors", "rough", "relaxed"]
    assert stages["rough"]["verdicts"].get("dropped", 0) > 0, "the middle rung turned some away"
    assert stages["relaxed"]["submitted"] == 60
    assert heuresis("show", "rungs-1") == 0
    shown = capsys.readouterr().out
    assert "rough: rank correlation with the final score +" in shown

    assert heuresis("run", file, *RUN, "-q", *share, "--seed", "6") == 0
    capsys.readouterr()
    assert heuresis("show", "rungs-2", "--json") == 0
    second = json.loads(capsys.readouterr().out)["stages"]
    assert second["rough"]["shared"] > 0, "small molecules come up again"
    assert second["rough"]["saved_core_s"] > 0.0
