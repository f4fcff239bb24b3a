"""What the oracles cost beside the bare codes beneath them, in the same run.

    python benchmarks/oracles_speed.py [--repeats 2] [--only xtb]

CPU seconds of one thread, so that a busy machine disturbs little. The bare loops do the same
physics on the same start geometry, without our gates, records and observables.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from ase import Atoms
from ase.optimize import BFGS, FIRE, LBFGS
from rdkit import Chem
from tblite.ase import TBLite

from heuresis.randomness import derived_seed
from heuresis.records import Candidate
from heuresis_oracles.dynamics.simulation import repartitioned_masses
from heuresis_oracles.embedding import embed, positions_angstrom
from heuresis_oracles.forcefield.mmff94 import build_system
from heuresis_oracles.forcefield.mmff94_parameters import read_parameters
from heuresis_oracles.openmm_md import OpenMMMolecularDynamics
from heuresis_oracles.rdkit_descriptors import RDKitDescriptors
from heuresis_oracles.threads import limit_native_threads
from heuresis_oracles.xtb import XTB

SEED = 1
MOLECULES = (
    "NC(=O)c1ccc(O)cc1",
    "CCOC(=O)N1CCNC1",
    "O=C(NCc1ccccc1)c1ccc2c(c1)OCCO2",
    "CC1CCN(S(=O)(=O)c2ccc(C#N)cc2F)CC1C",
    "COc1ccc(CCN(C)CCC(C#N)(C(C)C)c2ccc(OC)cc2)cc1OC",
    "O=C(Nc1cccc(-c2nc3ccccc3s2)c1)c1ccc(N2CCOCC2)nc1",
)


def cpu_seconds(work: Callable[[], Any], repeats: int) -> float:
    """Least CPU time of some repeats: what the work costs when nothing disturbs it."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def evaluation(oracle: Any, candidate: Candidate, folder: Path) -> Callable[[], Any]:
    def run() -> Any:
        [outcome] = oracle.evaluate([candidate], seed=SEED, workdir=folder)
        if outcome.kind != "evaluation":
            raise RuntimeError(f"{candidate.text}: {outcome.message}")
        return outcome

    return run


def start_geometry(smiles: str, candidate: Candidate, conformers: int) -> Any:
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    return embed(molecule, conformers=conformers, seed=derived_seed(SEED, candidate.id))


def bare_atoms(molecule: Any) -> Atoms:
    atoms = Atoms([atom.GetSymbol() for atom in molecule.GetAtoms()], positions_angstrom(molecule))
    atoms.calc = TBLite(method="GFN2-xTB", charge=Chem.GetFormalCharge(molecule), verbosity=0)
    return atoms


def bare_xtb(smiles: str, candidate: Candidate, optimizer: Any) -> Callable[[], Any]:
    def run() -> Any:
        atoms = bare_atoms(start_geometry(smiles, candidate, XTB.Config().conformers))
        if not optimizer(atoms, logfile=None).run(fmax=0.05, steps=500):
            raise RuntimeError(f"{smiles} did not converge")
        return atoms.get_potential_energy()

    return run


def bare_openmm(smiles: str, candidate: Candidate) -> tuple[Callable[[], Any], int]:
    """All steps of the oracle's run in one call, nothing read from them."""
    config = OpenMMMolecularDynamics.Config()
    steps = round(
        1000.0
        * (config.duration_ps + config.equilibration_ps + config.conservation_check_ps)
        / config.timestep_fs
    )

    def run() -> Any:
        molecule = start_geometry(smiles, candidate, config.conformers)
        parameters = read_parameters(molecule)
        system = build_system(parameters, repartitioned_masses(molecule, config.hydrogen_mass_Da))
        hydrogen = np.array([atom.GetAtomicNum() == 1 for atom in molecule.GetAtoms()])
        for (a, b), length in zip(
            parameters.bond_atoms.tolist(), parameters.bond_length_angstrom, strict=True
        ):
            if hydrogen[a] or hydrogen[b]:
                system.addConstraint(a, b, float(length) / 10.0)
        integrator = openmm.LangevinMiddleIntegrator(
            config.temperature_K, config.friction_per_ps, config.timestep_fs / 1000.0
        )
        integrator.setRandomNumberSeed(SEED)
        context = openmm.Context(system, integrator, openmm.Platform.getPlatform("Reference"))
        context.setPositions(positions_angstrom(molecule) / 10.0)
        openmm.LocalEnergyMinimizer.minimize(context, 10.0)
        context.setVelocitiesToTemperature(config.temperature_K, SEED)
        integrator.step(steps)

    return run, steps


def platform_steps_per_second(smiles: str, name: str, steps: int = 2000) -> float:
    molecule = start_geometry(smiles, Candidate.of("molecule", smiles), 1)
    masses = repartitioned_masses(molecule, 3.0)
    integrator = openmm.LangevinMiddleIntegrator(300.0, 1.0, 0.001)
    context = openmm.Context(
        build_system(read_parameters(molecule), masses),
        integrator,
        openmm.Platform.getPlatform(name),
        {"Threads": "1"} if name == "CPU" else {},
    )
    context.setPositions(positions_angstrom(molecule) / 10.0)
    context.setVelocitiesToTemperature(300.0, 1)
    integrator.step(10)
    return steps / cpu_seconds(lambda: integrator.step(steps), 2)


def print_xtb(repeats: int, folder: Path) -> None:
    print("xtb (GFN2-xTB, relaxed): CPU seconds per molecule, and bare LBFGS loop / oracle")
    header = f"  {'heavy':>5} {'atoms':>5} {'oracle':>8} {'bare':>8} {'ratio':>6}"
    print(header + f" {'BFGS':>8} {'FIRE':>8} {'no relax':>9}")
    oracle = XTB(XTB.Config())
    rough = XTB(XTB.Config(relax=False))
    for smiles in MOLECULES:
        candidate = Candidate.of("molecule", smiles)
        molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
        ours = cpu_seconds(evaluation(oracle, candidate, folder), repeats)
        bare, bfgs, fire = (
            cpu_seconds(bare_xtb(smiles, candidate, optimizer), repeats)
            for optimizer in (LBFGS, BFGS, FIRE)
        )
        single = cpu_seconds(evaluation(rough, candidate, folder), repeats)
        print(
            f"  {molecule.GetNumHeavyAtoms():>5} {molecule.GetNumAtoms():>5} {ours:>8.2f}"
            f" {bare:>8.2f} {bare / ours:>6.2f} {bfgs:>8.2f} {fire:>8.2f} {single:>9.2f}",
            flush=True,
        )


def print_dynamics(repeats: int, folder: Path) -> None:
    print("openmm-md (20 ps): CPU seconds per molecule, and bare script / oracle; steps per second")
    header = f"  {'heavy':>5} {'atoms':>5} {'oracle':>8} {'bare':>8} {'ratio':>6}"
    print(header + f" {'steps/s':>8} {'Reference':>10} {'CPU':>8}")
    oracle = OpenMMMolecularDynamics(OpenMMMolecularDynamics.Config())
    for smiles in MOLECULES:
        candidate = Candidate.of("molecule", smiles)
        molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
        ours = cpu_seconds(evaluation(oracle, candidate, folder), repeats)
        script, steps = bare_openmm(smiles, candidate)
        bare = cpu_seconds(script, repeats)
        platforms = [platform_steps_per_second(smiles, name) for name in ("Reference", "CPU")]
        print(
            f"  {molecule.GetNumHeavyAtoms():>5} {molecule.GetNumAtoms():>5} {ours:>8.2f}"
            f" {bare:>8.2f} {bare / ours:>6.2f} {steps / ours:>8.0f} {platforms[0]:>10.0f}"
            f" {platforms[1]:>8.0f}",
            flush=True,
        )


def print_descriptors(repeats: int, folder: Path) -> None:
    oracle = RDKitDescriptors(RDKitDescriptors.Config())
    candidates = [Candidate.of("molecule", smiles) for smiles in MOLECULES]
    oracle.evaluate(candidates, seed=SEED, workdir=folder)  # loads the SA score table once
    seconds = cpu_seconds(
        lambda: oracle.evaluate(candidates * 10, seed=SEED, workdir=folder), repeats
    )
    print(f"rdkit-descriptors: {1e3 * seconds / (10 * len(candidates)):.2f} ms per molecule")


PARTS = {
    "rdkit-descriptors": print_descriptors,
    "openmm-md": print_dynamics,
    "xtb": print_xtb,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--only", choices=PARTS, help="one oracle instead of all")
    arguments = parser.parse_args()
    limit_native_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for name, part in PARTS.items():
            if arguments.only in (None, name):
                part(arguments.repeats, Path(folder))


if __name__ == "__main__":
    main()
