"""Objectives that heed the uncertainty of a measurement: worse end, probability, added error."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import norm

from heuresis.records import Measurement
from heuresis.search.objective import DesirabilityTerm, Objective


def term(**wish: Any) -> DesirabilityTerm:
    return DesirabilityTerm(measure="xtb.gap_eV", **wish)


def measured(value: float, uncertainty: float | None = None) -> Measurement:
    return Measurement(value=value, unit="eV", uncertainty=uncertainty)


def test_the_mean_heeds_no_uncertainty() -> None:
    wish = term(above=3.0, softness=1.0)
    assert wish.judged(measured(3.5, 10.0)) == wish.desirability(3.5) == wish.judged(measured(3.5))


@pytest.mark.parametrize(
    ("wish", "value", "worse"),
    [
        ({"above": 3.0, "softness": 1.0}, 3.5, 3.3),
        ({"below": 3.0, "softness": 1.0}, 3.5, 3.7),
        ({"target": 3.0, "tolerance": 1.0}, 3.1, 3.3),
        ({"target": 3.0, "tolerance": 1.0}, 2.9, 2.7),
        ({"between": (3.0, 4.0), "softness": 0.5}, 3.1, 2.9),
    ],
)
def test_the_lower_bound_is_the_worse_end(wish: dict[str, Any], value: float, worse: float) -> None:
    one = term(**wish, judge_by="lower-bound")
    assert one.judged(measured(value, 0.2)) == pytest.approx(one.desirability(worse))
    two = term(**wish, judge_by="lower-bound", deviations=2.0)
    assert two.judged(measured(value, 0.1)) == pytest.approx(one.desirability(worse))
    assert one.judged(measured(value)) == one.desirability(value)


@given(st.floats(-5, 5), st.floats(0, 3), st.sampled_from(["above", "below", "target", "between"]))
def test_nothing_inside_the_interval_is_worse_than_its_bound(
    value: float, error: float, kind: str
) -> None:
    wishes: dict[str, dict[str, Any]] = {
        "above": {"above": 1.0, "softness": 0.5},
        "below": {"below": 1.0, "softness": 0.5},
        "target": {"target": 1.0, "tolerance": 0.5},
        "between": {"between": (0.0, 1.0), "softness": 0.3},
    }
    wish = term(**wishes[kind], judge_by="lower-bound")
    bound = wish.judged(measured(value, error))
    inside = [wish.desirability(value + error * step / 10.0) for step in range(-10, 11)]
    assert min(inside) >= bound - 1e-12


@pytest.mark.parametrize(
    ("wish", "low", "high"),
    [
        ({"above": 3.0}, 3.0, math.inf),
        ({"below": 3.0}, -math.inf, 3.0),
        ({"between": (3.0, 4.0)}, 3.0, 4.0),
        ({"target": 3.0, "tolerance": 0.5}, 2.5, 3.5),
        ({"above": 0.0}, 0.0, math.inf),  # no softness is needed, nor allowed
    ],
)
@pytest.mark.parametrize("value", [-1.0, 2.4, 3.0, 3.4, 9.0])
def test_the_probability_is_that_of_a_normal_distribution(
    wish: dict[str, Any], low: float, high: float, value: float
) -> None:
    found = term(**wish, judge_by="probability").judged(measured(value, 0.4))
    expected = norm.cdf(high, value, 0.4) - norm.cdf(low, value, 0.4)
    assert found == pytest.approx(expected, abs=1e-10)


def test_far_tails_still_compare_and_are_never_zero() -> None:
    wish = term(above=3.0, judge_by="probability")
    near, far = (wish.judged(measured(value, 0.5)) for value in (0.5, 0.0))
    assert 0.0 < far < near < 1e-5
    hopeless = wish.judged(measured(-1000.0, 0.5))
    assert hopeless > 0.0
    certain = [wish.judged(measured(value)) for value in (2.9, 3.1)]
    assert certain[0] < 1e-9
    assert certain[1] == 1.0


def test_the_methods_own_error_is_added_in_quadrature() -> None:
    added = term(above=3.0, judge_by="probability", uncertainty=0.3)
    plain = term(above=3.0, judge_by="probability")
    assert added.judged(measured(3.2, 0.4)) == pytest.approx(plain.judged(measured(3.2, 0.5)))
    assert added.judged(measured(3.2)) == pytest.approx(plain.judged(measured(3.2, 0.3)))


def test_a_surer_candidate_scores_higher_than_a_better_but_vaguer_one() -> None:
    objective = Objective({"gap": term(above=3.0, judge_by="probability")}, {})
    sure = objective.judge({"xtb.gap_eV": measured(3.2, 0.05)})
    vague = objective.judge({"xtb.gap_eV": measured(3.3, 0.6)})
    assert sure.bound > vague.bound
    assert sure.complete


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"above": 1.0, "uncertainty": 0.1}, "judged by the mean"),
        ({"above": 1.0, "deviations": 2.0}, "belongs to judge_by: lower-bound"),
        ({"above": 1.0, "judge_by": "probability", "softness": 1.0}, "have no meaning"),
        ({"above": 1.0, "judge_by": "probability", "shape": "linear"}, "have no meaning"),
        ({"above": 1.0, "judge_by": "median"}, "probability"),
        ({"above": 1.0, "judge_by": "probability", "uncertainty": 0.0}, "greater than 0"),
    ],
)
def test_contradictory_wishes_are_refused(wish: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        term(**wish)


def test_how_it_is_judged_can_be_read() -> None:
    assert term(above=1.0).certainty == ""
    assert term(above=1.0, judge_by="probability", uncertainty=0.3).certainty == (
        " (probability, ± 0.3 added)"
    )
    assert "2 standard errors" in term(above=1.0, judge_by="lower-bound", deviations=2).certainty
