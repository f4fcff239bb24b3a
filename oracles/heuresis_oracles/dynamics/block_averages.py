"""Error of the mean of a correlated time series."""

from __future__ import annotations

import numpy as np

_FEWEST_BLOCKS = 4


def standard_error(series: np.ndarray) -> float:
    """Return the standard error of the mean by blocking (Flyvbjerg-Petersen).

    Neighbouring values are averaged in pairs, again and again. Blocks that are longer than the
    correlation time are independent, and then the naive error of their mean stops growing. The
    block length B is the first with B³ > 2 n (s_B / s_1)⁴, which balances the statistical error
    of s_B against the correlation that is left. When the series is too short for that, the largest
    error seen is returned: a lower bound.

    Sources: Flyvbjerg, Petersen, J. Chem. Phys. 91, 461 (1989); the choice of block length: Lee
    et al., Phys. Rev. E 83, 066706 (2011), after Wolff, Comput. Phys. Commun. 156, 143 (2004).

    Args:
        series: shape (samples,), equally spaced in time, at least two samples.

    Returns:
        One standard error, in the unit of the series.
    """
    values = np.asarray(series, dtype=float)
    samples = len(values)
    if samples < 2:
        raise ValueError(f"a standard error needs at least 2 samples, got {samples}")
    naive = _naive_error(values)
    if naive == 0.0:
        return 0.0
    largest = naive
    block = 1
    while len(values) >= _FEWEST_BLOCKS:
        error = _naive_error(values)
        largest = max(largest, error)
        if block**3 > 2.0 * samples * (error / naive) ** 4:
            return error
        values = 0.5 * (values[: len(values) // 2 * 2 : 2] + values[1 : len(values) // 2 * 2 : 2])
        block *= 2
    return largest


def _naive_error(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))
