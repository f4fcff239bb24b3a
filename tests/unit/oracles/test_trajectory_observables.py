"""Observables against cases with known answers, and block errors against known correlation."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem
from scipy.spatial.transform import Rotation

from heuresis_oracles.dynamics.block_averages import standard_error
from heuresis_oracles.dynamics.observables import (
    align_to_mean,
    longest_distance,
    root_mean_square_fluctuation,
    rotatable_torsions,
    shape,
    torsion_angles,
    torsional_flexibility,
)


def tumbling(structure: np.ndarray, frames: int, noise: float, seed: int = 0) -> np.ndarray:
    """Frames of a structure with noise, each rotated and moved at random."""
    rng = np.random.default_rng(seed)
    rotations = Rotation.random(frames, random_state=rng).as_matrix()
    moved = structure + noise * rng.normal(size=(frames, *structure.shape))
    return np.asarray(
        np.einsum("fij,faj->fai", rotations, moved) + 9 * rng.normal(size=(frames, 1, 3))
    )


STRUCTURE = np.random.default_rng(3).normal(scale=3.0, size=(20, 3))


def test_rotation_and_translation_are_no_fluctuation() -> None:
    assert root_mean_square_fluctuation(tumbling(STRUCTURE, 50, 0.0)).value < 1e-6


def test_rmsf_recovers_the_noise_less_the_six_rigid_motions() -> None:
    found = root_mean_square_fluctuation(tumbling(STRUCTURE, 4000, 0.1))
    expected = 0.1 * np.sqrt((3 * 20 - 6) / 20)
    assert found.value == pytest.approx(expected, rel=0.02)
    assert 0.0 < found.uncertainty < 0.01


def test_alignment_never_mirrors() -> None:
    mirrored = np.stack([STRUCTURE, STRUCTURE * np.array([1.0, 1.0, -1.0])])
    aligned, _ = align_to_mean(mirrored)
    assert np.sqrt(np.mean(np.sum((aligned[0] - aligned[1]) ** 2, axis=1))) > 0.5


def test_one_atom_does_not_fluctuate() -> None:
    frames = np.random.default_rng(0).normal(size=(10, 1, 3))
    assert root_mean_square_fluctuation(frames) == (0.0, 0.0)
    assert longest_distance(frames) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("points", "radius", "anisotropy"),
    [
        ([[1, 0, 0], [-1, 0, 0]], 1.0, 1.0),
        ([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]], 1.0, 0.25),
        ([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], 1.0, 0.0),
    ],
    ids=["rod", "square", "octahedron"],
)
def test_shape_of_simple_bodies(
    points: list[list[float]], radius: float, anisotropy: float
) -> None:
    found = shape(tumbling(np.array(points, float), 5, 0.0), np.ones(len(points)))
    assert found.radius_of_gyration_angstrom.value == pytest.approx(radius)
    assert found.shape_anisotropy.value == pytest.approx(anisotropy, abs=1e-9)


def test_torsion_angles_equal_rdkit_with_sign() -> None:
    from rdkit.Chem import rdDistGeom
    from rdkit.Chem.rdMolTransforms import GetDihedralRad

    molecule = Chem.AddHs(Chem.MolFromSmiles("CC(O)COC(=O)CCN"))
    assert rdDistGeom.EmbedMolecule(molecule, randomSeed=4) == 0
    torsions = rotatable_torsions(molecule)
    conformer = molecule.GetConformer()
    positions = np.asarray(conformer.GetPositions())
    found, mirrored = torsion_angles(np.stack([positions, -positions]), torsions)
    expected = [GetDihedralRad(conformer, *map(int, torsion)) for torsion in torsions]
    assert found == pytest.approx(expected)
    assert mirrored == pytest.approx([-angle for angle in expected])
    assert max(np.abs(expected)) > 0.5


@pytest.mark.parametrize(
    ("smiles", "count"),
    [
        ("c1ccccc1", 0),
        ("CC", 0),
        ("CCCC", 1),
        ("CC#CC", 0),
        ("CC(=O)NC", 1),
        ("CC(C)(C)c1ccccc1", 1),
    ],
)
def test_rotatable_torsions_counted(smiles: str, count: int) -> None:
    assert len(rotatable_torsions(Chem.AddHs(Chem.MolFromSmiles(smiles)))) == count


def test_torsional_flexibility_limits() -> None:
    rng = np.random.default_rng(1)
    frozen = np.full((100, 2), np.pi)  # also at the seam of the circle
    free = rng.uniform(-np.pi, np.pi, size=(20_000, 2))
    wobbling = np.pi + 0.3 * rng.normal(size=(20_000, 1))
    assert torsional_flexibility(frozen).value == pytest.approx(0.0, abs=1e-12)
    assert torsional_flexibility(free).value == pytest.approx(1.0, abs=0.02)
    # A wrapped normal of width s has circular variance 1 - exp(-s²/2).
    expected = 1.0 - np.exp(-(0.3**2) / 2)
    assert torsional_flexibility(wobbling).value == pytest.approx(expected, rel=0.05)
    assert torsional_flexibility(np.empty((10, 0))) == (0.0, 0.0)


def test_block_error_of_independent_samples_is_the_naive_one() -> None:
    series = np.random.default_rng(2).normal(size=4096)
    assert standard_error(series) == pytest.approx(1 / 64, rel=0.2)


def test_block_error_of_correlated_samples_knows_the_correlation() -> None:
    # AR(1) with coefficient a: the variance of the mean grows by (1 + a) / (1 - a).
    rng = np.random.default_rng(4)
    coefficient, samples, errors = 0.9, 8192, []
    for _ in range(10):
        series = np.empty(samples)
        series[0] = rng.normal()
        kicks = rng.normal(size=samples) * np.sqrt(1 - coefficient**2)
        for step in range(1, samples):
            series[step] = coefficient * series[step - 1] + kicks[step]
        errors.append(standard_error(series))
    expected = np.sqrt((1 + coefficient) / (1 - coefficient) / samples)
    assert np.mean(errors) == pytest.approx(expected, rel=0.15)


def test_block_error_edge_cases() -> None:
    assert standard_error(np.ones(10)) == 0.0
    assert standard_error(np.array([0.0, 2.0])) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="at least 2"):
        standard_error(np.array([1.0]))
