"""Who is asked next: a bandit over proposers, by what they have achieved lately.

**Success** is one candidate that entered the best ``top`` of the campaign when it was judged. What
counts in the end is how good the few best candidates are, so a proposer of many decent ones earns
nothing here, and neither does one whose candidates are merely valid. The best of the *campaign*,
not of an island: islands are emptied now and then, and entering an empty one is no achievement.
With ``ranking: pareto`` success is to join the campaign's non-dominated set. A candidate that was
dropped, infeasible or could not be measured is a failure: it cost evaluations. So is an ask that
brought nothing new, or the proposer that only repeats itself would be asked for ever. While fewer
than ``top`` candidates are completed, entering is no achievement and is not counted.

Only the last ``window`` outcomes of all proposers together are remembered: what helps early (a
library) is not what helps late (small moves), and a proposer that was given up is forgiven after a
while. When nobody succeeds any more, all look alike and are asked alike, which is what a search
that is stuck needs.

The choice is Thompson sampling (Thompson, Biometrika 25, 285, 1933; with a sliding window: Trovò et
al., J. Artif. Intell. Res. 68, 311, 2020): draw a success rate for each proposer from its posterior
Beta(1 + successes, 1 + failures) and ask the highest. A share of the asks, ``floor``, is dealt out
by the proposers' ``share`` whatever their success, so that the estimate of each stays honest.

Pure: the counts are a fold over the campaign's events, the generator is passed in.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Mapping

from numpy.random import Generator


class BestScores:
    """The ``top`` best scores so far: the bar that a success must pass."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._heap: list[float] = []

    def enters(self, score: float) -> bool | None:
        """Take note of a score; return whether it entered, None while everything does.

        A score that only equals the lowest of the best does not enter.
        """
        if len(self._heap) < self._top:
            heapq.heappush(self._heap, score)
            return None
        if score <= self._heap[0]:
            return False
        heapq.heapreplace(self._heap, score)
        return True


class Bandit:
    """Successes and failures of each proposer within the window."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._outcomes: deque[tuple[str, bool]] = deque()
        self._counts: Counter[tuple[str, bool]] = Counter()

    def record(self, name: str, success: bool) -> None:
        """Take note of one outcome; the oldest beyond the window is forgotten."""
        self._outcomes.append((name, success))
        self._counts[name, success] += 1
        if len(self._outcomes) > self._window:
            self._counts[self._outcomes.popleft()] -= 1

    def successes(self, name: str) -> int:
        """Return how often a proposer succeeded within the window."""
        return self._counts[name, True]

    def failures(self, name: str) -> int:
        """Return how often it failed within the window."""
        return self._counts[name, False]

    def choose(self, shares: Mapping[str, float], floor: float, rng: Generator) -> str:
        """Return who is asked.

        Args:
            shares: those who can be asked → their ``share``, in a fixed order; not empty.
            floor: share of the choices that the shares decide alone, in [0, 1].
            rng: for this one choice.
        """
        names = list(shares)
        by_share, place = rng.random(2)
        rates = [rng.beta(1 + self.successes(name), 1 + self.failures(name)) for name in names]
        if by_share < floor:
            left = place * sum(shares.values())
            for name in names:
                left -= shares[name]
                if left < 0.0:
                    return name
        return max(zip(rates, names, strict=True))[1]
