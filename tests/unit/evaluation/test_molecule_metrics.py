"""Metrics of molecules on cases whose answer is known, and a set against itself."""

from __future__ import annotations

import numpy as np
import pytest

from heuresis_models.errors import DataError
from heuresis_models.evaluation import distribution, molecules

DRUGS = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "CC(=O)Nc1ccc(O)cc1",
    "CC(C)Cc1ccc(C(C)C(=O)O)cc1",
    "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "c1ccc2ccccc2c1",
    "O=C(Nc1ccccc1)c1ccncc1",
    "CCN(CC)CCNC(=O)c1ccc(N)cc1",
    "C1CCC(CC1)N1CCOCC1",
]


def test_validity_counts_what_rdkit_sanitises() -> None:
    # An open ring, five bonds at carbon, and nothing at all are no molecules.
    assert molecules.validity(["CCO", "c1ccccc", "C(C)(C)(C)(C)C", ""]) == 0.25
    with pytest.raises(DataError, match="0 texts given"):
        molecules.validity([])


def test_uniqueness_sees_through_spelling_and_looks_at_the_first_only() -> None:
    assert molecules.uniqueness(["CCO", "OCC", "CCN"]) == pytest.approx(2 / 3)
    assert molecules.uniqueness(["CCO", "CCN", "OCC", "NCC"], first=2) == 1.0
    with pytest.raises(DataError, match="3 valid molecules given, at least 10 needed"):
        molecules.uniqueness(["CCO", "CCN", "CCC"], first=10)
    with pytest.raises(DataError, match="valid_molecules"):
        molecules.uniqueness(["CCO", "C1CC"])


def test_novelty_counts_each_new_molecule_once() -> None:
    assert molecules.novelty(["OCC", "CCN", "NCC", "CCC", "C1CC"], {"CCO"}) == pytest.approx(2 / 3)
    assert molecules.novelty(DRUGS, set(molecules.valid_molecules(DRUGS))) == 0.0


def test_internal_diversity_of_copies_is_zero_and_of_strangers_is_known() -> None:
    assert molecules.internal_diversity(["CCO", "OCC"]) == pytest.approx(0.0)
    # Two molecules without a common bit: half of the four pairs are of a molecule with itself.
    assert molecules.internal_diversity(["CC", "O"]) == pytest.approx(0.5)
    assert molecules.internal_diversity(["CC", "O"], power=2) == pytest.approx(1 - 0.5**0.5)


def test_nearest_neighbour_similarity_of_a_set_with_itself_is_one() -> None:
    assert molecules.nearest_neighbour_similarity(DRUGS, DRUGS[::-1]) == pytest.approx(1.0)
    assert molecules.nearest_neighbour_similarity(["CC"], ["O"]) == 0.0


def test_tanimoto_agrees_with_rdkit() -> None:
    from rdkit import Chem
    from rdkit.Chem import rdFingerprintGenerator
    from rdkit.DataStructs import TanimotoSimilarity

    maker = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    prints = [maker.GetFingerprint(Chem.MolFromSmiles(text)) for text in DRUGS]
    expected = [[TanimotoSimilarity(a, b) for b in prints] for a in prints]
    ours = molecules.fingerprints(DRUGS)
    np.testing.assert_allclose(next(molecules.tanimoto_blocks(ours, ours)), expected, atol=1e-6)


def test_fragments_and_scaffolds_of_a_set_with_itself_are_equal() -> None:
    assert molecules.fragment_similarity(DRUGS, DRUGS[::-1]) == pytest.approx(1.0)
    assert molecules.scaffold_similarity(DRUGS, DRUGS * 3) == pytest.approx(1.0)


def test_scaffolds_are_compared_by_their_counts() -> None:
    naphthalene, biphenyl = "Cc1ccc2ccccc2c1", "Cc1ccc(-c2ccccc2)cc1"
    assert molecules.scaffold_similarity([naphthalene], [biphenyl]) == 0.0
    # (1, 1) · (2, 0) / (√2 · 2)
    both = molecules.scaffold_similarity([naphthalene, biphenyl], [naphthalene] * 2)
    assert both == pytest.approx(2**-0.5)
    with pytest.raises(DataError, match="no scaffolds"):
        molecules.scaffold_similarity(["Cc1ccccc1"], [naphthalene])


def test_alerts_are_found() -> None:
    # An acyl chloride and an azo dye are alerts of BRENK; ethylbenzene has none.
    assert molecules.alert_free_share(["CCc1ccccc1", "CC(=O)Cl"]) == 0.5


def test_a_set_against_itself_has_no_divergence() -> None:
    found = distribution.descriptor_score(DRUGS, DRUGS[::-1])
    assert found.score == pytest.approx(1.0, abs=1e-9)
    assert len(found.divergences) == 10
    assert distribution.frechet_distance(DRUGS, DRUGS[::-1]) == pytest.approx(0.0, abs=1e-9)


def test_other_molecules_score_lower_and_lie_farther() -> None:
    alkanes = ["C" * length for length in range(3, 20)]
    assert distribution.descriptor_score(alkanes, DRUGS).score < 0.5
    assert distribution.frechet_distance(alkanes, DRUGS) > 5.0


def test_the_score_ignores_spelling_repeats_and_stereochemistry() -> None:
    plain = distribution.descriptor_score(["CC(N)C(=O)O", "CCO", "CCCC", "c1ccccc1"], DRUGS)
    same = distribution.descriptor_score(
        ["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "OCC", "CCO", "CCCC", "c1ccccc1", "C1CC"], DRUGS
    )
    assert same == plain


def test_discrete_divergence_of_known_histograms() -> None:
    # Bins of the baseline 0 … 10; the sample has 3/4 instead of 1/2 in the first one.
    baseline = np.array([0.0, 0.0, 10.0, 10.0])
    sample = np.array([0.0, 0.0, 0.0, 10.0])
    expected = 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25)
    assert distribution.discrete_divergence(baseline, sample) == pytest.approx(expected, rel=1e-6)
    assert distribution.discrete_divergence(baseline, baseline + 100.0) == np.inf


def test_continuous_divergence_of_gaussians_is_that_of_the_textbook() -> None:
    rng = np.random.default_rng(0)
    baseline, sample = rng.normal(0.0, 1.0, 20_000), rng.normal(1.0, 1.0, 20_000)
    # KL of unit Gaussians one apart is 1/2; kernels widen both a little.
    found = distribution.continuous_divergence(baseline, sample)
    assert found == pytest.approx(0.5, abs=0.05)


def test_constant_descriptors_do_not_break_the_score() -> None:
    constant = np.full(5, 3.0)
    assert distribution.continuous_divergence(constant, constant) == pytest.approx(0.0)


def test_frechet_distance_of_gaussians_is_that_of_the_formula() -> None:
    rng = np.random.default_rng(1)
    first = rng.normal(size=(50_000, 2))
    second = first * np.array([2.0, 1.0]) + np.array([3.0, 0.0])
    # |μ|² + (2 − 1)² for the stretched axis.
    assert distribution.gaussian_distance(first, second) == pytest.approx(10.0, abs=0.1)
    turned = rng.normal(size=(50_000, 2)) @ np.array([[1.0, 0.5], [0.0, 1.0]])
    forth, back = (
        distribution.gaussian_distance(first, turned),
        distribution.gaussian_distance(turned, first),
    )
    assert forth == pytest.approx(back)
    assert forth > 0.0


def test_what_cannot_be_measured_says_why() -> None:
    with pytest.raises(DataError, match="0 distinct valid molecules in the sample"):
        distribution.descriptor_score(["C1CC"], DRUGS)
    with pytest.raises(DataError, match="RDKit reads no molecule"):
        distribution.descriptor_table(["xyz"], ["MolWt"])
