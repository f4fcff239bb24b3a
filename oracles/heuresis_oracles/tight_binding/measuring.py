"""From a SMILES to the values that the xtb oracle gives: structures, relaxation, observables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from heuresis.errors import CalculationError, OracleError
from heuresis_oracles.connectivity import require_same_connectivity, require_separated
from heuresis_oracles.electronic import (
    ElectronicState,
    electronic_state,
    ground_state_properties,
    require_elements,
    vertical_ionisation_eV,
)
from heuresis_oracles.embedding import embed, ensemble, positions_angstrom
from heuresis_oracles.molecules import parse_single_molecule
from heuresis_oracles.relaxation import relax
from heuresis_oracles.tight_binding.charging import (
    Charging,
    charging,
    oxidation_potential_V,
    reduction_potential_V,
)
from heuresis_oracles.tight_binding.hamiltonian import Hamiltonian, energy_eV
from heuresis_oracles.tight_binding.observables import (
    ANION,
    CATION,
    OBSERVABLES,
    SPREAD,
    VIBRATIONAL,
)
from heuresis_oracles.tight_binding.polarisability import (
    mean_and_anisotropy,
    polarisability_tensor_angstrom3,
    require_rankable,
)
from heuresis_oracles.tight_binding.thermochemistry import (
    rotational_symmetry_number,
    thermochemistry,
    zero_point_energy_eV,
)
from heuresis_oracles.tight_binding.vibrations import vibrations_of_minimum

if TYPE_CHECKING:
    from ase import Atoms
    from rdkit.Chem import Mol

    from heuresis_oracles.xtb import XTB

VIBRATIONAL_FORCE_TOLERANCE = 0.01
"""In eV/Å: what a geometry is relaxed to before its vibrations are taken."""
_VIBRATIONAL_ACCURACY = 0.1
_BOLTZMANN_eV_per_K = 8.617333262e-5


class Estimate(NamedTuple):
    """A value and its standard error, in the unit of the output."""

    value: float
    uncertainty: float | None = None


class _Structure(NamedTuple):
    graph: Mol
    atoms: Atoms
    energy_eV: float


class Measuring:
    """One molecule on its way through a calculation with these settings.

    Raises:
        OracleSetupError: unreadable, too large, no parameters, an impossible spin.
        CalculationError: no convergence.
        ImplausibleResultError: a gate rejected the result.
    """

    def __init__(self, smiles: str, config: XTB.Config, seed: int) -> None:
        self.config = config
        self.wanted = config.wanted
        self.seed = seed
        self.vibrational = bool(self.wanted & VIBRATIONAL)
        self.molecule = parse_single_molecule(smiles, max_atoms=config.max_atoms)
        require_elements(self.molecule)
        if "polarisability" in self.wanted:
            require_rankable(self.molecule)
        self.state: ElectronicState = electronic_state(self.molecule, config.multiplicity)
        self.hamiltonian = hamiltonian_of(config, vibrational=self.vibrational)

    def values(self) -> dict[str, Estimate]:
        """Return every output that the settings ask for."""
        structures = self._structures()
        lowest = structures[0]
        found: dict[str, Estimate] = {}
        if self.vibrational:
            found |= _plain(self._vibrational(lowest))
        ground = ground_state_properties(lowest.atoms, self.state)
        require_same_connectivity(lowest.graph, lowest.atoms.positions)
        found |= _plain(ground)
        if len(structures) > 1:
            found |= self._with_spread(ground, structures)
        if "conformers" in self.wanted:
            spread_eV = structures[-1].energy_eV - lowest.energy_eV
            found |= _plain(
                {"conformers_relaxed": len(structures), "conformer_spread_eV": spread_eV}
            )
        found |= _plain(self._charged(lowest))
        if "polarisability" in self.wanted:
            mean, anisotropy = mean_and_anisotropy(
                polarisability_tensor_angstrom3(lowest.atoms, self.hamiltonian, self.state)
            )
            found |= _plain(
                {
                    "polarisability_angstrom3": mean,
                    "polarisability_anisotropy_angstrom3": anisotropy,
                }
            )
        if "solvation" in self.wanted:
            found |= _plain({"solvation_free_energy_eV": self._solvation_eV(lowest)})
        for name, (value, _) in found.items():
            if not math.isfinite(value):
                raise CalculationError(f"{name} is {value}, not a finite number")
        return found

    def _structures(self) -> list[_Structure]:
        """Return relaxed conformers in rising energy; one that breaks costs only itself."""
        config = self.config
        if config.starting_geometry == "ETKDG":
            graphs = [embed(self.molecule, conformers=1, seed=self.seed, minimise=False)]
        else:
            graphs = ensemble(
                self.molecule,
                conformers=config.conformers,
                seed=self.seed,
                most=config.relaxed_conformers,
                window_eV=config.conformer_window_eV,
            )
        structures, errors = [], []
        for graph in graphs:
            try:
                structures.append(self._structure(graph))
            except OracleError as error:
                errors.append(error)
        if not structures:
            raise errors[0]
        return sorted(structures, key=lambda structure: structure.energy_eV)

    def _structure(self, graph: Mol) -> _Structure:
        from ase import Atoms

        atoms = Atoms(
            numbers=[atom.GetAtomicNum() for atom in graph.GetAtoms()],
            positions=positions_angstrom(graph),
        )
        require_separated(graph, atoms.positions)
        atoms.calc = self.hamiltonian.calculator(self.state)
        if self.config.relax:
            self._relax(graph, atoms)
        several = self.config.relaxed_conformers > 1
        if several:
            require_same_connectivity(graph, atoms.positions)
        return _Structure(graph, atoms, energy_eV(atoms) if several else 0.0)

    def _relax(self, graph: Mol, atoms: Atoms) -> None:
        config = self.config
        refined = config.starting_geometry == "MMFF94"
        tolerance = config.force_tolerance_eV_per_angstrom
        if self.vibrational:
            tolerance = min(tolerance, VIBRATIONAL_FORCE_TOLERANCE)
        relax(
            atoms,
            graph,
            optimizer=config.optimizer or ("MMFF94-BFGS" if refined else "LBFGS"),
            force_tolerance_eV_per_angstrom=tolerance,
            max_steps=config.max_steps,
        )

    def _vibrational(self, structure: _Structure) -> dict[str, float]:
        config, atoms = self.config, structure.atoms
        modes = vibrations_of_minimum(
            atoms,
            lambda: self._relax(structure.graph, atoms),
            config.imaginary_tolerance_per_cm,
        )
        found = {}
        if "vibrations" in self.wanted:
            # An atom has none: its softest mode is given as 0.
            found["lowest_wavenumber_per_cm"] = float(
                modes.wavenumbers_per_cm.min() if len(atoms) > 1 else 0.0
            )
            found["zero_point_energy_eV"] = zero_point_energy_eV(modes)
        if "thermochemistry" in self.wanted:
            found |= thermochemistry(
                atoms,
                energy_eV(atoms),
                modes,
                unpaired=self.state.unpaired,
                symmetry_number=config.symmetry_number
                or rotational_symmetry_number(structure.graph, atoms.positions),
                temperature_K=config.temperature_K,
                pressure_Pa=config.pressure_Pa,
            )
        return found

    def _with_spread(
        self, ground: dict[str, float], structures: list[_Structure]
    ) -> dict[str, Estimate]:
        """Give the populated spread over conformers as the uncertainty of the lowest one's values.

        It is the root mean square deviation from the lowest conformer, weighted by population.
        """
        energies = np.array([structure.energy_eV for structure in structures])
        weights = np.exp(
            -(energies - energies[0]) / (_BOLTZMANN_eV_per_K * self.config.temperature_K)
        )
        weights /= weights.sum()
        others = [
            ground_state_properties(structure.atoms, self.state) for structure in structures[1:]
        ]
        spread = {}
        for name in SPREAD:
            deviations = np.array([0.0, *(other[name] - ground[name] for other in others)])
            spread[name] = Estimate(ground[name], float(np.sqrt(weights @ deviations**2)))
        return spread

    def _charged(self, structure: _Structure) -> dict[str, float]:
        wanted = self.wanted
        values: dict[str, float] = {}
        potential_eV = affinity_eV = math.nan
        if wanted & {"ionisation", "adiabatic-ionisation", "adiabatic-affinity"}:
            potential_eV, affinity_eV = vertical_ionisation_eV(structure.atoms, self.state)
        if "ionisation" in wanted:
            values["ionisation_potential_eV"] = potential_eV
            values["electron_affinity_eV"] = affinity_eV
        # IPEA-xTB is made for vertical differences; the ion relaxes on the surface of the method.
        if wanted & CATION:
            cation = self._charging(structure, 1)
            values["adiabatic_ionisation_potential_eV"] = potential_eV - cation.ion_relaxation_eV
            values["hole_reorganisation_energy_eV"] = cation.reorganisation_eV
            values["oxidation_potential_V"] = oxidation_potential_V(cation)
        if wanted & ANION:
            anion = self._charging(structure, -1)
            values["adiabatic_electron_affinity_eV"] = affinity_eV + anion.ion_relaxation_eV
            values["electron_reorganisation_energy_eV"] = anion.reorganisation_eV
            values["reduction_potential_V"] = reduction_potential_V(anion)
        asked = {name for observable in wanted for name in OBSERVABLES[observable].outputs}
        return {name: value for name, value in values.items() if name in asked}

    def _charging(self, structure: _Structure, removed: int) -> Charging:
        return charging(
            structure.atoms,
            structure.graph,
            self.hamiltonian,
            self.state,
            removed,
            lambda ion: self._relax(structure.graph, ion),
        )

    def _solvation_eV(self, structure: _Structure) -> float:
        vacuum = self.hamiltonian.attached(structure.atoms, self.state, vacuum=True)
        if self.config.relax:
            self._relax(structure.graph, vacuum)
            require_same_connectivity(structure.graph, vacuum.positions)
        return energy_eV(structure.atoms) - energy_eV(vacuum)


def hamiltonian_of(config: XTB.Config, *, vibrational: bool = False) -> Hamiltonian:
    """Return the Hamiltonian that the settings name."""
    accuracy = min(config.accuracy, _VIBRATIONAL_ACCURACY) if vibrational else config.accuracy
    return Hamiltonian(
        method=config.method,
        accuracy=accuracy,
        electronic_temperature_K=config.electronic_temperature_K,
        max_scf_iterations=config.max_scf_iterations,
        solvation_model=config.solvation_model,
        solvent=config.solvent,
    )


def _plain(values: dict[str, float]) -> dict[str, Estimate]:
    return {name: Estimate(float(value)) for name, value in values.items()}
