"""Electronic structure with tblite: spin and charge, frontier orbitals, dipole, ionisation.

Source of the ionisation method and its shift: Asgeirsson, Bauer, Grimme, Chem. Sci. 8, 4879 (2017)
(IPEA-xTB).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from heuresis.errors import CalculationError, ImplausibleResultError, OracleSetupError
from heuresis_oracles.molecules import unpaired_electrons
from heuresis_oracles.units import ELEMENTARY_CHARGE_ANGSTROM_TO_DEBYE, HARTREE_TO_EV

if TYPE_CHECKING:
    from ase import Atoms
    from rdkit.Chem import Mol

_HEAVIEST_ELEMENT = 86
"""Radon: GFN1-xTB, GFN2-xTB and IPEA-xTB are parametrised for Z = 1 to 86."""
_IONISATION_METHOD = "IPEA1-xTB"
IONISATION_SHIFT_eV = 4.8455
"""Empirical self-interaction correction, subtracted from both ionisation potential and affinity."""


SMALLEST_GAP_eV = 0.1
"""Below it, thermal occupation (300 K is 0.026 eV) empties the assumed HOMO."""


class ElectronicState(NamedTuple):
    """Total charge in e, and number of unpaired electrons."""

    charge: int
    unpaired: int


def scf_failure(error: Exception) -> CalculationError:
    """Return the failure of a self-consistent field that raised ``error``."""
    return CalculationError(f"the self-consistent field failed: {error}")


def require_elements(molecule: Mol) -> None:
    """Refuse elements that xTB has no parameters for.

    Raises:
        OracleSetupError: names the elements.
    """
    beyond = sorted(
        {
            atom.GetSymbol()
            for atom in molecule.GetAtoms()
            if atom.GetAtomicNum() > _HEAVIEST_ELEMENT
        }
    )
    if beyond:
        raise OracleSetupError(
            f"xTB has no parameters for {', '.join(beyond)}; it covers elements 1 to"
            f" {_HEAVIEST_ELEMENT} (H to Rn)"
        )


def electronic_state(molecule: Mol, multiplicity: int | None = None) -> ElectronicState:
    """Return charge and spin of a molecule with explicit hydrogens.

    Args:
        molecule: the charge is the sum of its formal charges.
        multiplicity: 2S+1; by default from the radical electrons, coupled to high spin.

    Raises:
        OracleSetupError: the multiplicity does not fit the number of electrons.
    """
    from rdkit.Chem.rdmolops import GetFormalCharge

    charge = int(GetFormalCharge(molecule))
    unpaired = unpaired_electrons(molecule) if multiplicity is None else multiplicity - 1
    electrons = sum(atom.GetAtomicNum() for atom in molecule.GetAtoms()) - charge
    if (electrons - unpaired) % 2 or unpaired > electrons:
        raise OracleSetupError(
            f"multiplicity {unpaired + 1} is impossible with {electrons} electrons (charge"
            f" {charge}); give an {'odd' if electrons % 2 == 0 else 'even'} multiplicity"
        )
    return ElectronicState(charge, unpaired)


def ground_state_properties(atoms: Atoms, state: ElectronicState) -> dict[str, float]:
    """Read energy, frontier orbitals and dipole with the attached tblite calculator.

    The dipole of an ion depends on the origin; it is given relative to the centre of mass.

    Raises:
        CalculationError: the self-consistent field failed, or a value is not finite.
        OracleSetupError: there is no gap in the minimal basis.
        ImplausibleResultError: HOMO and LUMO are degenerate: another spin state lies lower.
    """
    try:
        energy_eV = float(atoms.get_potential_energy())
    except Exception as error:
        raise scf_failure(error) from error
    result: Any = atoms.calc._res  # the ASE wrapper does not expose orbitals
    homo_eV, lumo_eV = frontier_orbitals(
        np.asarray(result.get("orbital-energies")) * HARTREE_TO_EV,
        np.asarray(result.get("orbital-occupations")),
        state.unpaired,
    )
    if lumo_eV - homo_eV < SMALLEST_GAP_eV:
        raise ImplausibleResultError(
            f"the gap is {lumo_eV - homo_eV:.3f} eV with multiplicity {state.unpaired + 1}: the"
            f" frontier orbitals are degenerate (limit {SMALLEST_GAP_eV} eV), so this spin state is"
            " not the one that nature occupies; state the radical electrons in the SMILES or set"
            " multiplicity"
        )
    dipole = np.asarray(atoms.calc.results["dipole"]) - state.charge * atoms.get_center_of_mass()
    heavy_atoms = int(np.count_nonzero(atoms.numbers > 1))
    return _finite(
        {
            "gap_eV": lumo_eV - homo_eV,
            "homo_eV": homo_eV,
            "lumo_eV": lumo_eV,
            "dipole_debye": float(np.linalg.norm(dipole)) * ELEMENTARY_CHARGE_ANGSTROM_TO_DEBYE,
            "energy_eV": energy_eV,
            "energy_per_heavy_atom_eV": energy_eV / max(heavy_atoms, 1),
        }
    )


def frontier_orbitals(
    energies_eV: np.ndarray, occupations: np.ndarray, unpaired: int
) -> tuple[float, float]:
    """Return HOMO and LUMO energies in eV.

    The HOMO is the highest orbital that holds an electron at zero temperature: fractional
    occupations of the electronic temperature do not move it. For a radical it is the singly
    occupied orbital.

    Args:
        energies_eV: orbital energies in rising order, shape (orbitals,).
        occupations: electrons per orbital, 0 to 2, shape (orbitals,).
        unpaired: number of unpaired electrons.

    Raises:
        OracleSetupError: the minimal basis has no occupied or no empty orbital.
    """
    electrons = round(float(occupations.sum()))
    occupied = (electrons + unpaired) // 2
    if occupied < 1 or occupied >= len(energies_eV):
        raise OracleSetupError(
            f"{electrons} electrons in {len(energies_eV)} orbitals of the minimal basis leave no"
            f" {'occupied' if occupied < 1 else 'empty'} orbital, so there is no gap to measure"
        )
    return float(energies_eV[occupied - 1]), float(energies_eV[occupied])


def vertical_ionisation_eV(atoms: Atoms, state: ElectronicState) -> tuple[float, float]:
    """Return vertical ionisation potential and electron affinity in eV.

    Energies of the molecule with one electron fewer and one more at the same geometry, in the
    lowest spin, with IPEA-xTB: GFN1-xTB re-parametrised for this purpose.

    Raises:
        CalculationError: one of the three self-consistent fields failed.
    """
    from tblite.ase import TBLite

    energies_eV = []
    for removed in (0, 1, -1):
        # One electron more or fewer pairs a lone electron or leaves one behind.
        unpaired = state.unpaired if removed == 0 else (state.unpaired + 1) % 2
        ion = atoms.copy()
        ion.calc = TBLite(
            method=_IONISATION_METHOD,
            charge=state.charge + removed,
            multiplicity=unpaired + 1,
            verbosity=0,
        )
        try:
            energies_eV.append(float(ion.get_potential_energy()))
        except Exception as error:
            raise scf_failure(error) from error
    neutral, cation, anion = energies_eV
    values = _finite(
        {
            "ionisation_potential_eV": cation - neutral - IONISATION_SHIFT_eV,
            "electron_affinity_eV": neutral - anion - IONISATION_SHIFT_eV,
        }
    )
    return values["ionisation_potential_eV"], values["electron_affinity_eV"]


def _finite(values: dict[str, float]) -> dict[str, float]:
    for name, value in values.items():
        if not math.isfinite(value):
            raise CalculationError(f"{name} is {value}, not a finite number")
    return values
