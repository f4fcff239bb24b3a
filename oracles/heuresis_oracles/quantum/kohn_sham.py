"""Kohn-Sham calculations with PySCF: what they cost, the field, what is read of it.

Density fitting throughout: Coulomb and exchange through auxiliary functions, an error far below
that of any functional, at a fraction of the time. Source of the code: Sun et al., J. Chem. Phys.
153, 024109 (2020). Basis sets: Weigend, Ahlrichs, Phys. Chem. Chem. Phys. 7, 3297 (2005).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heuresis.errors import CalculationError, ImplausibleResultError, OracleSetupError
from heuresis_oracles.electronic import ElectronicState, SMALLEST_GAP_eV
from heuresis_oracles.units import BOHR_TO_ANGSTROM, HARTREE_TO_EV

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

LIGHTEST_WITH_CORE_POTENTIAL = 37
"""def2 basis sets replace the core electrons of rubidium and what is heavier by a potential."""
HEAVIEST_ELEMENT = 86


@dataclass(frozen=True, kw_only=True)
class KohnSham:
    """One choice of functional, basis and numerical settings."""

    functional: str
    basis: str
    grid_level: int
    max_cycles: int
    memory_MiB: int
    threads: int
    scratch: Path

    def molecule(
        self, symbols: Sequence[str], positions_angstrom: np.ndarray, state: ElectronicState
    ) -> Any:
        """Return PySCF's molecule; nothing is computed."""
        from ase.data import atomic_numbers
        from pyscf import gto, lib

        lib.num_threads(self.threads)
        lib.param.TMPDIR = str(self.scratch)
        heavy = {s for s in symbols if atomic_numbers[s] >= LIGHTEST_WITH_CORE_POTENTIAL}
        return gto.M(
            atom=[(s, tuple(p)) for s, p in zip(symbols, positions_angstrom, strict=True)],
            unit="angstrom",
            basis=self.basis,
            ecp=dict.fromkeys(sorted(heavy), self.basis),
            charge=state.charge,
            spin=state.unpaired,
            verbose=0,
            max_memory=self.memory_MiB,
        )

    def functions(self, symbols: Sequence[str]) -> int:
        """Return how many basis functions a molecule takes, which its cost follows; in no time.

        Raises:
            OracleSetupError: an element without this basis.
        """
        apart = np.array([(10.0 * i, 0.0, 0.0) for i in range(len(symbols))])
        electrons = _electrons(symbols)
        try:
            molecule = self.molecule(symbols, apart, ElectronicState(0, electrons % 2))
        except (KeyError, RuntimeError) as error:
            raise OracleSetupError(
                f"there is no {self.basis} basis for {', '.join(sorted(set(symbols)))}: {error}"
            ) from error
        return int(molecule.nao)

    def converged(
        self, symbols: Sequence[str], positions_angstrom: np.ndarray, state: ElectronicState
    ) -> Any:
        """Return the converged mean field of PySCF.

        Raises:
            CalculationError: it did not converge, or broke.
        """
        from pyscf import dft

        molecule = self.molecule(symbols, positions_angstrom, state)
        kind = dft.UKS if state.unpaired else dft.RKS
        field = kind(molecule, xc=self.functional).density_fit()
        field.grids.level = self.grid_level
        field.max_cycle = self.max_cycles
        field.chkfile = None
        try:
            field.kernel()
        except (ArithmeticError, np.linalg.LinAlgError, RuntimeError) as error:
            raise CalculationError(f"the self-consistent field failed: {error}") from error
        if not field.converged:
            raise CalculationError(
                f"the self-consistent field did not converge in {self.max_cycles} cycles"
                " (max_scf_iterations)"
            )
        return field

    def calculator(self, state: ElectronicState) -> Calculator:
        """Return an ASE calculator of energy and forces, for relaxations."""
        from ase.calculators.calculator import Calculator, all_changes

        settings = self

        class PySCF(Calculator):  # type: ignore[misc]  # ASE has no types
            """Energy in eV and forces in eV/Å."""

            implemented_properties = ("energy", "forces")

            def calculate(
                self,
                atoms: Atoms = None,
                properties: Sequence[str] = ("energy",),
                system_changes: Sequence[str] = all_changes,
            ) -> None:
                super().calculate(atoms, properties, system_changes)
                field = settings.converged(
                    self.atoms.get_chemical_symbols(), self.atoms.positions, state
                )
                gradient = field.nuc_grad_method()
                gradient.grid_response = False
                forces = -np.asarray(gradient.kernel()) * HARTREE_TO_EV / BOHR_TO_ANGSTROM
                self.results = {"energy": float(field.e_tot) * HARTREE_TO_EV, "forces": forces}

        return PySCF()


def _electrons(symbols: Sequence[str]) -> int:
    from ase.data import atomic_numbers

    return sum(atomic_numbers[symbol] for symbol in symbols)


def properties(field: Any, atoms: Atoms, state: ElectronicState) -> dict[str, float]:
    """Read energy, frontier orbitals and dipole of a converged field.

    The dipole of an ion depends on the origin; it is given relative to the centre of mass.

    Raises:
        OracleSetupError: there is no empty orbital.
        ImplausibleResultError: HOMO and LUMO are degenerate: another spin state lies lower.
        CalculationError: a value is not finite.
    """
    homo_eV, lumo_eV = frontier(np.asarray(field.mo_energy), np.asarray(field.mo_occ))
    if lumo_eV - homo_eV < SMALLEST_GAP_eV:
        raise ImplausibleResultError(
            f"the gap is {lumo_eV - homo_eV:.3f} eV with multiplicity {state.unpaired + 1} (limit"
            f" {SMALLEST_GAP_eV} eV), so this spin state is not the one that nature occupies; state"
            " the radical electrons in the SMILES or set multiplicity"
        )
    dipole = np.asarray(field.dip_moment(unit="Debye", verbose=0, origin=_origin(atoms)))
    energy_eV = float(field.e_tot) * HARTREE_TO_EV
    found = {
        "gap_eV": lumo_eV - homo_eV,
        "homo_eV": homo_eV,
        "lumo_eV": lumo_eV,
        "dipole_debye": float(np.linalg.norm(dipole)),
        "energy_eV": energy_eV,
        "energy_per_heavy_atom_eV": energy_eV / max(int(np.count_nonzero(atoms.numbers > 1)), 1),
    }
    for name, value in found.items():
        if not math.isfinite(value):
            raise CalculationError(f"{name} is {value}, not a finite number")
    return found


def frontier(energies_hartree: np.ndarray, occupations: np.ndarray) -> tuple[float, float]:
    """Return HOMO and LUMO energies in eV: over both spins, if there are two.

    Args:
        energies_hartree: orbital energies, shape (orbitals,) or (2, orbitals).
        occupations: electrons per orbital, of the same shape.

    Raises:
        OracleSetupError: there is no occupied or no empty orbital.
    """
    occupied, empty = energies_hartree[occupations > 0], energies_hartree[occupations == 0]
    if not len(occupied) or not len(empty):
        raise OracleSetupError("the basis leaves no empty orbital, so there is no gap to measure")
    return float(occupied.max()) * HARTREE_TO_EV, float(empty.min()) * HARTREE_TO_EV


def _origin(atoms: Atoms) -> tuple[float, float, float]:
    x, y, z = atoms.get_center_of_mass() / BOHR_TO_ANGSTROM
    return float(x), float(y), float(z)
