"""GFN2-xTB and GFN1-xTB: relax a molecule and read its frontier orbitals, dipole and energy.

Sources: GFN2-xTB: Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15, 1652 (2019); GFN1-xTB:
Grimme, Bannwarth, Shushkov, J. Chem. Theory Comput. 13, 1989 (2017); ALPB and GBSA: Ehlert,
Stahn, Spicher, Grimme, J. Chem. Theory Comput. 17, 4250 (2021); code: tblite, ASE.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from heuresis.errors import CalculationError, OracleSetupError
from heuresis.ports import PluginConfig
from heuresis.randomness import derived_seed
from heuresis.records import (
    Candidate,
    CostClass,
    Evaluation,
    Measurement,
    OracleDeclaration,
    Outcome,
    OutputDeclaration,
)
from heuresis_oracles.connectivity import require_same_connectivity
from heuresis_oracles.embedding import embed, positions_angstrom
from heuresis_oracles.molecules import parse_single_molecule, unpaired_electrons
from heuresis_oracles.outcomes import evaluate_each, version_with
from heuresis_oracles.threads import limit_native_threads
from heuresis_oracles.units import ELEMENTARY_CHARGE_ANGSTROM_TO_DEBYE, HARTREE_TO_EV

if TYPE_CHECKING:
    from ase import Atoms
    from rdkit.Chem import Mol

_HEAVIEST_ELEMENT = 86
"""Radon: GFN1-xTB and GFN2-xTB are parametrised for Z = 1 to 86."""

_OUTPUTS: dict[str, tuple[str, str]] = {
    "gap_eV": ("eV", "LUMO minus HOMO orbital energy"),
    "homo_eV": ("eV", "energy of the highest occupied orbital"),
    "lumo_eV": ("eV", "energy of the lowest unoccupied orbital"),
    "dipole_debye": ("debye", "dipole moment; for ions relative to the centre of mass"),
    "energy_eV": ("eV", "total energy (with solvation free energy if a solvent is set)"),
    "energy_per_heavy_atom_eV": ("eV", "total energy divided by the number of heavy atoms"),
}


class XTB:
    """Electronic properties of a molecule with an extended tight-binding Hamiltonian."""

    class Config(PluginConfig):
        """Settings of the calculation; every one of them enters the cache key."""

        method: Literal["GFN2-xTB", "GFN1-xTB"] = "GFN2-xTB"
        relax: bool = True
        """Relax the geometry with the method; otherwise use the MMFF94 geometry (fast, rough)."""
        optimizer: Literal["BFGS", "LBFGS", "FIRE"] = "LBFGS"
        force_tolerance_eV_per_angstrom: float = Field(default=0.05, gt=0.0, le=1.0)
        max_steps: int = Field(default=500, ge=1)
        """Relaxation steps before the candidate fails as not converged."""
        conformers: int = Field(default=8, ge=1, le=200)
        electronic_temperature_K: float = Field(default=300.0, ge=0.0, le=10000.0)
        accuracy: float = Field(default=1.0, gt=0.0, le=1000.0)
        """tblite's SCF accuracy: 1 is default, smaller is tighter."""
        max_scf_iterations: int = Field(default=250, ge=1)
        multiplicity: int | None = Field(default=None, ge=1, le=9)
        """Spin multiplicity 2S+1; by default from the radical electrons in the SMILES."""
        max_atoms: int = Field(default=150, ge=1)
        """Largest molecule, with hydrogens."""
        threads: int = Field(default=1, ge=1)

    @classmethod
    def declare(cls, config: Config) -> OracleDeclaration:
        """Say what is measured with this config; imports no physics."""
        checks = {
            "converged": "the self-consistent field"
            + (" and the geometry converged" if config.relax else " converged"),
            "same-connectivity": "re-perceived bonds equal those of the SMILES",
            "finite": "every value is a finite number",
        }
        return OracleDeclaration(
            kind="xtb",
            version=version_with("1", "tblite", "ase", "rdkit"),
            spaces=("molecule",),
            outputs={
                name: OutputDeclaration(unit=unit, description=description)
                for name, (unit, description) in _OUTPUTS.items()
            },
            checks=checks,
            cost_class=CostClass.SECONDS,
            isolated=True,
            batch_size=1,
            timeout_s=300.0,
            reference=(
                "Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15, 1652 (2019);"
                " Grimme, Bannwarth, Shushkov, J. Chem. Theory Comput. 13, 1989 (2017)"
            ),
        )

    def __init__(self, config: Config) -> None:
        self.config = config

    def evaluate(
        self,
        candidates: Sequence[Candidate],
        *,
        seed: int,
        workdir: Path,  # noqa: ARG002 - tblite writes no files
    ) -> list[Outcome]:
        """Measure each candidate, in order; the seed reaches the 3D embedding only."""
        limit_native_threads(self.config.threads)
        return evaluate_each(
            candidates,
            lambda candidate: self._measure(candidate.text, derived_seed(seed, candidate.id)),
        )

    def _measure(self, smiles: str, seed: int) -> Evaluation:
        config = self.config
        molecule = parse_single_molecule(smiles, max_atoms=config.max_atoms)
        _require_elements(molecule)
        charge, unpaired = _electronic_state(molecule, config.multiplicity)
        molecule = embed(molecule, conformers=config.conformers, seed=seed)
        atoms = self._atoms(molecule, charge, unpaired)
        if config.relax:
            self._relax(atoms)
        values = _read_properties(atoms, unpaired)
        require_same_connectivity(molecule, atoms.positions)
        return Evaluation(
            measurements={
                name: Measurement(value=values[name], unit=_OUTPUTS[name][0]) for name in _OUTPUTS
            },
            checks=("converged", "same-connectivity", "finite"),
        )

    def _atoms(self, molecule: Mol, charge: int, unpaired: int) -> Atoms:
        from ase import Atoms
        from tblite.ase import TBLite

        config = self.config
        atoms = Atoms(
            numbers=[atom.GetAtomicNum() for atom in molecule.GetAtoms()],
            positions=positions_angstrom(molecule),
        )
        atoms.calc = TBLite(
            method=config.method,
            charge=charge,
            multiplicity=unpaired + 1,
            accuracy=config.accuracy,
            electronic_temperature=config.electronic_temperature_K,
            max_iterations=config.max_scf_iterations,
            verbosity=0,
        )
        return atoms

    def _relax(self, atoms: Atoms) -> None:
        from ase import optimize

        config = self.config
        optimizer = getattr(optimize, config.optimizer)(atoms, logfile=None)
        try:
            converged = optimizer.run(
                fmax=config.force_tolerance_eV_per_angstrom, steps=config.max_steps
            )
        except Exception as error:
            raise _scf_failure(error) from error
        if not converged:
            raise CalculationError(
                f"the geometry did not converge to {config.force_tolerance_eV_per_angstrom} eV/Å"
                f" in {config.max_steps} steps (max_steps)"
            )


def _scf_failure(error: Exception) -> CalculationError:
    return CalculationError(f"the self-consistent field failed: {error}")


def _require_elements(molecule: Mol) -> None:
    beyond = sorted(
        {a.GetSymbol() for a in molecule.GetAtoms() if a.GetAtomicNum() > _HEAVIEST_ELEMENT}
    )
    if beyond:
        raise OracleSetupError(
            f"xTB has no parameters for {', '.join(beyond)}; it covers elements 1 to"
            f" {_HEAVIEST_ELEMENT} (H to Rn)"
        )


def _electronic_state(molecule: Mol, multiplicity: int | None) -> tuple[int, int]:
    """Return the charge and the number of unpaired electrons, checked against the parity."""
    from rdkit.Chem.rdmolops import GetFormalCharge

    charge = int(GetFormalCharge(molecule))
    unpaired = unpaired_electrons(molecule) if multiplicity is None else multiplicity - 1
    electrons = sum(atom.GetAtomicNum() for atom in molecule.GetAtoms()) - charge
    if (electrons - unpaired) % 2 or unpaired > electrons:
        raise OracleSetupError(
            f"multiplicity {unpaired + 1} is impossible with {electrons} electrons (charge"
            f" {charge}); give an {'odd' if electrons % 2 == 0 else 'even'} multiplicity"
        )
    return charge, unpaired


def _read_properties(atoms: Atoms, unpaired: int) -> dict[str, float]:
    """Read energy, orbitals and dipole of a converged geometry; raise when one is not finite."""
    try:
        energy_eV = float(atoms.get_potential_energy())
    except Exception as error:
        raise _scf_failure(error) from error
    result: Any = atoms.calc._res  # the ASE wrapper does not expose orbitals
    homo_eV, lumo_eV = frontier_orbitals(
        np.asarray(result.get("orbital-energies")) * HARTREE_TO_EV,
        np.asarray(result.get("orbital-occupations")),
        unpaired,
    )
    dipole = np.asarray(atoms.calc.results["dipole"])
    charge = float(np.sum(atoms.calc.results["charges"]))
    dipole = dipole - charge * atoms.get_center_of_mass()
    heavy_atoms = int(np.count_nonzero(atoms.numbers > 1))
    values = {
        "gap_eV": lumo_eV - homo_eV,
        "homo_eV": homo_eV,
        "lumo_eV": lumo_eV,
        "dipole_debye": float(np.linalg.norm(dipole)) * ELEMENTARY_CHARGE_ANGSTROM_TO_DEBYE,
        "energy_eV": energy_eV,
        "energy_per_heavy_atom_eV": energy_eV / max(heavy_atoms, 1),
    }
    for name, value in values.items():
        if not math.isfinite(value):
            raise CalculationError(f"{name} is {value}, not a finite number")
    return values


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
