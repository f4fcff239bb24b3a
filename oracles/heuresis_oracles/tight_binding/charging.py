"""One electron fewer, one more: adiabatic ionisation, reorganisation and redox potentials.

Sources: four-point reorganisation energies: Nelsen, Blackstock, Kim, J. Am. Chem. Soc. 109, 677
(1987); shift of ionisation energies: Asgeirsson, Bauer, Grimme, Chem. Sci. 8, 4879 (2017), which
the xtb program applies to all its methods; redox potentials with GFN-xTB: Neugebauer,
Bohle, Bursch, Hansen, Grimme, J. Phys. Chem. A 124, 7166 (2020); the absolute potential of the
standard hydrogen electrode: Isse, Gennaro, J. Phys. Chem. B 114, 7894 (2010). Its 4.281 V is
here as other programs use it, not read in the paper; IUPAC recommends 4.44 V (Pure Appl. Chem. 58,
955 (1986)). The choice moves all potentials alike, so no order depends on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from heuresis_oracles.connectivity import require_same_connectivity
from heuresis_oracles.electronic import ElectronicState, IONISATION_SHIFT_eV
from heuresis_oracles.tight_binding.hamiltonian import Hamiltonian, energy_eV

if TYPE_CHECKING:
    from ase import Atoms
    from rdkit.Chem import Mol

ABSOLUTE_HYDROGEN_ELECTRODE_V = 4.281


class Charging(NamedTuple):
    """Energies in eV that one electron more or less costs, on one potential energy surface."""

    vertical_eV: float
    """E(ion) - E(molecule), both at the molecule's geometry."""
    adiabatic_eV: float
    """E(ion) - E(molecule), each at its own minimum."""
    molecule_at_ion_eV: float
    """E(molecule at the ion's geometry) - E(molecule)."""

    @property
    def ion_relaxation_eV(self) -> float:
        """What the ion gains by relaxing from the molecule's geometry."""
        return self.vertical_eV - self.adiabatic_eV

    @property
    def reorganisation_eV(self) -> float:
        """Four-point reorganisation energy of hopping between molecule and ion."""
        return self.ion_relaxation_eV + self.molecule_at_ion_eV


def ion_state(state: ElectronicState, removed: int) -> ElectronicState:
    """Return charge and spin after ``removed`` electrons (1 or -1) left, in the lowest spin."""
    return ElectronicState(state.charge + removed, (state.unpaired + 1) % 2)


def charging(
    atoms: Atoms,
    molecule: Mol,
    hamiltonian: Hamiltonian,
    state: ElectronicState,
    removed: int,
    relax: Callable[[Atoms], None],
) -> Charging:
    """Return what removing (1) or adding (-1) an electron costs.

    Args:
        atoms: the molecule at its minimum.
        molecule: its graph.
        hamiltonian: method and, for redox potentials, solvent.
        state: charge and spin of the molecule.
        removed: 1 for the cation, -1 for the anion.
        relax: relaxes atoms with a calculator in place.

    Raises:
        CalculationError: a self-consistent field or a relaxation failed.
        ImplausibleResultError: the relaxed ion is no longer the same molecule.
    """
    ground_eV = energy_eV(hamiltonian.attached(atoms, state))
    ion = hamiltonian.attached(atoms, ion_state(state, removed))
    vertical_eV = energy_eV(ion)
    relax(ion)
    require_same_connectivity(molecule, ion.positions)
    return Charging(
        vertical_eV=vertical_eV - ground_eV,
        adiabatic_eV=energy_eV(ion) - ground_eV,
        molecule_at_ion_eV=energy_eV(hamiltonian.attached(ion, state)) - ground_eV,
    )


def oxidation_potential_V(cation: Charging) -> float:
    """Return E° of M⁺ + e⁻ → M against the standard hydrogen electrode, without thermal terms."""
    return cation.adiabatic_eV - IONISATION_SHIFT_eV - ABSOLUTE_HYDROGEN_ELECTRODE_V


def reduction_potential_V(anion: Charging) -> float:
    """Return E° of M + e⁻ → M⁻ against the standard hydrogen electrode, without thermal terms."""
    return -anion.adiabatic_eV - IONISATION_SHIFT_eV - ABSOLUTE_HYDROGEN_ELECTRODE_V
