"""Bulk modulus from the energy of a crystal at several volumes.

The third-order equation of Birch (Phys. Rev. 71, 809 (1947)) is a cubic in V^(-2/3), so the fit is
linear (as in the Delta project, Lejaeghere et al., Science 351, aad3000 (2016)). The cell keeps its
shape while sites relax: exact for cubic crystals; for others the shape would give way under
pressure, so the modulus comes out too high: it is Voigt's average.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heuresis.errors import CalculationError, ImplausibleResultError

if TYPE_CHECKING:
    from ase import Atoms
    from numpy.typing import NDArray

EV_PER_ANGSTROM3_TO_GPA = 160.21766208
STRAINS = (-0.06, -0.04, -0.02, 0.0, 0.02, 0.04, 0.06)
"""Relative changes of volume."""
LARGEST_RESIDUAL_eV_PER_ATOM = 2e-3
LARGEST_SHIFT = 0.03
"""How far the fitted minimum may lie from the relaxed volume, relative."""
_SITE_STEPS = 40


@dataclass(frozen=True)
class Elasticity:
    """What a fit gave.

    Args:
        bulk_modulus_GPa: at the minimum.
        uncertainty_GPa: standard error, by leaving out one volume at a time.
    """

    bulk_modulus_GPa: float
    uncertainty_GPa: float


def bulk_modulus(atoms: Atoms, force_tolerance_eV_per_angstrom: float) -> Elasticity:
    """Return the bulk modulus of a relaxed crystal, which stays as it is.

    Raises:
        CalculationError: the potential gave no energy.
        ImplausibleResultError: the energies lie on no smooth curve with a minimum near the relaxed
            volume: inconclusive.
    """
    from ase.optimize import BFGS

    volumes, energies = [], []
    for strain in STRAINS:
        moved = atoms.copy()
        moved.calc = atoms.calc
        moved.set_cell(atoms.cell.array * (1.0 + strain) ** (1 / 3), scale_atoms=True)
        try:
            if len(moved) > 1:
                BFGS(moved, logfile=None).run(
                    fmax=force_tolerance_eV_per_angstrom, steps=_SITE_STEPS
                )
            energies.append(float(moved.get_potential_energy()) / len(atoms))
        except Exception as error:
            raise CalculationError(f"no energy at {strain:+.0%} of the volume: {error}") from error
        volumes.append(float(moved.get_volume()) / len(atoms))
    return fitted(np.array(volumes), np.array(energies), float(atoms.get_volume()) / len(atoms))


def fitted(
    volumes_angstrom3: NDArray[np.float64],
    energies_eV: NDArray[np.float64],
    relaxed_angstrom3: float,
) -> Elasticity:
    """Fit Birch's equation to volumes and energies per atom.

    Raises:
        ImplausibleResultError: see `bulk_modulus`.
    """
    modulus, minimum, residual = _fit(volumes_angstrom3, energies_eV)
    if residual > LARGEST_RESIDUAL_eV_PER_ATOM:
        raise ImplausibleResultError(
            f"energies at {len(volumes_angstrom3)} volumes miss the equation of state by"
            f" {1000 * residual:.1f} meV/atom; at most {1000 * LARGEST_RESIDUAL_eV_PER_ATOM:g}:"
            " something rearranges"
        )
    if not modulus > 0.0 or abs(minimum / relaxed_angstrom3 - 1.0) > LARGEST_SHIFT:
        raise ImplausibleResultError(
            f"the equation of state has its minimum at {minimum:.2f} Å³ per atom, the relaxed"
            f" crystal {relaxed_angstrom3:.2f}: no bulk modulus there"
        )
    left_out = [
        _fit(np.delete(volumes_angstrom3, i), np.delete(energies_eV, i))[0]
        for i in range(len(volumes_angstrom3))
    ]
    count = len(left_out)
    spread = np.array(left_out) - float(np.mean(left_out))
    error = float(np.sqrt((count - 1) / count * np.sum(spread**2)))
    return Elasticity(modulus, error)


def _fit(volumes: NDArray[np.float64], energies: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return bulk modulus (GPa), volume of the minimum and root mean square residual."""
    x = volumes ** (-2 / 3)
    middle = float(x.mean())
    scale = float(np.ptp(x))
    reduced = (x - middle) / scale
    coefficients = np.polynomial.polynomial.polyfit(reduced, energies, 3)
    curve = np.polynomial.Polynomial(coefficients)
    residual = float(np.sqrt(np.mean((curve(reduced) - energies) ** 2)))
    roots = [float(r.real) for r in curve.deriv().roots() if abs(r.imag) < 1e-9]
    minima = [r for r in roots if curve.deriv(2)(r) > 0.0]
    if not minima:
        return 0.0, float("inf"), residual
    lowest = float(min(minima, key=abs))
    volume = (lowest * scale + middle) ** (-1.5)
    curvature = float(curve.deriv(2)(lowest)) / scale**2
    modulus = 4.0 / 9.0 * curvature * volume ** (-7 / 3) * EV_PER_ANGSTROM3_TO_GPA
    return float(modulus), float(volume), residual
