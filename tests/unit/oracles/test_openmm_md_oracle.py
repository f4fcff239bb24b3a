"""The molecular dynamics oracle: gates and settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from rdkit import Chem

from heuresis.errors import CalculationError, ImplausibleResultError
from heuresis.records import Candidate, Evaluation, Failure, FailureCause
from heuresis_oracles.dynamics import simulation
from heuresis_oracles.dynamics.checkpoints import Progress
from heuresis_oracles.dynamics.gates import require_sound_sampling
from heuresis_oracles.dynamics.simulation import Trajectory, repartitioned_masses
from heuresis_oracles.openmm_md import OpenMMMolecularDynamics

SHORT = {"duration_ps": 2.0, "equilibration_ps": 0.5, "conformers": 1}


def measure(smiles: str, folder: Path, **settings: Any) -> Evaluation | Failure:
    oracle = OpenMMMolecularDynamics(OpenMMMolecularDynamics.Config(**{**SHORT, **settings}))
    [outcome] = oracle.evaluate([Candidate.of("molecule", smiles)], seed=1, workdir=folder)
    assert isinstance(outcome, Evaluation | Failure)
    return outcome


def test_rigid_ring_has_no_torsions_and_moves_less_than_a_chain(tmp_path: Path) -> None:
    ring, chain = measure("c1ccccc1", tmp_path), measure("CCCCCC", tmp_path)
    assert isinstance(ring, Evaluation)
    assert isinstance(chain, Evaluation)
    assert ring.measurements["torsional_flexibility"].value == 0.0
    assert ring.measurements["torsional_flexibility"].uncertainty == 0.0
    for name in ("rmsf_angstrom", "torsional_flexibility"):
        assert ring.measurements[name].value < chain.measurements[name].value
        assert (chain.measurements[name].uncertainty or 0.0) > 0.0
    assert 0.02 < ring.measurements["rmsf_angstrom"].value < 0.1
    # Benzene: C at 1.40 Å and H at 2.48 Å from the centre, hence Rg = 1.50 Å; flat, so 1/4.
    assert ring.measurements["radius_of_gyration_angstrom"].value == pytest.approx(1.50, abs=0.02)
    assert ring.measurements["shape_anisotropy"].value == pytest.approx(0.25, abs=0.01)


def test_radical_and_lone_hydrogen_are_refused(tmp_path: Path) -> None:
    for smiles, words in (("C[CH2]", "unpaired"), ("[H][H]", "no heavy atom"), ("[Ar]", "single")):
        outcome = measure(smiles, tmp_path)
        assert isinstance(outcome, Failure)
        assert outcome.cause == FailureCause.SETUP
        assert words in outcome.message


def test_too_long_a_time_step_is_never_a_number(tmp_path: Path) -> None:
    outcome = measure("N#CCCOc1ccc(C#N)cc1", tmp_path, timestep_fs=5.0, hydrogen_mass_Da=1.008)
    assert isinstance(outcome, Failure)
    assert outcome.cause in {FailureCause.CALCULATION, FailureCause.IMPLAUSIBLE}


def trajectory(temperature_K: float = 300.0, drift: float = 0.0) -> Trajectory:
    return Trajectory(np.zeros((4, 2, 3)), np.full(4, temperature_K), 60, drift)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (trajectory(temperature_K=600.0), "mean kinetic temperature 600 K"),
        (trajectory(drift=0.5), "drifts by 0.5 kT"),
        (trajectory(drift=float("nan")), "drifts"),
    ],
)
def test_gates_reject_hot_and_drifting_runs(broken: Trajectory, words: str) -> None:
    protocol = OpenMMMolecularDynamics.Config().protocol
    require_sound_sampling(trajectory(), protocol)
    with pytest.raises(ImplausibleResultError, match=words):
        require_sound_sampling(broken, protocol)


def test_nan_is_a_calculation_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken_sample(*_: Any) -> Progress:
        return Progress(np.full((2, 5, 3), np.nan), np.ones(2), 0.0, b"")

    monkeypatch.setattr(simulation, "_sample", broken_sample)
    molecule = Chem.AddHs(Chem.MolFromSmiles("C"))
    from heuresis_oracles.embedding import embed, positions_angstrom

    molecule = embed(molecule, conformers=1, seed=1)
    config = OpenMMMolecularDynamics.Config()
    protocol = config.protocol
    with pytest.raises(CalculationError, match="NaN"):
        simulation.simulate(molecule, positions_angstrom(molecule), protocol, seed=1)


def test_mass_repartitioning_keeps_the_total() -> None:
    molecule = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    plain, heavy = repartitioned_masses(molecule, 1.008), repartitioned_masses(molecule, 3.0)
    assert heavy.sum() == pytest.approx(plain.sum())
    assert heavy[3:] == pytest.approx(np.full(6, 3.0))
    assert (heavy > 0).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"duration_ps": 0.5}, "fewer than 10 samples"),
        ({"sample_interval_fs": 0.5}, "shorter than"),
        ({"constrain_hydrogens": False}, "too long for free hydrogens"),
        ({"timestep_fs": 8.0}, "less than or equal to 5"),
        ({"temperature": 300}, "Extra inputs"),
    ],
)
def test_bad_settings_are_refused_with_a_way_out(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        OpenMMMolecularDynamics.Config(**settings)
