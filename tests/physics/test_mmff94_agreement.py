"""The OpenMM system is MMFF94: energies and forces equal RDKit's, and dynamics conserves energy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rdkit import Chem

from heuresis_oracles.dynamics.simulation import Protocol, simulate
from heuresis_oracles.embedding import embed, positions_angstrom
from heuresis_oracles.forcefield.mmff94 import TERMS, build_system
from heuresis_oracles.forcefield.mmff94_parameters import Variant, read_parameters
from heuresis_oracles.units import KILOCALORIE_TO_KILOJOULE, NANOMETRE_TO_ANGSTROM

MOLECULES = [
    line.split()[0] for line in (Path(__file__).parent / "drug_like.smi").read_text().splitlines()
]
ENERGY_TOLERANCE_kcal_per_mol = 1e-5
FORCE_TOLERANCE_kcal_per_mol_angstrom = 1e-4
RDKIT_TERMS = {
    "bond": "Bond",
    "angle": "Angle",
    "stretch-bend": "StretchBend",
    "out-of-plane": "Oop",
    "torsion": "Torsion",
}


def distorted(smiles: str, noise_angstrom: float = 0.03) -> tuple[Any, np.ndarray]:
    """A raw embedding moved off every minimum, so that all terms and forces are large."""
    molecule = embed(Chem.AddHs(Chem.MolFromSmiles(smiles)), conformers=1, seed=11, minimise=False)
    noise = np.random.default_rng(5).normal(size=(molecule.GetNumAtoms(), 3))
    return molecule, positions_angstrom(molecule) + noise_angstrom * noise


def openmm_context(molecule: Any, positions: np.ndarray, variant: Variant = "MMFF94") -> Any:
    import openmm

    masses = np.array([atom.GetMass() for atom in molecule.GetAtoms()])
    context = openmm.Context(
        build_system(read_parameters(molecule, variant), masses),
        openmm.VerletIntegrator(0.001),
        openmm.Platform.getPlatform("Reference"),
    )
    context.setPositions(positions / NANOMETRE_TO_ANGSTROM)
    return context


def openmm_energy(context: Any, *terms: str) -> float:
    groups = {TERMS.index(term) for term in terms or TERMS}
    state = context.getState(energy=True, groups=groups)
    return float(state.getPotentialEnergy()._value) / KILOCALORIE_TO_KILOJOULE


def openmm_forces(context: Any) -> np.ndarray:
    forces = context.getState(forces=True).getForces(asNumpy=True)._value
    return np.asarray(forces) / KILOCALORIE_TO_KILOJOULE / NANOMETRE_TO_ANGSTROM


def rdkit_force_field(molecule: Any, variant: str = "MMFF94", only: str | None = None) -> Any:
    from rdkit.Chem import rdForceFieldHelpers

    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule, mmffVariant=variant)
    if only is not None:
        for term in ("Bond", "Angle", "StretchBend", "Oop", "Torsion", "VdW", "Ele"):
            getattr(properties, f"SetMMFF{term}Term")(term == only)
    return rdForceFieldHelpers.MMFFGetMoleculeForceField(molecule, properties)


def deviations(smiles: str) -> tuple[float, float]:
    """Energy and largest force deviation from RDKit, in kcal/mol and kcal/mol/Å."""
    molecule, positions = distorted(smiles)
    context = openmm_context(molecule, positions)
    reference = rdkit_force_field(molecule)
    flat = positions.ravel().tolist()
    gradient = np.array(reference.CalcGrad(flat)).reshape(-1, 3)
    return (
        abs(openmm_energy(context) - reference.CalcEnergy(flat)),
        float(np.abs(openmm_forces(context) + gradient).max()),
    )


def test_there_are_at_least_200_varied_molecules() -> None:
    elements = {
        atom.GetSymbol() for smiles in MOLECULES for atom in Chem.MolFromSmiles(smiles).GetAtoms()
    }
    assert len(set(MOLECULES)) >= 200
    assert {"C", "N", "O", "F", "Si", "P", "S", "Cl", "Br", "I"} <= elements


@pytest.mark.parametrize(
    "every", [5, pytest.param(1, marks=pytest.mark.slow)], ids=["every fifth", "all"]
)
def test_energy_and_forces_equal_rdkit(every: int) -> None:
    chosen = MOLECULES[::every]
    found = np.array([deviations(smiles) for smiles in chosen])
    worst = chosen[int(found[:, 0].argmax())]
    assert found[:, 0].max() < ENERGY_TOLERANCE_kcal_per_mol, worst
    assert found[:, 1].max() < FORCE_TOLERANCE_kcal_per_mol_angstrom


@pytest.mark.parametrize("term", RDKIT_TERMS)
@pytest.mark.parametrize(
    "smiles",
    [
        "CC(=O)Nc1ccc(O)cc1",
        "C=C=CC(=O)OC",  # linear centre
        "C1C2CC1C2C(=O)O",  # 1,3 atoms that are also 1,4
        "CN=[N+]=[N-]",
        "C1CC1NC1CCC1",
    ],
)
def test_each_bonded_term_equals_rdkit(smiles: str, term: str) -> None:
    molecule, positions = distorted(smiles)
    context = openmm_context(molecule, positions)
    expected = rdkit_force_field(molecule, only=RDKIT_TERMS[term]).CalcEnergy(
        positions.ravel().tolist()
    )
    assert openmm_energy(context, term) == pytest.approx(expected, abs=1e-6)


def test_mmff94s_differs_and_equals_rdkit() -> None:
    molecule, positions = distorted("CC(=O)Nc1ccc(N(C)C)cc1")
    energies = {}
    variants: tuple[Variant, ...] = ("MMFF94", "MMFF94s")
    for variant in variants:
        energies[variant] = openmm_energy(openmm_context(molecule, positions, variant))
        expected = rdkit_force_field(molecule, variant).CalcEnergy(positions.ravel().tolist())
        assert energies[variant] == pytest.approx(expected, abs=1e-5)
    assert abs(energies["MMFF94"] - energies["MMFF94s"]) > 0.1


def test_forces_are_the_gradient_of_the_energy() -> None:
    molecule, positions = distorted("O=S(=O)(N)c1ccc(OC)cc1C#N")
    context = openmm_context(molecule, positions)
    forces = openmm_forces(context)
    step = 1e-4
    for atom, axis in ((0, 0), (4, 1), (7, 2), (11, 0), (12, 2)):
        moved = []
        for sign in (1, -1):
            shifted = positions.copy()
            shifted[atom, axis] += sign * step
            context.setPositions(shifted / NANOMETRE_TO_ANGSTROM)
            moved.append(openmm_energy(context))
        assert forces[atom, axis] == pytest.approx(-(moved[0] - moved[1]) / (2 * step), abs=1e-3)


@pytest.mark.parametrize("smiles", ["CC(=O)Oc1ccccc1C(=O)O", "N#CCCOc1ccc(C#N)cc1"])
def test_constant_energy_dynamics_drifts_less_than_a_thousandth_kT_per_ps(smiles: str) -> None:
    molecule = embed(Chem.AddHs(Chem.MolFromSmiles(smiles)), conformers=1, seed=3)
    protocol = Protocol(
        temperature_K=300.0,
        duration_ps=0.1,
        equilibration_ps=1.0,
        timestep_fs=2.0,
        friction_per_ps=1.0,
        sample_interval_fs=10.0,
        hydrogen_mass_Da=3.0,
        constrain_hydrogens=True,
        conservation_check_ps=10.0,
        variant="MMFF94",
        platform="Reference",
    )
    trajectory = simulate(molecule, positions_angstrom(molecule), protocol, seed=7)
    assert abs(trajectory.energy_drift_kT_per_dof_per_ps) < 1e-3


@pytest.mark.slow
def test_energy_and_forces_equal_rdkit_for_200_zinc_molecules() -> None:
    import gzip

    data = Path(__file__).parents[3] / "shared" / "data" / "zinc250k.smi.gz"
    if not data.exists():
        pytest.skip(f"needs the ZINC250k list at {data}")
    with gzip.open(data, "rt") as file:
        lines = file.read().split()
    chosen = np.random.default_rng(17).choice(len(lines), 200, replace=False)
    found = np.array([deviations(lines[index]) for index in chosen])
    assert found[:, 0].max() < ENERGY_TOLERANCE_kcal_per_mol
    assert found[:, 1].max() < FORCE_TOLERANCE_kcal_per_mol_angstrom
