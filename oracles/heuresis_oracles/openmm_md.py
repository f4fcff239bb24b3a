"""Molecular dynamics of one molecule with MMFF94 in OpenMM: how it moves.

Sources: OpenMM 8: Eastman et al., J. Phys. Chem. B 128, 109 (2024); MMFF94: Halgren, J. Comput.
Chem. 17, 490 (1996).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from heuresis.errors import ImplausibleResultError, OracleSetupError
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
from heuresis_oracles.dynamics.checkpoints import checkpoint_of
from heuresis_oracles.dynamics.conformations import (
    conformers,
    hydrogen_bonds,
    is_drifting,
    surface,
)
from heuresis_oracles.dynamics.gates import require_sound_sampling, sampling_checks
from heuresis_oracles.dynamics.observables import (
    Estimate,
    longest_distance,
    mean_of,
    radii_of_gyration,
    root_mean_square_fluctuation,
    rotatable_torsions,
    shape,
    torsion_angles,
    torsional_flexibility,
)
from heuresis_oracles.dynamics.platforms import PlatformName
from heuresis_oracles.dynamics.simulation import Protocol, Trajectory, simulate
from heuresis_oracles.embedding import embed, positions_angstrom
from heuresis_oracles.molecules import (
    MMFF94_ELEMENTS,
    parse_single_molecule,
    require_measurable_space,
    unpaired_electrons,
)
from heuresis_oracles.outcomes import evaluate_each, version_with

if TYPE_CHECKING:
    from rdkit.Chem import Mol

_OUTPUTS: dict[str, tuple[str, str]] = {
    "rmsf_angstrom": (
        "angstrom",
        "root mean square fluctuation of heavy atoms about their mean, after superposition",
    ),
    "torsional_flexibility": (
        "1",
        "mean circular variance of the rotatable torsions: 0 rigid (or none), 1 freely turning",
    ),
    "radius_of_gyration_angstrom": ("angstrom", "mass-weighted radius of gyration, all atoms"),
    "shape_anisotropy": ("1", "relative shape anisotropy: 0 sphere, 0.25 plane, 1 rod"),
    "length_angstrom": ("angstrom", "mean largest distance between two heavy atoms"),
    "temperature_K": ("K", "mean kinetic temperature of the run"),
}
MoreObservable = Literal["surface", "hydrogen-bonds", "conformers"]
_MORE_OUTPUTS: dict[str, dict[str, tuple[str, str]]] = {
    "surface": {
        "solvent_accessible_area_angstrom2": ("angstrom2", "area that a probe of 1.4 Å reaches"),
        "polar_accessible_area_angstrom2": ("angstrom2", "its share of N, O and their hydrogens"),
    },
    "hydrogen-bonds": {
        "intramolecular_hydrogen_bonds": ("1", "mean number of hydrogen bonds within the molecule"),
    },
    "conformers": {
        "conformers_visited": ("1", "torsional states seen, three wells per rotatable bond"),
        "largest_conformer_population": ("1", "share of the time in the commonest of them"),
    },
}
_DRIFT_SIGMAS = 5.0
_DRIFT_SHARE = 0.05


class OpenMMMolecularDynamics:
    """Flexibility and shape of a molecule from Langevin dynamics."""

    class Config(PluginConfig):
        """Settings of the simulation; every one of them enters the cache key."""

        temperature_K: float = Field(default=300.0, gt=0.0, le=2000.0)
        duration_ps: float = Field(default=20.0, gt=0.0, le=100_000.0)
        """Sampled time, after equilibration."""
        equilibration_ps: float = Field(default=2.0, ge=0.0, le=10_000.0)
        timestep_fs: float = Field(default=2.0, gt=0.0, le=5.0)
        friction_per_ps: float = Field(default=1.0, gt=0.0, le=100.0)
        sample_interval_fs: float = Field(default=100.0, gt=0.0)
        hydrogen_mass_Da: float = Field(default=3.0, ge=1.008, le=4.0)
        """Hydrogens are made this heavy at the cost of their neighbour; 1.008 leaves them."""
        constrain_hydrogens: bool = True
        """Fix the length of bonds to hydrogen; needed above 1 fs."""
        conservation_check_ps: float = Field(default=1.0, gt=0.0, le=100.0)
        """Length of the constant-energy run that checks the time step."""
        variant: Literal["MMFF94", "MMFF94s"] = "MMFF94"
        solvent: Literal["water"] | None = None
        """Implicit solvent (generalised Born, OBC II, with a surface term); by default vacuum."""
        observables: tuple[MoreObservable, ...] = ()
        """What to read besides flexibility and shape."""
        conformers: int = Field(default=4, ge=1, le=200)
        max_atoms: int = Field(default=150, ge=2)
        """Largest molecule, with hydrogens."""
        platform: PlatformName = "Reference"
        """OpenMM platform; Reference is the faster one for a single molecule, and exact. ``auto``
        takes a graphics processor when there is one."""
        checkpoint_folder: str | None = None
        """Where long runs save their progress, so that a task that is repeated after a crash goes
        on where it was; by default nowhere."""
        checkpoint_ps: float = Field(default=1000.0, gt=0.0)
        """Sampled time between two savings."""

        @property
        def protocol(self) -> Protocol:
            """How a molecule is simulated with these settings."""
            left_out = {"conformers", "max_atoms", "observables", "checkpoint_folder"}
            return Protocol(**self.model_dump(exclude=left_out))

        @model_validator(mode="after")
        def _consistent(self) -> OpenMMMolecularDynamics.Config:
            if self.duration_ps * 1000.0 < 10.0 * self.sample_interval_fs:
                raise ValueError(
                    f"duration_ps={self.duration_ps} gives fewer than 10 samples at"
                    f" sample_interval_fs={self.sample_interval_fs}; simulate longer or sample"
                    " more often"
                )
            if self.sample_interval_fs < self.timestep_fs:
                raise ValueError(
                    f"sample_interval_fs={self.sample_interval_fs} is shorter than"
                    f" timestep_fs={self.timestep_fs}; it must be at least one step"
                )
            if self.timestep_fs > 1.0 and not self.constrain_hydrogens:
                raise ValueError(
                    f"timestep_fs={self.timestep_fs} is too long for free hydrogens; set"
                    " constrain_hydrogens: true or timestep_fs: 1 or less"
                )
            return self

    @classmethod
    def declare(cls, config: Config) -> OracleDeclaration:
        """Say what is measured with this config; imports no physics."""
        return OracleDeclaration(
            kind="openmm-md",
            version=version_with("2", "openmm", "rdkit"),
            spaces=("molecule",),
            outputs={
                name: OutputDeclaration(unit=unit, description=description, has_uncertainty=True)
                for name, (unit, description) in _outputs(config).items()
            },
            checks={
                **sampling_checks(config.temperature_K),
                "same-connectivity": "bonds of the last frame equal those of the SMILES",
                "equilibrated": (
                    "radius of gyration of both halves within"
                    f" {_DRIFT_SIGMAS:g} standard errors or {_DRIFT_SHARE:.0%}"
                ),
            },
            cost_class=CostClass.SECONDS,
            isolated=True,
            batch_size=1,
            timeout_s=max(120.0, 10.0 * config.duration_ps),
            reference=(
                "Eastman et al., J. Phys. Chem. B 128, 109 (2024); Halgren, J. Comput. Chem. 17,"
                " 490 (1996)"
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
            way_out="measure with another oracle, or allow other elements",
        )

    def __init__(self, config: Config) -> None:
        self.config = config

    def evaluate(
        self,
        candidates: Sequence[Candidate],
        *,
        seed: int,
        workdir: Path,  # noqa: ARG002 - the trajectory stays in memory
    ) -> list[Outcome]:
        """Measure each candidate, in order; the seed reaches embedding, velocities, thermostat."""
        return evaluate_each(
            candidates,
            lambda candidate: self._measure(candidate.text, derived_seed(seed, candidate.id)),
        )

    def _measure(self, smiles: str, seed: int) -> Evaluation:
        config = self.config
        molecule = parse_single_molecule(smiles, max_atoms=config.max_atoms)
        _require_simulable(molecule, smiles)
        molecule = embed(molecule, conformers=config.conformers, seed=seed)
        run_seed = derived_seed(seed, "dynamics")
        checkpoint = checkpoint_of(
            config.checkpoint_folder,
            smiles,
            config.model_dump_json(),
            self.declare(config).version,
            str(run_seed),
        )
        trajectory = simulate(
            molecule, positions_angstrom(molecule), config.protocol, run_seed, checkpoint
        )
        require_sound_sampling(trajectory, config.protocol)
        require_same_connectivity(molecule, trajectory.frames_angstrom[-1])
        estimates = _observe(molecule, trajectory, frozenset(config.observables))
        return Evaluation(
            measurements={
                name: Measurement(
                    value=estimates[name].value,
                    unit=unit,
                    uncertainty=estimates[name].uncertainty,
                )
                for name, (unit, _) in _outputs(config).items()
            },
            checks=tuple(self.declare(config).checks),
            provenance={"platform": trajectory.platform},
        )


def _require_simulable(molecule: Mol, smiles: str) -> None:
    radicals = unpaired_electrons(molecule)
    if radicals:
        raise OracleSetupError(
            f"'{smiles}' has {radicals} unpaired electrons; MMFF94 describes closed shells only"
        )
    if molecule.GetNumHeavyAtoms() == 0:
        raise OracleSetupError(f"'{smiles}' has no heavy atom, so there is nothing to superpose")
    if molecule.GetNumAtoms() < 2:
        raise OracleSetupError(f"'{smiles}' is a single atom: it has no internal motion to measure")


def _outputs(config: OpenMMMolecularDynamics.Config) -> dict[str, tuple[str, str]]:
    outputs = dict(_OUTPUTS)
    for name, more in _MORE_OUTPUTS.items():
        if name in config.observables:
            outputs |= more
    return outputs


def _observe(
    molecule: Mol, trajectory: Trajectory, more: frozenset[str] = frozenset()
) -> dict[str, Estimate]:
    frames = trajectory.frames_angstrom
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
    masses_Da = np.array([atom.GetMass() for atom in molecule.GetAtoms()])
    heavy = frames[:, numbers > 1]
    radii_angstrom = radii_of_gyration(frames, masses_Da)
    if is_drifting(radii_angstrom, _DRIFT_SIGMAS, _DRIFT_SHARE):
        half = len(radii_angstrom) // 2
        raise ImplausibleResultError(
            "the run is not in equilibrium: the radius of gyration goes from"
            f" {radii_angstrom[:half].mean():.2f} Å in the first half to"
            f" {radii_angstrom[half:].mean():.2f} Å in the second; raise equilibration_ps or"
            " duration_ps"
        )
    size = shape(frames, masses_Da)
    angles = torsion_angles(frames, rotatable_torsions(molecule))
    found = {
        "rmsf_angstrom": root_mean_square_fluctuation(heavy),
        "torsional_flexibility": torsional_flexibility(angles),
        "radius_of_gyration_angstrom": size.radius_of_gyration_angstrom,
        "shape_anisotropy": size.shape_anisotropy,
        "length_angstrom": longest_distance(heavy),
        "temperature_K": mean_of(trajectory.temperatures_K),
    }
    if "surface" in more:
        area = surface(molecule, frames)
        found["solvent_accessible_area_angstrom2"] = area.total
        found["polar_accessible_area_angstrom2"] = area.polar
    if "hydrogen-bonds" in more:
        found["intramolecular_hydrogen_bonds"] = hydrogen_bonds(molecule, frames)
    if "conformers" in more:
        states = conformers(angles)
        found["conformers_visited"] = Estimate(float(states.visited), 0.0)
        found["largest_conformer_population"] = states.largest_population
    return found
