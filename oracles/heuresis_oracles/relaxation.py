"""Relaxation of a molecule with few, costly forces: a cheap force field knows how stiff it is.

A quasi-Newton optimiser that starts from the Hessian of MMFF94 takes about a third of the steps of
one that starts from the unit matrix: bonds are stiff and torsions soft from the first step.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Literal

import numpy as np

from heuresis.errors import CalculationError
from heuresis_oracles.electronic import scf_failure
from heuresis_oracles.units import (
    ANGSTROM_TO_NANOMETRE,
    EV_TO_KILOJOULE_PER_MOL,
    NANOMETRE_TO_ANGSTROM,
)

if TYPE_CHECKING:
    from ase import Atoms
    from rdkit.Chem import Mol

Optimizer = Literal["MMFF94-BFGS", "BFGS", "LBFGS", "FIRE"]

_HESSIAN_TERMS = ("bond", "angle", "torsion", "nonbonded")
"""Without the two couplings: they hardly change the number of steps, and compiling them for each
molecule would cost five times as much as all differences."""
_DISPLACEMENT_angstrom = 1e-3
_SOFTEST_eV_per_angstrom2 = 2.0
"""Eigenvalues are raised to this: softer modes would take steps that the quadratic model cannot
answer for. From 1 to 3 the number of steps is the same; 10 costs a third more."""


def relax(
    atoms: Atoms,
    molecule: Mol,
    *,
    optimizer: Optimizer,
    force_tolerance_eV_per_angstrom: float,
    max_steps: int,
) -> None:
    """Move atoms to the minimum of their calculator's energy, in place.

    Args:
        atoms: with a calculator.
        molecule: the same atoms as a graph; ``MMFF94-BFGS`` needs its MMFF94 types.
        optimizer: ASE's BFGS, LBFGS or FIRE, or BFGS that starts from the MMFF94 Hessian.
        force_tolerance_eV_per_angstrom: largest force on an atom at the end.
        max_steps: give up after so many.

    Raises:
        CalculationError: a self-consistent field failed, or ``max_steps`` did not suffice.
        OracleSetupError: ``MMFF94-BFGS`` for a molecule that MMFF94 cannot type.
    """
    from ase import optimize

    if optimizer == "MMFF94-BFGS":
        engine = optimize.BFGS(atoms, logfile=None)
        engine.H0 = stiffened(mmff94_hessian(molecule, atoms.positions))
    else:
        engine = getattr(optimize, optimizer)(atoms, logfile=None)
    try:
        converged = engine.run(fmax=force_tolerance_eV_per_angstrom, steps=max_steps)
    except Exception as error:
        raise scf_failure(error) from error
    if not converged:
        raise CalculationError(
            f"the geometry did not converge to {force_tolerance_eV_per_angstrom} eV/Å"
            f" in {max_steps} steps (max_steps)"
        )


def mmff94_hessian(
    molecule: Mol, positions_angstrom: np.ndarray, terms: Collection[str] = _HESSIAN_TERMS
) -> np.ndarray:
    """Return the Hessian of MMFF94 terms in eV/Å², shape (3 atoms, 3 atoms).

    By forward differences, at a thousandth of an ångström.

    With the OpenMM form of the force field: RDKit's own gradient returns stale values when one
    force field object is asked at several geometries.
    """
    import openmm

    from heuresis_oracles.forcefield.mmff94 import build_system
    from heuresis_oracles.forcefield.mmff94_parameters import read_parameters

    count = len(positions_angstrom)
    context = openmm.Context(
        build_system(read_parameters(molecule), np.ones(count), terms),
        openmm.VerletIntegrator(0.001),
        openmm.Platform.getPlatform("Reference"),
    )

    def gradient(flat_angstrom: np.ndarray) -> np.ndarray:
        context.setPositions(flat_angstrom.reshape(-1, 3) * ANGSTROM_TO_NANOMETRE)
        forces = context.getState(forces=True).getForces(asNumpy=True)._value
        return -np.ravel(forces) / (EV_TO_KILOJOULE_PER_MOL * NANOMETRE_TO_ANGSTROM)

    start = np.ravel(positions_angstrom).astype(float)
    reference = gradient(start)
    hessian = np.empty((3 * count, 3 * count))
    for coordinate in range(3 * count):
        moved = start.copy()
        moved[coordinate] += _DISPLACEMENT_angstrom
        hessian[coordinate] = (gradient(moved) - reference) / _DISPLACEMENT_angstrom
    return 0.5 * (hessian + hessian.T)


def stiffened(hessian: np.ndarray) -> np.ndarray:
    """Return the matrix with all eigenvalues made positive and at least 2 eV/Å²."""
    eigenvalues, modes = np.linalg.eigh(hessian)
    raised = np.maximum(np.abs(eigenvalues), _SOFTEST_eV_per_angstrom2)
    positive: np.ndarray = (modes * raised) @ modes.T
    return positive
