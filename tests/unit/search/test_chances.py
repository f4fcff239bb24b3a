"""Chances of half-measured candidates: learned from those that went on, never 0 or 1."""

from __future__ import annotations

import numpy as np
import pytest

from heuresis.search.chances import WINDOW, Chances
from heuresis.search.promotion import PromotionRule
from heuresis.search.settings import PromotionSettings


def taught(count: int = 300) -> Chances:
    """A cheap gap that tells the dear one; a size that matters to nobody."""
    rng = np.random.default_rng(1)
    chances = Chances(1)
    for _ in range(count):
        gap, size = rng.uniform(0, 10), rng.uniform(0, 1000)
        chances.add(0, {"cheap.gap": gap, "cheap.size": size}, kept=gap / 10)
    return chances


def test_those_alike_are_asked_whatever_the_units() -> None:
    chances = taught()

    def chance(gap: float) -> float:
        return chances.chance(0, {"cheap.gap": gap, "cheap.size": 500.0}, 1.0, 0.6)

    assert chance(9.0) > 0.85
    assert chance(2.0) < 0.15
    assert 0.2 < chance(6.0) < 0.8


def test_a_lower_bound_needs_more_of_itself_to_be_left() -> None:
    chances, values = taught(), {"cheap.gap": 8.0, "cheap.size": 500.0}
    assert chances.chance(0, values, 1.0, 0.5) > chances.chance(0, values, 0.5, 0.5)


def test_failures_count_against_their_like_and_nothing_is_ever_certain() -> None:
    chances = Chances(2)
    assert chances.chance(0, {"cheap.gap": 1.0}, 1.0, 0.5) == 0.5, "nothing is known"
    for place in range(40):
        chances.add(0, {"cheap.gap": float(place)}, kept=0.0 if place < 20 else 1.0)
    low, high = (chances.chance(0, {"cheap.gap": gap}, 1.0, 0.5) for gap in (3.0, 36.0))
    assert 0.0 < low < 0.2
    assert 0.8 < high < 1.0
    assert chances.chance(1, {"cheap.gap": 3.0}, 1.0, 0.5) == 0.5, "another rung"
    assert chances.chance(0, {"cheap.gap": 3.0}, 1.0, 0.0) == 1.0, "anything reaches nothing"


def test_a_measure_that_never_varies_and_one_that_is_missing_do_no_harm() -> None:
    chances = Chances(1)
    for place in range(30):
        chances.add(0, {"a.x": 1.0, "a.y": float(place)}, kept=place / 30)
    chances.add(0, {"a.x": 1.0}, kept=1.0)
    assert chances.chance(0, {"a.x": 1.0, "a.y": 29.0}, 1.0, 0.5) > 0.8
    assert chances.chance(0, {"a.x": 1.0}, 1.0, 0.99) < 0.5


def test_only_the_latest_are_remembered() -> None:
    chances = Chances(1)
    for place in range(WINDOW + 200):
        chances.add(0, {"a.x": 0.0}, kept=0.0 if place < 200 else 1.0)
    assert chances.chance(0, {"a.x": 0.0}, 1.0, 0.5) > 0.9


@pytest.mark.parametrize(
    ("chance", "uniform", "promoted", "reason"),
    [
        (0.5, 0.9, True, None),
        (0.1, 0.9, False, "the chance to reach 0.500 is 10%"),
        (0.1, 0.01, True, "random share"),
        (None, 0.9, True, None),
    ],
)
def test_the_rule_says_why(
    chance: float | None, uniform: float, promoted: bool, reason: str | None
) -> None:
    rule = PromotionRule(PromotionSettings(rule="learned", warm_up=2))
    assert rule.promotes(0.1, 0.9, 0.0) == (True, "warm-up")
    for score in (0.4, 0.5):
        rule.add_completed(score)
    assert rule.promotes(0.8, uniform, chance) == (promoted, reason)
    assert rule.promotes(0.3, 0.9, 0.9)[1] == "bound 0.300 is below 0.500"
