"""The xTB oracle: states, gates and settings. Reference values are in tests/physics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from heuresis.errors import OracleSetupError
from heuresis.records import Candidate, Evaluation, Failure, FailureCause
from heuresis_oracles.electronic import frontier_orbitals
from heuresis_oracles.tight_binding.solvents import SOLVENTS, tblite_solvation
from heuresis_oracles.xtb import XTB


def measure(smiles: str, folder: Path, **settings: Any) -> Evaluation | Failure:
    oracle = XTB(XTB.Config(**{"conformers": 1, **settings}))
    [outcome] = oracle.evaluate([Candidate.of("molecule", smiles)], seed=1, workdir=folder)
    assert isinstance(outcome, Evaluation | Failure)
    return outcome


def values(outcome: Evaluation | Failure) -> dict[str, float]:
    assert isinstance(outcome, Evaluation), outcome
    return {name: measurement.value for name, measurement in outcome.measurements.items()}


class Counting:
    """A calculator that counts how often forces are asked."""

    def __init__(self, calculator: Any) -> None:
        self.calculator = calculator
        self.calls = 0

    def get_forces(self, atoms: Any) -> Any:
        self.calls += 1
        return self.calculator.get_forces(atoms)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.calculator, name)


def test_frontier_orbitals_ignore_thermal_occupation() -> None:
    energies = np.array([-12.0, -10.0, -9.9, 1.0])
    assert frontier_orbitals(energies, np.array([2.0, 1.1, 0.9, 0.0]), 0) == (-10.0, -9.9)


def test_frontier_orbitals_of_a_radical_start_at_the_singly_occupied_one() -> None:
    energies = np.array([-12.0, -9.0, 1.0])
    assert frontier_orbitals(energies, np.array([2.0, 1.0, 0.0]), 1) == (-9.0, 1.0)


@pytest.mark.parametrize("occupations", [[2.0, 2.0], [0.0, 0.0]])
def test_no_gap_without_an_occupied_and_an_empty_orbital(occupations: list[float]) -> None:
    with pytest.raises(OracleSetupError, match="no gap"):
        frontier_orbitals(np.array([-1.0, 0.0]), np.array(occupations), 0)


def test_radical_is_a_doublet(tmp_path: Path) -> None:
    found = values(measure("C[CH2]", tmp_path))
    assert found["gap_eV"] == pytest.approx(found["lumo_eV"] - found["homo_eV"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"multiplicity": 2}, "multiplicity 2 is impossible with 10 electrons"),
        ({"max_atoms": 4}, "5 atoms"),
    ],
)
def test_impossible_settings_for_a_molecule_are_setup_failures(
    settings: dict[str, Any], words: str, tmp_path: Path
) -> None:
    outcome = measure("C", tmp_path, **settings)
    assert isinstance(outcome, Failure)
    assert outcome.cause == FailureCause.SETUP
    assert words in outcome.message


def test_element_beyond_radon_is_named(tmp_path: Path) -> None:
    outcome = measure("[U]", tmp_path)
    assert isinstance(outcome, Failure)
    assert outcome.cause == FailureCause.SETUP
    assert "no parameters for U" in outcome.message


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_steps": 1}, "did not converge to 0.05 eV/Å in 1 steps"),
        ({"max_scf_iterations": 1}, "self-consistent field failed"),
    ],
)
def test_no_convergence_is_a_calculation_failure(
    settings: dict[str, Any], words: str, tmp_path: Path
) -> None:
    outcome = measure("CCO", tmp_path, **settings)
    assert isinstance(outcome, Failure)
    assert outcome.cause == FailureCause.CALCULATION
    assert words in outcome.message


def test_a_molecule_that_falls_apart_is_inconclusive(tmp_path: Path) -> None:
    outcome = measure("C", tmp_path, multiplicity=3)  # triplet methane dissociates
    assert isinstance(outcome, Failure)
    assert outcome.cause == FailureCause.IMPLAUSIBLE
    assert "broke" in outcome.message


def test_a_wrong_spin_state_is_inconclusive(tmp_path: Path) -> None:
    raw = {"starting_geometry": "ETKDG"}
    outcome = measure("O=O", tmp_path, **raw)  # dioxygen is a triplet, written as a singlet
    assert isinstance(outcome, Failure)
    assert outcome.cause == FailureCause.IMPLAUSIBLE
    assert "degenerate" in outcome.message


def test_raw_embedding_reaches_elements_without_mmff94(tmp_path: Path) -> None:
    assert values(measure("C[Se]C", tmp_path, starting_geometry="ETKDG"))["gap_eV"] > 1.0


def test_solvent_lowers_the_energy_and_raises_the_dipole(tmp_path: Path) -> None:
    vacuum = values(measure("CO", tmp_path))
    water = values(measure("CO", tmp_path, solvent="water"))
    assert water["energy_eV"] < vacuum["energy_eV"] - 0.05
    assert water["dipole_debye"] > vacuum["dipole_debye"]


def test_every_listed_solvent_has_parameters() -> None:
    from ase.build import molecule
    from tblite.ase import TBLite

    for (model, method), solvents in SOLVENTS.items():
        for solvent in solvents:
            atoms = molecule("H2O")
            atoms.calc = TBLite(
                method=method, solvation=tblite_solvation(model, solvent), verbosity=0
            )
            assert np.isfinite(atoms.get_potential_energy()), (model, method, solvent)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"solvent": "watr"}, "did you mean 'water'"),
        ({"solvent": "octanol", "solvation_model": "gbsa"}, "no gbsa parameters"),
        ({"solvent": "water", "ionisation": True}, "defined in vacuum"),
        ({"starting_geometry": "ETKDG", "relax": False}, "set relax: true"),
        ({"method": "GFN3-xTB"}, "GFN2-xTB"),
        ({"force_tolerance": 0.1}, "Extra inputs"),
    ],
)
def test_bad_settings_are_refused_with_a_way_out(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        XTB.Config(**settings)


def test_ionisation_outputs_are_declared_only_when_asked() -> None:
    assert "ionisation_potential_eV" not in XTB.declare(XTB.Config()).outputs
    assert "ionisation_potential_eV" in XTB.declare(XTB.Config(ionisation=True)).outputs


def test_all_optimizers_reach_the_same_minimum_and_the_default_in_fewest_steps(
    tmp_path: Path,
) -> None:
    from ase import Atoms
    from rdkit import Chem
    from tblite.ase import TBLite

    from heuresis_oracles.embedding import embed, positions_angstrom
    from heuresis_oracles.relaxation import Optimizer, relax

    molecule = embed(Chem.AddHs(Chem.MolFromSmiles("NC(=O)c1ccc(O)cc1")), conformers=1, seed=1)
    energies, calls = {}, {}
    optimizers: tuple[Optimizer, ...] = ("MMFF94-BFGS", "BFGS", "LBFGS", "FIRE")
    for optimizer in optimizers:
        atoms = Atoms(
            [atom.GetSymbol() for atom in molecule.GetAtoms()], positions_angstrom(molecule)
        )
        atoms.calc = Counting(TBLite(method="GFN2-xTB", verbosity=0))
        relax(
            atoms,
            molecule,
            optimizer=optimizer,
            force_tolerance_eV_per_angstrom=0.02,
            max_steps=200,
        )
        energies[optimizer] = atoms.get_potential_energy()
        calls[optimizer] = atoms.calc.calls
    assert max(energies.values()) - min(energies.values()) < 2e-3
    assert calls["MMFF94-BFGS"] < 0.7 * min(calls["BFGS"], calls["LBFGS"], calls["FIRE"])


def test_hessian_knows_soft_from_stiff() -> None:
    from rdkit import Chem

    from heuresis_oracles.embedding import embed, positions_angstrom
    from heuresis_oracles.relaxation import mmff94_hessian, stiffened

    molecule = embed(Chem.AddHs(Chem.MolFromSmiles("CCO")), conformers=1, seed=1)
    hessian = mmff94_hessian(molecule, positions_angstrom(molecule))
    eigenvalues = np.linalg.eigvalsh(hessian)
    assert np.abs(eigenvalues[:6]).max() < 0.05  # three translations, three rotations
    assert eigenvalues[6] > 0.02
    # MMFF94 stretches O-H with 7.8 md/Å = 48.8 eV/Å²; both ends move, so nearly twice that.
    assert 80.0 < eigenvalues[-1] < 110.0
    assert np.linalg.eigvalsh(stiffened(hessian)).min() == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"observables": ["oxidation"]}, "'oxidation' needs a solvent, e.g. solvent: water"),
        ({"observables": ["hole-reorganisation"], "solvent": "water"}, "defined in vacuum"),
        ({"observables": ["vibrations"], "relax": False}, "'vibrations' needs relax: true"),
        ({"observables": ["conformers"]}, "needs relaxed_conformers of at least 2"),
        ({"relaxed_conformers": 2, "relax": False}, "needs relax: true"),
        ({"observables": ["vibration"]}, "vibrations"),
        ({"solvent": "hexane", "solvation_model": "gbsa", "method": "GFN1-xTB"}, "no gbsa"),
    ],
)
def test_observables_that_do_not_fit_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        XTB.Config(**settings)


def test_observables_are_declared_with_their_gate_only_when_asked() -> None:
    plain = XTB.declare(XTB.Config())
    asked = XTB.declare(XTB.Config(observables=("thermochemistry",)))
    assert set(asked.outputs) - set(plain.outputs) == {
        "enthalpy_eV", "entropy_eV_per_K", "gibbs_energy_eV",
    }  # fmt: skip
    assert "minimum" in asked.checks
    assert "minimum" not in plain.checks


def test_an_unbound_anion_costs_only_those_who_ask_for_it(tmp_path: Path) -> None:
    """The radical anion of methanol falls apart in vacuum; its cation does not."""
    hole = values(measure("CO", tmp_path, observables=("hole-reorganisation",)))
    assert hole["hole_reorganisation_energy_eV"] > 0.05
    electron = measure("CO", tmp_path, observables=("electron-reorganisation",))
    assert isinstance(electron, Failure)
    assert electron.cause is FailureCause.IMPLAUSIBLE
