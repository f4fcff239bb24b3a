"""Dominance, crowding and hypervolume against brute force and hand-made cases."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heuresis.search.pareto import (
    Floats,
    ParetoFront,
    crowding_distances,
    front_numbers,
    hypervolume,
    preference,
)

SETS = st.integers(1, 4).flatmap(
    lambda objectives: st.lists(
        st.tuples(*[st.integers(0, 5)] * objectives), min_size=1, max_size=14
    )
)


def array(points: list[tuple[int, ...]]) -> Floats:
    return np.array(points, dtype=np.float64)


def dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return all(x >= y for x, y in zip(a, b, strict=True)) and a != b


@settings(deadline=None)  # other work on the machine is no defect
@given(SETS)
def test_fronts_are_what_is_left_when_the_better_ones_are_taken_away(
    points: list[tuple[int, ...]],
) -> None:
    expected = [-1] * len(points)
    for number in itertools.count():
        left = [i for i, front in enumerate(expected) if front < 0]
        if not left:
            break
        free = [i for i in left if not any(dominates(points[j], points[i]) for j in left)]
        for i in free:
            expected[i] = number
    assert front_numbers(array(points)).tolist() == expected


def union_of_boxes(points: list[tuple[int, ...]]) -> int:
    """Unit cells below at least one point: the hypervolume of whole numbers."""
    ranges = [range(max(values)) for values in zip(*points, strict=True)]
    return sum(
        any(all(c < x for c, x in zip(cell, point, strict=True)) for point in points)
        for cell in itertools.product(*ranges)
    )


@settings(deadline=None)  # other work on the machine is no defect
@given(SETS)
def test_hypervolume_is_the_volume_of_the_union_of_boxes(points: list[tuple[int, ...]]) -> None:
    assert hypervolume(array(points)) == pytest.approx(union_of_boxes(points), rel=1e-12)


def test_hypervolume_of_five_objectives_too() -> None:
    rng = np.random.default_rng(0)
    points = [tuple(int(v) for v in row) for row in rng.integers(1, 4, (6, 5))]
    assert hypervolume(array(points)) == pytest.approx(union_of_boxes(points))


def test_hypervolume_by_hand() -> None:
    assert hypervolume(np.array([[1.0, 1.0, 1.0]])) == 1.0
    assert hypervolume(np.array([[0.5, 1.0], [1.0, 0.5]])) == 0.75
    assert hypervolume(np.array([[0.9, 0.0], [-1.0, 2.0]])) == 0.0, "nothing above the origin"
    assert hypervolume(np.zeros((0, 3))) == 0.0


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_hypervolume_agrees_with_random_points(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    front = rng.random((30, objectives))
    probes = rng.random((200_000, objectives))
    below = np.zeros(len(probes), dtype=bool)
    for point in front:
        below |= np.all(probes < point, axis=1)
    assert hypervolume(front) == pytest.approx(float(below.mean()), abs=0.005)


def test_hypervolume_of_a_large_front_takes_no_minute() -> None:
    rng = np.random.default_rng(4)
    directions = np.abs(rng.normal(size=(150, 4)))
    front = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    assert front_numbers(front).max() == 0
    start = time.process_time()
    assert 0.0 < hypervolume(front) < 1.0
    assert time.process_time() - start < 10.0


def test_crowding_of_a_line() -> None:
    line = np.array([[0.0, 1.0], [0.1, 0.9], [0.5, 0.5], [1.0, 0.0]])
    assert crowding_distances(line).tolist() == pytest.approx([np.inf, 1.0, 1.8, np.inf])


def test_an_objective_in_which_all_are_equal_says_nothing() -> None:
    points = np.array([[0.0, 0.3], [0.5, 0.3], [1.0, 0.3]])
    assert crowding_distances(points).tolist() == [np.inf, 1.0, np.inf]
    assert crowding_distances(np.array([[0.2, 0.3], [0.2, 0.3]])).tolist() == [0.0, 0.0]


def test_preference_is_front_then_lonely_then_as_given() -> None:
    points = np.array(
        [[0.1, 0.1], [0.0, 1.0], [0.45, 0.5], [0.5, 0.45], [0.8, 0.3], [1.0, 0.0], [0.2, 0.2]]
    )
    # On the front: both ends, then by how far the neighbours are; the dominated come last.
    assert preference(points).tolist() == [1, 5, 2, 4, 3, 6, 0]
    assert preference(np.ones((3, 2))).tolist() == [0, 1, 2]


@settings(deadline=None)  # other work on the machine is no defect
@given(SETS)
def test_the_front_holds_each_best_point_once(points: list[tuple[int, ...]]) -> None:
    front: ParetoFront[int] = ParetoFront()
    for index, point in enumerate(points):
        volume = front.hypervolume()
        entered = front.add(point, index)
        assert entered == (index in front.items)
        if not entered or min(point) > 0:
            assert (front.hypervolume() > volume) == entered
    expected = {p for p in points if not any(dominates(q, p) for q in points)}
    held = [tuple(int(v) for v in row) for row in front.points]
    assert set(held) == expected
    assert len(held) == len(expected)
    assert [points[i] for i in front.items] == held
