"""What a search knows: everything that was judged, in order, and what stands out."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from typing import TYPE_CHECKING

from heuresis.records import Candidate, Observation, ScoredCandidate

if TYPE_CHECKING:
    from numpy.random import Generator

    from heuresis_agents.guided.settings import BurstSettings

_TOP = 10


class History:
    """A fold over observations; nothing here depends on how they were portioned.

    What failed, was dropped or is infeasible counts as known but has no score: it is neither
    proposed again nor bred nor taken for a zero.
    """

    def __init__(self) -> None:
        self.known: set[str] = set()
        """Texts that were judged."""
        self.first: str | None = None
        """Id of the first candidate that was judged."""
        self.judged = 0
        self._scored: list[ScoredCandidate] = []
        self._ranked: list[tuple[float, int]] = []
        self._top_means: list[float] = []

    def observe(self, news: Sequence[Observation]) -> list[ScoredCandidate]:
        """Take note; return what got a score."""
        scored = []
        for told in news:
            self.judged += 1
            self.known.add(told.candidate.text)
            self.first = self.first or told.candidate.id
            if told.verdict == "completed" and told.score is not None:
                scored.append(self._add(told.candidate, told.score))
        return scored

    def _add(self, candidate: Candidate, score: float) -> ScoredCandidate:
        member = ScoredCandidate(candidate=candidate, score=score)
        # The order of measurement breaks ties.
        insort(self._ranked, (-score, len(self._scored)))
        self._scored.append(member)
        top = self._ranked[:_TOP]
        self._top_means.append(-sum(negative for negative, _ in top) / len(top))
        return member

    @property
    def scored(self) -> int:
        """Number of candidates with a score."""
        return len(self._scored)

    def ranked(self, rank: int) -> ScoredCandidate:
        """Return the candidate of a rank, 0 for the best."""
        return self._scored[self._ranked[rank][1]]

    def best_places(self, count: int = _TOP) -> list[int]:
        """Return the places of the best, ten if not told, in the order of measurement of `at`."""
        return [place for _, place in self._ranked[:count]]

    def at(self, place: int) -> ScoredCandidate:
        """Return the candidate at a place in the order of measurement, from 0."""
        return self._scored[place]

    @property
    def top_mean(self) -> float:
        """Mean of the ten best scores; 0 before there are any."""
        return self._top_means[-1] if self._top_means else 0.0

    def in_burst(self, settings: BurstSettings | None) -> bool:
        """Tell whether the search stands still and it is time to look further afield."""
        if settings is None or not self.stands_still(settings.patience, settings.gain):
            return False
        return len(self._top_means) // settings.length % 2 == 0

    def stands_still(self, patience: int, gain: float) -> bool:
        """Tell whether the mean of the ten best rose by ``gain`` at most in so many scores."""
        return is_plateau(self._top_means, patience, gain)


def is_plateau(top_means: Sequence[float], patience: int, gain: float) -> bool:
    """Tell whether means of the best (minus infinity: none yet) rose by ``gain`` at most."""
    return len(top_means) > patience and top_means[-1] - top_means[-1 - patience] <= gain


def log_rank(count: int, exponents: tuple[float, float], rng: Generator) -> int:
    """Draw a rank below ``count``: even over the best count · 10^U(exponents).

    Good ranks are favoured at all scales alike. Source: Tripp and Hernández-Lobato,
    arXiv:2310.09267 (quantiles of Mol GA), made continuous.
    """
    share = 10.0 ** rng.uniform(*exponents)
    return min(int(count * share * rng.random()), count - 1)


def even_log_rank(count: int, rng: Generator) -> int:
    """Draw a rank below ``count``; of a hundred the best, the next nine and the others alike often.

    Parents of a population that is bred greedily, drawn evenly on the logarithm of the rank over
    three decades. Source: as above.
    """
    return int(count * 10.0 ** rng.uniform(-3.0, 0.0))
