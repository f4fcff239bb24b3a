"""Does the OpenMM MMFF94 equal RDKit's? Prints the proof table and the energy drift.

    python benchmarks/mmff94_agreement.py [--smiles FILE] [--count 200]

FILE holds one SMILES per line (plain or gzip); by default the drug-like list of the tests.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers

from heuresis.errors import OracleError
from heuresis_oracles.dynamics.simulation import Protocol, simulate
from heuresis_oracles.embedding import embed, positions_angstrom
from heuresis_oracles.forcefield.mmff94 import TERMS, build_system
from heuresis_oracles.forcefield.mmff94_parameters import read_parameters
from heuresis_oracles.units import KILOCALORIE_TO_KILOJOULE, NANOMETRE_TO_ANGSTROM

DRUG_LIKE = Path(__file__).parents[1] / "tests" / "physics" / "drug_like.smi"
RDKIT_TERMS = (("Bond",), ("Angle",), ("StretchBend",), ("Oop",), ("Torsion",), ("VdW", "Ele"))
NOISES_angstrom = (0.0, 0.05)
DRIFT_MOLECULES = (
    "CC(=O)Oc1ccccc1C(=O)O",
    "N#CCCOc1ccc(C#N)cc1",
    "CC(C)(C)c1ccc2occ(CC(=O)Nc3ccccc3F)c2c1",
    "Cc1ccc(-c2cc(C(F)(F)F)nn2-c2ccc(S(N)(=O)=O)cc2)cc1",
)


def read_smiles(path: Path, count: int) -> list[str]:
    """Draw up to ``count`` lines with a fixed seed."""
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as file:
        lines = [line.split()[0] for line in file if line.strip()]
    if len(lines) <= count:
        return lines
    chosen = np.random.default_rng(17).choice(len(lines), count, replace=False)
    return [lines[index] for index in sorted(chosen)]


def reference_energies(molecule: Any, positions: np.ndarray) -> list[float]:
    energies = []
    for wanted in RDKIT_TERMS:
        properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)
        for term in (name for names in RDKIT_TERMS for name in names):
            getattr(properties, f"SetMMFF{term}Term")(term in wanted)
        field = rdForceFieldHelpers.MMFFGetMoleculeForceField(molecule, properties)
        energies.append(field.CalcEnergy(positions.ravel().tolist()))
    return energies


def deviations(smiles: str) -> list[list[float]]:
    """Per geometry: |dE| of each term, of the sum, and the largest force component deviation."""
    molecule = embed(Chem.AddHs(Chem.MolFromSmiles(smiles)), conformers=1, seed=11)
    masses = np.array([atom.GetMass() for atom in molecule.GetAtoms()])
    context = openmm.Context(
        build_system(read_parameters(molecule), masses),
        openmm.VerletIntegrator(0.001),
        openmm.Platform.getPlatform("Reference"),
    )
    rows = []
    for noise in NOISES_angstrom:
        kicks = np.random.default_rng(5).normal(size=(len(masses), 3))
        positions = positions_angstrom(molecule) + noise * kicks
        context.setPositions(positions / NANOMETRE_TO_ANGSTROM)
        energies = np.array(
            [
                context.getState(energy=True, groups={group}).getPotentialEnergy()._value
                for group in range(len(TERMS))
            ]
        )
        energies /= KILOCALORIE_TO_KILOJOULE
        forces = np.asarray(context.getState(forces=True).getForces(asNumpy=True)._value)
        forces /= KILOCALORIE_TO_KILOJOULE * NANOMETRE_TO_ANGSTROM
        flat = positions.ravel().tolist()
        # A fresh force field each time: RDKit's gradient is stale after an energy elsewhere.
        field = rdForceFieldHelpers.MMFFGetMoleculeForceField(
            molecule, rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)
        )
        gradient = np.array(field.CalcGrad(flat)).reshape(-1, 3)
        rows.append(
            [
                *np.abs(energies - reference_energies(molecule, positions)),
                abs(energies.sum() - field.CalcEnergy(flat)),
                float(np.abs(forces + gradient).max()),
            ]
        )
    return rows


def print_agreement(smiles: Sequence[str], source: str) -> None:
    rows: list[list[float]] = []
    measured = 0
    for text in smiles:
        try:
            rows += deviations(text)
        except OracleError as error:
            print(f"  left out {text}: {error}")
            continue
        measured += 1
    table = np.array(rows)
    print(f"{source}: {measured} molecules, {len(rows)} geometries (minima and 0.05 Å noise)")
    print(f"  {'':<24}{'largest':>12}{'mean':>12}")
    labels = [f"|dE| {term}" for term in TERMS] + ["|dE| total"]
    for label, column in zip(labels, table.T, strict=False):
        print(f"  {label:<24}{column.max():>12.1e}{column.mean():>12.1e}  kcal/mol")
    print(f"  {'|dF|':<24}{table[:, -1].max():>12.1e}{table[:, -1].mean():>12.1e}  kcal/mol/Å")


def print_drift() -> None:
    print(
        "Drift of the total energy at constant energy (velocity Verlet, 20 ps after 2 ps at 300 K)"
    )
    print(f"  {'time step':<34}{'kT per degree of freedom and ns':>34}")
    settings = ((0.5, 1.008, False), (1.0, 1.008, False), (2.0, 3.0, True), (3.0, 3.0, True))
    for timestep_fs, hydrogen_mass_Da, constrained in settings:
        drifts = []
        for smiles in DRIFT_MOLECULES:
            molecule = embed(Chem.AddHs(Chem.MolFromSmiles(smiles)), conformers=1, seed=3)
            protocol = Protocol(
                temperature_K=300.0,
                duration_ps=0.1,
                equilibration_ps=2.0,
                timestep_fs=timestep_fs,
                friction_per_ps=1.0,
                sample_interval_fs=50.0,
                hydrogen_mass_Da=hydrogen_mass_Da,
                constrain_hydrogens=constrained,
                conservation_check_ps=20.0,
                variant="MMFF94",
                platform="Reference",
            )
            run = simulate(molecule, positions_angstrom(molecule), protocol, seed=7)
            drifts.append(1000.0 * run.energy_drift_kT_per_dof_per_ps)
        label = f"{timestep_fs} fs, H {hydrogen_mass_Da} Da" + (
            ", X-H fixed" if constrained else ""
        )
        print(f"  {label:<34}{'  '.join(f'{drift:+.3f}' for drift in drifts):>34}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smiles", type=Path, default=DRUG_LIKE)
    parser.add_argument("--count", type=int, default=250)
    parser.add_argument("--no-drift", action="store_true")
    arguments = parser.parse_args()
    print_agreement(read_smiles(arguments.smiles, arguments.count), arguments.smiles.name)
    if not arguments.no_drift:
        print_drift()


if __name__ == "__main__":
    main()
