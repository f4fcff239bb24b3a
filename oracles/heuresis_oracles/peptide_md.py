"""Oracle ``peptide-md``: how helical a peptide stays, and how far it goes from its start.

Langevin dynamics with Amber14 (ff14SB) in implicit water (GBn2), from a helix or a stretched chain.

Sources: ff14SB: Maier et al., J. Chem. Theory Comput. 11, 3696 (2015); GBn2: Nguyen, Roe,
Simmerling, J. Chem. Theory Comput. 9, 2020 (2013); helices: Best, Hummer, J. Phys. Chem. B 113,
9004 (2009), and Kabsch, Sander, Biopolymers 22, 2577 (1983).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from heuresis.errors import ImplausibleResultError, InvalidCandidate, OracleSetupError, UserError
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
from heuresis.spaces.peptide import PeptideParts, read_peptide
from heuresis_oracles.connectivity import require_same_connectivity
from heuresis_oracles.dynamics.checkpoints import checkpoint_of
from heuresis_oracles.dynamics.gates import require_sound_sampling, sampling_checks
from heuresis_oracles.dynamics.observables import (
    Estimate,
    mean_of,
    radii_of_gyration,
    torsion_angles,
)
from heuresis_oracles.dynamics.platforms import PlatformName
from heuresis_oracles.dynamics.simulation import Protocol, Trajectory, run
from heuresis_oracles.outcomes import evaluate_each, version_with

if TYPE_CHECKING:
    from rdkit.Chem import Mol

_OUTPUTS: dict[str, tuple[str, str]] = {
    "helicity": ("1", "mean share of residues in a helix of three or more, by phi and psi"),
    "helix_hydrogen_bonds": (
        "1",
        "mean share of the possible hydrogen bonds from residue i to i + 4 that are made",
    ),
    "rmsd_from_start_angstrom": (
        "angstrom",
        "mean deviation of the backbone (N, CA, C) from the starting structure, superposed",
    ),
    "radius_of_gyration_angstrom": ("angstrom", "mass-weighted radius of gyration, all atoms"),
    "temperature_K": ("K", "mean kinetic temperature of the run"),
}
_FEWEST_RESIDUES = 5
"""A hydrogen bond from i to i + 4 needs five."""
_LARGEST_CIS_DEGREE = 90.0


class PeptideMolecularDynamics:
    """Helicity and stability of a peptide from Langevin dynamics in implicit water."""

    class Config(PluginConfig):
        """Settings of the simulation; every one of them enters the cache key."""

        start: Literal["helix", "extended"] = "helix"
        """From a helix: what of it stays. From a stretched chain: what forms, for long runs."""
        temperature_K: float = Field(default=300.0, gt=0.0, le=1000.0)
        duration_ps: float = Field(default=200.0, gt=0.0, le=10_000_000.0)
        """Sampled time, after equilibration."""
        equilibration_ps: float = Field(default=20.0, ge=0.0, le=100_000.0)
        timestep_fs: float = Field(default=4.0, gt=0.0, le=5.0)
        friction_per_ps: float = Field(default=1.0, gt=0.0, le=100.0)
        sample_interval_fs: float = Field(default=1000.0, gt=0.0)
        hydrogen_mass_Da: float = Field(default=4.0, ge=1.008, le=4.0)
        """Hydrogens are made this heavy at the cost of their neighbour; 1.008 leaves them."""
        constrain_hydrogens: bool = True
        conservation_check_ps: float = Field(default=2.0, gt=0.0, le=100.0)
        """Length of the constant-energy run that checks the time step."""
        max_residues: int = Field(default=40, ge=_FEWEST_RESIDUES, le=500)
        platform: PlatformName = "auto"
        """OpenMM platform; ``auto``: a graphics processor when there is one, else CPU."""
        checkpoint_folder: str | None = None
        """Where long runs save their progress, so that a task that is repeated after a crash goes
        on where it was; by default nowhere."""
        checkpoint_ps: float = Field(default=100.0, gt=0.0)
        """Sampled time between two savings."""

        @model_validator(mode="after")
        def _consistent(self) -> PeptideMolecularDynamics.Config:
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
            return self

        @property
        def protocol(self) -> Protocol:
            """How a peptide is simulated with these settings."""
            left_out = {"start", "max_residues", "checkpoint_folder"}
            return Protocol(**self.model_dump(exclude=left_out), variant="MMFF94", otherwise="CPU")

    @classmethod
    def declare(cls, config: Config) -> OracleDeclaration:
        """Say what is measured with this config; imports no physics."""
        return OracleDeclaration(
            kind="peptide-md",
            version=version_with("1", "openmm", "rdkit"),
            spaces=("peptide",),
            outputs={
                name: OutputDeclaration(unit=unit, description=description, has_uncertainty=True)
                for name, (unit, description) in _OUTPUTS.items()
            },
            checks={
                **sampling_checks(config.temperature_K),
                "same-connectivity": "bonds of the last frame equal those of the sequence",
                "trans": "no peptide bond turned to cis",
                "chirality": "every residue is the L form that it was",
            },
            cost_class=CostClass.MINUTES,
            isolated=True,
            batch_size=1,
            timeout_s=max(1800.0, 60.0 * config.duration_ps),
            reference=(
                "Maier et al., J. Chem. Theory Comput. 11, 3696 (2015); Nguyen, Roe, Simmerling,"
                " J. Chem. Theory Comput. 9, 2020 (2013); Best, Hummer, J. Phys. Chem. B 113, 9004"
                " (2009)"
            ),
        )

    @classmethod
    def check_space(cls, config: Config, space: Any) -> None:
        """Refuse a space in which every peptide is too short or too long; loads no physics.

        Raises:
            UserError: says what does not fit.
        """
        low, high = getattr(space.config, "length", (_FEWEST_RESIDUES, _FEWEST_RESIDUES))
        if high < _FEWEST_RESIDUES or low > config.max_residues:
            raise UserError(
                f"no candidate can be measured: the space holds peptides of {low} to {high}"
                f" residues, and this oracle takes {_FEWEST_RESIDUES} to {config.max_residues}"
                " (max_residues)"
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
        """Measure each candidate, in order; the seed reaches velocities and thermostat."""
        return evaluate_each(
            candidates,
            lambda candidate: self._measure(candidate, derived_seed(seed, candidate.id)),
        )

    def _measure(self, candidate: Candidate, seed: int) -> Evaluation:
        from heuresis_oracles.embedding import positions_angstrom
        from heuresis_oracles.peptides.building import build_peptide
        from heuresis_oracles.peptides.simulating import build_peptide_system

        config = self.config
        peptide = self._readable(candidate.text)
        molecule = build_peptide(peptide, config.start)
        start = positions_angstrom(molecule)
        system, masses_Da = build_peptide_system(
            molecule,
            hydrogen_mass_Da=config.hydrogen_mass_Da,
            constrain_hydrogens=config.constrain_hydrogens,
        )
        checkpoint = checkpoint_of(
            config.checkpoint_folder,
            candidate.text,
            config.model_dump_json(),
            self.declare(config).version,
            str(seed),
        )
        trajectory = run(system, masses_Da, start, config.protocol, seed, checkpoint)
        require_sound_sampling(trajectory, config.protocol)
        require_same_connectivity(molecule, trajectory.frames_angstrom[-1])
        found = _observe(molecule, peptide, start, trajectory)
        return Evaluation(
            measurements={
                name: Measurement(
                    value=found[name].value, unit=unit, uncertainty=found[name].uncertainty
                )
                for name, (unit, _) in _OUTPUTS.items()
            },
            checks=tuple(self.declare(config).checks),
            provenance={"platform": trajectory.platform},
        )

    def _readable(self, text: str) -> PeptideParts:
        try:
            peptide = read_peptide(text)
        except InvalidCandidate as error:
            raise OracleSetupError(str(error)) from error
        if not _FEWEST_RESIDUES <= len(peptide.residues) <= self.config.max_residues:
            raise OracleSetupError(
                f"{peptide.plain} has {len(peptide.residues)} residues; this oracle takes"
                f" {_FEWEST_RESIDUES} to {self.config.max_residues} (max_residues)"
            )
        return peptide


def _observe(
    molecule: Mol, peptide: PeptideParts, start_angstrom: np.ndarray, trajectory: Trajectory
) -> dict[str, Estimate]:
    from heuresis_oracles.peptides.building import backbone
    from heuresis_oracles.peptides.secondary_structure import (
        are_bonded,
        helical_residues,
        helix_pairs,
        hydrogen_bond_energies_kcal_per_mol,
        rmsd_from_first,
    )

    frames = trajectory.frames_angstrom
    chain = backbone(molecule, len(peptide.residues))
    phi, psi, omega = _torsions(molecule, chain, frames)
    _require_trans(omega, peptide)
    _require_chirality(molecule, start_angstrom, frames[-1])
    helical = helical_residues(phi, psi)
    acceptors, donors = helix_pairs(chain)
    if len(acceptors):
        energies = hydrogen_bond_energies_kcal_per_mol(frames, acceptors, donors)
        bonds = mean_of(are_bonded(energies).mean(axis=1))
    else:
        bonds = Estimate(0.0, 0.0)
    trace = np.concatenate([chain[name] for name in ("N", "CA", "C")])
    masses_Da = np.array([atom.GetMass() for atom in molecule.GetAtoms()])
    return {
        "helicity": mean_of(helical.mean(axis=1)),
        "helix_hydrogen_bonds": bonds,
        "rmsd_from_start_angstrom": mean_of(
            rmsd_from_first(frames[:, trace], start_angstrom[trace])
        ),
        "radius_of_gyration_angstrom": mean_of(radii_of_gyration(frames, masses_Da)),
        "temperature_K": mean_of(trajectory.temperatures_K),
    }


def _torsions(
    molecule: Mol, chain: dict[str, np.ndarray], frames: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return phi and psi (frames, residues), NaN at free ends, and omega (frames, bonds)."""
    carbonyl = {int(c) for c in chain["C"]}
    before, after = [], []
    for residue in range(len(chain["N"])):
        nitrogen = molecule.GetAtomWithIdx(int(chain["N"][residue]))
        alpha = int(chain["CA"][residue])
        acyls = [
            n.GetIdx()
            for n in nitrogen.GetNeighbors()
            if n.GetIdx() != alpha and (n.GetIdx() in carbonyl or _is_carbonyl(n))
        ]
        before.append(acyls[0] if acyls else -1)
        carbon = molecule.GetAtomWithIdx(int(chain["C"][residue]))
        amines = [n.GetIdx() for n in carbon.GetNeighbors() if n.GetAtomicNum() == 7]
        after.append(amines[0] if amines else -1)
    n, ca, c = (chain[name] for name in ("N", "CA", "C"))

    def angles(rows: np.ndarray) -> np.ndarray:
        found = torsion_angles(frames, rows)
        found[:, (rows < 0).any(axis=1)] = np.nan
        return found

    phi = angles(np.stack([np.array(before), n, ca, c], axis=1))
    psi = angles(np.stack([n, ca, c, np.array(after)], axis=1))
    omega = angles(np.stack([ca[:-1], c[:-1], n[1:], ca[1:]], axis=1))
    return phi, psi, omega


def _is_carbonyl(atom: Any) -> bool:
    return atom.GetAtomicNum() == 6 and any(
        n.GetAtomicNum() == 8 and n.GetDegree() == 1 for n in atom.GetNeighbors()
    )


def _require_trans(omega_radian: np.ndarray, peptide: PeptideParts) -> None:
    cis = np.abs(np.degrees(omega_radian[-1])) < _LARGEST_CIS_DEGREE
    if cis.any():
        place = int(np.argmax(cis)) + 1
        raise ImplausibleResultError(
            f"the peptide bond after residue {place} of {peptide.plain} turned to cis; lower"
            " temperature_K"
        )


def _require_chirality(molecule: Mol, start: np.ndarray, end: np.ndarray) -> None:
    from rdkit import Chem

    for centre in Chem.FindPotentialStereo(molecule):
        if centre.type != Chem.StereoType.Atom_Tetrahedral:
            continue
        index = centre.centeredOn
        around = [n.GetIdx() for n in molecule.GetAtomWithIdx(index).GetNeighbors()][:3]
        volumes = [float(np.linalg.det(places[around] - places[index])) for places in (start, end)]
        if volumes[0] * volumes[1] <= 0.0:
            raise ImplausibleResultError(
                f"the centre at atom {index} turned to its mirror image; lower temperature_K"
            )
