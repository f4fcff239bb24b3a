"""Surface, hydrogen bonds and conformers of a trajectory, each with its block-averaged error."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from heuresis_oracles.dynamics.observables import Estimate, mean_of

if TYPE_CHECKING:
    from rdkit.Chem import Atom, Mol

_LONGEST_HYDROGEN_BOND_angstrom = 2.5
_SMALLEST_ANGLE_DEGREE = 120.0
_FEWEST_BONDS_BETWEEN = 3
"""Donor and acceptor that are closer in the graph face each other for other reasons."""
_POLAR = ("N", "O")


class Surface(NamedTuple):
    """Solvent-accessible areas in Å², probe of 1.4 Å."""

    total: Estimate
    polar: Estimate
    """Of nitrogen, oxygen and the hydrogens on them."""


class Conformers(NamedTuple):
    """How a molecule shares its time among torsional states."""

    visited: int
    """Number of states seen."""
    largest_population: Estimate
    """Share of the time in the commonest state."""


def surface(molecule: Mol, frames_angstrom: np.ndarray) -> Surface:
    """Return the mean solvent-accessible areas (Lee, Richards 1971), by FreeSASA.

    Args:
        molecule: with explicit hydrogens.
        frames_angstrom: shape (frames, atoms, 3).
    """
    from rdkit import Chem
    from rdkit.Chem import rdFreeSASA
    from rdkit.Geometry import Point3D

    table = Chem.GetPeriodicTable()
    radii = [table.GetRvdw(atom.GetAtomicNum()) for atom in molecule.GetAtoms()]
    polar = np.array([_is_polar(atom) for atom in molecule.GetAtoms()])
    moving = Chem.Mol(molecule)
    conformer = moving.GetConformer()
    areas = np.empty((len(frames_angstrom), 2))
    for index, frame in enumerate(frames_angstrom):
        for atom, (x, y, z) in enumerate(frame.tolist()):
            conformer.SetAtomPosition(atom, Point3D(x, y, z))
        areas[index, 0] = rdFreeSASA.CalcSASA(moving, radii)
        shares = np.array([float(atom.GetProp("SASA")) for atom in moving.GetAtoms()])
        areas[index, 1] = shares[polar].sum()
    return Surface(mean_of(areas[:, 0]), mean_of(areas[:, 1]))


def _is_polar(atom: Atom) -> bool:
    if atom.GetAtomicNum() == 1:
        return any(neighbour.GetSymbol() in _POLAR for neighbour in atom.GetNeighbors())
    return atom.GetSymbol() in _POLAR


def hydrogen_bonds(molecule: Mol, frames_angstrom: np.ndarray) -> Estimate:
    """Return the mean number of hydrogen bonds within the molecule.

    One is counted where a hydrogen on N, O or S comes within 2.5 Å of an N, O or F at least three
    bonds from its donor, with an angle at the hydrogen above 120° (distance and angle: Baker,
    Hubbard, Prog. Biophys. Mol. Biol. 44, 97 (1984), for N-H and O in proteins; that they serve for
    the other elements too is our assumption).
    """
    from rdkit import Chem

    apart = np.asarray(Chem.GetDistanceMatrix(molecule))
    triples = [
        (neighbour.GetIdx(), hydrogen.GetIdx(), acceptor.GetIdx())
        for hydrogen in molecule.GetAtoms()
        if hydrogen.GetAtomicNum() == 1
        for neighbour in hydrogen.GetNeighbors()
        if neighbour.GetSymbol() in ("N", "O", "S")
        for acceptor in molecule.GetAtoms()
        if acceptor.GetSymbol() in ("N", "O", "F")
        and apart[neighbour.GetIdx(), acceptor.GetIdx()] >= _FEWEST_BONDS_BETWEEN
    ]
    if not triples:
        return Estimate(0.0, 0.0)
    donors, hydrogens, acceptors = (
        frames_angstrom[:, list(column)] for column in zip(*triples, strict=True)
    )
    to_donor, to_acceptor = donors - hydrogens, acceptors - hydrogens
    length = np.linalg.norm(to_acceptor, axis=2)
    cosine = np.einsum("fti,fti->ft", to_donor, to_acceptor) / (
        length * np.linalg.norm(to_donor, axis=2)
    )
    bonded = (length < _LONGEST_HYDROGEN_BOND_angstrom) & (
        cosine < np.cos(np.radians(_SMALLEST_ANGLE_DEGREE))
    )
    return mean_of(bonded.sum(axis=1).astype(float))


def conformers(angles_radian: np.ndarray) -> Conformers:
    """Return how many torsional states were visited, and how much time the commonest takes.

    A state gives each rotatable torsion one of three wells of 120°, about 60°, 180° and 300°.

    Args:
        angles_radian: shape (frames, torsions).
    """
    wells = np.floor(np.mod(angles_radian, 2.0 * np.pi) / (2.0 * np.pi / 3.0)).astype(int)
    states = [tuple(row) for row in wells.tolist()]
    (commonest, _), *_ = Counter(states).most_common(1)
    inside = np.array([state == commonest for state in states], dtype=float)
    return Conformers(len(set(states)), mean_of(inside))


def is_drifting(series: np.ndarray, sigmas: float, share: float) -> bool:
    """Whether the two halves of a time series differ by more than error and tolerance allow.

    Args:
        series: shape (frames,).
        sigmas: how many standard errors of the difference are still chance.
        share: relative difference below which a drift is of no consequence.
    """
    half = len(series) // 2
    first, second = mean_of(series[:half]), mean_of(series[half:])
    difference = abs(first.value - second.value)
    error = float(np.hypot(first.uncertainty, second.uncertainty))
    return difference > sigmas * error and difference > share * abs(float(np.mean(series)))
