from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from heuresis.records import Measurement
from heuresis.search.objective import Constraint, DesirabilityTerm, Objective


def term(**wish: Any) -> DesirabilityTerm:
    return DesirabilityTerm(measure="xtb.gap_eV", **wish)


def measured(**values: float) -> dict[str, Measurement]:
    return {f"xtb.{name}": Measurement(value=value, unit="eV") for name, value in values.items()}


@pytest.mark.parametrize(
    ("wish", "value", "expected"),
    [
        ({"target": 2.9, "tolerance": 0.3}, 2.9, 1.0),
        ({"target": 2.9, "tolerance": 0.3}, 3.2, 0.5),
        ({"target": 2.9, "tolerance": 0.3, "shape": "linear"}, 3.05, 0.5),
        ({"target": 2.9, "tolerance": 0.3, "shape": "linear"}, 3.3, 0.0),
        ({"above": 4.0, "softness": 1.0}, 4.0, 0.5),
        ({"above": 4.0, "softness": 1.0}, 5.0, 0.95),
        ({"above": 4.0, "softness": 1.0}, 3.0, 0.05),
        ({"below": 4.0, "softness": 1.0}, 5.0, 0.05),
        ({"below": 4.0, "softness": 1.0, "shape": "linear"}, 4.0, 1.0),
        ({"below": 4.0, "softness": 1.0, "shape": "linear"}, 4.25, 0.75),
        ({"below": 4.0}, 4.4, 0.05),  # softness defaults to 10 % of the limit
        ({"between": (1.0, 2.0), "softness": 0.5, "shape": "linear"}, 1.5, 1.0),
        ({"between": (1.0, 2.0), "softness": 0.5, "shape": "linear"}, 0.75, 0.5),
        ({"between": (1.0, 2.0), "softness": 0.5, "shape": "linear"}, 2.25, 0.5),
    ],
)
def test_desirability(wish: dict[str, Any], value: float, expected: float) -> None:
    assert term(**wish).desirability(value) == pytest.approx(expected, abs=1e-9)


@given(st.floats(-1e9, 1e9), st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_desirability_is_a_share_and_monotone(value: float, limit: float, softness: float) -> None:
    above = term(above=limit, softness=softness)
    assert 0.0 <= above.desirability(value) <= 1.0
    assert above.desirability(value) <= above.desirability(value + softness)
    below = term(below=limit, softness=softness)
    assert below.desirability(value) == pytest.approx(1.0 - above.desirability(value), abs=1e-9)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({}, "exactly one of target, above, below, between; got none"),
        ({"above": 1.0, "below": 2.0}, "got above, below"),
        ({"target": 1.0}, "'target' needs 'tolerance'"),
        ({"target": 1.0, "tolerance": 1.0, "softness": 1.0}, "'softness' belongs to"),
        ({"above": 1.0, "tolerance": 1.0}, "'tolerance' belongs to 'target'"),
        ({"between": (2.0, 1.0)}, "low < high"),
        ({"below": 0.0}, "give 'softness'"),
        ({"above": 1.0, "weight": 0.0}, "greater than 0"),
    ],
)
def test_an_unclear_wish_is_refused(wish: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        term(**wish)


def test_the_score_is_the_weighted_geometric_mean() -> None:
    objective = Objective(
        {
            "a": DesirabilityTerm(measure="xtb.a", above=0, softness=1, shape="linear", weight=3),
            "b": DesirabilityTerm(measure="xtb.b", above=0, softness=1, shape="linear"),
        },
        {},
    )
    judgement = objective.judge(measured(a=-0.5, b=-0.9))
    assert judgement.complete
    assert judgement.bound == pytest.approx((0.5**3 * 0.1) ** 0.25)
    assert objective.judge(measured(a=-2.0, b=1.0)).bound == 0.0


def test_a_partial_score_is_an_upper_bound() -> None:
    objective = Objective(
        {
            "a": DesirabilityTerm(measure="xtb.a", above=1, softness=1),
            "b": DesirabilityTerm(measure="xtb.b", above=1, softness=1),
        },
        {},
    )
    partial = objective.judge(measured(a=1.2))
    assert not partial.complete
    for b in (-10.0, 1.0, 10.0):
        assert objective.judge(measured(a=1.2, b=b)).bound <= partial.bound
    assert objective.judge({}).bound == 1.0


def test_constraints() -> None:
    objective = Objective({}, {"small": Constraint(measure="xtb.a", max=2.0)})
    assert objective.judge(measured(a=2.0)).violated is None
    assert objective.judge(measured(a=2.5)).violated == "small: xtb.a = 2.5 eV"
    assert objective.judge({}).violated is None
    with pytest.raises(ValidationError, match="min 3 is above max 2"):
        Constraint(measure="xtb.a", min=3.0, max=2.0)
    with pytest.raises(ValidationError, match="needs 'min', 'max' or both"):
        Constraint(measure="xtb.a")


def test_a_measurement_is_finite() -> None:
    with pytest.raises(ValidationError, match="return a Failure instead"):
        Measurement(value=math.nan, unit="eV")
