"""All points that a surrogate was shown, and which of them it learns from when they are many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heuresis.spaces.features import Features, SparseCounts

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Points:
    """Features and scores in the order in which they were measured."""

    def __init__(self) -> None:
        self._features: list[Features] = []
        self.scores: list[float] = []

    def __len__(self) -> int:
        return len(self.scores)

    def append(self, features: Features, score: float) -> None:
        """Add one point; ``features`` are of a single text."""
        self._features.append(features)
        self.scores.append(score)

    def features(self, places: NDArray[np.int64]) -> Features:
        """Return the features of some points."""
        chosen = [self._features[int(place)] for place in places]
        first = chosen[0]
        return Features(
            counts={
                name: SparseCounts.of([one.counts[name].row(0) for one in chosen], block.width)
                for name, block in first.counts.items()
            },
            descriptors=np.concatenate([one.descriptors for one in chosen]),
            names=first.names,
        )


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
