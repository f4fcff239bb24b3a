"""The cell model of Tartarus, against its formulas written out by hand, and the oracle on top."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from heuresis.records import Candidate, Evaluation
from heuresis_oracles.organic_photovoltaics import (
    OrganicPhotovoltaics,
    calibrated_orbitals_eV,
    combined_objective,
    efficiencies_percent,
)


def raw(homo_eV: float, lumo_eV: float) -> tuple[float, float]:
    """Orbitals before calibration that become these after it."""
    return (homo_eV - 2.5376777453204133) / 0.8051030400316004, (
        lumo_eV - 3.7912767464357200
    ) / 0.8787863933542347


def test_calibration_is_undone_by_hand() -> None:
    assert calibrated_orbitals_eV(*raw(-5.5, -3.5)) == pytest.approx((-5.5, -3.5))


def test_a_donor_by_hand() -> None:
    """HOMO -5.5, LUMO -3.5: 0.9 V, and a Gaussian of a gap of 2 eV; no acceptor to PCDTBT."""
    donor, acceptor = efficiencies_percent(*raw(-5.5, -3.5))
    current = 433.11633173034136 * math.exp(-4.0 / 2.3353220382662894)
    assert donor == pytest.approx(100.0 * 0.9 * 0.65 * current / 900.1393292842149)
    assert acceptor == 0.0


def test_an_acceptor_by_hand() -> None:
    """LUMO -4.2: 1.0 V left of the donor's -5.5, an offset of 0.6 eV; no donor to PCBM."""
    donor, acceptor = efficiencies_percent(*raw(-4.2, -4.2))
    assert acceptor == pytest.approx(100.0 * 1.0 * 0.65 * 415.22529811760637 / 900.1393292842149)
    assert donor == 0.0


@pytest.mark.parametrize(("lumo_eV", "splits"), [(-3.999, True), (-4.001, False)])
def test_the_cliff_at_the_lumo_of_the_acceptor(lumo_eV: float, splits: bool) -> None:
    donor, _ = efficiencies_percent(*raw(-5.5, lumo_eV))
    assert (donor > 5.0) is splits


@pytest.mark.parametrize(
    ("gap_eV", "reward"), [(0.5, 0.6144), (0.8856, 1.0), (2.0, 1.0), (4.0, 0.2627)]
)
def test_the_combined_objective_rewards_a_range_of_gaps(gap_eV: float, reward: float) -> None:
    assert combined_objective(gap_eV, -8.0, 2.0) == pytest.approx(2.0 + reward + 8.0)


def test_the_oracle_agrees_with_its_own_orbitals(tmp_path: Path) -> None:
    oracle = OrganicPhotovoltaics(OrganicPhotovoltaics.Config(relax=False, conformers=1))
    candidate = Candidate.of("molecule", "c1cc(-c2ccc(-c3cccs3)c3nsnc23)sc1")
    [outcome] = oracle.evaluate([candidate], seed=1, workdir=tmp_path)
    assert isinstance(outcome, Evaluation), outcome
    values = {name: measured.value for name, measured in outcome.measurements.items()}
    donor, acceptor = efficiencies_percent(values["homo_eV"], values["lumo_eV"])
    assert values["efficiency_donor_percent"] == donor
    assert values["donor_objective"] == donor - values["synthetic_accessibility"]
    assert values["acceptor_objective"] == acceptor - values["synthetic_accessibility"]
    assert 1.0 < values["synthetic_accessibility"] < 10.0
    assert donor > 0.0  # the textbook donor unit of thiophenes and benzothiadiazole
