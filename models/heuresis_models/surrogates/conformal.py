"""Intervals that hold what they promise: conformal prediction, split and cross (CV+).

For points with measured values, the *score* of a point is how far its prediction missed, in units
of the difficulty that was predicted for it: |y - mean(x)| / difficulty(x). The model that predicts
a point never learned from it. An interval then reaches as far as a share of the scores did.

- *Split*: one model, some points set aside. Under exchangeability (new points come from where the
  training points came from) the interval holds the truth with probability of at least ``coverage``,
  whatever the model (Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random World*, 2005;
  normalised: Papadopoulos, Gammerman and Vovk, AIA 2008).
- *Cross*: K models, each leaving out one fold; all points learn and all are scored. CV+ of Barber,
  Candès, Ramdas and Tibshirani, Ann. Statist. 49, 486 (2021), eq. 11, with the nested intervals of
  Gupta, Kuchibhotla and Ramdas, Pattern Recognition 127, 108496 (2022). Guaranteed is
  2 coverage - 1 less a term of order sqrt(1/n) (their theorem 4); observed is ``coverage`` itself.

With one fold the second formula is the first, so there is one function.

Letters at the ends of names: N new points, K folds, C points with a score.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from heuresis_models.surrogates.errors import SurrogateError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHUNK = 2_000_000
"""Numbers sorted at once."""


def least_points(coverage: float) -> int:
    """Return how many scored points an interval of this coverage needs to be finite."""
    # Rounding first: 1 / (1 - 0.9) is a hair above 10 in floating point.
    return math.ceil(round(1.0 / (1.0 - coverage), 9)) - 1


def conformal_interval(
    mean_KN: NDArray[np.float64],
    difficulty_KN: NDArray[np.float64],
    score_C: NDArray[np.float64],
    fold_C: NDArray[np.int64],
    coverage: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return lower and upper ends, each of shape (N,).

    Args:
        mean_KN: prediction of every fold's model for every new point.
        difficulty_KN: the same for its difficulty, above 0.
        score_C: scores of the points that were left out of a model.
        fold_C: which model that was, 0 to K - 1.
        coverage: share of truths that should lie inside, between 0 and 1.

    Raises:
        SurrogateError: ``coverage`` is out of range, or there are too few scores for it.
    """
    if not 0.0 < coverage < 1.0:
        raise SurrogateError(f"coverage is a share between 0 and 1, got {coverage}")
    count = len(score_C)
    if count < least_points(coverage):
        raise SurrogateError(
            f"an interval of {coverage:.0%} needs {least_points(coverage)} scored points, got"
            f" {count}; measure more or ask for less coverage"
        )
    # The k-th smallest of the upper ends, and the k-th largest of the lower ones.
    rank = math.ceil(round(coverage * (count + 1), 9))
    new = mean_KN.shape[1]
    lower_N, upper_N = np.empty(new), np.empty(new)
    step = max(1, _CHUNK // count)
    for start in range(0, new, step):
        there = slice(start, start + step)
        centre_CN = mean_KN[fold_C, there]
        reach_CN = score_C[:, None] * difficulty_KN[fold_C, there]
        lower_N[there] = -np.partition(reach_CN - centre_CN, rank - 1, axis=0)[rank - 1]
        upper_N[there] = np.partition(centre_CN + reach_CN, rank - 1, axis=0)[rank - 1]
    return lower_N, upper_N
