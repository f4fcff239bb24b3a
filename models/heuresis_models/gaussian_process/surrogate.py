"""The surrogate of a search: one or several Gaussian processes, fed one measurement at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from heuresis.spaces.features import Features
from heuresis_models.gaussian_process.gate import RankGate
from heuresis_models.gaussian_process.points import Points, chosen_points
from heuresis_models.gaussian_process.process import GaussianProcess
from heuresis_models.gaussian_process.settings import Covariance, SurrogateSettings
from heuresis_models.gaussian_process.similarity import CountTable, Scale, squared_exponential

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_INDEPENDENT_SHARE: Final = 0.05
"""Points of a search are near copies of each other: twenty count as one in weighing members."""
_NEGLIGIBLE_WEIGHT: Final = 0.01
_RESCALE_AT: Final = (10, 50, 250, 1000)
"""Without reference features, descriptors are scaled anew when there are so many points."""


class Posterior(NamedTuple):
    """Belief about some candidates: mean and standard deviation, each of shape (M,)."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


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
        self.gate = RankGate(settings.gate_window, settings.gate_least, settings.gate_minimum)
        self._points = Points()
        self._scale = Scale(reference.descriptors) if reference is not None else None
        self._scale_is_given = reference is not None
        self._tables: dict[str, CountTable] = {}
        self._descriptors = np.zeros((0, 0))
        self._processes = [GaussianProcess(settings.noise) for _ in settings.members]
        self._weights = np.full(len(settings.members), 1.0 / len(settings.members))

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
        return self._processes[0].size

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
        similarities = self._similarities(features)
        mean = np.zeros(len(features))
        square = np.zeros(len(features))
        for member, process, weight in zip(
            self.settings.members, self._processes, self._heeded(), strict=True
        ):
            if weight:
                m, variance = process.predict(_mixed(member, similarities))
                mean += weight * m
                square += weight * (variance + m**2)
        return Posterior(mean, np.sqrt(np.maximum(square - mean**2, 1e-9)))

    def _observe(self, features: Features, score: float) -> None:
        settings = self.settings
        self._points.append(features, score)
        count = len(self._points)
        if self._scale is None:
            self._scale = Scale(features.descriptors)
        similarities = self._similarities(features)
        guesses = [
            process.append(_mixed(member, similarities)[0], score)
            for member, process in zip(settings.members, self._processes, strict=True)
        ]
        if count > 1:
            expected = sum(w * g.mean for w, g in zip(self._heeded(), guesses, strict=True))
            self.gate.record(expected, score)
        self._remember(features)
        rescale = not self._scale_is_given and count in _RESCALE_AT
        extra = count - settings.most_points
        if rescale or (extra > 0 and extra % settings.refit_every == 0):
            self._refit(rescale)
        if len(self._processes) > 1 and count % settings.weigh_every == 0:
            self._weigh()

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
        similarities = self._similarities(features)
        for member, process in zip(self.settings.members, self._processes, strict=True):
            process.refit(_mixed(member, similarities), scores[places])

    def _weigh(self) -> None:
        """Weigh members by the likelihood of each point given all others.

        The amplitude is profiled out: whether a member claims too much or too little doubt overall
        says nothing about its order.
        """
        logs = []
        for process in self._processes:
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

    def _similarities(self, features: Features) -> dict[str | float, NDArray[np.float64]]:
        """Return each similarity to the learned points: by block, and by length scale."""
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


def _mixed(
    member: Covariance, similarities: dict[str | float, NDArray[np.float64]]
) -> NDArray[np.float64]:
    parts = [weight * similarities[name] for name, weight in member.counts.items() if weight]
    if member.descriptors:
        parts.append(member.descriptors * similarities[member.length])
    mixed: NDArray[np.float64] = parts[0]
    for part in parts[1:]:
        mixed = mixed + part
    return mixed
