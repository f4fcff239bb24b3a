"""All points that a surrogate was shown, and which of them it learns from when they are many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from heuresis.spaces.features import Features

if TYPE_CHECKING:
    from numpy.typing import NDArray

_JOINED: Final = 256
"""Points that are joined into one block: single ones cost ten times their content in memory."""


class Points:
    """Features and scores in the order in which they were measured."""

    def __init__(self) -> None:
        self._blocks: list[Features] = []
        """Of so many points each."""
        self._latest: list[Features] = []
        self.scores: list[float] = []

    def __len__(self) -> int:
        return len(self.scores)

    def append(self, features: Features, score: float) -> None:
        """Add one point; ``features`` are of a single text."""
        self._latest.append(features)
        self.scores.append(score)
        if len(self._latest) == _JOINED:
            self._blocks.append(Features.joined(self._latest))
            self._latest = []

    def features(self, places: NDArray[np.int64]) -> Features:
        """Return the features of some points, at least one, in the order of ``places``."""
        order = np.argsort(places, kind="stable")
        rising = places[order]
        parts = []
        for number in np.unique(rising // _JOINED):
            within = rising[rising // _JOINED == number] - number * _JOINED
            if number < len(self._blocks):
                parts.append(self._blocks[number].take(within))
            else:
                parts += [self._latest[place] for place in within]
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return Features.joined(parts).take(back)


def chosen_points(scores: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Return which points to learn from, in the order of measurement.

    All, up to ``most``. Of more: the best half, the latest quarter, and a quarter spread evenly
    over the others, which keeps in mind what is bad and where.

    Args:
        scores: in the order of measurement.
        most: how many to keep.
    """
    everything = np.arange(len(scores))
    if len(scores) <= most:
        return everything
    kept = np.zeros(len(scores), dtype=bool)
    # Of equal scores the earlier one is better.
    kept[np.argsort(-scores, kind="stable")[: most // 2]] = True
    latest = everything[~kept][-(most // 4) :]
    kept[latest] = True
    others = everything[~kept]
    missing = most - int(kept.sum())
    kept[others[np.linspace(0, len(others) - 1, missing).round().astype(np.int64)]] = True
    return everything[kept]
