"""Does a crystal hold together when it is warm? Short molecular dynamics and Lindemann's ratio.

Lindemann (Phys. Z. 11, 609 (1910)): a crystal melts when its atoms swing by about a tenth of the
distance to their neighbours; 0.1 to 0.15 for simple solids. Here atoms are followed from their
relaxed sites, so a crystal that turns into another one within the run has a large ratio, too. A
picosecond sees soft modes and loose atoms; it does not see slow transformations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heuresis.errors import CalculationError, ImplausibleResultError

if TYPE_CHECKING:
    from ase import Atoms

SHORTEST_EDGE_ANGSTROM = 6.5
_LARGEST_RATIO = 5.0
_FRICTION_PER_FS = 0.02
_EQUILIBRATION_SHARE = 0.4


@dataclass(frozen=True)
class Protocol:
    """How a crystal is shaken.

    Args:
        temperature_K: of the thermostat.
        duration_ps: the first 40 % equilibrate.
        timestep_fs: of the integrator.
        least_atoms: the supercell has at least so many.
    """

    temperature_K: float
    duration_ps: float
    timestep_fs: float
    least_atoms: int


@dataclass(frozen=True)
class Shaken:
    """What a run gave.

    Args:
        lindemann_ratio: root mean square displacement from the relaxed sites over the distance of
            nearest neighbours, averaged over the second part of the run.
        uncertainty: half the difference between the two halves of that part.
        temperature_K: mean kinetic temperature of that part.
    """

    lindemann_ratio: float
    uncertainty: float
    temperature_K: float


def shake(atoms: Atoms, protocol: Protocol, seed: int) -> Shaken:
    """Run Langevin dynamics of a supercell of a relaxed crystal, which stays as it is.

    Raises:
        CalculationError: the potential broke off.
        ImplausibleResultError: the thermostat did not hold: inconclusive.
    """
    from ase import units
    from ase.md.langevin import Langevin
    from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

    rng = np.random.RandomState(seed)
    large = supercell(atoms, protocol.least_atoms)
    large.calc = atoms.calc
    sites = large.get_positions()
    nearest = _nearest_angstrom(large)
    MaxwellBoltzmannDistribution(large, temperature_K=protocol.temperature_K, rng=rng)
    engine = Langevin(
        large,
        protocol.timestep_fs * units.fs,
        temperature_K=protocol.temperature_K,
        friction=_FRICTION_PER_FS / units.fs,
        rng=rng,
    )
    steps = max(10, round(1000.0 * protocol.duration_ps / protocol.timestep_fs))
    masses = large.get_masses()[:, None]
    ratios, temperatures = [], []
    for step in range(steps):
        try:
            engine.run(1)
        except Exception as error:
            raise CalculationError(f"the dynamics broke off at step {step}: {error}") from error
        apart = large.get_positions() - sites
        apart -= (masses * apart).sum(axis=0) / masses.sum()
        ratio = float(np.sqrt((apart**2).sum(axis=1).mean())) / nearest
        if not np.isfinite(ratio) or ratio > _LARGEST_RATIO:
            raise CalculationError(f"atoms flew apart at step {step} of the dynamics")
        if step >= _EQUILIBRATION_SHARE * steps:
            ratios.append(ratio)
            temperatures.append(float(large.get_temperature()))
    mean = float(np.mean(temperatures))
    if not 0.4 < mean / protocol.temperature_K < 2.0:
        raise ImplausibleResultError(
            f"the thermostat did not hold: {mean:.0f} K instead of {protocol.temperature_K:g} K"
        )
    half = len(ratios) // 2
    spread = abs(float(np.mean(ratios[:half])) - float(np.mean(ratios[half:]))) / 2
    return Shaken(float(np.sqrt(np.mean(np.square(ratios)))), spread, mean)


def supercell(atoms: Atoms, least_atoms: int) -> Atoms:
    """Return a supercell without short edges and with enough atoms, as small as may be."""
    repeats = [max(1, int(np.ceil(SHORTEST_EDGE_ANGSTROM / h))) for h in _heights(atoms)]
    while len(atoms) * int(np.prod(repeats)) < least_atoms:
        thickness = [h * n for h, n in zip(_heights(atoms), repeats, strict=True)]
        repeats[int(np.argmin(thickness))] += 1
    return atoms.repeat(repeats)


def _heights(atoms: Atoms) -> list[float]:
    """Return the distances between opposite faces of the cell."""
    inverse = np.linalg.inv(atoms.cell.array)
    return [float(1.0 / np.linalg.norm(inverse[:, axis])) for axis in range(3)]


def _nearest_angstrom(atoms: Atoms) -> float:
    """Return the mean distance of nearest neighbours; edges are long enough for nearest images."""
    distances = atoms.get_all_distances(mic=True)
    np.fill_diagonal(distances, np.inf)
    return float(distances.min(axis=1).mean())
