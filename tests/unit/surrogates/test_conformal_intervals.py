from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray

from heuresis_models.surrogates import SurrogateError, fit_surrogate
from heuresis_models.surrogates.conformal import conformal_interval, least_points
from heuresis_models.surrogates.methods import Estimate, Fitted, Tensors


class Line:
    """Least squares on the number that a text is; its noise is known to grow with the number."""

    kind: ClassVar[str] = "line"

    def __init__(self, *, knows_difficulty: bool) -> None:
        self.knows_difficulty = knows_difficulty

    def settings(self) -> dict[str, Any]:
        return {}

    def fit(self, texts: Sequence[str], values_N: NDArray[np.float64], rng: Generator) -> Fitted:
        slope, offset = np.polyfit([float(text) for text in texts], values_N, 1)
        return self.restore({"line": np.array([slope, offset])})

    def restore(self, tensors: Tensors) -> Fitted:
        return FittedLine(self.knows_difficulty, tensors["line"])


class FittedLine:
    def __init__(self, knows_difficulty: bool, line: NDArray[Any]) -> None:
        self.knows_difficulty = knows_difficulty
        self.line = line

    def predict(self, texts: Sequence[str]) -> Estimate:
        x_N = np.array([float(text) for text in texts])
        return Estimate(np.polyval(self.line, x_N), 0.1 + x_N if self.knows_difficulty else None)

    def tensors(self) -> dict[str, NDArray[Any]]:
        return {"line": self.line}


def points(count: int, rng: Generator) -> tuple[list[str], NDArray[np.float64]]:
    """Return numbers in [0, 1] as texts, and a line through them with growing noise."""
    x_N = rng.random(count)
    return [repr(float(x)) for x in x_N], 3 * x_N - 1 + (0.1 + x_N) * rng.standard_normal(count)


@pytest.mark.parametrize("calibration", ["cross", "split"])
@pytest.mark.parametrize("knows_difficulty", [True, False])
@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_intervals_hold_what_they_promise(
    calibration: Any, knows_difficulty: bool, coverage: float
) -> None:
    # 100 refits of 60 points: the standard error of the mean coverage is about 0.005.
    inside = []
    for repetition in range(100):
        rng = np.random.default_rng(repetition)
        texts, values = points(60, rng)
        method = Line(knows_difficulty=knows_difficulty)
        surrogate = fit_surrogate(method, texts, values, rng, calibration=calibration)
        new_texts, truth = points(100, rng)
        said = surrogate.predict(new_texts, coverage=coverage)
        inside.append(((said.lower_N <= truth) & (truth <= said.upper_N)).mean())
    # Split calibration with 12 points covers ceil(13 coverage) / 13 exactly, on average.
    exact = np.ceil(13 * coverage) / 13 if calibration == "split" else coverage
    assert exact - 0.015 < np.mean(inside) < exact + 0.03


def test_known_difficulty_makes_easy_points_narrow() -> None:
    rng = np.random.default_rng(1)
    texts, values = points(300, rng)
    widths = {}
    for knows in (True, False):
        said = fit_surrogate(Line(knows_difficulty=knows), texts, values, rng).predict(["0", "1"])
        widths[knows] = said.upper_N - said.lower_N
    assert widths[True][1] > 5 * widths[True][0]
    assert widths[False][1] == pytest.approx(widths[False][0], rel=0.2)


def test_the_standard_deviation_is_calibrated() -> None:
    rng = np.random.default_rng(2)
    texts, values = points(2000, rng)
    surrogate = fit_surrogate(Line(knows_difficulty=True), texts, values * 7, rng)
    new_texts, truth = points(2000, rng)
    said = surrogate.predict(new_texts)
    assert np.std((truth * 7 - said.mean_N) / said.standard_deviation_N) == pytest.approx(
        1.0, abs=0.06
    )


def test_one_fold_is_split_conformal_prediction() -> None:
    score_C = np.array([0.3, 0.1, 0.9, 0.5, 0.7, 0.2, 0.4, 0.6, 0.8])
    lower, upper = conformal_interval(
        np.array([[1.0, 2.0]]), np.array([[1.0, 2.0]]), score_C, np.zeros(9, np.int64), 0.8
    )
    # The 8th smallest of nine scores: ceil(0.8 x 10).
    np.testing.assert_allclose(lower, [1 - 0.8, 2 - 1.6])
    np.testing.assert_allclose(upper, [1 + 0.8, 2 + 1.6])


def test_folds_enter_with_their_own_predictions() -> None:
    mean_KN, ones_KN = np.array([[0.0], [10.0]]), np.ones((2, 1))
    fold_C = np.array([0] * 10 + [1] * 9)
    lower, upper = conformal_interval(mean_KN, ones_KN, np.full(19, 0.5), fold_C, 0.9)
    # Rank 18 of 19: two-fold disagreement makes the interval reach from one to the other.
    assert (lower[0], upper[0]) == (-0.5, 10.5)


def test_long_lists_are_computed_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    arguments = (
        rng.standard_normal((3, 50)),
        rng.random((3, 50)) + 0.5,
        rng.random(30),
        rng.integers(3, size=30),
        0.9,
    )
    whole = conformal_interval(*arguments)
    monkeypatch.setattr("heuresis_models.surrogates.conformal._CHUNK", 100)
    assert np.array_equal(conformal_interval(*arguments), whole)


@pytest.mark.parametrize(("coverage", "least"), [(0.9, 9), (0.95, 19), (0.5, 1)])
def test_too_few_points_for_a_coverage_are_refused(coverage: float, least: int) -> None:
    assert least_points(coverage) == least
    mean, fold_C = np.zeros((1, 1)), np.zeros(least, np.int64)
    lower, upper = conformal_interval(mean, mean + 1, np.arange(1.0, least + 1), fold_C, coverage)
    assert (lower[0], upper[0]) == (-least, least)
    with pytest.raises(SurrogateError, match=f"needs {least} scored points, got {least - 1}"):
        conformal_interval(mean, mean + 1, np.ones(least - 1), fold_C[1:], coverage)


@pytest.mark.parametrize("coverage", [0.0, 1.0, 90.0])
def test_coverage_is_a_share(coverage: float) -> None:
    with pytest.raises(SurrogateError, match="between 0 and 1"):
        conformal_interval(
            np.zeros((1, 1)), np.ones((1, 1)), np.ones(50), np.zeros(50, np.int64), coverage
        )
