"""The pool: candidates that nobody has measured, with what the surrogate believes of them now.

A search that forgets its candidates after each question must find the good ones again; one that
keeps them lets them breed for as long as they stay promising. What is in the pool follows from the
history alone: new ones are made whenever a measurement comes in, by a generator that the history
names, never by a question. So a resumed campaign finds the same pool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from heuresis.records import Prompt
from heuresis.spaces.features import Features, readable
from heuresis_agents.guided.history import History, log_rank
from heuresis_agents.guided.sources import Made, Parent
from heuresis_models.gaussian_process.acquisition import by_upper_confidence, drawn_beta
from heuresis_models.gaussian_process.followed import Posterior

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from heuresis_agents.guided.excursion import Excursion
    from heuresis_agents.guided.makers import Makers
    from heuresis_agents.guided.settings import PoolSettings
    from heuresis_agents.guided.sources import Source
    from heuresis_models.gaussian_process.followed import Followed

_FULL = 1.5
"""The pool is cut back when it holds so many times its size."""
_CUT_BETA = 0.3
"""What stays is chosen by mean + 0.3 deviations."""


class Breeding(NamedTuple):
    """Who become parents, while candidates of one kind are made."""

    rank_exponents: tuple[float, float]
    beta_exponents: tuple[float, float]
    beta_factor: float
    excursion: Excursion | None = None
    """Where the search is at present; None: everywhere."""


class Pool:
    """Candidates, the living and, until it is cut back, those measured meanwhile.

    Args:
        sources: who makes candidates.
        makers: how many each makes.
        history: what is known.
        settings: see `PoolSettings`.
        features: computes features of texts.
        followed: keeps what the surrogate believes of them.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        makers: Makers,
        history: History,
        settings: PoolSettings,
        features: Callable[[Sequence[str]], Features],
        followed: Followed,
    ) -> None:
        self._sources = sources
        self._makers = makers
        self._saved = np.zeros(len(sources), dtype=np.int64)
        """Candidates that each source is still to make."""
        self._last_made = history.judged
        self._history = history
        self._settings = settings
        self._features = features
        self._followed = followed
        self._made: list[Made] = []
        self._place: dict[str, int] = {}
        self._living = np.zeros(0, dtype=bool)
        self._born = np.zeros(0, dtype=np.int64)
        """How many had been judged when each was made."""
        self._where: Excursion | None = None
        self._allowed_there = np.zeros(0, dtype=bool)
        """For the first places, whether `_where` allows them; the others were not asked yet."""
        self._seen = set(history.known)

    def __len__(self) -> int:
        """Return the number of places, `belief` has as many."""
        return len(self._made)

    def __getitem__(self, place: int) -> Made:
        """Return a candidate by its place."""
        return self._made[place]

    @property
    def living(self) -> int:
        """Number of candidates that were not measured since."""
        return int(self._living.sum())

    @property
    def belief(self) -> Posterior:
        """What the surrogate believes; nobody prefers those that were measured."""
        return self.belief_on(None)

    def belief_on(self, excursion: Excursion | None) -> Posterior:
        """Return the belief, with nothing preferred that an excursion leaves out.

        If it leaves out everything that lives, nothing is.
        """
        belief = self._followed.belief
        wanted = self._living & self._allowed(excursion)
        if not wanted.any():
            wanted = self._living
        return Posterior(np.where(wanted, belief.mean, -np.inf), belief.deviation)

    def _allowed(self, excursion: Excursion | None) -> NDArray[np.bool_]:
        features = self._followed.features
        if excursion is None or features is None:
            return np.ones(len(self._made), dtype=bool)
        if excursion is not self._where:
            self._where, self._allowed_there = excursion, np.zeros(0, dtype=bool)
        known = len(self._allowed_there)
        if known < len(self):
            unknown = np.arange(known, len(self))
            allowed = excursion.allows(features.take(unknown))
            allowed &= self._born[unknown] >= excursion.born
            self._allowed_there = np.concatenate([self._allowed_there, allowed])
        return self._allowed_there

    def judged(self, text: str) -> int | None:
        """Take note that a text was judged, whoever proposed it; return whose it is, if here."""
        self._seen.add(text)
        place = self._place.pop(text, None)
        if place is None:
            return None
        self._living[place] = False
        return self._made[place].source

    def admit(self, texts: Iterable[str], operator: str) -> None:
        """Add candidates that nobody made here, unless they are known."""
        fresh = {text: Made(text, operator, ()) for text in texts if text not in self._seen}
        self._add(list(fresh.values()))

    def breed(
        self,
        count: int,
        rounds: int,
        breeding: Breeding,
        rng: Generator,
        prompt: Prompt,
        *,
        saving: bool = False,
    ) -> None:
        """Make about ``count`` candidates in rounds, each on the shoulders of the best so far.

        With ``saving``, sources that make many at once save theirs up until it is time; then they
        come first, so that the others build on them.
        """
        slow = np.array([saving and source.every > 1 for source in self._sources])
        if slow.any():
            self._make_saved(breeding, rng, prompt)
        for made in range(rounds):
            each = count * (made + 1) // rounds - count * made // rounds
            if each:
                counts = self._makers.divided(each, rng)
                self._saved += np.where(slow, counts, 0)
                self._round(np.where(slow, 0, counts), breeding, rng, prompt)
        if len(self) > _FULL * self._settings.size:
            self._cut_back(breeding.excursion)

    def _make_saved(self, breeding: Breeding, rng: Generator, prompt: Prompt) -> None:
        last, now = self._last_made, self._history.judged
        self._last_made = now
        due = np.array([now // source.every > last // source.every for source in self._sources])
        counts = np.where(due, self._saved, 0)
        if counts.any():
            self._saved -= counts
            self._round(counts, breeding, rng, prompt)

    def _round(
        self, counts: NDArray[np.int64], breeding: Breeding, rng: Generator, prompt: Prompt
    ) -> None:
        best = self._promising(breeding, rng)

        def draw(rng: Generator) -> Parent | None:
            return self._parent(best, breeding, rng, prompt)

        fresh: dict[str, Made] = {}
        for place, (source, asked) in enumerate(zip(self._sources, counts, strict=True)):
            if asked:
                self._makers.made(place, int(asked))
                for made in source.children(prompt, draw, int(asked), rng, self._seen):
                    if made.text not in self._seen:
                        fresh.setdefault(made.text, made._replace(source=place))
        self._add(list(fresh.values()))

    def _promising(self, breeding: Breeding, rng: Generator) -> list[int]:
        """Return the places of the living that may become parents."""
        beta = breeding.beta_factor * drawn_beta(rng, breeding.beta_exponents)
        belief = self.belief_on(breeding.excursion)
        order = by_upper_confidence(belief.mean, belief.deviation, beta)
        most = min(self._settings.parents, int(np.isfinite(belief.mean).sum()))
        places: list[int] = order[:most].tolist()
        return places

    def _parent(
        self, best: Sequence[int], breeding: Breeding, rng: Generator, prompt: Prompt
    ) -> Parent | None:
        away = breeding.excursion
        starting = away is not None and not len(away)
        if best and (rng.random() < self._settings.unscored_share or starting):
            place = best[int(rng.random() * len(best))]
            made = self._made[place]
            return Parent(made.text, made.parents, made.score)
        if away is not None and len(away):
            rank = log_rank(len(away), breeding.rank_exponents, rng)
            return Parent.measured(self._history.at(away.ranked(rank)))
        if self._history.scored:
            rank = log_rank(self._history.scored, breeding.rank_exponents, rng)
            return Parent.measured(self._history.ranked(rank))
        if prompt.exemplars:
            return Parent.measured(prompt.exemplars[int(rng.integers(len(prompt.exemplars)))])
        return None

    def _add(self, made: Sequence[Made]) -> None:
        places, features = readable([one.text for one in made], self._features)
        if features is None:
            return
        first = len(self._made)
        self._followed.add(features)
        means = self._followed.belief.mean[first:]
        for place, mean in zip(places, means, strict=True):
            one = made[place]._replace(score=float(mean))
            self._place[one.text] = len(self._made)
            self._made.append(one)
            self._seen.add(one.text)
        self._living = np.concatenate([self._living, np.ones(len(places), dtype=bool)])
        born = np.full(len(places), self._history.judged)
        self._born = np.concatenate([self._born, born])

    def _cut_back(self, excursion: Excursion | None) -> None:
        """Keep the most promising, in the order in which they were made.

        On an excursion, up to half of them from where it is, which could not stay otherwise.
        """
        belief = self.belief
        order = by_upper_confidence(belief.mean, belief.deviation, _CUT_BETA)
        if excursion is not None:
            there = (self._living & self._allowed(excursion))[order]
            there &= np.cumsum(there) <= self._settings.size // 2
            order = np.concatenate([order[there], order[~there]])
        kept: NDArray[np.int64] = np.sort(order[: min(self._settings.size, self.living)])
        staying = {self._made[place].text for place in kept}
        # What is cut may be made again; what was judged may not.
        self._seen -= self._place.keys() - staying
        self._followed.keep(kept)
        self._born = self._born[kept]
        self._allowed_there = self._allowed_there[kept[kept < len(self._allowed_there)]]
        self._made = [self._made[place] for place in kept]
        self._living = np.ones(len(kept), dtype=bool)
        self._place = {one.text: place for place, one in enumerate(self._made)}
