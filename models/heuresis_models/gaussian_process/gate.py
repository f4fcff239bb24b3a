"""Whether the surrogate should be heeded: does it still rank what is measured?"""

from __future__ import annotations

from collections import deque
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
    """Open while predictions made before the outcome rank the outcomes.

    Where a score is constant over most candidates, or depends on what the features do not see, a
    surrogate's order is noise with a preference; choosing evenly is better then.

    Args:
        window: outcomes that count, the latest.
        least: correlation below which the gate closes.
        minimum: outcomes before which it stays open.
    """

    def __init__(self, window: int, least: float, minimum: int) -> None:
        self._pairs: deque[tuple[float, float]] = deque(maxlen=window)
        self._least = least
        self._minimum = minimum
        self._correlation: float | None = None

    def record(self, predicted: float, measured: float) -> None:
        """Take note of one outcome and of what was predicted before it was known."""
        self._pairs.append((predicted, measured))
        self._correlation = None

    @property
    def correlation(self) -> float:
        """Running rank correlation of predictions and outcomes."""
        if self._correlation is None:
            predicted, measured = zip(*self._pairs, strict=True) if self._pairs else ((), ())
            self._correlation = rank_correlation(predicted, measured)
        return self._correlation

    @property
    def open(self) -> bool:
        """Whether the surrogate's order should be followed."""
        return len(self._pairs) < self._minimum or self.correlation >= self._least
