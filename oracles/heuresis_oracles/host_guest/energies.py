"""MMFF94 energies of one or two molecules in implicit water: minimised, or relaxed by dynamics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from heuresis.errors import CalculationError
from heuresis_oracles.dynamics.simulation import repartitioned_masses
from heuresis_oracles.forcefield.implicit_solvent import water_force
from heuresis_oracles.forcefield.mmff94 import build_system
from heuresis_oracles.forcefield.mmff94_parameters import Variant, read_parameters
from heuresis_oracles.units import (
    ANGSTROM_TO_NANOMETRE,
    KILOCALORIE_TO_KILOJOULE,
    NANOMETRE_TO_ANGSTROM,
)

if TYPE_CHECKING:
    from rdkit.Chem import Mol

FINE_KJ_PER_MOL_NM = 0.5
COARSE_KJ_PER_MOL_NM = 10.0
"""Root mean square force at the end of a minimisation: to compare by, and to sort by."""
_FRICTION_PER_PS = 5.0
_TIMESTEP_PS = 0.0015
_HYDROGEN_MASS_Da = 3.0
"""Free bonds to hydrogens this heavy take 1.5 fs; the run only has to leave a shallow minimum."""


class Minimum(NamedTuple):
    """A minimised structure and its energy."""

    energy_kcal_per_mol: float
    places_angstrom: np.ndarray
    """Shape (atoms, 3)."""


class Energies:
    """The energy surface of a molecule, or of two that act on each other.

    Raises:
        OracleSetupError: MMFF94 has no type, or the solvent no radius, for an atom.
    """

    def __init__(
        self,
        molecule: Mol,
        *,
        variant: Variant,
        solvent: Literal["water"] | None,
        temperature_K: float,
        platform: Literal["Reference", "CPU"],
    ) -> None:
        import openmm

        parameters = read_parameters(molecule, variant, between_fragments=True)
        system = build_system(parameters, repartitioned_masses(molecule, _HYDROGEN_MASS_Da))
        if solvent is not None:
            system.addForce(water_force(molecule, parameters.partial_charges_e))
        self._temperature_K = temperature_K
        self._thermostat = openmm.LangevinMiddleIntegrator(
            temperature_K, _FRICTION_PER_PS, _TIMESTEP_PS
        )
        properties = {"Threads": "1"} if platform == "CPU" else {}
        self._context = openmm.Context(
            system, self._thermostat, openmm.Platform.getPlatform(platform), properties
        )

    def energy_kcal_per_mol(self, places_angstrom: np.ndarray) -> float:
        """Return the energy of a structure as it is."""
        self._context.setPositions(places_angstrom * ANGSTROM_TO_NANOMETRE)
        return self._now().energy_kcal_per_mol

    def minimised(
        self, places_angstrom: np.ndarray, tolerance_kJ_per_mol_nm: float = FINE_KJ_PER_MOL_NM
    ) -> Minimum:
        """Return the minimum downhill from a structure.

        Raises:
            CalculationError: the energy is not finite.
        """
        import openmm

        self._context.setPositions(places_angstrom * ANGSTROM_TO_NANOMETRE)
        try:
            openmm.LocalEnergyMinimizer.minimize(self._context, tolerance_kJ_per_mol_nm)
        except openmm.OpenMMException as error:
            raise CalculationError(f"the minimisation broke down: {error}") from error
        return self._now()

    def relaxed(self, places_angstrom: np.ndarray, duration_ps: float, seed: int) -> Minimum:
        """Return the minimum downhill from the end of a short run of dynamics.

        Raises:
            CalculationError: coordinates or energy became NaN.
        """
        import openmm

        nonzero = (seed & 0x7FFFFFFF) or 1  # OpenMM reads 0 as "choose one from the clock"
        self._thermostat.setRandomNumberSeed(nonzero)
        # A preserved state would bring back the random numbers of the run before.
        self._context.reinitialize(preserveState=False)
        self._context.setPositions(places_angstrom * ANGSTROM_TO_NANOMETRE)
        self._context.setVelocitiesToTemperature(self._temperature_K, nonzero)
        try:
            self._thermostat.step(max(round(duration_ps / _TIMESTEP_PS), 1))
        except openmm.OpenMMException as error:
            raise CalculationError(f"the dynamics broke down: {error}") from error
        return self.minimised(self._now().places_angstrom)

    def _now(self) -> Minimum:
        state: Any = self._context.getState(energy=True, positions=True)
        energy = state.getPotentialEnergy()._value / KILOCALORIE_TO_KILOJOULE
        places = state.getPositions(asNumpy=True)._value * NANOMETRE_TO_ANGSTROM
        if not (np.isfinite(energy) and np.all(np.isfinite(places))):
            raise CalculationError("the energy or a coordinate is not a finite number")
        return Minimum(float(energy), np.asarray(places))
