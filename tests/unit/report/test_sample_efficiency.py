"""The AUC rule of PMO on traces that were worked out by hand."""

from __future__ import annotations

import itertools

import pytest

from heuresis.report.sample_efficiency import (
    area_of_looks,
    area_under_curve,
    best_mean,
    checkpoints,
    running_best_mean,
)


def top_auc(scores: list[float], top_n: int, freq_log: int, max_calls: int) -> float:
    """The rule as PMO's paper words it, written out without any shortcut."""
    total = previous = 0.0
    called = 0
    for k in range(freq_log, min(len(scores), max_calls), freq_log):
        now = sorted(scores[:k], reverse=True)[:top_n]
        mean = sum(now) / len(now)
        total += freq_log * (mean + previous) / 2
        previous, called = mean, k
    now = sorted(scores, reverse=True)[:top_n]
    mean = sum(now) / len(now)
    total += (len(scores) - called) * (mean + previous) / 2
    if len(scores) < max_calls:
        total += (max_calls - len(scores)) * mean
    return total / max_calls


def test_a_hand_made_trace() -> None:
    # 100 calls of .2, then 100 of .4, then the run ends, of 1000: a triangle up to (100, .2),
    # a trapezium up to (200, .4), then .4 held flat over 800.
    scores = [0.2] * 100 + [0.4] * 100
    expected = (100 * 0.2 / 2 + 100 * (0.2 + 0.4) / 2 + 800 * 0.4) / 1000
    assert expected == pytest.approx(0.36)
    assert area_under_curve(scores, budget=1000) == pytest.approx(expected)


def test_a_perfect_first_molecule_loses_only_the_first_triangle() -> None:
    assert area_under_curve([1.0] * 10_000, budget=10_000) == pytest.approx(0.995)
    # A run that ends after one call starts from 0 too, but its triangle is one call wide.
    assert area_under_curve([1.0], budget=10_000) == pytest.approx(0.99995)


def test_fewer_than_ten_molecules_are_averaged_as_they_are() -> None:
    assert best_mean([0.1, 0.5]) == pytest.approx(0.3)
    assert area_under_curve([0.2, 0.4], budget=4) == pytest.approx((2 * 0.3 / 2 + 2 * 0.3) / 4)
    assert area_under_curve([], budget=100) == best_mean([]) == 0.0


def test_the_curve_is_looked_at_every_hundred_calls_only() -> None:
    # Both runs are equal at calls 100 and 200; what happens between the looks does not show.
    early = [0.0] * 110 + [0.9] * 10 + [0.0] * 80
    late = [0.0] * 190 + [0.9] * 10
    assert area_under_curve(early, budget=200) == area_under_curve(late, budget=200)
    assert area_under_curve(early, budget=200, step=10) > area_under_curve(
        late, budget=200, step=10
    )
    assert checkpoints(250, 1000) == [100, 200, 250]
    assert checkpoints(300, 200) == [100, 200]
    assert checkpoints(0, 200) == []


def test_calls_beyond_the_budget_do_not_count() -> None:
    scores = [0.3] * 1000 + [0.9] * 9000
    at_a_thousand = area_under_curve(scores, budget=1000)
    assert at_a_thousand == area_under_curve(scores[:1000], budget=1000) == pytest.approx(0.285)
    assert area_under_curve(scores, budget=10_000) > at_a_thousand


@pytest.mark.parametrize("made", [1, 7, 99, 100, 101, 250, 730, 1000])
def test_it_is_the_rule_as_written(made: int) -> None:
    scores = [((i * 7919) % 1009) / 1009 * min(1.0, i / 600) for i in range(made)]
    assert area_under_curve(scores, budget=1000) == pytest.approx(
        top_auc(scores, 10, 100, 1000), abs=1e-12
    )


def test_the_running_mean_is_the_mean_of_the_best_so_far() -> None:
    scores = [((i * 7919) % 1009) / 1009 for i in range(300)]
    means = running_best_mean(scores)
    assert len(means) == 300
    for k in (1, 9, 10, 11, 150, 300):
        assert means[k - 1] == pytest.approx(best_mean(scores[:k]))
    assert all(later >= earlier for earlier, later in itertools.pairwise(means[9:]))


def test_looks_that_do_not_rise_are_refused() -> None:
    assert area_of_looks([], budget=10) == 0.0
    for looks in ([(0, 0.5)], [(5, 0.5), (5, 0.6)], [(11, 0.5)]):
        with pytest.raises(ValueError, match="looks must rise"):
            area_of_looks(looks, budget=10)
    with pytest.raises(ValueError, match="at least 1 call"):
        area_of_looks([], budget=0)
