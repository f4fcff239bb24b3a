"""An excursion: when the search stands still, it begins anew, far from all it knows to be good.

A neighbourhood that was searched through has a best member, and which neighbourhood a search falls
into is largely luck. More doubt and worse parents do not lead out of it: whatever they bring, its
best members bring more. So an excursion is a search of its own: it begins with lines of the library
that are unlike the best of all neighbourhoods before, only they and their descendants live while it
lasts, and it ends when it has won, or would take too long to. Only the surrogate remembers
everything. Afterwards all compete again, and can be crossed.
"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from heuresis_agents.guided.history import is_plateau
from heuresis_models.gaussian_process.similarity import minmax_to_one

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from heuresis.spaces.features import Features
    from heuresis_agents.guided.settings import BurstSettings

_TOP = 10
_REMEMBERED = 3
"""Best candidates of an ended excursion that later ones keep away from."""


class Row(NamedTuple):
    """One candidate's counts: which, and how many of each."""

    indices: NDArray[np.int32]
    counts: NDArray[np.int32]


def rows_of(features: Features, block: str) -> list[Row]:
    """Return the counts of candidates one by one."""
    counts = features.counts[block]
    return [Row(*counts.row(place)) for place in range(len(counts))]


class Excursion:
    """What may be bred and proposed, and who of the measured may be a parent.

    Args:
        block: name of the counts by which candidates are compared.
        avoided: counts of what it keeps away from.
        most_alike: MinMax similarity to each of these above which a candidate is left out.
        born: number of measurements when it began; what was made before does not take part.
    """

    def __init__(
        self, block: str, avoided: Sequence[Row], most_alike: float, *, born: int = 0
    ) -> None:
        self.born = born
        self._block = block
        self._avoided = avoided
        self._most_alike = most_alike
        self._ranked: list[tuple[float, int]] = []
        self._top_means: list[float] = []
        self._others = 0
        """Measurements while it lasted that it did not propose."""

    def allows(self, features: Features) -> NDArray[np.bool_]:
        """Return which texts are unlike all that it avoids."""
        block = features.counts[self._block]
        allowed = np.ones(len(features), dtype=bool)
        for row in self._avoided:
            allowed &= minmax_to_one(block, *row) <= self._most_alike
        return allowed

    def admit(
        self, features: Features, places: Sequence[int], scores: Sequence[float]
    ) -> NDArray[np.bool_]:
        """Let measured candidates be parents, if they are unlike all that it avoids.

        Args:
            features: of them.
            places: by which the history knows them.
            scores: of them.

        Returns:
            Which of them may.
        """
        allowed = self.allows(features)
        for place, score, may in zip(places, scores, allowed, strict=True):
            if may:
                insort(self._ranked, (-score, place))
        return allowed

    def measured(self, features: Features, place: int, score: float, *, own: bool = True) -> None:
        """Take note of a candidate that was measured while it lasts; as in `admit`.

        Args:
            features: of it.
            place: by which the history knows it.
            score: of it.
            own: False: it is from somewhere else, so it says nothing of the pace unless it might
                be from here.
        """
        own |= bool(self.admit(features, [place], [score])[0])
        self._others += not own
        if not own:
            return
        top = [-negative for negative, _ in self._ranked[:_TOP]]
        self._top_means.append(sum(top) / len(top) if top else -np.inf)

    def __len__(self) -> int:
        """Return the number of measured candidates that may be parents."""
        return len(self._ranked)

    def ranked(self, rank: int) -> int:
        """Return the place in the history of the one of a rank, 0 for the best."""
        return self._ranked[rank][1]

    @property
    def best(self) -> list[int]:
        """Places in the history of its best, which later excursions keep away from."""
        return [place for _, place in self._ranked[:_REMEMBERED]]

    @property
    def top_mean(self) -> float:
        """Mean of its ten best scores; minus infinity before ten are known."""
        return self._top_means[-1] if self._top_means and len(self) >= _TOP else -np.inf

    def stands_still(self, patience: int, gain: float) -> bool:
        """Tell whether its ten best rose by ``gain`` at most in so many of its measurements."""
        return is_plateau(self._top_means, patience, gain)

    def is_over(self, settings: BurstSettings, goal: float) -> bool:
        """Tell whether it is above its goal, or at its pace would not be within a sensible time.

        Args:
            settings: see `BurstSettings`.
            goal: mean of the ten best scores of the campaign when it began.
        """
        if self.top_mean > goal:
            return True
        if len(self._top_means) <= settings.pace:
            # It hardly gets a turn, or has nothing to propose.
            return self._others > settings.pace + settings.reach
        now, before = self._top_means[-1], self._top_means[-1 - settings.pace]
        if now == -np.inf:
            return True  # nothing that it may breed from was met: it leads nowhere
        return now + (now - before) * settings.reach / settings.pace <= goal
