"""GFN2-xTB and GFN1-xTB: relax a molecule and read its frontier orbitals, dipole and energy.

Sources: GFN2-xTB: Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15, 1652 (2019); GFN1-xTB:
Grimme, Bannwarth, Shushkov, J. Chem. Theory Comput. 13, 1989 (2017); ALPB and GBSA: Ehlert,
Stahn, Spicher, Grimme, J. Chem. Theory Comput. 17, 4250 (2021); code: tblite, ASE.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

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
from heuresis_oracles.electronic import ElectronicState, SMALLEST_GAP_eV
from heuresis_oracles.molecules import MMFF94_ELEMENTS, require_measurable_space
from heuresis_oracles.outcomes import evaluate_each, version_with
from heuresis_oracles.relaxation import Optimizer
from heuresis_oracles.threads import limit_native_threads
from heuresis_oracles.tight_binding.observables import (
    AT_A_MINIMUM,
    OBSERVABLES,
    SPREAD,
    VIBRATIONAL,
    Observable,
)
from heuresis_oracles.tight_binding.polarisability import RANKABLE_ELEMENTS
from heuresis_oracles.tight_binding.solvents import SOLVENTS, SolvationModel

if TYPE_CHECKING:
    from tblite.ase import TBLite

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
        observables: tuple[Observable, ...] = ()
        """What to measure besides orbitals, dipole and energy; each costs more calculations."""
        ionisation: bool = False
        """The same as ``ionisation`` among the observables."""
        relaxed_conformers: int = Field(default=1, ge=1, le=50)
        """How many of the lowest distinct MMFF94 conformers are relaxed with xTB; the lowest in
        energy is measured, and the spread over the populated ones is its uncertainty."""
        conformer_window_eV: float = Field(default=0.26, gt=0.0, le=5.0)
        """Conformers that lie higher in MMFF94 energy are not relaxed (0.26 eV: 6 kcal/mol)."""
        temperature_K: float = Field(default=298.15, gt=0.0, le=5000.0)
        """Of thermochemistry and of conformer populations."""
        pressure_Pa: float = Field(default=100_000.0, gt=0.0)
        symmetry_number: int | None = Field(default=None, ge=1, le=60)
        """Rotational symmetry number; by default found from the geometry."""
        imaginary_tolerance_per_cm: float = Field(default=30.0, ge=0.0, le=500.0)
        """Imaginary modes softer than this count as flat directions, not as a saddle point."""
        solvent: str | None = None
        """Implicit solvent, e.g. ``water``; by default vacuum."""
        solvation_model: SolvationModel = "alpb"
        """ALPB and GBSA are fitted per solvent; CPCM and COSMO are electrostatics alone."""
        threads: int = Field(default=1, ge=1)

        @property
        def wanted(self) -> frozenset[str]:
            """The observables asked for, however they were asked for."""
            return frozenset(self.observables) | ({"ionisation"} if self.ionisation else set())

        @model_validator(mode="after")
        def _consistent(self) -> XTB.Config:
            if self.starting_geometry == "ETKDG" and not self.relax:
                raise ValueError(
                    "a raw ETKDG embedding is no geometry to measure on; set relax: true or"
                    " starting_geometry: MMFF94"
                )
            if self.relaxed_conformers > 1 and (
                not self.relax or self.starting_geometry == "ETKDG"
            ):
                raise ValueError(
                    "relaxed_conformers above 1 needs relax: true and starting_geometry: MMFF94"
                )
            if "conformers" in self.wanted and self.relaxed_conformers == 1:
                raise ValueError(
                    "the observable 'conformers' needs relaxed_conformers of at least 2"
                )
            moving = sorted(self.wanted & AT_A_MINIMUM)
            if moving and not self.relax:
                raise ValueError(f"the observable '{moving[0]}' needs relax: true")
            if self.solvent is not None:
                known = SOLVENTS[self.solvation_model, self.method]
                if self.solvent not in known:
                    raise ValueError(
                        f"no {self.solvation_model} parameters for solvent '{self.solvent}' with"
                        f" {self.method}{did_you_mean(self.solvent, known)};"
                        f" known: {', '.join(known)}"
                    )
            for name in sorted(self.wanted):
                medium = OBSERVABLES[name].medium
                if medium == "vacuum" and self.solvent is not None:
                    raise ValueError(
                        f"the observable '{name}' is defined in vacuum (IPEA-xTB has no solvent"
                        " parameters, and a solvent does not follow an electron at once); remove"
                        " solvent, or measure it with a second xtb oracle"
                    )
                if medium == "solvent" and self.solvent is None:
                    raise ValueError(
                        f"the observable '{name}' needs a solvent, e.g. solvent: water"
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
        if config.wanted & VIBRATIONAL:
            checks["minimum"] = (
                f"no imaginary vibration beyond {config.imaginary_tolerance_per_cm:g}i per cm"
            )
        if "polarisability" in config.wanted:
            checks["comparable"] = (
                f"elements {', '.join(RANKABLE_ELEMENTS)} alone, whose polarisabilities compare"
            )
        return OracleDeclaration(
            kind="xtb",
            version=version_with("2", "tblite", "ase", "rdkit", "openmm"),
            spaces=("molecule",),
            outputs={
                name: OutputDeclaration(
                    unit=unit,
                    description=description,
                    has_uncertainty=config.relaxed_conformers > 1 and name in SPREAD,
                )
                for name, (unit, description) in _outputs(config).items()
            },
            checks=checks,
            cost_class=CostClass.SECONDS,
            isolated=True,
            batch_size=1,
            timeout_s=1800.0 if config.wanted - {"ionisation"} else 300.0,
            reference=(
                "Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 15, 1652 (2019);"
                " Grimme, Bannwarth, Shushkov, J. Chem. Theory Comput. 13, 1989 (2017);"
                " ionisation: Asgeirsson, Bauer, Grimme, Chem. Sci. 8, 4879 (2017)"
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
            elements=MMFF94_ELEMENTS if config.starting_geometry == "MMFF94" else None,
            way_out="set starting_geometry: ETKDG, which needs no MMFF94 parameters",
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
        from heuresis_oracles.tight_binding.measuring import Measuring

        values = Measuring(smiles, self.config, seed).values()
        return Evaluation(
            measurements={
                name: Measurement(
                    value=values[name].value, unit=unit, uncertainty=values[name].uncertainty
                )
                for name, (unit, _) in _outputs(self.config).items()
            },
            checks=tuple(self.declare(self.config).checks),
        )

    def _calculator(self, state: ElectronicState) -> TBLite:
        from heuresis_oracles.tight_binding.measuring import hamiltonian_of

        return hamiltonian_of(self.config).calculator(state)


def _outputs(config: XTB.Config) -> dict[str, tuple[str, str]]:
    outputs = dict(_OUTPUTS)
    for name, declaration in OBSERVABLES.items():
        if name in config.wanted:
            outputs |= declaration.outputs
    return outputs
