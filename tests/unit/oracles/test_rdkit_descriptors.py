from __future__ import annotations

from pathlib import Path

import pytest

from heuresis.records import Candidate, Evaluation
from heuresis_oracles.rdkit_descriptors import RDKitDescriptors


def descriptors(smiles: str, folder: Path) -> dict[str, float]:
    oracle = RDKitDescriptors(RDKitDescriptors.Config())
    [outcome] = oracle.evaluate([Candidate.of("molecule", smiles)], seed=0, workdir=folder)
    assert isinstance(outcome, Evaluation), outcome
    return {name: measurement.value for name, measurement in outcome.measurements.items()}


def test_aspirin_has_its_textbook_values(tmp_path: Path) -> None:
    values = descriptors("CC(=O)Oc1ccccc1C(=O)O", tmp_path)
    assert values["molecular_weight_Da"] == pytest.approx(180.16, abs=0.01)
    assert values["tpsa_angstrom2"] == pytest.approx(63.6, abs=0.01)  # PubChem CID 2244
    assert values["heavy_atoms"] == 13
    assert values["hetero_atoms"] == 4
    assert values["rings"] == values["aromatic_rings"] == 1
    assert values["largest_ring"] == 6
    assert values["hydrogen_bond_donors"] == 1
    assert values["hydrogen_bond_acceptors"] == 3
    assert values["fraction_sp3"] == pytest.approx(1 / 9)
    assert values["qed"] == pytest.approx(0.550, abs=0.001)  # Bickerton 2012, RDKit weights


def test_synthetic_accessibility_ranks_easy_below_hard(tmp_path: Path) -> None:
    easy = descriptors("CC(=O)Nc1ccc(O)cc1", tmp_path)["sa_score"]
    hard = descriptors("CC1CCC2C(C)C(=O)OC3OC4(C)CCC1C23OO4", tmp_path)["sa_score"]
    assert 1.0 <= easy < 2.0 < 4.5 < hard <= 10.0


def test_acyclic_ions_and_stereocentres(tmp_path: Path) -> None:
    values = descriptors("C[C@H](N)C(=O)[O-]", tmp_path)
    assert values["formal_charge"] == -1
    assert values["rings"] == values["largest_ring"] == 0
    assert values["stereo_centres"] == 1
