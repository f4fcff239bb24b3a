"""One choice of method and numerical settings; makes tblite calculators for any state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from heuresis_oracles.electronic import ElectronicState, scf_failure
from heuresis_oracles.tight_binding.solvents import tblite_solvation

if TYPE_CHECKING:
    from ase import Atoms
    from tblite.ase import TBLite


@dataclass(frozen=True, kw_only=True)
class Hamiltonian:
    """GFN1-xTB or GFN2-xTB, in vacuum or in an implicit solvent."""

    method: str
    accuracy: float = 1.0
    """tblite's SCF accuracy: 1 is default, smaller is tighter."""
    electronic_temperature_K: float = 300.0
    max_scf_iterations: int = 250
    solvation_model: str = "alpb"
    solvent: str | None = None

    def calculator(self, state: ElectronicState, *, vacuum: bool = False) -> TBLite:
        """Return a calculator; with ``vacuum`` the solvent is left out."""
        from tblite.ase import TBLite

        solvated = self.solvent is not None and not vacuum
        return TBLite(
            method=self.method,
            charge=state.charge,
            multiplicity=state.unpaired + 1,
            accuracy=self.accuracy,
            electronic_temperature=self.electronic_temperature_K,
            max_iterations=self.max_scf_iterations,
            solvation=tblite_solvation(self.solvation_model, str(self.solvent))
            if solvated
            else None,
            verbosity=0,
        )

    def attached(self, atoms: Atoms, state: ElectronicState, *, vacuum: bool = False) -> Atoms:
        """Return a copy of the atoms with a calculator of its own."""
        copy = atoms.copy()
        copy.calc = self.calculator(state, vacuum=vacuum)
        return copy


def energy_eV(atoms: Atoms) -> float:
    """Return the energy of atoms with a calculator.

    Raises:
        CalculationError: the self-consistent field failed.
    """
    try:
        return float(atoms.get_potential_energy())
    except Exception as error:
        raise scf_failure(error) from error
