"""Candidates of one question: made in rounds, each on the shoulders of the best before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from heuresis.records import Candidate, Prompt, Proposal, ScoredCandidate
from heuresis.spaces.features import Features, readable
from heuresis_agents.guided.choice import Choosing
from heuresis_agents.guided.history import History, log_rank
from heuresis_models.gaussian_process.acquisition import by_upper_confidence
from heuresis_models.gaussian_process.surrogate import Posterior

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from heuresis_agents.guided.sources import Source

_MOST_PARENTS = 2
_UNSCORED_BEST = 0.4
"""Share of the unscored candidates that may become parents, the most promising; all alike."""
_UNSCORED = "unscored"
"""Stands for the space in the ids of candidates that nobody measured; they never leave here."""


class Breeding(NamedTuple):
    """Who become parents."""

    rank_exponents: tuple[float, float]
    unscored_share: float
    exemplar_share: float


class Candidates:
    """Candidates that nobody has measured, with what the surrogate believes of them.

    Args:
        sources: who makes them.
        history: what is known.
        breeding: who become parents.
        choosing: draws how much doubt is worth.
        features: computes features of texts.
        predict: the surrogate.
        taken: texts that are known or on their way.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        history: History,
        breeding: Breeding,
        choosing: Choosing,
        features: Callable[[Sequence[str]], Features],
        predict: Callable[[Features], Posterior],
        taken: set[str],
    ) -> None:
        self._sources = sources
        self._history = history
        self._breeding = breeding
        self._choosing = choosing
        self._features = features
        self._predict = predict
        self._seen = set(taken)
        self._ancestors: dict[str, tuple[str, ...]] = {}
        self._unscored: list[ScoredCandidate] = []
        self.proposals: list[Proposal] = []
        self.mean: NDArray[np.float64] = np.zeros(0)
        self.deviation: NDArray[np.float64] = np.zeros(0)

    def round(self, prompt: Prompt, count: int, rng: Generator) -> None:
        """Add up to ``count`` new candidates."""
        shares = np.array([source.share for source in self._sources])
        counts = rng.multinomial(count, shares / shares.sum())
        worth = self._worth(rng)

        def draw(rng: Generator) -> ScoredCandidate | None:
            return self._parent(prompt, worth, rng)

        fresh: list[Proposal] = []
        for source, asked in zip(self._sources, counts, strict=True):
            if asked:
                children = source.children(prompt, draw, int(asked), rng, self._seen)
                fresh += [self._rooted(child) for child in children]
        self._add(fresh)

    @property
    def belief(self) -> Posterior:
        """What the surrogate believes of all candidates."""
        return Posterior(self.mean, self.deviation)

    def _worth(self, rng: Generator) -> list[int]:
        """Return the places of all candidates, the most promising first."""
        beta = self._choosing.beta(rng)
        order: list[int] = by_upper_confidence(self.mean, self.deviation, beta).tolist()
        return order

    def _parent(
        self, prompt: Prompt, worth: Sequence[int], rng: Generator
    ) -> ScoredCandidate | None:
        if worth and rng.random() < self._breeding.unscored_share:
            place = worth[int(rng.random() * _UNSCORED_BEST * len(worth))]
            return self._unscored[place]
        share = self._breeding.exemplar_share if self._history.scored else 1.0
        if prompt.exemplars and rng.random() < share:
            return prompt.exemplars[int(rng.integers(len(prompt.exemplars)))]
        if self._history.scored:
            rank = log_rank(self._history.scored, self._breeding.rank_exponents, rng)
            return self._history.ranked(rank)
        return None

    def _rooted(self, child: Proposal) -> Proposal:
        """Name as parents only what was measured, however many edits lie between."""
        roots: list[str] = []
        for parent in child.parents:
            roots += self._ancestors.get(parent, (parent,))
        return child.model_copy(update={"parents": tuple(dict.fromkeys(roots))[:_MOST_PARENTS]})

    def _add(self, fresh: Sequence[Proposal]) -> None:
        unseen: dict[str, Proposal] = {}
        for proposal in fresh:
            if proposal.text not in self._seen:
                unseen.setdefault(proposal.text, proposal)
        self._seen |= unseen.keys()
        places, features = readable(list(unseen), self._features)
        if features is None:
            return
        made = list(unseen.values())
        new = [made[place] for place in places]
        belief = self._predict(features)
        self.proposals += new
        for proposal, mean in zip(new, belief.mean, strict=True):
            candidate = Candidate.of(_UNSCORED, proposal.text)
            self._ancestors[candidate.id] = proposal.parents
            self._unscored.append(ScoredCandidate(candidate=candidate, score=float(mean)))
        self.mean = np.concatenate([self.mean, belief.mean])
        self.deviation = np.concatenate([self.deviation, belief.deviation])
