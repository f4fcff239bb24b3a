"""Harmonic vibrations by finite differences, and the check that a geometry is a minimum.

The Hessian is a central difference of forces. Translations and rotations are projected out before
it is diagonalised (Ochterski, Vibrational analysis in Gaussian, 1999), so exactly 3N - 6 modes (5
for a linear molecule) remain, however loosely the geometry was relaxed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from heuresis.errors import ImplausibleResultError
from heuresis_oracles.electronic import scf_failure

if TYPE_CHECKING:
    from ase import Atoms

_STEP_angstrom = 0.01
_PUSH_angstrom = 0.1
_ATTEMPTS = 3
_RANK_TOLERANCE = 1e-4


class Vibrations(NamedTuple):
    """Normal modes of a molecule, softest first; imaginary wavenumbers are negative."""

    wavenumbers_per_cm: np.ndarray
    """Shape (modes,)."""
    displacements: np.ndarray
    """Cartesian, each of unit length, shape (modes, atoms, 3)."""
    linear: bool


def vibrations(atoms: Atoms) -> Vibrations:
    """Return the normal modes of atoms with a calculator, about where they are.

    Raises:
        CalculationError: a self-consistent field failed.
    """
    from ase import units

    masses = np.repeat(atoms.get_masses(), 3)
    outer = _translations_and_rotations(atoms)
    # The columns that a complete orthogonal basis adds are the internal motions.
    rank = outer.shape[1]
    basis = np.linalg.svd(outer, full_matrices=True)[0][:, rank:]
    scaled = force_constants(atoms) / np.sqrt(np.outer(masses, masses))
    eigenvalues, modes = np.linalg.eigh(basis.T @ scaled @ basis)
    to_eV = units._hbar * 1e10 / np.sqrt(units._e * units._amu)
    wavenumbers = np.sign(eigenvalues) * np.sqrt(np.abs(eigenvalues)) * to_eV / units.invcm
    displacements = (basis @ modes).T / np.sqrt(masses)
    displacements /= np.linalg.norm(displacements, axis=1, keepdims=True)
    return Vibrations(wavenumbers, displacements.reshape(-1, len(atoms), 3), rank == 5)


def force_constants(atoms: Atoms) -> np.ndarray:
    """Return the Hessian in eV/Å², shape (3 atoms, 3 atoms); positions are as before after it."""
    start = atoms.positions.copy()
    hessian = np.empty((start.size, start.size))
    try:
        for row in range(start.size):
            gradients = []
            for sign in (1.0, -1.0):
                moved = start.ravel().copy()
                moved[row] += sign * _STEP_angstrom
                atoms.positions = moved.reshape(-1, 3)
                gradients.append(-atoms.get_forces().ravel())
            hessian[row] = (gradients[0] - gradients[1]) / (2.0 * _STEP_angstrom)
    except Exception as error:
        raise scf_failure(error) from error
    finally:
        atoms.positions = start
    return 0.5 * (hessian + hessian.T)


def vibrations_of_minimum(
    atoms: Atoms, relax: Callable[[], None], imaginary_tolerance_per_cm: float
) -> Vibrations:
    """Return the vibrations of a minimum, leaving a saddle point downhill where it must.

    Args:
        atoms: with a calculator; moved in place when a saddle point had to be left.
        relax: relaxes ``atoms`` in place.
        imaginary_tolerance_per_cm: softer imaginary modes are numerical noise of a flat direction.

    Raises:
        ImplausibleResultError: still a saddle point after several attempts.
    """
    for attempt in range(_ATTEMPTS):
        found = vibrations(atoms)
        softest = float(found.wavenumbers_per_cm.min(initial=np.inf))
        if softest >= -imaginary_tolerance_per_cm:
            return found
        if attempt + 1 < _ATTEMPTS:
            atoms.positions = atoms.positions + _PUSH_angstrom * found.displacements[0]
            relax()
    raise ImplausibleResultError(
        f"the geometry is a saddle point: an imaginary mode of {-softest:.0f}i per cm remains after"
        f" {_ATTEMPTS - 1} attempts to leave it (limit {imaginary_tolerance_per_cm:g}i)"
    )


def _translations_and_rotations(atoms: Atoms) -> np.ndarray:
    """Return a basis of the mass-weighted outer motions, shape (3 atoms, 5 or 6)."""
    roots = np.sqrt(atoms.get_masses())
    centred = atoms.positions - atoms.get_center_of_mass()
    motions = [np.outer(roots, axis).ravel() for axis in np.eye(3)]
    motions += [(roots[:, None] * np.cross(axis, centred)).ravel() for axis in np.eye(3)]
    left, values, _ = np.linalg.svd(np.array(motions).T, full_matrices=False)
    basis: np.ndarray = left[:, values > _RANK_TOLERANCE * values[0]]
    return basis
