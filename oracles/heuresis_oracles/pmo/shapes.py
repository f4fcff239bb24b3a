"""From a raw value to a score in [0, 1], and from several scores to one.

The modifiers and means of GuacaMol (Brown et al., J. Chem. Inf. Model. 59, 1096, 2019, table 1 and
equations 2 to 4), from which PMO takes most of its tasks. Nothing here knows chemistry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Shape = Callable[[float], float]
Mean = Callable[[Sequence[float]], float]


def unchanged(value: float) -> float:
    """Return the value itself: it is a score already."""
    return value


def lacking(value: float) -> float:
    """Return 1 for an absent pattern (0) and 0 for a present one (1)."""
    return 1.0 - value


def clipped(upper: float) -> Shape:
    """Return the shape that rises linearly and is full from ``upper`` on."""
    return lambda value: min(1.0, max(0.0, value / upper))


def gaussian(mean: float, width: float) -> Shape:
    """Return exp(−½ ((x − mean) / width)²)."""
    return lambda value: math.exp(-0.5 * ((value - mean) / width) ** 2)


def at_least(mean: float, width: float) -> Shape:
    """Return the shape that is full above ``mean`` and Gaussian below (GuacaMol: MaxGaussian)."""
    return lambda value: math.exp(-0.5 * ((min(value, mean) - mean) / width) ** 2)


def at_most(mean: float, width: float) -> Shape:
    """Return the shape that is full below ``mean`` and Gaussian above (GuacaMol: MinGaussian)."""
    return lambda value: math.exp(-0.5 * ((max(value, mean) - mean) / width) ** 2)


def geometric_mean(scores: Sequence[float]) -> float:
    """Return the geometric mean; one 0 makes it 0."""
    return float(math.prod(scores) ** (1.0 / len(scores)))


def arithmetic_mean(scores: Sequence[float]) -> float:
    """Return the arithmetic mean."""
    return sum(scores) / len(scores)
