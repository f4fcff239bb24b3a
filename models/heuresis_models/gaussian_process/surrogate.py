"""The surrogate of a search: a Gaussian process that is fed one measurement at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from heuresis.spaces.features import Features
from heuresis_models.gaussian_process.followed import Followed, Posterior
from heuresis_models.gaussian_process.gate import RankGate
from heuresis_models.gaussian_process.points import Points, chosen_points
from heuresis_models.gaussian_process.process import GaussianProcess
from heuresis_models.gaussian_process.settings import SurrogateSettings
from heuresis_models.gaussian_process.similarity import (
    CountTable,
    Scale,
    minmax_to_one,
    squared_exponential,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_RESCALE_AT: Final = (10, 50, 250, 1000)
"""Without reference features, descriptors are scaled anew when there are so many points."""


class SearchSurrogate:
    """Predicts scores from features.

    Its state is a pure function of the points it was shown, in order: points enter one by one,
    however many are shown at a time.

    Args:
        settings: see `SurrogateSettings`.
        reference: typical features that say how far each descriptor spreads; without them the
            points say it, and are learned anew at a few fixed counts.
    """

    def __init__(self, settings: SurrogateSettings, reference: Features | None = None) -> None:
        self.settings = settings
        self.gate = RankGate(settings.gate_least, settings.gate_minimum)
        self._points = Points()
        self._scale = Scale(reference.descriptors) if reference is not None else None
        self._scale_is_given = reference is not None
        self._tables: dict[str, CountTable] = {}
        self._descriptors = np.zeros((0, 0))
        self.process = GaussianProcess(settings.noise)
        self._followed: list[Followed] = []
        self._learned: list[float] = []

    def candidates(self) -> Followed:
        """Return candidates, none so far, whose belief is that of now."""
        return Followed(self)

    def follow(self) -> Followed:
        """Return candidates, none so far, whose belief is kept up to date from now on."""
        followed = Followed(self)
        self._followed.append(followed)
        return followed

    def __len__(self) -> int:
        """Return the number of points it was shown."""
        return len(self._points)

    @property
    def learned_points(self) -> int:
        """How many points the process holds now."""
        return self.process.size

    def shown(self, places: Sequence[int]) -> Features:
        """Return the features of points by the order in which they were shown, from 0."""
        return self._points.features(np.asarray(places, dtype=np.int64))

    def observe(self, features: Features, scores: Sequence[float]) -> None:
        """Take in measured points, one after the other."""
        for place, score in enumerate(scores):
            if not np.isfinite(score):
                raise ValueError(f"a score must be finite, got {score}; leave failures out")
            self._observe(features.take([place]), float(score))

    def predict(self, features: Features) -> Posterior:
        """Return the belief about candidates; before any point, mean 0 and deviation 1."""
        if not self.learned_points:
            return Posterior(np.zeros(len(features)), np.ones(len(features)))
        mean, variance = self.process.predict(self.covariances(features))
        return Posterior(mean, np.sqrt(variance))

    def _observe(self, features: Features, score: float) -> None:
        settings = self.settings
        self._points.append(features, score)
        count = len(self._points)
        if self._scale is None:
            self._scale = Scale(features.descriptors)
        appended = self.process.append(self.covariances(features)[0], score)
        for followed in self._followed:
            followed.appended(features, appended)
        self._learned.append(score)
        self._remember(features)
        rescale = not self._scale_is_given and count in _RESCALE_AT
        extra = count - settings.most_points
        if rescale or (extra > 0 and extra % settings.refit_every == 0):
            self._refit(rescale)
        if count % settings.gate_every == 0:
            self._judge()

    def _judge(self) -> None:
        """Tell the gate how well each point is predicted from all others."""
        predicted = np.array(self._learned) - self.process.left_out()[0]
        self.gate.judge(predicted.tolist(), self._learned)

    def _remember(self, features: Features) -> None:
        assert self._scale is not None
        for name in self.settings.blocks:
            block = features.counts[name]
            table = self._tables.setdefault(name, CountTable(block.width))
            for place in range(len(features)):
                table.append(*block.row(place))
        scaled = self._scale(features.descriptors)
        known = self._descriptors if len(self._descriptors) else scaled[:0]
        self._descriptors = np.concatenate([known, scaled])

    def _refit(self, rescale: bool) -> None:
        scores = np.array(self._points.scores)
        places = chosen_points(scores, self.settings.most_points)
        features = self._points.features(places)
        if rescale:
            self._scale = Scale(features.descriptors)
        self._tables, self._descriptors = {}, np.zeros((0, 0))
        self._remember(features)
        self.process.refit(self.covariances(features), scores[places])
        self._learned = scores[places].tolist()
        for followed in self._followed:
            followed.learn_anew()

    def covariances(self, features: Features) -> NDArray[np.float64]:
        """Return the covariance of M texts with the N learned points, shape (M, N)."""
        assert self._scale is not None
        covariance = self.settings.covariance
        mixed = np.zeros((len(features), len(self._descriptors)))
        if not len(self._descriptors):
            return mixed
        for name in self.settings.blocks:
            mixed += covariance.counts[name] * self._tables[name].similarity(features.counts[name])
        if covariance.descriptors:
            scaled = self._scale(features.descriptors)
            mixed += covariance.descriptors * squared_exponential(
                scaled, self._descriptors, covariance.length
            )
        return mixed

    def covariances_with(self, point: Features, features: Features) -> NDArray[np.float64]:
        """Return the covariance of M texts with one point, shape (M,)."""
        assert self._scale is not None
        covariance = self.settings.covariance
        mixed = np.zeros(len(features))
        for name in self.settings.blocks:
            one = minmax_to_one(features.counts[name], *point.counts[name].row(0))
            mixed += covariance.counts[name] * one
        if covariance.descriptors:
            scaled, centre = self._scale(features.descriptors), self._scale(point.descriptors)
            similar = squared_exponential(scaled, centre, covariance.length)[:, 0]
            mixed += covariance.descriptors * similar
        return mixed
