"""Observables of the xtb oracle against independent routes and evaluated measured values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rdkit import Chem

from heuresis.errors import CalculationError, ImplausibleResultError, OracleSetupError
from heuresis.records import Candidate, Evaluation, Failure, FailureCause, Measurement
from heuresis_oracles.connectivity import require_separated
from heuresis_oracles.electronic import ElectronicState
from heuresis_oracles.embedding import embed, ensemble, positions_angstrom
from heuresis_oracles.tight_binding.hamiltonian import Hamiltonian
from heuresis_oracles.tight_binding.thermochemistry import rotational_symmetry_number
from heuresis_oracles.tight_binding.vibrations import vibrations, vibrations_of_minimum
from heuresis_oracles.xtb import XTB

NEUTRAL = ElectronicState(charge=0, unpaired=0)
JOULE_PER_MOL_K = 96485.33212
HARTREE_eV = 27.211386245988
BOHR_angstrom = 0.529177210903


def measurements(smiles: str, folder: Path, **settings: Any) -> dict[str, Measurement]:
    oracle = XTB(XTB.Config(**{"conformers": 1, **settings}))
    [outcome] = oracle.evaluate([Candidate.of("molecule", smiles)], seed=1, workdir=folder)
    assert isinstance(outcome, Evaluation), outcome
    return outcome.measurements


def measure(smiles: str, folder: Path, **settings: Any) -> dict[str, float]:
    found = measurements(smiles, folder, **settings)
    return {name: measurement.value for name, measurement in found.items()}


def graph(smiles: str) -> Any:
    return embed(Chem.AddHs(Chem.MolFromSmiles(smiles)), conformers=1, seed=1)


def direct_energy_eV(
    numbers: Any, positions_A: Any, charge: int, unpaired: int, method: str = "GFN2-xTB"
) -> float:
    """Through tblite's own interface: no ASE, none of our code."""
    from tblite.interface import Calculator

    calculator = Calculator(method, numbers, positions_A / BOHR_angstrom, charge, unpaired)
    calculator.set("verbosity", 0)
    return float(calculator.singlepoint().get("energy")) * HARTREE_eV


@pytest.mark.parametrize(
    ("smiles", "entropy"),
    # CODATA key values for thermodynamics (Cox, Wagman, Medvedev 1989), gas, 298.15 K, 1 bar,
    # J/(mol K).
    [("O", 188.835), ("N#N", 191.609), ("O=C=O", 213.785), ("N", 192.77)],
)
def test_standard_entropies_equal_the_evaluated_ones(
    smiles: str, entropy: float, tmp_path: Path
) -> None:
    found = measure(smiles, tmp_path, observables=("thermochemistry",))
    assert found["entropy_eV_per_K"] * JOULE_PER_MOL_K == pytest.approx(entropy, abs=1.0)
    assert found["gibbs_energy_eV"] == pytest.approx(
        found["enthalpy_eV"] - 298.15 * found["entropy_eV_per_K"]
    )


def test_vibrations_equal_those_of_ase(tmp_path: Path) -> None:
    from ase import Atoms
    from ase.vibrations import Vibrations

    molecule = graph("CO")
    atoms = Atoms([a.GetSymbol() for a in molecule.GetAtoms()], positions_angstrom(molecule))
    atoms.calc = Hamiltonian(method="GFN2-xTB", accuracy=0.1).calculator(NEUTRAL)
    from ase.optimize import BFGS

    BFGS(atoms, logfile=None).run(fmax=0.002)
    reference = Vibrations(atoms, name=str(tmp_path / "vibrations"), delta=0.01, nfree=2)
    reference.run()
    ours = vibrations(atoms).wavenumbers_per_cm
    assert len(ours) == 3 * 6 - 6
    expected = np.sort(reference.get_frequencies().real)[-12:]
    # ASE leaves rotations in; the softest mode of methanol is hardly touched by that.
    assert ours == pytest.approx(expected, abs=3.0)
    assert ours[-1] == pytest.approx(3681.0, abs=200.0)  # the O-H stretch measured in the gas


@pytest.mark.parametrize(
    ("smiles", "number"),
    [
        ("C", 12), ("CC", 6), ("c1ccccc1", 12), ("O", 2), ("N", 3), ("O=C=O", 2), ("C#C", 2),
        ("C#N", 1), ("CCO", 1), ("C[N+](=O)[O-]", 1), ("O=[N+]([O-])c1ccccc1", 2),
        ("CC(C)(C)C", 12), ("C1CCCCC1", 6), ("ClC(Cl)Cl", 3), ("C=C", 4), ("CC#CC", 6),
    ],
)  # fmt: skip
def test_symmetry_numbers_of_textbooks(smiles: str, number: int) -> None:
    molecule = graph(smiles)
    assert rotational_symmetry_number(molecule, positions_angstrom(molecule)) == number


def test_too_many_automorphisms_are_refused_with_a_way_out() -> None:
    molecule = graph("CC(C)(C)OCC(COC(C)(C)C)(COC(C)(C)C)COC(C)(C)C")
    with pytest.raises(OracleSetupError, match="set symmetry_number"):
        rotational_symmetry_number(molecule, positions_angstrom(molecule))


def planar_ammonia() -> Any:
    from ase import Atoms

    angles = np.radians([0.0, 120.0, 240.0])
    places = np.column_stack([np.cos(angles), np.sin(angles), np.zeros(3)])
    atoms = Atoms("NH3", np.vstack([np.zeros(3), places]))
    atoms.calc = Hamiltonian(method="GFN2-xTB", accuracy=0.1).calculator(NEUTRAL)
    return atoms


def test_a_saddle_point_is_left() -> None:
    from ase.optimize import BFGS

    atoms = planar_ammonia()
    BFGS(atoms, logfile=None).run(fmax=0.01)
    assert vibrations(atoms).wavenumbers_per_cm[0] < -300.0  # inversion
    planar_eV = atoms.get_potential_energy()
    found = vibrations_of_minimum(atoms, lambda: BFGS(atoms, logfile=None).run(fmax=0.01), 30.0)
    assert found.wavenumbers_per_cm[0] > 500.0
    assert atoms.get_potential_energy() < planar_eV - 0.05


def test_a_saddle_point_that_cannot_be_left_is_inconclusive() -> None:
    atoms = planar_ammonia()
    flat = atoms.positions.copy()

    def back() -> None:
        atoms.positions = flat

    with pytest.raises(ImplausibleResultError, match="saddle point"):
        vibrations_of_minimum(atoms, back, 30.0)


def test_charging_energies_equal_bare_tblite_calls(tmp_path: Path) -> None:
    """Four points of formaldehyde and its cation, relaxed by ASE alone."""
    from ase import Atoms
    from ase.optimize import BFGS
    from tblite.ase import TBLite

    found = measure(
        "C=O",
        tmp_path,
        observables=(
            "ionisation",
            "adiabatic-ionisation",
            "adiabatic-affinity",
            "hole-reorganisation",
        ),
        force_tolerance_eV_per_angstrom=0.005,
    )
    molecule = graph("C=O")
    start = Atoms([a.GetSymbol() for a in molecule.GetAtoms()], positions_angstrom(molecule))
    places = {}
    for charge in (0, 1):
        atoms = start.copy()
        atoms.calc = TBLite(method="GFN2-xTB", charge=charge, multiplicity=charge + 1, verbosity=0)
        BFGS(atoms, logfile=None).run(fmax=0.005)
        places[charge] = atoms.positions
    energy = {
        (state, place): direct_energy_eV(start.numbers, places[place], state, state)
        for state in (0, 1)
        for place in (0, 1)
    }
    expected = energy[1, 0] - energy[1, 1] + energy[0, 1] - energy[0, 0]
    assert found["hole_reorganisation_energy_eV"] == pytest.approx(expected, abs=2e-3)
    vertical = found["ionisation_potential_eV"]
    adiabatic = found["adiabatic_ionisation_potential_eV"]
    assert vertical - adiabatic == pytest.approx(energy[1, 0] - energy[1, 1], abs=2e-3)
    assert found["adiabatic_electron_affinity_eV"] > found["electron_affinity_eV"]


def test_polarisability_is_the_curvature_of_the_energy(tmp_path: Path) -> None:
    """Second derivative of the energy in a field, from bare tblite calls, along one axis."""
    from tblite import library
    from tblite.interface import Calculator

    found = measure("C", tmp_path, observables=("polarisability",), relax=False)
    molecule = graph("C")
    numbers = np.array([a.GetAtomicNum() for a in molecule.GetAtoms()])
    energies = []
    for size in (-0.002, 0.0, 0.002):
        calculator = Calculator("GFN2-xTB", numbers, positions_angstrom(molecule) / BOHR_angstrom)
        calculator.set("verbosity", 0)
        calculator.set("accuracy", 0.01)
        field = np.array([0.0, 0.0, size])
        calculator.add("electric-field", library.ffi.cast("double*", field.ctypes.data))
        energies.append(calculator.singlepoint().get("energy"))
    curvature = -(energies[0] - 2.0 * energies[1] + energies[2]) / 0.002**2
    expected = curvature * BOHR_angstrom**3
    assert found["polarisability_angstrom3"] == pytest.approx(expected, rel=1e-3)
    assert found["polarisability_anisotropy_angstrom3"] == pytest.approx(0.0, abs=1e-3)


def test_polarisabilities_are_given_only_where_they_rank(tmp_path: Path) -> None:
    """Tetramethylurea and ethylenediamine: 12.86 and 7.21 Å³ by experiment (Bosque, Sales 2002)."""
    large, small = (
        measure(smiles, tmp_path, observables=("polarisability",))["polarisability_angstrom3"]
        for smiles in ("CN(C)C(=O)N(C)C", "NCCN")
    )
    assert large / small == pytest.approx(12.86 / 7.21, rel=0.3)
    oracle = XTB(XTB.Config(observables=("polarisability",)))
    [outcome] = oracle.evaluate([Candidate.of("molecule", "ClCCCl")], seed=1, workdir=tmp_path)
    assert isinstance(outcome, Failure)
    assert outcome.cause is FailureCause.SETUP
    assert "overestimates the polarisability of Cl beside" in outcome.message


def test_solvation_energy_is_a_difference_of_two_single_points(tmp_path: Path) -> None:
    settings = {"relax": False, "conformers": 1}
    vacuum = measure("CO", tmp_path, **settings)
    water = measure("CO", tmp_path, **settings, solvent="water", observables=("solvation",))
    assert water["solvation_free_energy_eV"] == pytest.approx(
        water["energy_eV"] - vacuum["energy_eV"], abs=1e-5
    )


@pytest.mark.parametrize("model", ["cpcm", "cosmo", "gbsa"])
def test_every_solvation_model_likes_a_dipole_in_water(model: str, tmp_path: Path) -> None:
    found = measure(
        "CO", tmp_path, solvent="water", solvation_model=model, observables=("solvation",)
    )
    assert -0.3 < found["solvation_free_energy_eV"] < -0.03


def test_redox_potentials_know_donors_and_acceptors(tmp_path: Path) -> None:
    potentials = {
        smiles: measure(
            smiles, tmp_path, solvent="acetonitrile", observables=("oxidation", "reduction")
        )
        for smiles in ("O=C1C=CC(=O)C=C1", "S1C=CSC1=C1SC=CS1", "c1ccccc1")
    }
    quinone, fulvalene, benzene = potentials.values()
    assert quinone["reduction_potential_V"] > benzene["reduction_potential_V"] + 2.0
    assert fulvalene["oxidation_potential_V"] < benzene["oxidation_potential_V"] - 1.0


def test_several_conformers_give_the_lowest_and_a_spread(tmp_path: Path) -> None:
    one = measurements("OCCO", tmp_path, conformers=20)
    many = measurements(
        "OCCO", tmp_path, conformers=20, relaxed_conformers=5, observables=("conformers",)
    )
    assert many["energy_eV"].value <= one["energy_eV"].value + 1e-6
    assert many["conformers_relaxed"].value >= 2
    assert 0.0 < many["conformer_spread_eV"].value < 0.5
    assert one["gap_eV"].uncertainty is None
    spread = many["gap_eV"].uncertainty
    assert spread is not None
    assert 0.0 < spread < 1.0


def test_an_ensemble_holds_each_conformer_once() -> None:
    hydrogens = Chem.AddHs(Chem.MolFromSmiles("CCCC"))
    butane = ensemble(hydrogens, conformers=30, seed=3, most=10)
    assert len(butane) == 2  # anti and gauche; the two gauche forms are mirror images
    assert len(ensemble(hydrogens, conformers=30, seed=3, most=10, window_eV=0.01)) == 1


def test_overlapping_atoms_are_refused_before_any_calculation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    molecule = graph("CO")
    places = positions_angstrom(molecule)
    places[1] = places[0] + [0.1, 0.0, 0.0]
    with pytest.raises(OracleSetupError, match=r"C0-O1 overlap: 0\.10 Å"):
        require_separated(molecule, places)
    from heuresis_oracles.tight_binding import measuring

    monkeypatch.setattr(measuring, "positions_angstrom", lambda _: places)
    [outcome] = XTB(XTB.Config()).evaluate(
        [Candidate.of("molecule", "CO")], seed=1, workdir=tmp_path
    )
    assert isinstance(outcome, Failure)
    assert outcome.cause is FailureCause.SETUP


def test_a_failed_field_in_an_electric_field_is_a_calculation_failure() -> None:
    from ase.build import molecule

    from heuresis_oracles.tight_binding.polarisability import polarisability_tensor_angstrom3

    hamiltonian = Hamiltonian(method="GFN2-xTB", max_scf_iterations=1)
    with pytest.raises(CalculationError, match="self-consistent field failed"):
        polarisability_tensor_angstrom3(molecule("H2O"), hamiltonian, NEUTRAL)
