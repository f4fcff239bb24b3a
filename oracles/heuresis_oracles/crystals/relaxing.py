"""Relaxation of cell and positions together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from heuresis.errors import CalculationError, ImplausibleResultError

if TYPE_CHECKING:
    from ase import Atoms

Optimizer = Literal["FIRE", "BFGS", "LBFGS"]


@dataclass(frozen=True)
class Settings:
    """When a relaxation has converged, and when it gives up.

    Args:
        optimizer: of ASE.
        force_tolerance_eV_per_angstrom: largest force on an atom, and largest component of the
            cell's gradient per atom, at the end.
        max_steps: give up after so many.
    """

    optimizer: Optimizer
    force_tolerance_eV_per_angstrom: float
    max_steps: int


@dataclass(frozen=True)
class Relaxed:
    """What a relaxation led to.

    Args:
        energy_eV: of the cell at the end.
        gain_eV: by how much it fell.
        volume_ratio: volume at the end over that at the start.
        steps: of the optimizer.
    """

    energy_eV: float
    gain_eV: float
    volume_ratio: float
    steps: int


def relax(atoms: Atoms, settings: Settings) -> Relaxed:
    """Move atoms and cell to a minimum of the energy, in place.

    Source: log-strain of the cell as coordinates, ``FrechetCellFilter`` of ASE.

    Raises:
        ImplausibleResultError: ``max_steps`` did not suffice, or the cell ran away: inconclusive.
        CalculationError: the potential gave no number, or refused the structure on the way.
    """
    with _same_random_numbers():
        return _relax(atoms, settings)


def _relax(atoms: Atoms, settings: Settings) -> Relaxed:
    from ase import optimize
    from ase.filters import FrechetCellFilter

    start_volume = float(atoms.get_volume())
    start = _energy(atoms)
    engine = getattr(optimize, settings.optimizer)(FrechetCellFilter(atoms), logfile=None)
    converged = False
    try:
        # In steps, so that a cell that runs away is stopped before it costs the whole limit.
        for done in engine.irun(
            fmax=settings.force_tolerance_eV_per_angstrom, steps=settings.max_steps
        ):
            converged = bool(done)
            ratio = float(atoms.get_volume()) / start_volume
            if not 0.2 < ratio < 4.0:
                raise ImplausibleResultError(
                    f"the cell ran away: its volume is {ratio:.2f} times that at the start after"
                    f" {engine.nsteps} steps"
                )
    except ImplausibleResultError:
        raise
    except Exception as error:
        raise CalculationError(
            f"the relaxation broke off after {engine.nsteps} steps: {error}"
        ) from error
    if not converged:
        raise ImplausibleResultError(
            f"the relaxation did not reach {settings.force_tolerance_eV_per_angstrom} eV/Å in"
            f" {settings.max_steps} steps (max_steps)"
        )
    end = _energy(atoms)
    return Relaxed(end, start - end, float(atoms.get_volume()) / start_volume, int(engine.nsteps))


@contextlib.contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Give the filter the same random numbers each time, and the process its own back.

    The matrix logarithm of SciPy, which the filter takes of the strain, estimates norms with
    vectors from NumPy's global generator.
    """
    before = np.random.get_state(legacy=False)  # noqa: NPY002
    fresh = np.random.RandomState(0).get_state(legacy=False)
    np.random.set_state(fresh)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def _energy(atoms: Atoms) -> float:
    try:
        energy = float(atoms.get_potential_energy())
    except Exception as error:
        raise CalculationError(f"the potential refused the structure: {error}") from error
    if not np.isfinite(energy):
        raise CalculationError(f"the potential gave the energy {energy}")
    return energy
