"""Density functional theory as the top rung of a cascade: frontier orbitals, dipole, energy.

Sources: PySCF: Sun et al., J. Chem. Phys. 153, 024109 (2020); PBE0: Adamo, Barone, J. Chem. Phys.
110, 6158 (1999); PBE: Perdew, Burke, Ernzerhof, Phys. Rev. Lett. 77, 3865 (1996); r2SCAN: Furness
et al., J. Phys. Chem. Lett. 11, 8208 (2020); B3LYP: Stephens et al., J. Phys. Chem. 98, 11623
(1994); ωB97X: Chai, Head-Gordon, J. Chem. Phys. 128, 084106 (2008); def2 basis sets: Weigend,
Ahlrichs, Phys. Chem. Chem. Phys. 7, 3297 (2005).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from heuresis.errors import MissingExtraError, OracleSetupError
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
from heuresis_oracles.electronic import SMALLEST_GAP_eV
from heuresis_oracles.molecules import MMFF94_ELEMENTS, require_measurable_space
from heuresis_oracles.outcomes import evaluate_each, version_with
from heuresis_oracles.threads import limit_native_threads

if TYPE_CHECKING:
    from ase import Atoms
    from rdkit.Chem import Mol

    from heuresis_oracles.electronic import ElectronicState
    from heuresis_oracles.quantum.kohn_sham import KohnSham

_OUTPUTS: dict[str, tuple[str, str]] = {
    "gap_eV": ("eV", "LUMO minus HOMO orbital energy"),
    "homo_eV": ("eV", "energy of the highest occupied orbital"),
    "lumo_eV": ("eV", "energy of the lowest unoccupied orbital"),
    "dipole_debye": ("debye", "dipole moment; for ions relative to the centre of mass"),
    "energy_eV": ("eV", "total energy, without a correction for dispersion"),
    "energy_per_heavy_atom_eV": ("eV", "total energy divided by the number of heavy atoms"),
}


class DensityFunctional:
    """Electronic properties of a molecule with density functional theory."""

    class Config(PluginConfig):
        """Settings of the calculation."""

        functional: Literal["PBE", "r2SCAN", "B3LYP", "PBE0", "wB97X"] = "PBE0"
        """A hybrid by default: pure functionals put gaps far too low, and save little."""
        basis: Literal["def2-SVP", "def2-TZVP"] = "def2-SVP"
        geometry: Literal["MMFF94", "GFN2-xTB", "functional"] = "GFN2-xTB"
        """What the molecule is relaxed with; ``functional`` costs a gradient per step."""
        conformers: int = Field(default=8, ge=1, le=200)
        force_tolerance_eV_per_angstrom: float = Field(default=0.05, gt=0.0, le=1.0)
        max_steps: int = Field(default=200, ge=1)
        """Relaxation steps before the candidate fails as not converged."""
        max_scf_iterations: int = Field(default=80, ge=1)
        grid_level: int = Field(default=2, ge=0, le=9)
        """PySCF's grid for the functional: 0 coarse to 9."""
        multiplicity: int | None = Field(default=None, ge=1, le=9)
        """Spin multiplicity 2S+1; by default from the radical electrons in the SMILES."""
        max_atoms: int = Field(default=60, ge=1)
        """Largest molecule, with hydrogens."""
        max_basis_functions: int = Field(default=600, ge=1)
        """A molecule that takes more is refused before anything is computed."""
        memory_MiB: int = Field(default=2000, ge=256)
        """What PySCF keeps in memory; beyond it, it writes to the scratch folder."""
        threads: int = Field(default=1, ge=1)

    @classmethod
    def declare(cls, config: Config) -> OracleDeclaration:
        """Say what is measured with this config; imports no physics.

        Raises:
            MissingExtraError: PySCF is not installed.
        """
        try:
            version("pyscf")
        except PackageNotFoundError as error:
            raise MissingExtraError("the oracle 'dft'", "pyscf", "pyscf") from error
        relaxed = config.geometry != "MMFF94"
        return OracleDeclaration(
            kind="dft",
            version=version_with("1", "pyscf", "tblite", "ase", "rdkit", "openmm"),
            spaces=("molecule",),
            outputs={
                name: OutputDeclaration(unit=unit, description=description)
                for name, (unit, description) in _OUTPUTS.items()
            },
            checks={
                "converged": "the self-consistent field"
                + (" and the geometry converged" if relaxed else " converged"),
                "same-connectivity": "re-perceived bonds equal those of the SMILES",
                "definite-spin": f"the gap exceeds {SMALLEST_GAP_eV} eV, so the spin state is"
                " occupied",
                "finite": "every value is a finite number",
            },
            cost_class=CostClass.MINUTES if config.geometry != "functional" else CostClass.HOURS,
            isolated=True,
            batch_size=1,
            timeout_s=3600.0 if config.geometry != "functional" else 6 * 3600.0,
            reference=(
                "Sun et al., J. Chem. Phys. 153, 024109 (2020);"
                " Adamo, Barone, J. Chem. Phys. 110, 6158 (1999);"
                " Weigend, Ahlrichs, Phys. Chem. Chem. Phys. 7, 3297 (2005)"
            ),
        )

    @classmethod
    def check_space(cls, config: Config, space: Any) -> None:
        """Refuse a space in which nothing can be measured; loads no physics.

        Raises:
            UserError: says what does not fit.
        """
        require_measurable_space(
            space,
            max_atoms=config.max_atoms,
            elements=MMFF94_ELEMENTS,
            way_out="measure them with the xtb oracle (starting_geometry: ETKDG)",
        )

    def __init__(self, config: Config) -> None:
        self.config = config

    def evaluate(
        self, candidates: Sequence[Candidate], *, seed: int, workdir: Path
    ) -> list[Outcome]:
        """Measure each candidate, in order; the seed reaches the 3D embedding only."""
        limit_native_threads(self.config.threads)
        return evaluate_each(
            candidates,
            lambda candidate: self._measure(
                candidate.text, derived_seed(seed, candidate.id), workdir
            ),
        )

    def _measure(self, smiles: str, seed: int, workdir: Path) -> Evaluation:
        from heuresis_oracles.connectivity import require_same_connectivity
        from heuresis_oracles.electronic import electronic_state
        from heuresis_oracles.embedding import embed, require_mmff94
        from heuresis_oracles.molecules import parse_single_molecule
        from heuresis_oracles.quantum.kohn_sham import KohnSham, properties

        config = self.config
        molecule = parse_single_molecule(smiles, max_atoms=config.max_atoms)
        require_mmff94(molecule)
        state = electronic_state(molecule, config.multiplicity)
        method = KohnSham(
            functional=config.functional,
            basis=config.basis,
            grid_level=config.grid_level,
            max_cycles=config.max_scf_iterations,
            memory_MiB=config.memory_MiB,
            threads=config.threads,
            scratch=workdir,
        )
        symbols = [atom.GetSymbol() for atom in molecule.GetAtoms()]
        functions = method.functions(symbols)
        if functions > config.max_basis_functions:
            raise OracleSetupError(
                f"'{smiles}' takes {functions} functions of {config.basis}; this oracle is set to"
                f" at most {config.max_basis_functions} (max_basis_functions): time grows with"
                " their third power, so nothing was computed"
            )
        graph = embed(molecule, conformers=config.conformers, seed=seed)
        atoms = self._relaxed(graph, state, method)
        require_same_connectivity(graph, atoms.positions)
        field = method.converged(symbols, atoms.positions, state)
        values = properties(field, atoms, state)
        return Evaluation(
            measurements={
                name: Measurement(value=values[name], unit=unit)
                for name, (unit, _) in _OUTPUTS.items()
            },
            checks=tuple(self.declare(config).checks),
        )

    def _relaxed(self, graph: Mol, state: ElectronicState, method: KohnSham) -> Atoms:
        """Return the atoms at the geometry that the settings ask for; the cheap methods first."""
        from ase import Atoms

        from heuresis_oracles.connectivity import require_separated
        from heuresis_oracles.embedding import positions_angstrom
        from heuresis_oracles.relaxation import relax
        from heuresis_oracles.tight_binding.hamiltonian import Hamiltonian

        atoms = Atoms([atom.GetSymbol() for atom in graph.GetAtoms()], positions_angstrom(graph))
        require_separated(graph, atoms.positions)
        calculators = []
        if self.config.geometry != "MMFF94":
            calculators.append(Hamiltonian(method="GFN2-xTB").calculator(state))
        if self.config.geometry == "functional":
            calculators.append(method.calculator(state))
        for calculator in calculators:
            atoms.calc = calculator
            relax(
                atoms,
                graph,
                optimizer="MMFF94-BFGS",
                force_tolerance_eV_per_angstrom=self.config.force_tolerance_eV_per_angstrom,
                max_steps=self.config.max_steps,
            )
        return atoms
