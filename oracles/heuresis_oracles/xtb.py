"""GFN2-xTB and GFN1-xTB: relax a molecule and read its frontier orbitals, dipole and energy.

Sources: GFN2-xTB: Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15, 1652 (2019); GFN1-xTB:
Grimme, Bannwarth, Shushkov, J. Chem. Theory Comput. 13, 1989 (2017); ALPB and GBSA: Ehlert,
Stahn, Spicher, Grimme, J. Chem. Theory Comput. 17, 4250 (2021); code: tblite, ASE.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from heuresis.errors import did_you_mean
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
from heuresis_oracles.electronic import (
    ElectronicState,
    SMALLEST_GAP_eV,
    electronic_state,
    ground_state_properties,
    require_elements,
    vertical_ionisation_eV,
)
from heuresis_oracles.embedding import embed, positions_angstrom
from heuresis_oracles.molecules import parse_single_molecule
from heuresis_oracles.outcomes import evaluate_each, version_with
from heuresis_oracles.relaxation import Optimizer, relax
from heuresis_oracles.threads import limit_native_threads

if TYPE_CHECKING:
    from ase import Atoms
    from rdkit.Chem import Mol

# fmt: off
_GBSA_SOLVENTS = [
    "acetone", "acetonitrile", "benzene", "ch2cl2", "chcl3", "cs2", "dmso", "ether", "methanol",
    "thf", "toluene", "water",
]
_ALPB_SOLVENTS = sorted([
    *_GBSA_SOLVENTS, "aniline", "benzaldehyde", "dioxane", "dmf", "ethanol", "ethylacetate",
    "furane", "hexadecane", "hexane", "nitromethane", "octanol", "phenol", "woctanol",
])
# fmt: on
SOLVENTS: dict[tuple[str, str], list[str]] = {
    ("alpb", "GFN2-xTB"): _ALPB_SOLVENTS,
    ("alpb", "GFN1-xTB"): _ALPB_SOLVENTS,
    ("gbsa", "GFN2-xTB"): sorted([*_GBSA_SOLVENTS, "dmf", "hexane"]),
    ("gbsa", "GFN1-xTB"): _GBSA_SOLVENTS,
}
"""(solvation model, method) → solvents with parameters in tblite."""

_OUTPUTS: dict[str, tuple[str, str]] = {
    "gap_eV": ("eV", "LUMO minus HOMO orbital energy"),
    "homo_eV": ("eV", "energy of the highest occupied orbital"),
    "lumo_eV": ("eV", "energy of the lowest unoccupied orbital"),
    "dipole_debye": ("debye", "dipole moment; for ions relative to the centre of mass"),
    "energy_eV": ("eV", "total energy (with solvation free energy if a solvent is set)"),
    "energy_per_heavy_atom_eV": ("eV", "total energy divided by the number of heavy atoms"),
}
_IONISATION_OUTPUTS: dict[str, tuple[str, str]] = {
    "ionisation_potential_eV": ("eV", "vertical ionisation potential (IPEA-xTB, shifted)"),
    "electron_affinity_eV": ("eV", "vertical electron affinity (IPEA-xTB, shifted)"),
}


class XTB:
    """Electronic properties of a molecule with an extended tight-binding Hamiltonian."""

    class Config(PluginConfig):
        """Settings of the calculation; every one of them enters the cache key."""

        method: Literal["GFN2-xTB", "GFN1-xTB"] = "GFN2-xTB"
        relax: bool = True
        """Relax the geometry with the method; otherwise use the MMFF94 geometry (fast, rough)."""
        optimizer: Optimizer | None = None
        """By default BFGS from the MMFF94 Hessian, or LBFGS from a raw ETKDG embedding."""
        force_tolerance_eV_per_angstrom: float = Field(default=0.05, gt=0.0, le=1.0)
        max_steps: int = Field(default=500, ge=1)
        """Relaxation steps before the candidate fails as not converged."""
        starting_geometry: Literal["MMFF94", "ETKDG"] = "MMFF94"
        """MMFF94: the best of ``conformers`` minimised structures. ETKDG: one raw embedding, for
        elements and radicals that MMFF94 does not know."""
        conformers: int = Field(default=8, ge=1, le=200)
        electronic_temperature_K: float = Field(default=300.0, ge=0.0, le=10000.0)
        accuracy: float = Field(default=1.0, gt=0.0, le=1000.0)
        """tblite's SCF accuracy: 1 is default, smaller is tighter."""
        max_scf_iterations: int = Field(default=250, ge=1)
        multiplicity: int | None = Field(default=None, ge=1, le=9)
        """Spin multiplicity 2S+1; by default from the radical electrons in the SMILES."""
        max_atoms: int = Field(default=150, ge=1)
        """Largest molecule, with hydrogens."""
        ionisation: bool = False
        """Also give the vertical ionisation potential and electron affinity (IPEA-xTB)."""
        solvent: str | None = None
        """Implicit solvent, e.g. ``water``; by default vacuum."""
        solvation_model: Literal["alpb", "gbsa"] = "alpb"
        threads: int = Field(default=1, ge=1)

        @model_validator(mode="after")
        def _consistent(self) -> XTB.Config:
            if self.starting_geometry == "ETKDG" and not self.relax:
                raise ValueError(
                    "a raw ETKDG embedding is no geometry to measure on; set relax: true or"
                    " starting_geometry: MMFF94"
                )
            if self.solvent is None:
                return self
            known = SOLVENTS[self.solvation_model, self.method]
            if self.solvent not in known:
                raise ValueError(
                    f"no {self.solvation_model} parameters for solvent '{self.solvent}' with"
                    f" {self.method}{did_you_mean(self.solvent, known)}; known: {', '.join(known)}"
                )
            if self.ionisation:
                raise ValueError(
                    "ionisation: true is defined in vacuum (IPEA-xTB has no solvent parameters);"
                    " remove solvent, or measure ionisation with a second xtb oracle"
                )
            return self

    @classmethod
    def declare(cls, config: Config) -> OracleDeclaration:
        """Say what is measured with this config; imports no physics."""
        checks = {
            "converged": "the self-consistent field"
            + (" and the geometry converged" if config.relax else " converged"),
            "same-connectivity": "re-perceived bonds equal those of the SMILES",
            "definite-spin": f"the gap exceeds {SMALLEST_GAP_eV} eV, so the spin state is occupied",
            "finite": "every value is a finite number",
        }
        return OracleDeclaration(
            kind="xtb",
            version=version_with("1", "tblite", "ase", "rdkit", "openmm"),
            spaces=("molecule",),
            outputs={
                name: OutputDeclaration(unit=unit, description=description)
                for name, (unit, description) in _outputs(config).items()
            },
            checks=checks,
            cost_class=CostClass.SECONDS,
            isolated=True,
            batch_size=1,
            timeout_s=300.0,
            reference=(
                "Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15, 1652 (2019);"
                " Grimme, Bannwarth, Shushkov, J. Chem. Theory Comput. 13, 1989 (2017);"
                " ionisation: Asgeirsson, Bauer, Grimme, Chem. Sci. 8, 4879 (2017)"
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
        require_elements(molecule)
        state = electronic_state(molecule, config.multiplicity)
        refine = config.starting_geometry == "MMFF94"
        molecule = embed(
            molecule, conformers=config.conformers if refine else 1, seed=seed, minimise=refine
        )
        atoms = self._atoms(molecule, state)
        if config.relax:
            relax(
                atoms,
                molecule,
                optimizer=config.optimizer or ("MMFF94-BFGS" if refine else "LBFGS"),
                force_tolerance_eV_per_angstrom=config.force_tolerance_eV_per_angstrom,
                max_steps=config.max_steps,
            )
        values = ground_state_properties(atoms, state)
        require_same_connectivity(molecule, atoms.positions)
        if config.ionisation:
            values["ionisation_potential_eV"], values["electron_affinity_eV"] = (
                vertical_ionisation_eV(atoms, state)
            )
        return Evaluation(
            measurements={
                name: Measurement(value=values[name], unit=unit)
                for name, (unit, _) in _outputs(config).items()
            },
            checks=tuple(self.declare(config).checks),
        )

    def _atoms(self, molecule: Mol, state: ElectronicState) -> Atoms:
        from ase import Atoms
        from tblite.ase import TBLite

        config = self.config
        atoms = Atoms(
            numbers=[atom.GetAtomicNum() for atom in molecule.GetAtoms()],
            positions=positions_angstrom(molecule),
        )
        atoms.calc = TBLite(
            method=config.method,
            charge=state.charge,
            multiplicity=state.unpaired + 1,
            accuracy=config.accuracy,
            electronic_temperature=config.electronic_temperature_K,
            max_iterations=config.max_scf_iterations,
            solvation=None if config.solvent is None else (config.solvation_model, config.solvent),
            verbosity=0,
        )
        return atoms


def _outputs(config: XTB.Config) -> dict[str, tuple[str, str]]:
    return {**_OUTPUTS, **(_IONISATION_OUTPUTS if config.ionisation else {})}
