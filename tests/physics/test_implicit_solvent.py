"""Implicit water and what is read from trajectories, against closed forms and other codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rdkit import Chem

from heuresis.errors import OracleSetupError
from heuresis.records import Candidate, Evaluation, Failure, FailureCause
from heuresis_oracles.dynamics.conformations import (
    conformers,
    hydrogen_bonds,
    is_drifting,
    surface,
)
from heuresis_oracles.embedding import embed, positions_angstrom
from heuresis_oracles.forcefield.implicit_solvent import born_radii_angstrom, water_force
from heuresis_oracles.forcefield.mmff94_parameters import read_parameters
from heuresis_oracles.openmm_md import OpenMMMolecularDynamics

SHORT = {"duration_ps": 4.0, "equilibration_ps": 1.0, "conformers": 1}


def graph(smiles: str) -> Any:
    return embed(Chem.AddHs(Chem.MolFromSmiles(smiles)), conformers=4, seed=1)


def outcome_of(smiles: str, folder: Path, **settings: Any) -> Evaluation | Failure:
    oracle = OpenMMMolecularDynamics(OpenMMMolecularDynamics.Config(**{**SHORT, **settings}))
    [outcome] = oracle.evaluate([Candidate.of("molecule", smiles)], seed=1, workdir=folder)
    assert isinstance(outcome, Evaluation | Failure)
    return outcome


def values(outcome: Evaluation | Failure) -> dict[str, float]:
    assert isinstance(outcome, Evaluation), outcome
    return {name: measured.value for name, measured in outcome.measurements.items()}


def energy_kJ_per_mol(force: Any, positions_A: np.ndarray) -> float:
    import openmm

    system = openmm.System()
    for _ in positions_A:
        system.addParticle(1.0)
    system.addForce(force)
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference")
    )
    context.setPositions(positions_A * 0.1)
    return float(context.getState(energy=True).getPotentialEnergy()._value)


def test_a_lone_ion_has_the_born_energy() -> None:
    """-1/2 (1 - 1/78.5) 332.06 q²/(R - 0.09 Å), the offset being part of OBC."""
    molecule = Chem.MolFromSmiles("[Cl-]")
    force = water_force(molecule, np.array([-1.0]))
    force.setSurfaceAreaEnergy(0.0)
    radius = 1.7 - 0.09
    expected = -0.5 * (1.0 - 1.0 / 78.5) * 332.0637 * 4.184 / radius
    assert energy_kJ_per_mol(force, np.zeros((1, 3))) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("smiles", ["CC(=O)Nc1ccc(O)cc1", "NCC(=O)O", "FC(F)(F)c1cscc1Cl"])
def test_the_energy_is_that_of_openmms_amber_implementation(smiles: str) -> None:
    """Independent code: the OBC II formula as a CustomGBForce, as Amber's files would use it."""
    from openmm.app.internal.customgbforces import GBSAOBC2Force

    from heuresis_oracles.forcefield import implicit_solvent

    molecule = graph(smiles)
    charges = read_parameters(molecule).partial_charges_e
    ours = water_force(molecule, charges)
    ours.setSurfaceAreaEnergy(0.0)
    other = GBSAOBC2Force()
    for atom, charge, radius in zip(
        molecule.GetAtoms(), charges, born_radii_angstrom(molecule), strict=True
    ):
        screening = implicit_solvent._SCREENING.get(atom.GetSymbol(), 0.8)
        other.addParticle([float(charge), float(radius) * 0.1, screening])
    other.finalize()
    positions = positions_angstrom(molecule)
    assert energy_kJ_per_mol(ours, positions) == pytest.approx(
        energy_kJ_per_mol(other, positions), rel=1e-4
    )


def test_hydrogens_on_nitrogen_are_larger_and_selenium_is_refused() -> None:
    assert sorted(set(born_radii_angstrom(graph("N")))) == [1.3, 1.55]
    with pytest.raises(OracleSetupError, match="no radius for Se"):
        born_radii_angstrom(Chem.MolFromSmiles("[SeH2]"))


def test_water_keeps_a_zwitterion_open(tmp_path: Path) -> None:
    """In vacuum the charges of 6-aminohexanoate fold it onto itself; in water they need not."""
    asked = {"observables": ("hydrogen-bonds", "surface"), "duration_ps": 8.0, "conformers": 8}
    vacuum = values(outcome_of("[NH3+]CCCCCC(=O)[O-]", tmp_path, **asked))
    water = values(outcome_of("[NH3+]CCCCCC(=O)[O-]", tmp_path, solvent="water", **asked))
    assert vacuum["intramolecular_hydrogen_bonds"] > 0.5
    assert water["intramolecular_hydrogen_bonds"] < vacuum["intramolecular_hydrogen_bonds"]


def test_the_gates_hold_in_water(tmp_path: Path) -> None:
    outcome = outcome_of("CC(=O)NC", tmp_path, solvent="water")
    assert isinstance(outcome, Evaluation), outcome
    assert set(outcome.checks) >= {"energy-conserved", "temperature", "equilibrated"}


def test_the_surface_of_a_sphere() -> None:
    argon = Chem.MolFromSmiles("[Ar]")
    argon.AddConformer(Chem.Conformer(1), assignId=True)
    area = surface(argon, np.zeros((4, 1, 3)))
    radius = Chem.GetPeriodicTable().GetRvdw(18) + 1.4
    assert area.total.value == pytest.approx(4.0 * np.pi * radius**2, rel=0.01)
    assert area.polar.value == 0.0


@pytest.mark.parametrize(("smiles", "count"), [("O=Cc1ccccc1O", 1.0), ("O=Cc1ccc(O)cc1", 0.0)])
def test_salicylaldehyde_bonds_with_itself_and_its_isomer_does_not(
    smiles: str, count: float
) -> None:
    molecule = graph(smiles)
    frames = np.repeat(positions_angstrom(molecule)[None], 4, axis=0)
    assert hydrogen_bonds(molecule, frames).value == count


def test_populations_of_torsional_states() -> None:
    degrees = np.array([[60.0, 180.0]] * 6 + [[-60.0, 180.0]] * 3 + [[70.0, 170.0]] * 3)
    found = conformers(np.radians(degrees))
    assert found.visited == 2
    assert found.largest_population.value == pytest.approx(0.75)
    assert conformers(np.zeros((5, 0))).visited == 1  # nothing that turns: one state


def test_a_drift_is_told_from_noise() -> None:
    rng = np.random.default_rng(5)
    noise = 3.0 + 0.1 * rng.standard_normal(400)
    assert not is_drifting(noise, 5.0, 0.05)
    assert is_drifting(noise + np.linspace(0.0, 1.0, 400), 5.0, 0.05)
    assert not is_drifting(noise + np.linspace(0.0, 0.1, 400), 5.0, 0.05)  # of no consequence


def test_a_run_that_drifts_is_inconclusive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from heuresis_oracles import openmm_md

    def drifting(*_: Any) -> np.ndarray:
        return np.linspace(3.0, 4.0, 40) + 0.01 * np.sin(np.arange(40))

    monkeypatch.setattr(openmm_md, "radii_of_gyration", drifting)
    outcome = outcome_of("CCO", tmp_path)
    assert isinstance(outcome, Failure)
    assert outcome.cause is FailureCause.IMPLAUSIBLE
    assert "raise equilibration_ps or duration_ps" in outcome.message
