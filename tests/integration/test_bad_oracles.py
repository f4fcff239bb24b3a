"""What no oracle could measure is refused by ``check``, or per candidate before it computes."""

from __future__ import annotations

import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from heuresis import registry
from heuresis.cli.main import main
from heuresis.records import Candidate, Failure, FailureCause
from heuresis_oracles import outcomes

CAMPAIGN = """\
campaign: refused
space:
  kind: molecule
  {space}
oracles:
  one: {{{oracle}}}
objectives:
  wish: {{{wish}}}
proposers:
  - {{kind: graph-moves}}
budget: {{evaluations: 3}}
"""
GAP = "measure: one.gap_eV, above: 3"


def complaint(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    oracle: str,
    space: str = "heavy_atoms: [1, 20]",
    wish: str = GAP,
) -> str:
    file = folder / "campaign.yaml"
    file.write_text(CAMPAIGN.format(oracle=oracle, space=space, wish=wish))
    with pytest.raises(SystemExit) as ended:
        main(["check", str(file)])
    captured = capsys.readouterr()
    assert ended.value.code == 2, captured.out
    assert "Traceback" not in captured.err
    assert f"{file}:" in captured.err
    return captured.err


COMMAND = (
    "kind: command, command: [measure.py], reference: none,"
    " outputs: {gap_eV: {unit: eV, description: gap}}"
)
REMOTE = COMMAND.replace("command: [measure.py]", "url: https://example.org/").replace(
    "kind: command", "kind: http"
)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"oracle": "kind: xtb", "space": "heavy_atoms: [200, 500]"},
            ["every candidate is too large", "at least 200 heavy atoms", "raise max_atoms"],
        ),
        (
            {"oracle": "kind: xtb", "space": "elements: [Se]"},
            ["no candidate can be measured", "allows Se", "starting_geometry: ETKDG"],
        ),
        (
            {"oracle": "kind: openmm-md", "space": "elements: [Se]", "wish": GAP.replace(
                "gap_eV", "rmsf_angstrom")},
            ["no candidate can be measured", "measure with another oracle"],
        ),
        ({"oracle": COMMAND}, ["'measure.py' is not started", "set HEURESIS_PROGRAMS"]),
        ({"oracle": COMMAND.replace("[measure.py]", "[/bin/sh, -c, ls]")}, ["without a path"]),
        ({"oracle": REMOTE}, ["'example.org' is not this machine", "HEURESIS_ORACLE_HOSTS"]),
        (
            {"oracle": "kind: xtb", "wish": GAP + ", judge_by: probability"},
            ["comes without one", "repeats: 3"],
        ),
        (
            {"oracle": "kind: xtb, observables: [oxidation]"},
            ["'oxidation' needs a solvent, e.g. solvent: water"],
        ),
    ],
    ids=lambda given: given.get("oracle", "")[:24] if isinstance(given, dict) else "",
)  # fmt: skip
def test_check_refuses_what_cannot_work(
    given: dict[str, str],
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HEURESIS_PROGRAMS", raising=False)
    said = complaint(tmp_path, capsys, **given)
    for word in words:
        assert word in said


def test_a_package_that_is_not_installed_is_named_with_what_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(package: str) -> str:
        if package == "tblite":
            raise PackageNotFoundError(package)
        return "1"

    monkeypatch.setattr(outcomes, "version", version)
    said = complaint(tmp_path, capsys, "kind: xtb")
    assert "computes with the package 'tblite', which is not installed" in said
    assert "run: pip install tblite" in said


@pytest.mark.parametrize("kind", ["xtb", "openmm-md", "organic-photovoltaics"])
@pytest.mark.parametrize(
    ("smiles", "words"),
    [
        ("C" * 200, "602 atoms with hydrogens; this oracle is set to at most 150"),
        ("[Na+].[Cl-]", "2 fragments"),
        ("C[Hg]C", "MMFF94 has no parameters"),
        ("*CC", "dummy atoms"),
    ],
    ids=["too large", "salt", "element", "dummy"],
)
def test_a_candidate_that_cannot_be_measured_costs_nothing(
    kind: str, smiles: str, words: str, tmp_path: Path
) -> None:
    oracle = registry.load(registry.ORACLES, kind)
    instance = oracle(oracle.Config())
    instance.evaluate([Candidate.of("molecule", "*")], seed=1, workdir=tmp_path)  # imports
    start = time.process_time()
    [outcome] = instance.evaluate([Candidate.of("molecule", smiles)], seed=1, workdir=tmp_path)
    assert time.process_time() - start < 0.5
    assert isinstance(outcome, Failure)
    assert outcome.cause is FailureCause.SETUP
    assert words in outcome.message


def test_a_spin_that_does_not_fit_the_charge_is_refused(tmp_path: Path) -> None:
    oracle: Any = registry.load(registry.ORACLES, "xtb")
    for smiles, multiplicity in (("C[N+](C)(C)C", 2), ("CC(=O)[O-]", 2), ("C[CH2]", 1)):
        config = oracle.Config(multiplicity=multiplicity)
        [outcome] = oracle(config).evaluate(
            [Candidate.of("molecule", smiles)], seed=1, workdir=tmp_path
        )
        assert isinstance(outcome, Failure)
        assert outcome.cause is FailureCause.SETUP
        assert f"multiplicity {multiplicity} is impossible" in outcome.message
