"""Who is asked next, by what they have achieved lately."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heuresis.search.bandit import Bandit, BestScores

EQUAL = {"a": 1.0, "b": 1.0}


def choices(bandit: Bandit, shares: dict[str, float], floor: float, count: int) -> Counter[str]:
    rng = np.random.default_rng(0)
    return Counter(bandit.choose(shares, floor, rng) for _ in range(count))


def test_the_bar_is_the_lowest_of_the_best_and_rises() -> None:
    best = BestScores(2)
    assert [best.enters(s) for s in (0.1, 0.3)] == [None, None]
    assert best.enters(0.1) is False, "to equal the lowest is not to enter"
    assert best.enters(0.2) is True
    assert best.enters(0.15) is False
    assert best.enters(0.9) is True
    assert best.enters(0.25) is False


def test_who_succeeds_more_is_asked_more() -> None:
    bandit = Bandit(1000)
    for number in range(200):
        bandit.record("a", number % 5 == 0)
        bandit.record("b", number % 20 == 0)
    asked = choices(bandit, EQUAL, 0.0, 500)
    assert asked["a"] > 480


def test_who_is_untried_is_tried() -> None:
    bandit = Bandit(1000)
    for number in range(200):
        bandit.record("a", number % 10 == 0)
    assert choices(bandit, EQUAL, 0.0, 200)["b"] > 150


def test_the_floor_is_dealt_by_the_shares() -> None:
    bandit = Bandit(1000)
    for _ in range(400):
        bandit.record("a", True)
        bandit.record("b", False)
        bandit.record("c", False)
    asked = choices(bandit, {"a": 1.0, "b": 2.0, "c": 5.0}, 0.4, 4000)
    assert asked["b"] / 4000 == pytest.approx(0.4 * 2 / 8, abs=0.02)
    assert asked["c"] / 4000 == pytest.approx(0.4 * 5 / 8, abs=0.02)
    assert choices(bandit, {"a": 1.0, "b": 2.0}, 0.0, 100)["b"] == 0


def test_the_window_forgives_and_forgets() -> None:
    bandit = Bandit(50)
    for _ in range(50):
        bandit.record("a", True)
    assert (bandit.successes("a"), bandit.failures("a")) == (50, 0)
    for _ in range(30):
        bandit.record("b", False)
    assert (bandit.successes("a"), bandit.failures("b")) == (20, 30)
    for _ in range(50):
        bandit.record("b", True)
    assert [bandit.successes("a"), bandit.failures("a")] == [0, 0]
    assert [bandit.successes("b"), bandit.failures("b")] == [50, 0]


def test_when_nobody_succeeds_all_are_asked_alike() -> None:
    bandit = Bandit(400)
    for _ in range(200):
        bandit.record("a", False)
        bandit.record("b", False)
    assert choices(bandit, EQUAL, 0.0, 1000)["a"] == pytest.approx(500, abs=70)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=80))
def test_counts_are_those_of_the_last_outcomes(outcomes: list[tuple[str, bool]]) -> None:
    bandit = Bandit(20)
    for name, success in outcomes:
        bandit.record(name, success)
    expected = Counter(outcomes[-20:])
    for name in "abc":
        assert bandit.successes(name) == expected[name, True]
        assert bandit.failures(name) == expected[name, False]


def test_the_generator_decides_alone() -> None:
    bandit = Bandit(100)
    bandit.record("a", True)
    picks = [
        [bandit.choose(EQUAL, 0.2, np.random.default_rng(seed)) for seed in range(30)]
        for _ in range(2)
    ]
    assert picks[0] == picks[1]
    assert set(picks[0]) == {"a", "b"}


def test_one_alone_is_asked() -> None:
    assert Bandit(10).choose({"only": 3.0}, 0.5, np.random.default_rng(0)) == "only"
