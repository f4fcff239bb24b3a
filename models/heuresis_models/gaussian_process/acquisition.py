"""What to try next, given mean and standard deviation of candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray


def drawn_beta(rng: Generator, exponents: tuple[float, float] = (-2.0, 0.0)) -> float:
    """Draw a beta, even on a logarithmic scale between two powers of ten.

    One for each choice: bold and cautious choices stand side by side, which also makes a batch
    diverse. Source: Tripp and Hernández-Lobato, arXiv:2406.07709.
    """
    return float(10.0 ** rng.uniform(*exponents))


def by_upper_confidence(
    mean: NDArray[np.float64], deviation: NDArray[np.float64], beta: float
) -> NDArray[np.int64]:
    """Return the places of all candidates, those with the greatest mean + beta · deviation first.

    Args:
        mean: shape (M,).
        deviation: standard deviations, shape (M,).
        beta: how much doubt is worth.
    """
    order: NDArray[np.int64] = np.argsort(-(mean + beta * deviation), kind="stable")
    return order
