"""Features of molecules: what is counted, and that shortcuts are exact."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit.Chem import MolFromSmiles, rdMolDescriptors
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

from heuresis.errors import InvalidCandidate
from heuresis.ports import Featured
from heuresis.spaces.features import Features
from heuresis.spaces.molecule import MoleculeSpace
from heuresis.spaces.molecule_features import BLOCKS, DESCRIPTORS, MoleculeFeatures

SPACE = MoleculeSpace(MoleculeSpace.Config())
MOLECULES = (
    "CC(=O)Oc1ccccc1C(=O)O",
    "CN1CCC(Oc2ccc3[nH]ccc3c2)CC1",
    "CC(C)[N+](=O)[O-]",
    "C[N+](C)(C)CC(=O)[O-]",
    "NS(=O)(=O)c1ccc(Br)cc1",
    "OB(O)c1ccccc1",
    "FC(F)(F)c1ccc(OO)nc1",
    "CCOP(=O)(OCC)C=O",
    "N#CC(=O)NO",
    "C1=CC(=O)C=CC1=O",
    "C",
    "O",
    "CO",
    "OC=O",
    "[Na+].[Cl-]",
    "C[C@H](N)C(=O)O",
    "CC(=S)c1cc[n+]([O-])cc1",
    "O=C=O",
    "ON=Cc1cnc[nH]1",
    "SCCI",
)


def logp(text: str) -> float:
    value, _ = rdMolDescriptors.CalcCrippenDescriptors(MolFromSmiles(text))
    return float(value)


@pytest.mark.parametrize("times", [1, 2])
def test_logp_from_the_table_is_rdkits(times: int) -> None:
    compute = MoleculeFeatures()
    # The second time every surrounding is known, so nothing is asked of RDKit.
    for _ in range(times):
        compute._rows.clear()
        logps = compute(MOLECULES).descriptors[:, DESCRIPTORS.index("logP")]
    expected = [logp(text) for text in MOLECULES]
    np.testing.assert_allclose(logps, expected, atol=1e-12)


def test_logp_of_molecules_never_seen_from_surroundings_that_were() -> None:
    compute = MoleculeFeatures()
    compute(["CCCCO", "OCC(N)=O", "Cc1ccccc1", "CCN", "OC(=O)CC", "c1ccccc1CC"])
    compute._logp._ask = None  # type: ignore[assignment, method-assign]
    new = ["CCCCCO", "CCCCc1ccccc1"]
    logps = compute(new).descriptors[:, DESCRIPTORS.index("logP")]
    np.testing.assert_allclose(logps, [logp(text) for text in new], atol=1e-12)


def test_descriptors_count_what_they_say() -> None:
    features = SPACE.features(["NS(=O)(=O)c1ccc(Br)cc1", "C[N+](C)(C)CC(=O)[O-]"])
    values = [dict(zip(features.names, row, strict=True)) for row in features.descriptors]
    sulfonamide = {"C": 6, "N": 1, "O": 2, "S": 1, "Br": 1, "H": 6, "F": 0, "rings": 1}
    sulfonamide |= {"aromatic_rings": 1, "ring_atoms": 6, "polar_atoms_with_hydrogen": 1}
    assert {name: values[0][name] for name in sulfonamide} == sulfonamide
    assert values[0]["polar_surface_angstrom2"] == rdMolDescriptors.CalcTPSA(
        MolFromSmiles("NS(=O)(=O)c1ccc(Br)cc1")
    )
    assert values[1]["charged_atoms"] == 2
    assert values[1]["polar_atoms_with_hydrogen"] == 0


def test_counts_are_morgan_fragments_of_radius_three() -> None:
    generator = GetMorganGenerator(radius=3, fpSize=2048)
    block = SPACE.features(MOLECULES).counts["morgan"]
    for place, text in enumerate(MOLECULES):
        expected = generator.GetCountFingerprint(MolFromSmiles(text)).GetNonzeroElements()
        indices, counts = block.row(place)
        assert dict(zip(indices.tolist(), counts.tolist(), strict=True)) == expected
        assert indices.tolist() == sorted(indices.tolist())
    assert block.totals().tolist() == [int(block.row(i)[1].sum()) for i in range(len(MOLECULES))]


def test_all_blocks_at_once_and_one_by_one_are_the_same() -> None:
    assert isinstance(SPACE, Featured)
    assert SPACE.feature_blocks == BLOCKS
    together = MoleculeFeatures()(MOLECULES, BLOCKS)
    compute = MoleculeFeatures()
    for name in BLOCKS:
        block = compute(MOLECULES, (name,)).counts[name]
        np.testing.assert_array_equal(block.indices, together.counts[name].indices)
        np.testing.assert_array_equal(block.counts, together.counts[name].counts)
    assert len(together.counts["pairs"].row(0)[0]) > 20


def test_taking_and_joining_give_the_same_rows() -> None:
    features = SPACE.features(MOLECULES)
    again = Features.joined([features.take([place]) for place in range(len(MOLECULES))])
    np.testing.assert_array_equal(again.descriptors, features.descriptors)
    np.testing.assert_array_equal(again.counts["morgan"].starts, features.counts["morgan"].starts)
    np.testing.assert_array_equal(again.counts["morgan"].counts, features.counts["morgan"].counts)
    assert len(SPACE.features([])) == 0


def test_what_cannot_be_read_has_no_features() -> None:
    with pytest.raises(InvalidCandidate, match="no features"):
        SPACE.features(["C1CC"])
    with pytest.raises(ValueError, match="known: morgan, roles, pairs"):
        SPACE.features(["C"], ("maccs",))
