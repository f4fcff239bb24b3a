"""How many candidates each source makes: by its share, or by what came of them lately.

**Success** is a candidate of the pool that was measured and entered the best ``top`` of the
campaign. It is counted against all candidates that its source made, not against those that were
measured: which are measured is the surrogate's choice, and it measures few of a poor source. So the
question is the one that the search has: where is the next candidate best made?

The choice is Thompson sampling with a window, as among proposers (`heuresis.search.bandit`), for
each candidate anew: the rate of each source is drawn from Beta(1 + successes, 1 + made without
success), and the highest makes it. The part ``floor`` is dealt out by shares whatever the success.

Pure: a fold over what was made and judged; the generator is passed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from heuresis.search.bandit import BestScores

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from heuresis_agents.guided.settings import SourceBanditSettings


class Makers:
    """Divides candidates among sources.

    Args:
        shares: of the sources.
        settings: None: by shares alone.
    """

    def __init__(self, shares: Sequence[float], settings: SourceBanditSettings | None) -> None:
        weights = np.array(shares)
        self._shares = weights / weights.sum()
        self._settings = settings
        self._best = BestScores(settings.top if settings is not None else 1)
        nothing = np.zeros(len(weights), dtype=np.int64)
        self._made, self._succeeded = nothing.copy(), nothing.copy()
        """Within the window."""
        self._since = nothing.copy()
        """Made since the last measurement."""
        self._window: deque[tuple[NDArray[np.int64], int | None]] = deque()

    def made(self, source: int, count: int) -> None:
        """Take note that a source made so many new candidates."""
        if self._settings is not None:
            self._since[source] += count

    def measured(self, score: float, source: int | None) -> None:
        """Take note of a score; ``source``: who made it, None if nobody here did."""
        if self._settings is None:
            return
        winner = source if self._best.enters(score) and source is not None else None
        self._window.append((self._since, winner))
        self._count(self._since, winner, 1)
        self._since = np.zeros_like(self._since)
        if len(self._window) > self._settings.window:
            self._count(*self._window.popleft(), -1)

    def _count(self, made: NDArray[np.int64], winner: int | None, sign: int) -> None:
        self._made += sign * made
        if winner is not None:
            self._succeeded[winner] += sign

    def divided(self, count: int, rng: Generator) -> NDArray[np.int64]:
        """Return how many of ``count`` candidates each source is to make."""
        settings = self._settings
        if settings is None:
            dealt: NDArray[np.int64] = rng.multinomial(count, self._shares)
            return dealt
        by_share = int(rng.binomial(count, settings.floor))
        dealt = rng.multinomial(by_share, self._shares)
        # What was made within the window may succeed after it.
        failed = np.maximum(self._made - self._succeeded, 0)
        rates = rng.beta(
            1 + self._succeeded, 1 + failed, size=(count - by_share, len(self._shares))
        )
        won: NDArray[np.int64] = np.bincount(rates.argmax(axis=1), minlength=len(self._shares))
        return dealt + won
