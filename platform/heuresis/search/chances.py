"""How likely a half-measured candidate is to end well, learned from those measured further.

The bound of a half-measured candidate says what is still possible, not what is likely: as long as
the dear oracle judges something of its own, everything is possible. But candidates measured before
tell how much of their bound they kept. Those most alike in what the cheap oracles measured are
asked, so a cheap gap that predicts a dear one, or a size at which the dear oracle fails, counts
without anybody having said so.

Which candidates went on depended on what had been measured of them, the same numbers that are
compared here, and on chance; so what they say holds for all that are like them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

import numpy as np

WINDOW = 1000
"""Candidates that are remembered, the latest, at each rung."""
_FEWEST_NEIGHBOURS = 8
_LEAST_SPREAD = 1e-12


class Chances:
    """Estimates, for each rung, the chance to reach a score.

    Args:
        rungs: oracles of the cascade but the last.
    """

    def __init__(self, rungs: int) -> None:
        self._kept: list[deque[tuple[dict[str, float], float]]] = [
            deque(maxlen=WINDOW) for _ in range(rungs)
        ]

    def add(self, rung: int, values: Mapping[str, float], kept: float) -> None:
        """Take note of one candidate.

        Args:
            rung: up to which ``values`` were measured.
            values: measure → value.
            kept: part of the bound at this rung that was left when its verdict fell; 0 for a
                failure or a violated constraint.
        """
        self._kept[rung].append((dict(values), kept))

    def chance(
        self, rung: int, values: Mapping[str, float], bound: float, threshold: float
    ) -> float:
        """Return the probability that a candidate's final score reaches a threshold.

        The share of those among its √N nearest (at least 8) that would, had they had its bound; one
        success and one failure are added, so that no chance is ever 0 or 1. Distances are in
        standard deviations of each measure.
        """
        remembered = self._kept[rung]
        names = sorted(values)
        known = [(seen, kept) for seen, kept in remembered if all(name in seen for name in names)]
        if not known or threshold <= 0.0:
            return 0.5 if threshold > 0.0 else 1.0
        measured = np.array([[seen[name] for name in names] for seen, _ in known])
        spread = np.maximum(measured.std(axis=0), _LEAST_SPREAD)
        asked = np.array([values[name] for name in names])
        distance = (((measured - asked) / spread) ** 2).sum(axis=1)
        count = min(len(known), max(_FEWEST_NEIGHBOURS, math.isqrt(len(known))))
        nearest = np.argsort(distance, kind="stable")[:count]
        hits = sum(bound * known[place][1] >= threshold for place in nearest.tolist())
        return float((hits + 1) / (count + 2))
