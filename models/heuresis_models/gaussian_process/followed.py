"""Candidates whose belief is kept up to date as a surrogate learns point by point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from heuresis.spaces.features import Features

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from heuresis_models.gaussian_process.process import Appended
    from heuresis_models.gaussian_process.settings import Covariance
    from heuresis_models.gaussian_process.surrogate import SearchSurrogate

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
        self._projected: list[NDArray[np.float32]] = []
        self._means: list[NDArray[np.float64]] = []
        self._variances: list[NDArray[np.float64]] = []

    def __len__(self) -> int:
        """Return the number of candidates."""
        return 0 if self.features is None else len(self.features)

    @property
    def belief(self) -> Posterior:
        """What is believed of all of them, in their order."""
        beliefs = list(zip(self._means, self._variances, strict=True))
        if not len(self):
            return Posterior(np.zeros(0), np.zeros(0))
        return self._surrogate.joined(beliefs)

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
        for member, projected in enumerate(self._projected):
            projected[:points, : len(places)] = projected[:points, places]
            self._means[member] = self._means[member][places]
            self._variances[member] = self._variances[member][places]

    def appended(self, point: Features, rows: Sequence[Appended]) -> None:
        """Take in that the surrogate learned one more point; it calls this itself."""
        count = len(self)
        if self.features is None or not count:
            return
        self._make_room()
        similarities = self._surrogate.similarities_to(point, self.features)
        members = self._surrogate.settings.members
        for member, (covariance, row) in enumerate(zip(members, rows, strict=True)):
            projected = self._projected[member]
            size = len(row.row_N)
            overlap = row.row_N.astype(np.float32) @ projected[:size, :count]
            new = (mixed(covariance, similarities)[:, 0] - overlap) / row.diagonal
            projected[size, :count] = new
            self._means[member] += new * row.whitened
            self._variances[member] = np.maximum(self._variances[member] - new**2, 1e-9)

    def learn_anew(self) -> None:
        """Take in that the surrogate chose its points again; it calls this itself."""
        if self.features is not None and len(self):
            self._means, self._variances = [], []
            self._make_room()
            self._project(slice(0, len(self)), self.features)

    def _make_room(self) -> None:
        surrogate = self._surrogate
        points, count = surrogate.learned_points, len(self)
        if not self._projected:
            empty = np.zeros((0, 0), dtype=np.float32)
            self._projected = [empty for _ in surrogate.settings.members]
        for member, old in enumerate(self._projected):
            rows, columns = old.shape
            if points > rows or count > columns:
                shape = (max(rows, points + _ROOM), max(columns, count + count // 2))
                grown = np.zeros(shape, dtype=np.float32)
                grown[:rows, :columns] = old
                self._projected[member] = grown

    def _project(self, where: slice, features: Features) -> None:
        surrogate = self._surrogate
        similarities = surrogate.similarities(features) if surrogate.learned_points else {}
        more: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        for member, process in enumerate(surrogate.processes):
            if not process.size:
                more.append((np.zeros(len(features)), np.ones(len(features))))
                continue
            covariance = surrogate.settings.members[member]
            columns = process.projected(mixed(covariance, similarities))
            self._projected[member][: process.size, where] = columns
            variance = 1.0 - np.einsum("nm,nm->m", columns, columns)
            more.append((process.whitened_N @ columns, np.maximum(variance, 1e-9)))
        nothing = np.zeros(0)
        old_means = self._means or [nothing] * len(more)
        old_variances = self._variances or [nothing] * len(more)
        self._means = [
            np.concatenate([old, new]) for old, (new, _) in zip(old_means, more, strict=True)
        ]
        self._variances = [
            np.concatenate([old, new]) for old, (_, new) in zip(old_variances, more, strict=True)
        ]


def mixed(
    member: Covariance, similarities: Mapping[str | float, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return the covariance of a member, a weighted sum of similarities."""
    parts = [weight * similarities[name] for name, weight in member.counts.items() if weight]
    if member.descriptors:
        parts.append(member.descriptors * similarities[member.length])
    mixed: NDArray[np.float64] = parts[0]
    for part in parts[1:]:
        mixed = mixed + part
    return mixed
