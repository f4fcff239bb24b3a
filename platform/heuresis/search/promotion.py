"""The optimistic-bound cascade: who is worth the next, costlier oracle."""

from __future__ import annotations

import bisect
import math
from collections import deque

from heuresis.search.settings import PromotionSettings

WARM_UP = "warm-up"
RANDOM_SHARE = "random share"
"""Reasons of promotions that the rule itself did not ask for."""
WINDOW = 500
"""Completed scores that the quantile looks back on: it follows a search that improves."""


class PromotionRule:
    """Promote while the optimistic bound still beats the quantile that matters.

    The bound of a half-measured candidate is an upper limit of its final score. A candidate whose
    bound is below the running quantile of completed scores cannot win, so no costly oracle runs.
    """

    def __init__(self, settings: PromotionSettings) -> None:
        self.settings = settings
        self.completed = 0
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []

    def add_completed(self, score: float) -> None:
        """Take note of a final score."""
        self.completed += 1
        self._recent.append(score)
        bisect.insort(self._sorted, score)
        if len(self._recent) > WINDOW:
            oldest = self._recent.popleft()
            del self._sorted[bisect.bisect_left(self._sorted, oldest)]

    def threshold(self) -> float | None:
        """Return the bound to beat; None during warm-up, when everything is promoted."""
        if not self._sorted or self.completed < self.settings.warm_up:
            return None
        return self._sorted[math.floor(self.settings.quantile * len(self._sorted))]

    def promotes(
        self, bound: float, uniform: float, chance: float | None = None
    ) -> tuple[bool, str | None]:
        """Decide; return (promote, reason).

        Args:
            bound: upper limit of the final score.
            uniform: random number in [0, 1).
            chance: estimated probability to reach the threshold; None: the bound alone decides.
        """
        threshold = self.threshold()
        if threshold is None:
            return True, WARM_UP
        possible = bound >= threshold
        likely = chance is None or chance >= self.settings.chance
        if possible and likely:
            return True, None
        if uniform < self.settings.random_share:
            return True, RANDOM_SHARE
        if chance is not None and possible:
            return False, f"the chance to reach {threshold:.3f} is {chance:.0%}"
        return False, f"bound {bound:.3f} is below {threshold:.3f}"
