"""An excursion: when the search stands still, it goes on among what is unlike the best for a while.

More doubt and worse parents do not lead out of a neighbourhood that was searched through: whatever
they bring, its best members bring more. Left out altogether, the others get the measurements that
they need to show what they are worth. Afterwards all compete again, and can be crossed.
"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING

import numpy as np

from heuresis_models.gaussian_process.similarity import minmax_to_one

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from heuresis.spaces.features import Features


class Excursion:
    """What may be bred and proposed, and who of the measured may be a parent.

    Args:
        best: features of the best candidates when it began.
        most_alike: MinMax similarity to each of them, on the first block of counts, above which a
            candidate is left out.
    """

    def __init__(self, best: Features, most_alike: float) -> None:
        self._block = next(iter(best.counts))
        counts = best.counts[self._block]
        self._best = [counts.row(place) for place in range(len(counts))]
        self._most_alike = most_alike
        self._ranked: list[tuple[float, int]] = []

    def allows(self, features: Features) -> NDArray[np.bool_]:
        """Return which texts are unlike all of the best."""
        block = features.counts[self._block]
        allowed = np.ones(len(features), dtype=bool)
        for row in self._best:
            allowed &= minmax_to_one(block, *row) <= self._most_alike
        return allowed

    def measured(self, features: Features, places: Sequence[int], scores: Sequence[float]) -> None:
        """Take note of measured candidates.

        Args:
            features: of them.
            places: by which the history knows them.
            scores: of them.
        """
        allowed = self.allows(features)
        for place, score, may in zip(places, scores, allowed, strict=True):
            if may:
                insort(self._ranked, (-score, place))

    def __len__(self) -> int:
        """Return the number of measured candidates that may be parents."""
        return len(self._ranked)

    def ranked(self, rank: int) -> int:
        """Return the place in the history of the one of a rank, 0 for the best."""
        return self._ranked[rank][1]
