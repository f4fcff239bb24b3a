from __future__ import annotations

import pytest

from heuresis.cli.words import budget_words, duration, limit, measured, number, wish
from heuresis.engine.budget import Budget
from heuresis.records import Measurement
from heuresis.search.objective import Constraint, DesirabilityTerm


@pytest.mark.parametrize(
    ("value", "uncertainty", "unit", "text"),
    [
        (2.90432, None, "eV", "2.904 eV"),
        (0.4123, 0.0131, "angstrom", "0.412±0.013 Å"),
        (12.116, 0.0181, "angstrom", "12.116±0.018 Å"),
        (285.3, 11.2, "K", "285±11 K"),
        (3.0, None, "1", "3"),
        (0.5, 0.0, "1", "0.5"),
        (-1943.21, None, "eV", "-1943 eV"),
    ],
)
def test_a_measurement_is_rounded_to_its_uncertainty(
    value: float, uncertainty: float | None, unit: str, text: str
) -> None:
    measurement = Measurement(value=value, unit=unit, uncertainty=uncertainty)
    assert measured(measurement, unit=True) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (8.4, "8 s"), (59.6, "1 min"), (200, "3 min 20 s"), (7500, "2 h 05 min"),
        (273600, "3 d 4 h"),
    ],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_numbers() -> None:
    assert [number(x) for x in (0.0, 0.12345, 1.75e-17, 123456.0, 3e9)] == [
        "0", "0.1235", "1.750e-17", "1.235e+05", "3.000e+09",
    ]  # fmt: skip


def test_wishes_limits_budgets() -> None:
    term = DesirabilityTerm(measure="xtb.gap_eV", target=2.9, tolerance=0.3, weight=2)
    assert wish(term, "eV") == "near 2.9 eV (± 0.3), weight 2"
    assert wish(DesirabilityTerm(measure="a.b", below=0.6, softness=0.2), "angstrom") == (
        "at most 0.6 Å (softness 0.2)"
    )
    assert wish(DesirabilityTerm(measure="a.b", between=(1, 2)), "1") == "between 1 and 2"
    assert limit(Constraint(measure="a.b", min=1, max=2), "K") == "at least 1 K and at most 2 K"
    budget = Budget.model_validate({"evaluations": {"xtb": 3}, "wall_time": "90 s"})
    assert budget_words(budget) == "3 evaluations of xtb, 1 min 30 s of running time"
