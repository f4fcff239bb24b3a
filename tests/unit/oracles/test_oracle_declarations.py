"""What every oracle must keep: cheap declarations, declared outputs with units, failure causes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heuresis.records import Candidate, Evaluation, Failure, FailureCause
from heuresis.registry import ORACLES, load
from heuresis_oracles.openmm_md import OpenMMMolecularDynamics
from heuresis_oracles.rdkit_descriptors import RDKitDescriptors
from heuresis_oracles.xtb import XTB

SHORT_MD = OpenMMMolecularDynamics.Config(duration_ps=1.0, equilibration_ps=0.5, conformers=1)
ORACLES_UNDER_TEST: dict[str, Any] = {
    "rdkit-descriptors": RDKitDescriptors(RDKitDescriptors.Config()),
    "xtb": XTB(XTB.Config(relax=False, conformers=1, ionisation=True)),
    "openmm-md": OpenMMMolecularDynamics(SHORT_MD),
}


def measure(oracle: Any, smiles: str, folder: Path, seed: int = 3) -> Evaluation | Failure:
    [outcome] = oracle.evaluate([Candidate.of("molecule", smiles)], seed=seed, workdir=folder)
    assert isinstance(outcome, Evaluation | Failure)
    return outcome


def test_declarations_import_no_physics() -> None:
    script = (
        "import sys\n"
        "from heuresis_oracles.rdkit_descriptors import RDKitDescriptors as A\n"
        "from heuresis_oracles.xtb import XTB as B\n"
        "from heuresis_oracles.openmm_md import OpenMMMolecularDynamics as C\n"
        "for oracle in (A, B, C): oracle.declare(oracle.Config())\n"
        "heavy = {'rdkit', 'openmm', 'tblite', 'ase', 'torch', 'ray', 'mlflow'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("kind", ORACLES_UNDER_TEST)
def test_registered_under_its_declared_kind(kind: str) -> None:
    oracle_class = load(ORACLES, kind)
    assert type(ORACLES_UNDER_TEST[kind]) is oracle_class
    assert oracle_class.declare(oracle_class.Config()).kind == kind


@pytest.mark.parametrize("kind", ORACLES_UNDER_TEST)
def test_gives_exactly_the_declared_outputs_units_and_checks(kind: str, tmp_path: Path) -> None:
    oracle = ORACLES_UNDER_TEST[kind]
    declaration = oracle.declare(oracle.config)
    outcome = measure(oracle, "CCO", tmp_path)
    assert isinstance(outcome, Evaluation), outcome
    units = {name: measurement.unit for name, measurement in outcome.measurements.items()}
    assert units == {name: output.unit for name, output in declaration.outputs.items()}
    assert set(outcome.checks) == set(declaration.checks)
    for name, output in declaration.outputs.items():
        if "_" in name and output.unit != "1":
            assert name.endswith(f"_{output.unit}"), name


@pytest.mark.parametrize("kind", ORACLES_UNDER_TEST)
def test_equal_seeds_give_equal_bits_and_batching_changes_nothing(
    kind: str, tmp_path: Path
) -> None:
    oracle = ORACLES_UNDER_TEST[kind]
    candidates = [Candidate.of("molecule", text) for text in ("CCCO", "CC=O")]
    together = oracle.evaluate(candidates, seed=5, workdir=tmp_path)
    apart = [oracle.evaluate([candidate], seed=5, workdir=tmp_path)[0] for candidate in candidates]
    assert together == apart


def test_another_seed_gives_another_trajectory(tmp_path: Path) -> None:
    oracle = ORACLES_UNDER_TEST["openmm-md"]
    assert measure(oracle, "CCCO", tmp_path, seed=1) != measure(oracle, "CCCO", tmp_path, seed=2)


@pytest.mark.parametrize("kind", ORACLES_UNDER_TEST)
def test_one_bad_candidate_costs_only_itself(kind: str, tmp_path: Path) -> None:
    oracle = ORACLES_UNDER_TEST[kind]
    texts = ["CCO", "C1CC", "CC=O"]
    outcomes = oracle.evaluate(
        [Candidate.of("molecule", text) for text in texts], seed=1, workdir=tmp_path
    )
    assert [outcome.kind for outcome in outcomes] == ["evaluation", "failure", "evaluation"]
    assert outcomes[1].cause == FailureCause.SETUP
    assert "C1CC" in outcomes[1].message


@pytest.mark.parametrize("kind", ["xtb", "openmm-md"])
@pytest.mark.parametrize(
    ("smiles", "words"),
    [
        ("[Na+].[Cl-]", "2 fragments"),
        ("C*", "dummy atoms"),
        ("C" * 100, "302 atoms"),
        ("[Fe]", "Fe"),
        ("", "empty"),
        ("OB(O)c1ccccc1", "MMFF94 has no parameters"),
    ],
)
def test_refused_before_anything_is_spent(
    kind: str, smiles: str, words: str, tmp_path: Path
) -> None:
    outcome = measure(ORACLES_UNDER_TEST[kind], smiles, tmp_path)
    assert isinstance(outcome, Failure), outcome
    assert outcome.cause == FailureCause.SETUP
    assert words in outcome.message


@pytest.mark.parametrize("kind", ["xtb", "openmm-md"])
@pytest.mark.parametrize("smiles", ["O", "C", "C#C", "C[NH3+]", "CC(=O)[O-]", "C[N+](C)(C)C"])
def test_tiny_and_charged_molecules_are_measured(kind: str, smiles: str, tmp_path: Path) -> None:
    outcome = measure(ORACLES_UNDER_TEST[kind], smiles, tmp_path)
    assert isinstance(outcome, Evaluation), outcome
