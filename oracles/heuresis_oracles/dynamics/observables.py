"""What is read from a trajectory: each observable with its block-averaged standard error.

All functions are vectorised over frames: coordinates have shape (frames, atoms, 3), in Å.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from heuresis_oracles.dynamics.block_averages import standard_error

if TYPE_CHECKING:
    from rdkit.Chem import Atom, Mol

_ALIGNMENT_ROUNDS = 20
_ALIGNMENT_TOLERANCE_angstrom = 1e-6


class Estimate(NamedTuple):
    """A mean and its standard error, in the same unit."""

    value: float
    uncertainty: float


def mean_of(series: np.ndarray) -> Estimate:
    """Return mean and standard error of a time series, shape (frames,)."""
    return Estimate(float(np.mean(series)), standard_error(series))


def align_to_mean(frames_angstrom: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Superpose all frames on their common mean structure.

    The mean is refined until it moves by less than 1e-6 Å. Rotations by Kabsch, Acta Cryst. A 32,
    922 (1976), for all frames at once.

    Returns:
        The superposed frames, shape (frames, atoms, 3), and the mean, shape (atoms, 3), in Å.
    """
    centred = frames_angstrom - frames_angstrom.mean(axis=1, keepdims=True)
    mean = centred[0]
    aligned = centred
    for _ in range(_ALIGNMENT_ROUNDS):
        covariance = np.einsum("fai,aj->fij", centred, mean)
        left, _, right = np.linalg.svd(covariance)
        handedness = np.sign(np.linalg.det(left) * np.linalg.det(right))
        left[:, :, 2] *= handedness[:, None]  # a proper rotation, never a mirror image
        aligned = centred @ (left @ right)
        updated = aligned.mean(axis=0)
        shift = float(np.abs(updated - mean).max())
        mean = updated
        if shift < _ALIGNMENT_TOLERANCE_angstrom:
            break
    return aligned, mean


def root_mean_square_fluctuation(frames_angstrom: np.ndarray) -> Estimate:
    """RMSF: square root of the mean squared distance of atoms from their mean position.

    Averaged over atoms and frames after superposition. The error is that of the mean square,
    propagated through the root. A single atom has no internal motion: 0.
    """
    if frames_angstrom.shape[1] < 2:
        return Estimate(0.0, 0.0)
    aligned, mean = align_to_mean(frames_angstrom)
    mean_square = mean_of(np.mean(np.sum((aligned - mean) ** 2, axis=2), axis=1))
    root = float(np.sqrt(mean_square.value))
    return Estimate(root, mean_square.uncertainty / (2.0 * root) if root > 0.0 else 0.0)


class Shape(NamedTuple):
    """Radius of gyration in Å, and relative shape anisotropy (0 sphere, 1 rod)."""

    radius_of_gyration_angstrom: Estimate
    shape_anisotropy: Estimate


def shape(frames_angstrom: np.ndarray, masses_Da: np.ndarray) -> Shape:
    """Read size and shape from the mass-weighted gyration tensor.

    With eigenvalues a, b, c of the tensor: Rg² = a + b + c, and the relative shape anisotropy is
    1 - 3 (ab + bc + ca) / (a + b + c)² (Theodorou, Suter, Macromolecules 18, 1206 (1985)).

    Args:
        frames_angstrom: all atoms, shape (frames, atoms, 3); at least two atoms.
        masses_Da: physical masses, shape (atoms,).
    """
    weights = masses_Da / masses_Da.sum()
    centred = frames_angstrom - np.einsum("a,fai->fi", weights, frames_angstrom)[:, None, :]
    tensor = np.einsum("a,fai,faj->fij", weights, centred, centred)
    trace = np.trace(tensor, axis1=1, axis2=2)
    minors = 0.5 * (trace**2 - np.einsum("fij,fji->f", tensor, tensor))
    return Shape(mean_of(np.sqrt(trace)), mean_of(1.0 - 3.0 * minors / trace**2))


def radii_of_gyration(frames_angstrom: np.ndarray, masses_Da: np.ndarray) -> np.ndarray:
    """Return the mass-weighted radius of gyration of each frame, shape (frames,), in Å."""
    weights = masses_Da / masses_Da.sum()
    centred = frames_angstrom - np.einsum("a,fai->fi", weights, frames_angstrom)[:, None, :]
    radii: np.ndarray = np.sqrt(np.einsum("a,fai,fai->f", weights, centred, centred))
    return radii


def longest_distance(frames_angstrom: np.ndarray) -> Estimate:
    """Mean over frames of the largest distance between two atoms, in Å; 0 for one atom."""
    first, second = np.triu_indices(frames_angstrom.shape[1], k=1)
    if len(first) == 0:
        return Estimate(0.0, 0.0)
    distances = np.linalg.norm(frames_angstrom[:, first] - frames_angstrom[:, second], axis=2)
    return mean_of(distances.max(axis=1))


def rotatable_torsions(molecule: Mol) -> np.ndarray:
    """Return one torsion per rotatable bond, shape (bonds, 4), atom indices.

    A bond is rotatable when it is single, in no ring, next to no triple bond, and each end has
    another heavy neighbour. Amide and conjugated bonds count: that they hardly turn is physics
    for the simulation to find. The outer atoms are the heavy neighbours of lowest index.
    """
    from rdkit.Chem import BondType

    torsions = []
    for bond in molecule.GetBonds():
        begin, end = bond.GetBeginAtom(), bond.GetEndAtom()
        if bond.GetBondType() != BondType.SINGLE or bond.IsInRing():
            continue
        if any(_has_triple_bond(atom) or atom.GetAtomicNum() == 1 for atom in (begin, end)):
            continue
        outer_begin = _heavy_neighbours(begin, end.GetIdx())
        outer_end = _heavy_neighbours(end, begin.GetIdx())
        if outer_begin and outer_end:
            torsions.append((min(outer_begin), begin.GetIdx(), end.GetIdx(), min(outer_end)))
    return np.array(torsions, dtype=int).reshape(-1, 4)


def _has_triple_bond(atom: Atom) -> bool:
    from rdkit.Chem import BondType

    return any(bond.GetBondType() == BondType.TRIPLE for bond in atom.GetBonds())


def _heavy_neighbours(atom: Atom, excluded: int) -> list[int]:
    return [
        neighbour.GetIdx()
        for neighbour in atom.GetNeighbors()
        if neighbour.GetAtomicNum() > 1 and neighbour.GetIdx() != excluded
    ]


def torsion_angles(frames_angstrom: np.ndarray, torsions: np.ndarray) -> np.ndarray:
    """Return dihedral angles in radian, shape (frames, torsions), in (-pi, pi]."""
    a, b, c, d = (frames_angstrom[:, torsions[:, column]] for column in range(4))
    axis = c - b
    first = np.cross(a - b, axis)
    second = np.cross(d - c, axis)
    sine = np.einsum("fti,fti->ft", np.cross(second, first), axis)
    cosine = np.einsum("fti,fti->ft", first, second) * np.linalg.norm(axis, axis=2)
    angles: np.ndarray = np.arctan2(-sine, cosine)
    return angles


def torsional_flexibility(angles_radian: np.ndarray) -> Estimate:
    """Mean circular variance of torsions: 0 all rigid, 1 all turning freely; 0 without torsions.

    The circular variance of one torsion is 1 - R, where R is the length of the mean of exp(i phi)
    (Mardia, Jupp, Directional Statistics, 2000, section 2.3). Written as the mean over frames of
    1 - cos(phi - mean phi) it is a time series, whose standard error blocking gives.

    Args:
        angles_radian: shape (frames, torsions).
    """
    if angles_radian.shape[1] == 0:
        return Estimate(0.0, 0.0)
    centre = np.angle(np.mean(np.exp(1j * angles_radian), axis=0))
    return mean_of(np.mean(1.0 - np.cos(angles_radian - centre), axis=1))
