"""The oracle ``dft``: what it refuses before it computes, and what it reads of a field."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heuresis.errors import MissingExtraError, OracleSetupError, UserError
from heuresis.records import Candidate, Evaluation, Failure, FailureCause
from heuresis.spaces.molecule import MoleculeSpace
from heuresis_oracles.density_functional import DensityFunctional
from heuresis_oracles.quantum.kohn_sham import frontier

NEEDED = "the oracle 'dft' needs the extra 'pyscf'"


def measure(folder: Path, smiles: str, **settings: Any) -> Evaluation | Failure:
    oracle = DensityFunctional(DensityFunctional.Config(**settings))
    [outcome] = oracle.evaluate([Candidate.of("molecule", smiles)], seed=1, workdir=folder)
    return outcome


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("heuresis_oracles.density_functional.version", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'heuresis\[pyscf\]'"):
        DensityFunctional.declare(DensityFunctional.Config())


def test_a_space_of_molecules_that_are_all_too_large_is_refused() -> None:
    space = MoleculeSpace(MoleculeSpace.Config(heavy_atoms=(70, 80)))
    with pytest.raises(UserError, match="every candidate is too large"):
        DensityFunctional.check_space(DensityFunctional.Config(), space)


@pytest.mark.parametrize(
    ("smiles", "settings", "part"),
    [
        ("CCCCCC", {"max_atoms": 10}, "at most 10 (max_atoms)"),
        ("CCO", {"max_basis_functions": 50}, "72 functions of def2-SVP"),
        ("C[Hg]C", {}, "MMFF94 has no parameters"),
        ("CC.CC", {}, "2 fragments"),
        ("CCO", {"multiplicity": 2}, "multiplicity 2 is impossible"),
    ],
)
def test_it_refuses_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, smiles: str, settings: Any, part: str
) -> None:
    pytest.importorskip("pyscf", reason=NEEDED)

    def computed(*_: Any, **__: Any) -> None:
        pytest.fail("something was computed")

    monkeypatch.setattr("heuresis_oracles.embedding.embed", computed)
    monkeypatch.setattr("heuresis_oracles.quantum.kohn_sham.KohnSham.converged", computed)
    outcome = measure(tmp_path, smiles, **settings)
    assert isinstance(outcome, Failure)
    assert outcome.cause is FailureCause.SETUP
    assert part in outcome.message


def test_a_field_that_does_not_converge_is_a_failure(tmp_path: Path) -> None:
    pytest.importorskip("pyscf", reason=NEEDED)
    outcome = measure(tmp_path, "CO", max_scf_iterations=2, geometry="MMFF94", grid_level=0)
    assert isinstance(outcome, Failure)
    assert outcome.cause is FailureCause.CALCULATION
    assert "did not converge in 2 cycles" in outcome.message


@pytest.mark.parametrize(
    ("smiles", "measured_debye"), [("O", 1.855), ("C=O", 2.332), ("CCl", 1.896), ("CI", 1.64)]
)
def test_dipoles_are_near_measured_ones(tmp_path: Path, smiles: str, measured_debye: float) -> None:
    # Gas-phase values of the CRC Handbook; iodine has a core potential.
    pytest.importorskip("pyscf", reason=NEEDED)
    outcome = measure(tmp_path, smiles, grid_level=1)
    assert isinstance(outcome, Evaluation), outcome
    assert outcome.measurements["dipole_debye"].value == pytest.approx(measured_debye, abs=0.2)
    gap = outcome.measurements["gap_eV"].value
    lumo, homo = (outcome.measurements[name].value for name in ("lumo_eV", "homo_eV"))
    assert gap == pytest.approx(lumo - homo)
    assert 3.0 < gap < 12.0


def test_the_dipole_of_an_ion_is_that_about_the_centre_of_mass(tmp_path: Path) -> None:
    pytest.importorskip("pyscf", reason=NEEDED)
    outcome = measure(tmp_path, "[OH3+]", geometry="MMFF94", grid_level=0)
    assert isinstance(outcome, Evaluation), outcome
    assert 0.0 < outcome.measurements["dipole_debye"].value < 4.0


def test_forces_are_the_derivative_of_the_energy(tmp_path: Path) -> None:
    pytest.importorskip("pyscf", reason=NEEDED)
    from ase import Atoms

    from heuresis_oracles.electronic import ElectronicState
    from heuresis_oracles.quantum.kohn_sham import KohnSham

    method = KohnSham(
        functional="PBE0", basis="def2-SVP", grid_level=3, max_cycles=60, memory_MiB=500,
        threads=1, scratch=tmp_path,
    )  # fmt: skip
    water = Atoms("OHH", [(0.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.9, 0.0, -0.3)])
    water.calc = method.calculator(ElectronicState(0, 0))
    force = water.get_forces()[1, 2]
    energies = []
    for shift in (-0.01, 0.01):
        moved = water.copy()
        moved.positions[1, 2] += shift
        moved.calc = method.calculator(ElectronicState(0, 0))
        energies.append(moved.get_potential_energy())
    assert force == pytest.approx(-(energies[1] - energies[0]) / 0.02, abs=0.01)


def test_frontier_orbitals_are_taken_over_both_spins() -> None:
    energies = np.array([[-0.9, -0.5, 0.2], [-0.8, 0.1, 0.4]])
    occupations = np.array([[1, 1, 0], [1, 0, 0]])
    homo, lumo = frontier(energies, occupations)
    assert homo == pytest.approx(-0.5 * 27.211386)
    assert lumo == pytest.approx(0.1 * 27.211386)
    with pytest.raises(OracleSetupError, match="no empty orbital"):
        frontier(np.array([-0.5]), np.array([2.0]))
