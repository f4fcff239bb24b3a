"""What to try next, given mean and standard deviation of candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray


def upper_confidence(
    mean: NDArray[np.float64],
    deviation: NDArray[np.float64],
    count: int,
    rng: Generator,
    *,
    exponents: tuple[float, float] = (-2.0, 0.0),
    factor: float = 1.0,
) -> list[int]:
    """Choose ``count`` different candidates, each by an upper confidence bound of its own.

    Each choice draws beta = factor · 10^U(exponents) and takes the candidate with the greatest
    mean + beta · deviation that is left: bold and cautious choices stand side by side, which also
    makes a batch diverse. Source: Tripp and Hernández-Lobato, arXiv:2406.07709.

    Args:
        mean: shape (M,).
        deviation: standard deviations, shape (M,).
        count: how many; all, if there are fewer.
        rng: draws the betas.
        exponents: least and greatest power of ten.
        factor: multiplies every beta.
    """
    left = np.ones(len(mean), dtype=bool)
    chosen: list[int] = []
    for _ in range(min(count, len(mean))):
        beta = factor * 10.0 ** rng.uniform(*exponents)
        best = int(np.argmax(np.where(left, mean + beta * deviation, -np.inf)))
        left[best] = False
        chosen.append(best)
    return chosen
