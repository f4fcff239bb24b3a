"""Is it still the same molecule? Bonds re-perceived from a geometry, compared with the graph.

A bond is *broken* when it is longer than 1.3 times the sum of covalent radii, and *formed* when two
atoms that are not bonded come closer than 1.2 times that sum (1.3 when one of them is a hydrogen,
whose non-bonded contacts are never that short). Two thresholds leave room for stretched bonds and
for the short 1,3 distances of small cages: in bicyclo[1.1.1]pentane it is 1.23 times the sum.

Radii: Cordero et al., Dalton Trans. 2832 (2008).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heuresis.errors import ImplausibleResultError, OracleSetupError

if TYPE_CHECKING:
    from rdkit.Chem import Mol

BROKEN_BEYOND = 1.3
FORMED_WITHIN = 1.2
FORMED_WITHIN_HYDROGEN = 1.3
_NAMED_PAIRS = 3
OVERLAP_angstrom = 0.5
"""The shortest bond, that of dihydrogen, is 0.74 Å."""


def require_same_connectivity(molecule: Mol, positions_angstrom: np.ndarray) -> None:
    """Check that a geometry has the bonds of the molecular graph.

    Args:
        molecule: graph with explicit hydrogens.
        positions_angstrom: shape (atoms, 3), in Å.

    Raises:
        ImplausibleResultError: names the bonds that broke or formed.
    """
    broken, formed = changed_bonds(molecule, positions_angstrom)
    if broken or formed:
        changes = [f"{_pair_name(molecule, pair)} broke" for pair in broken[:_NAMED_PAIRS]]
        changes += [f"{_pair_name(molecule, pair)} formed" for pair in formed[:_NAMED_PAIRS]]
        raise ImplausibleResultError(
            f"the geometry is no longer the same molecule ({len(broken)} bonds broken,"
            f" {len(formed)} formed): {'; '.join(changes)}"
        )


def require_separated(molecule: Mol, positions_angstrom: np.ndarray) -> None:
    """Refuse a geometry in which two atoms sit on each other, before anything is computed.

    Raises:
        OracleSetupError: names the closest pair.
    """
    if len(positions_angstrom) < 2:
        return
    first, second = np.triu_indices(len(positions_angstrom), k=1)
    distances = np.linalg.norm(positions_angstrom[first] - positions_angstrom[second], axis=1)
    closest = int(np.argmin(distances))
    if not distances[closest] >= OVERLAP_angstrom:  # negated, so that NaN counts
        pair = _pair_name(molecule, (int(first[closest]), int(second[closest])))
        raise OracleSetupError(
            f"atoms {pair} overlap: {distances[closest]:.2f} Å apart, the limit is"
            f" {OVERLAP_angstrom} Å; no calculation was started"
        )


def changed_bonds(
    molecule: Mol, positions_angstrom: np.ndarray
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the broken and the formed bonds as atom index pairs (first < second)."""
    from ase.data import covalent_radii

    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
    radii = covalent_radii[numbers]
    first, second = np.triu_indices(len(numbers), k=1)
    distances = np.linalg.norm(positions_angstrom[first] - positions_angstrom[second], axis=1)
    ratio = distances / (radii[first] + radii[second])
    bonded = np.zeros((len(numbers), len(numbers)), dtype=bool)
    for bond in molecule.GetBonds():
        a, b = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
        bonded[a, b] = True
    is_bonded = bonded[first, second]
    hydrogen = (numbers[first] == 1) | (numbers[second] == 1)
    limit = np.where(hydrogen, FORMED_WITHIN_HYDROGEN, FORMED_WITHIN)
    broken = is_bonded & ~(ratio <= BROKEN_BEYOND)  # negated, so that NaN counts as broken
    formed = ~is_bonded & (ratio < limit)
    return _pairs(first, second, broken), _pairs(first, second, formed)


def _pairs(first: np.ndarray, second: np.ndarray, chosen: np.ndarray) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for a, b in zip(first[chosen], second[chosen], strict=True)]


def _pair_name(molecule: Mol, pair: tuple[int, int]) -> str:
    a, b = (molecule.GetAtomWithIdx(index) for index in pair)
    return f"{a.GetSymbol()}{pair[0]}-{b.GetSymbol()}{pair[1]}"
