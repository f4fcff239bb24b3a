"""Candidates whose belief is kept up to date as a surrogate learns point by point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from heuresis.spaces.features import Features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from heuresis_models.gaussian_process.process import Appended
    from heuresis_models.gaussian_process.surrogate import SearchSurrogate

_LEAST_VARIANCE: Final = 1e-9
_ROOM: Final = 256
"""Points for which room is made beyond those that are there."""


class Posterior(NamedTuple):
    """Belief about some candidates: mean and standard deviation, each of shape (M,)."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


class Followed:
    """Candidates of which is known at any time what the surrogate believes.

    To predict M candidates from N points costs N² M; keeping L⁻¹ k of each costs N M for each point
    that is added. Kept in single precision, mean and variance in double.
    """

    def __init__(self, surrogate: SearchSurrogate) -> None:
        self._surrogate = surrogate
        self.features: Features | None = None
        """Of all candidates, in their order; None: there are none."""
        self._projected = np.zeros((0, 0), dtype=np.float32)
        """L⁻¹ k, points by candidates; with room for more of both."""
        self._mean = np.zeros(0)
        self._variance = np.zeros(0)

    def __len__(self) -> int:
        """Return the number of candidates."""
        return 0 if self.features is None else len(self.features)

    @property
    def belief(self) -> Posterior:
        """What is believed of all of them, in their order."""
        return Posterior(self._mean, np.sqrt(self._variance))

    def add(self, features: Features) -> None:
        """Add candidates behind the others."""
        first = len(self)
        self.features = (
            features if self.features is None else Features.joined([self.features, features])
        )
        self._make_room()
        self._project(slice(first, len(self)), features)

    def keep(self, places: NDArray[np.int64]) -> None:
        """Forget all but the candidates at ``places``."""
        if self.features is None:
            return
        self.features = self.features.take(places)
        points = self._surrogate.learned_points
        self._projected[:points, : len(places)] = self._projected[:points, places]
        self._mean, self._variance = self._mean[places], self._variance[places]

    def appended(self, point: Features, appended: Appended) -> None:
        """Take in that the surrogate learned one more point; it calls this itself."""
        count = len(self)
        if self.features is None or not count:
            return
        self._make_room()
        size = len(appended.row_N)
        overlap = appended.row_N.astype(np.float32) @ self._projected[:size, :count]
        covariances = self._surrogate.covariances_with(point, self.features)
        new = (covariances - overlap) / appended.diagonal
        self._projected[size, :count] = new
        self._mean += new * appended.whitened
        self._variance = np.maximum(self._variance - new**2, _LEAST_VARIANCE)

    def learn_anew(self) -> None:
        """Take in that the surrogate chose its points again; it calls this itself."""
        if self.features is not None and len(self):
            self._mean = self._variance = np.zeros(0)
            self._make_room()
            self._project(slice(0, len(self)), self.features)

    def _make_room(self) -> None:
        points, count = self._surrogate.learned_points, len(self)
        rows, columns = self._projected.shape
        if points > rows or count > columns:
            shape = (max(rows, points + _ROOM), max(columns, count + count // 2))
            grown = np.zeros(shape, dtype=np.float32)
            grown[:rows, :columns] = self._projected
            self._projected = grown

    def _project(self, where: slice, features: Features) -> None:
        surrogate = self._surrogate
        mean, variance = np.zeros(len(features)), np.ones(len(features))
        if surrogate.learned_points:
            columns = surrogate.process.projected(surrogate.covariances(features))
            self._projected[: surrogate.learned_points, where] = columns
            mean = surrogate.process.whitened_N @ columns
            variance = 1.0 - np.einsum("nm,nm->m", columns, columns)
        self._mean = np.concatenate([self._mean, mean])
        self._variance = np.concatenate([self._variance, np.maximum(variance, _LEAST_VARIANCE)])
