"""The twenty PMO tasks against values of guacamol 0.5.5, and the oracle around them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError
from rdkit import Chem
from rdkit.Chem import GraphDescriptors, rdMolDescriptors

from heuresis.engine.plan import OraclePlan
from heuresis.errors import CalculationError
from heuresis.records import Candidate, Evaluation, Failure, FailureCause
from heuresis.tasks import PoolSpec
from heuresis_oracles.pmo import oracle as pmo
from heuresis_oracles.pmo.measures import element_counts, formula_counts
from heuresis_oracles.pmo.oracle import PracticalMolecularOptimization
from heuresis_oracles.pmo.shapes import at_least, at_most, clipped, gaussian, geometric_mean
from heuresis_oracles.pmo.tasks import HOP_TARGET, TASKS, VALSARTAN_REFERENCE

CELECOXIB = "CC1=CC=C(C=C1)C1=CC(=NN1C1=CC=C(C=C1)S(N)(=O)=O)C(F)(F)F"
ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
SILDENAFIL = "CCCC1=NN(C2=C1N=C(NC2=O)C3=C(C=CC(=C3)S(=O)(=O)N4CCN(CC4)C)OCC)C"
GUACAMOL = {
    CELECOXIB: {
        "albuterol_similarity": "0.198020",
        "amlodipine_mpo": "0.360237",
        "celecoxib_rediscovery": "1.000000",
        "deco_hop": "0.536181",
        "fexofenadine_mpo": "0.406461",
        "isomers_c9h10n2o2pf2cl": "0.000374",
        "median1": "0.017675",
        "median2": "0.129656",
        "mestranol_similarity": "0.064079",
        "osimertinib_mpo": "0.181751",
        "perindopril_mpo": "0.062632",
        "qed": "0.754105",
        "ranolazine_mpo": "0.066351",
        "scaffold_hop": "0.388007",
        "sitagliptin_mpo": "0.000436",
        "thiothixene_rediscovery": "0.209302",
        "troglitazone_rediscovery": "0.129496",
        "zaleplon_mpo": "0.226485",
    },
    ASPIRIN: {
        "albuterol_similarity": "0.235294",
        "celecoxib_rediscovery": "0.115789",
        "deco_hop": "0.509150",
        "isomers_c7h8n2o2": "0.272532",
        "isomers_c9h10n2o2pf2cl": "0.184981",
        "median1": "0.039830",
        "perindopril_mpo": "0.118733",
        "qed": "0.550122",
    },
    SILDENAFIL: {
        "fexofenadine_mpo": "0.551538",
        "median2": "0.362372",
        "osimertinib_mpo": "0.729289",
        "thiothixene_rediscovery": "0.301471",
    },
    HOP_TARGET: {"ranolazine_mpo": "0.406349", "scaffold_hop": "0.666667", "deco_hop": "0.500000"},
}
"""guacamol 0.5.5 on RDKit 2026.9.1, six digits."""


def outcome_of(task: str, smiles: str, folder: Path, **settings: bool) -> Evaluation | Failure:
    oracle = PracticalMolecularOptimization(
        PracticalMolecularOptimization.Config(task=task, **settings)
    )
    [outcome] = oracle.evaluate([Candidate.of("molecule", smiles)], seed=0, workdir=folder)
    return outcome


def values(task: str, smiles: str, folder: Path, **settings: bool) -> dict[str, float]:
    outcome = outcome_of(task, smiles, folder, **settings)
    assert isinstance(outcome, Evaluation), outcome
    return {name: measurement.value for name, measurement in outcome.measurements.items()}


@pytest.mark.parametrize(
    ("smiles", "task", "expected"),
    [(smiles, task, value) for smiles, row in GUACAMOL.items() for task, value in row.items()],
)
def test_scores_are_those_of_guacamol(
    smiles: str, task: str, expected: str, tmp_path: Path
) -> None:
    assert f"{values(task, smiles, tmp_path)['score']:.6f}" == expected


def test_every_task_but_valsartan_is_compared_with_guacamol() -> None:
    compared = {task for row in GUACAMOL.values() for task in row}
    assert set(TASKS) - compared == {"valsartan_smarts"}
    assert len(TASKS) == 20


def test_valsartan_asks_for_the_pattern_and_the_properties_of_sitagliptin(tmp_path: Path) -> None:
    reference = values("valsartan_smarts", VALSARTAN_REFERENCE, tmp_path, components=True)
    assert reference["pattern"] == reference["score"] == 0.0
    assert reference["logp"] == reference["tpsa"] == reference["complexity"] == 1.0
    # With the pattern: the fourth root of Gaussians around 2.0165, 77.04 and 896.3805.
    smiles = "CN(C(C)=O)Cc1ccc(-c2ccccc2)cc1"
    molecule = Chem.MolFromSmiles(smiles)
    complexity: Callable[..., float] = GraphDescriptors.BertzCT
    expected = 1.0
    for value, mean, width in (
        (rdMolDescriptors.CalcCrippenDescriptors(molecule)[0], 2.0165, 0.2),
        (rdMolDescriptors.CalcTPSA(molecule), 77.04, 5.0),
        (complexity(molecule), 896.3805, 30.0),
    ):
        expected *= math.exp(-0.5 * ((value - mean) / width) ** 2)
    assert expected > 0.0
    found = values("valsartan_smarts", smiles, tmp_path)["score"]
    assert found == pytest.approx(expected**0.25, rel=1e-3)  # the printed means are rounded


@pytest.mark.parametrize(
    ("task", "smiles"),
    [
        ("isomers_c7h8n2o2", "Cc1c(N)cccc1[N+](=O)[O-]"),
        ("isomers_c9h10n2o2pf2cl", "CC(=O)N(C)c1ccc(OP(F)F)nc1CCl"),
    ],
)
def test_an_isomer_of_the_formula_is_perfect(task: str, smiles: str, tmp_path: Path) -> None:
    assert values(task, smiles, tmp_path)["score"] == 1.0
    assert values(task, smiles.replace("C", "CC", 1), tmp_path)["score"] < 0.8


def test_hydrogens_are_counted_as_if_they_were_written() -> None:
    for smiles in (CELECOXIB, "[H][H]", "C[N+](C)(C)C", "[2H]C", "c1cc[nH]c1", "O"):
        molecule = Chem.MolFromSmiles(smiles)
        written = [atom.GetSymbol() for atom in Chem.AddHs(molecule).GetAtoms()]
        counted = element_counts(molecule)
        assert {s: n for s, n in counted.items() if n} == {s: written.count(s) for s in written}
    assert formula_counts("C9H10N2O2PF2Cl") == {
        "C": 9, "H": 10, "N": 2, "O": 2, "P": 1, "F": 2, "Cl": 1,
    }  # fmt: skip


def test_shapes_at_their_corners() -> None:
    assert [clipped(0.5)(x) for x in (-1.0, 0.0, 0.25, 0.5, 0.9)] == [0.0, 0.0, 0.5, 1.0, 1.0]
    one_width = math.exp(-0.5)
    assert [gaussian(3, 0.5)(x) for x in (2.5, 3.0, 3.5)] == [one_width, 1.0, one_width]
    assert [at_least(90, 10)(x) for x in (80.0, 90.0, 200.0)] == [one_width, 1.0, 1.0]
    assert [at_most(4, 1)(x) for x in (-7.0, 4.0, 5.0)] == [1.0, 1.0, one_width]
    assert geometric_mean([0.25, 1.0]) == 0.5
    assert geometric_mean([0.0, 1.0, 1.0]) == 0.0


@pytest.mark.parametrize("task", TASKS)
def test_components_are_scores_and_make_up_the_score(task: str, tmp_path: Path) -> None:
    found = values(task, CELECOXIB, tmp_path, components=True)
    parts = {name: value for name, value in found.items() if name != "score"}
    assert set(parts) == set(TASKS[task].parts)
    assert all(0.0 <= value <= 1.0 for value in found.values())
    assert TASKS[task].score(parts) == found["score"]
    assert values(task, CELECOXIB, tmp_path) == {"score": found["score"]}


def test_stereochemistry_is_not_looked_at(tmp_path: Path) -> None:
    flat, handed = "CC(O)c1ccccc1F", "C[C@@H](O)c1ccccc1F"
    for task in TASKS:
        assert values(task, flat, tmp_path) == values(task, handed, tmp_path), task


@pytest.mark.parametrize(
    ("task", "hint"),
    [
        ("zaleplon", "did you mean 'zaleplon_mpo'?"),
        ("perindropil_mpo", "did you mean 'perindopril_mpo'?"),
        ("Median2", "did you mean 'median2'?"),
        ("jnk3", "classifier that must be downloaded"),
        ("solubility", "known: albuterol_similarity, amlodipine_mpo"),
    ],
)
def test_an_unknown_task_lists_the_known_ones(task: str, hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        PracticalMolecularOptimization.Config(task=task)
    assert hint in str(caught.value)
    assert "zaleplon_mpo" in str(caught.value)
    assert ("did you mean" in str(caught.value)) == ("did you mean" in hint)


def test_a_call_is_metered_although_it_is_cheap() -> None:
    config = PracticalMolecularOptimization.Config(task="qed", batch_size=3)
    declaration = PracticalMolecularOptimization.declare(config)
    pool = PoolSpec(
        name="pmo", role="oracle", kind="pmo", config={}, space_kind="molecule", space_config={}
    )
    assert OraclePlan(name="pmo", declaration=declaration, pool=pool).metered
    assert declaration.batch_size == 3
    assert not declaration.isolated


def test_what_cannot_be_read_fails_and_is_no_score(tmp_path: Path) -> None:
    for text in ("no such thing", ""):
        outcome = outcome_of("qed", text, tmp_path)
        assert isinstance(outcome, Failure)
        assert outcome.cause is FailureCause.SETUP


def test_scores_out_of_range_are_refused_but_rounding_is_not() -> None:
    assert pmo._in_range("score", 1.0 + 1e-12, "C") == 1.0
    for value in (1.01, -0.1, math.nan):
        with pytest.raises(CalculationError, match="expected 0 to 1"):
            pmo._in_range("score", value, "C")
