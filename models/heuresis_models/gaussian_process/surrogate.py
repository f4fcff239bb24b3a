"""The surrogate of a search: one or several Gaussian processes, fed one measurement at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from heuresis.spaces.features import Features
from heuresis_models.gaussian_process.followed import Followed, Posterior, mixed
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

_INDEPENDENT_SHARE: Final = 0.05
"""Points of a search are near copies of each other: twenty count as one in weighing members."""
_NEGLIGIBLE_WEIGHT: Final = 0.01
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
        self.processes = [GaussianProcess(settings.noise) for _ in settings.members]
        self._weights = np.full(len(settings.members), 1.0 / len(settings.members))
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
    def weights(self) -> tuple[float, ...]:
        """Weights of the members; they add up to 1."""
        return tuple(float(weight) for weight in self._weights)

    @property
    def learned_points(self) -> int:
        """How many points the processes hold now."""
        return self.processes[0].size

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
        similarities = self.similarities(features)
        return self.joined(
            [
                process.predict(mixed(member, similarities)) if weight else None
                for member, process, weight in zip(
                    self.settings.members, self.processes, self._heeded(), strict=True
                )
            ]
        )

    def joined(
        self, beliefs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]] | None]
    ) -> Posterior:
        """Join each member's mean and variance; None where a member is not heeded."""
        mean = square = np.zeros(1)
        for belief, weight in zip(beliefs, self._heeded(), strict=True):
            if belief is not None and weight:
                mean = mean + weight * belief[0]
                square = square + weight * (belief[1] + belief[0] ** 2)
        return Posterior(mean, np.sqrt(np.maximum(square - mean**2, 1e-9)))

    def _observe(self, features: Features, score: float) -> None:
        settings = self.settings
        self._points.append(features, score)
        count = len(self._points)
        if self._scale is None:
            self._scale = Scale(features.descriptors)
        similarities = self.similarities(features)
        guesses = [
            process.append(mixed(member, similarities)[0], score)
            for member, process in zip(settings.members, self.processes, strict=True)
        ]
        for followed in self._followed:
            followed.appended(features, guesses)
        self._learned.append(score)
        self._remember(features)
        rescale = not self._scale_is_given and count in _RESCALE_AT
        extra = count - settings.most_points
        if rescale or (extra > 0 and extra % settings.refit_every == 0):
            self._refit(rescale)
        if len(self.processes) > 1 and count % settings.weigh_every == 0:
            self._weigh()
        if count % settings.gate_every == 0:
            self._judge()

    def _judge(self) -> None:
        """Tell the gate how well each point is predicted from all others."""
        scores = np.array(self._learned)
        predicted = np.zeros(len(scores))
        for process, weight in zip(self.processes, self._heeded(), strict=True):
            predicted += weight * (scores - process.left_out()[0])
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
        similarities = self.similarities(features)
        for member, process in zip(self.settings.members, self.processes, strict=True):
            process.refit(mixed(member, similarities), scores[places])
        self._learned = scores[places].tolist()
        for followed in self._followed:
            followed.learn_anew()

    def _weigh(self) -> None:
        """Weigh members by the likelihood of each point given all others.

        The amplitude is profiled out: whether a member claims too much or too little doubt overall
        says nothing about its order.
        """
        logs = []
        for process in self.processes:
            errors, variances = process.left_out()
            amplitude = float(np.mean(errors**2 / variances)) + 1e-12
            logs.append(-0.5 * (float(np.mean(np.log(variances))) + np.log(amplitude)))
        evidence = np.array(logs) * _INDEPENDENT_SHARE * self.learned_points
        weights = np.exp(evidence - evidence.max())
        self._weights = weights / weights.sum()

    def _heeded(self) -> NDArray[np.float64]:
        weights = np.where(self._weights >= _NEGLIGIBLE_WEIGHT, self._weights, 0.0)
        heeded: NDArray[np.float64] = weights / weights.sum()
        return heeded

    def similarities(self, features: Features) -> dict[str | float, NDArray[np.float64]]:
        """Return each similarity of M texts to the N learned points: by block, and by length."""
        assert self._scale is not None
        found: dict[str | float, NDArray[np.float64]] = {}
        if not len(self._descriptors):
            empty = np.zeros((len(features), 0))
            lengths = [member.length for member in self.settings.members]
            return dict.fromkeys((*self.settings.blocks, *lengths), empty)
        for name in self.settings.blocks:
            found[name] = self._tables[name].similarity(features.counts[name])
        scaled = self._scale(features.descriptors)
        for member in self.settings.members:
            if member.descriptors and member.length not in found:
                found[member.length] = squared_exponential(scaled, self._descriptors, member.length)
        return found

    def similarities_to(
        self, point: Features, features: Features
    ) -> dict[str | float, NDArray[np.float64]]:
        """Return each similarity of many to one, of shape (M, 1)."""
        assert self._scale is not None
        found: dict[str | float, NDArray[np.float64]] = {}
        for name in self.settings.blocks:
            one = minmax_to_one(features.counts[name], *point.counts[name].row(0))
            found[name] = one[:, None]
        scaled, centre = self._scale(features.descriptors), self._scale(point.descriptors)
        for member in self.settings.members:
            if member.descriptors and member.length not in found:
                found[member.length] = squared_exponential(scaled, centre, member.length)
        return found
