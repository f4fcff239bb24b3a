"""Whether the surrogate should be heeded: does it still rank what is measured?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata


def rank_correlation(a: Sequence[float], b: Sequence[float]) -> float:
    """Return Spearman's correlation, ties sharing their ranks; 0 when either never varies."""
    ranks = [rankdata(values) - (len(values) + 1) / 2 for values in (a, b)]
    norms = [float(np.sqrt(rank @ rank)) for rank in ranks]
    if min(norms, default=0.0) == 0.0:
        return 0.0
    return float(ranks[0] @ ranks[1]) / (norms[0] * norms[1])


class RankGate:
    """Open while each measurement is ranked right by what is known of all others.

    Where a score is constant over most candidates, or depends on what the features do not see, a
    surrogate's order is noise with a preference; choosing evenly is better then. Predictions of
    what a search picked would be the wrong judge: it picks from the top only, and within a narrow
    range even a good surrogate ranks badly.

    Args:
        least: correlation below which the gate closes.
        minimum: measurements before which it stays open.
    """

    def __init__(self, least: float, minimum: int) -> None:
        self._least = least
        self._minimum = minimum
        self._judged_on = 0
        self.correlation = 0.0
        """Rank correlation of measurements with predictions from all others."""

    def judge(self, predicted: Sequence[float], measured: Sequence[float]) -> None:
        """Take note how well all points are predicted, each from the others."""
        self._judged_on = len(measured)
        self.correlation = rank_correlation(predicted, measured)

    @property
    def open(self) -> bool:
        """Whether the surrogate's order should be followed."""
        return self._judged_on < self._minimum or self.correlation >= self._least
