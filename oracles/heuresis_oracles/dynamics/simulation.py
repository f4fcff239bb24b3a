"""Langevin dynamics of one molecule, and the trajectory it leaves.

One OpenMM context carries two integrators: LangevinMiddle for sampling and velocity-Verlet for a
short constant-energy run that measures how well this time step conserves energy for this molecule.

Sources: LangevinMiddle: Zhang, Liu, Yan, Tuckerman, Liu, J. Phys. Chem. A 123, 6056 (2019);
hydrogen mass repartitioning: Hopkins, Le Grand, Walker, Roitberg, J. Chem. Theory Comput. 11, 1864
(2015).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from heuresis.errors import CalculationError
from heuresis_oracles.dynamics.checkpoints import Checkpoint, Progress
from heuresis_oracles.dynamics.platforms import PlatformName, make_context, platform_of
from heuresis_oracles.forcefield.implicit_solvent import water_force
from heuresis_oracles.forcefield.mmff94 import build_system
from heuresis_oracles.forcefield.mmff94_parameters import Variant, read_parameters
from heuresis_oracles.units import (
    ANGSTROM_TO_NANOMETRE,
    GAS_CONSTANT_KJ_PER_MOL_K,
    NANOMETRE_TO_ANGSTROM,
)

if TYPE_CHECKING:
    import openmm
    from rdkit.Chem import Mol

_CONSERVATION_SAMPLES = 20
_MINIMISATION_TOLERANCE_KJ_PER_MOL_NM = 10.0


@dataclass(frozen=True)
class Protocol:
    """How a molecule is simulated."""

    temperature_K: float
    duration_ps: float
    equilibration_ps: float
    timestep_fs: float
    friction_per_ps: float
    sample_interval_fs: float
    hydrogen_mass_Da: float
    constrain_hydrogens: bool
    conservation_check_ps: float
    variant: Variant
    platform: PlatformName
    solvent: Literal["water"] | None = None
    """Implicit solvent; None: vacuum."""
    otherwise: Literal["Reference", "CPU"] = "Reference"
    """What the platform ``auto`` means without a graphics processor."""
    checkpoint_ps: float = 1000.0
    """Sampled time between two savings of progress."""


@dataclass(frozen=True)
class Trajectory:
    """Frames of the production run and what is needed to judge them."""

    frames_angstrom: np.ndarray
    """Shape (frames, atoms, 3)."""
    temperatures_K: np.ndarray
    """Instantaneous kinetic temperature of each frame, shape (frames,)."""
    degrees_of_freedom: int
    energy_drift_kT_per_dof_per_ps: float
    """Slope of the total energy in the constant-energy run."""
    platform: str = "Reference"
    """OpenMM's platform that it ran on."""


def simulate(
    molecule: Mol,
    positions_angstrom: np.ndarray,
    protocol: Protocol,
    seed: int,
    checkpoint: Checkpoint | None = None,
) -> Trajectory:
    """Minimise, equilibrate, check energy conservation and sample.

    Args:
        molecule: one fragment with explicit hydrogens.
        positions_angstrom: start, shape (atoms, 3), in Å.
        protocol: settings.
        seed: seeds velocities and the thermostat; equal seeds give equal trajectories.
        checkpoint: where to save progress, and to go on from.

    Raises:
        OracleSetupError: MMFF94 has no parameters for the molecule.
        CalculationError: the dynamics broke down (NaN).
    """
    parameters = read_parameters(molecule, protocol.variant)
    masses_Da = repartitioned_masses(molecule, protocol.hydrogen_mass_Da)
    system = build_system(parameters, masses_Da)
    if protocol.solvent is not None:
        system.addForce(water_force(molecule, parameters.partial_charges_e))
    if protocol.constrain_hydrogens:
        hydrogen = np.array([atom.GetAtomicNum() == 1 for atom in molecule.GetAtoms()])
        for (a, b), length in zip(
            parameters.bond_atoms.tolist(), parameters.bond_length_angstrom, strict=True
        ):
            if hydrogen[a] or hydrogen[b]:
                system.addConstraint(a, b, float(length) * ANGSTROM_TO_NANOMETRE)
    return run(system, masses_Da, positions_angstrom, protocol, seed, checkpoint)


def run(
    system: openmm.System,
    masses_Da: np.ndarray,
    positions_angstrom: np.ndarray,
    protocol: Protocol,
    seed: int,
    checkpoint: Checkpoint | None = None,
) -> Trajectory:
    """Minimise, equilibrate, check energy conservation and sample any OpenMM system.

    Args:
        system: constraints included.
        masses_Da: of its atoms, shape (atoms,).
        positions_angstrom: start, shape (atoms, 3), in Å.
        protocol: settings; ``variant`` and ``solvent`` say how a system was made and are not used.
        seed: seeds velocities and the thermostat; equal seeds give equal trajectories.
        checkpoint: where to save progress every ``checkpoint_ps``, and to go on from.

    Raises:
        OracleSetupError: the platform is not there.
        CalculationError: the dynamics broke down (NaN).
    """
    import openmm

    timestep_ps = protocol.timestep_fs / 1000.0
    thermostat = openmm.LangevinMiddleIntegrator(
        protocol.temperature_K, protocol.friction_per_ps, timestep_ps
    )
    thermostat.setRandomNumberSeed(_nonzero(seed))
    integrator = openmm.CompoundIntegrator()
    integrator.addIntegrator(thermostat)
    integrator.addIntegrator(openmm.VerletIntegrator(timestep_ps))
    context = make_context(system, integrator, protocol.platform, protocol.otherwise)
    degrees_of_freedom = 3 * len(masses_Da) - system.getNumConstraints()
    try:
        progress = _resumed(context, checkpoint)
        if progress is None:
            context.setPositions(positions_angstrom * ANGSTROM_TO_NANOMETRE)
            openmm.LocalEnergyMinimizer.minimize(context, _MINIMISATION_TOLERANCE_KJ_PER_MOL_NM)
            context.setVelocitiesToTemperature(protocol.temperature_K, _nonzero(seed))
            integrator.step(_steps(protocol.equilibration_ps * 1000.0, protocol.timestep_fs))
            drift = _conservation(context, integrator, protocol, degrees_of_freedom)
            progress = Progress(np.empty((0, len(masses_Da), 3)), np.empty(0), drift, b"")
        sampled = _sample(context, integrator, protocol, masses_Da, progress, checkpoint)
    except openmm.OpenMMException as error:
        raise CalculationError(
            f"the dynamics broke down at a time step of {protocol.timestep_fs} fs: {error}"
        ) from error
    frames, kinetic = sampled.frames_angstrom, sampled.kinetic_kJ_per_mol
    if not (np.all(np.isfinite(frames)) and np.all(np.isfinite(kinetic))):
        raise CalculationError(
            f"coordinates or velocities became NaN at a time step of {protocol.timestep_fs} fs"
        )
    if checkpoint is not None:
        checkpoint.remove()
    return Trajectory(
        frames_angstrom=frames,
        temperatures_K=2.0 * kinetic / (degrees_of_freedom * GAS_CONSTANT_KJ_PER_MOL_K),
        degrees_of_freedom=degrees_of_freedom,
        energy_drift_kT_per_dof_per_ps=sampled.drift,
        platform=platform_of(context),
    )


def repartitioned_masses(molecule: Mol, hydrogen_mass_Da: float) -> np.ndarray:
    """Return masses with every hydrogen made heavier at the cost of its heavy neighbour.

    The total mass is kept, and with it every property of equilibrium; only the fastest motions
    slow down, which allows a longer time step.
    """
    masses = np.array([atom.GetMass() for atom in molecule.GetAtoms()])
    for bond in molecule.GetBonds():
        ends = (bond.GetBeginAtom(), bond.GetEndAtom())
        for hydrogen, heavy in (ends, ends[::-1]):
            if hydrogen.GetAtomicNum() == 1 and heavy.GetAtomicNum() > 1:
                moved = max(hydrogen_mass_Da - masses[hydrogen.GetIdx()], 0.0)
                masses[hydrogen.GetIdx()] += moved
                masses[heavy.GetIdx()] -= moved
    return masses


def _resumed(context: Any, checkpoint: Checkpoint | None) -> Progress | None:
    """Return the progress that was saved, with the context in its state; None: begin anew."""
    import openmm

    progress = checkpoint.load() if checkpoint is not None else None
    if progress is None:
        return None
    try:
        context.loadCheckpoint(progress.state)
    except openmm.OpenMMException:
        return None  # another platform or version of OpenMM: its state cannot be read
    return progress


def _sample(
    context: Any,
    integrator: Any,
    protocol: Protocol,
    masses_Da: np.ndarray,
    progress: Progress,
    checkpoint: Checkpoint | None,
) -> Progress:
    """Return all frames in Å and the kinetic energy of each in kJ/mol, the earlier ones first."""
    integrator.setCurrentIntegrator(0)
    stride = _steps(protocol.sample_interval_fs, protocol.timestep_fs)
    count = max(_steps(protocol.duration_ps * 1000.0, protocol.timestep_fs) // stride, 2)
    every = max(round(protocol.checkpoint_ps * 1000.0 / protocol.sample_interval_fs), 1)
    done = len(progress.frames_angstrom)
    frames = np.empty((count, len(masses_Da), 3))
    kinetic = np.empty(count)
    frames[:done] = progress.frames_angstrom
    kinetic[:done] = progress.kinetic_kJ_per_mol
    for index in range(done, count):
        integrator.step(stride)
        state = context.getState(positions=True, velocities=True)
        frames[index] = state.getPositions(asNumpy=True)._value * NANOMETRE_TO_ANGSTROM
        velocities = state.getVelocities(asNumpy=True)._value
        # Da nm²/ps² is kJ/mol. LangevinMiddle keeps velocities at the sampled half step.
        kinetic[index] = 0.5 * float(masses_Da @ np.sum(velocities**2, axis=1))
        if checkpoint is not None and (index + 1) % every == 0 and index + 1 < count:
            checkpoint.save(
                Progress(
                    frames[: index + 1],
                    kinetic[: index + 1],
                    progress.drift,
                    context.createCheckpoint(),
                )
            )
    return progress._replace(frames_angstrom=frames, kinetic_kJ_per_mol=kinetic)


def _conservation(
    context: Any, integrator: Any, protocol: Protocol, degrees_of_freedom: int
) -> float:
    """Return the energy drift of a constant-energy run in kT per degree of freedom and ps."""
    integrator.setCurrentIntegrator(1)
    steps = _steps(protocol.conservation_check_ps * 1000.0, protocol.timestep_fs)
    stride = max(steps // _CONSERVATION_SAMPLES, 1)
    energies = np.empty(_CONSERVATION_SAMPLES)
    for index in range(_CONSERVATION_SAMPLES):
        integrator.step(stride)
        state = context.getState(energy=True)
        energies[index] = state.getPotentialEnergy()._value + state.getKineticEnergy()._value
    times_ps = np.arange(_CONSERVATION_SAMPLES) * stride * protocol.timestep_fs / 1000.0
    slope = float(np.polyfit(times_ps, energies, 1)[0]) if np.all(np.isfinite(energies)) else np.nan
    return slope / (GAS_CONSTANT_KJ_PER_MOL_K * protocol.temperature_K * degrees_of_freedom)


def _steps(time_fs: float, timestep_fs: float) -> int:
    return max(round(time_fs / timestep_fs), 1)


def _nonzero(seed: int) -> int:
    """OpenMM reads seed 0 as "choose one from the clock"."""
    return (seed & 0x7FFFFFFF) or 1
