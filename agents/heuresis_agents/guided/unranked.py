"""Children that are proposed as they come: what guided search does on a plateau.

A smooth surrogate believes that a plateau goes on, and has hundreds of candidates that are as good
as the best. A random child of a good parent is a gain there more often than one that was ranked. So
most proposals are such children while nothing is gained: of the best of the campaign, and of a
population that nobody ever ranked (`Population`); on an excursion that stands still, of its best.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from heuresis.randomness import random_generator
from heuresis.records import Proposal
from heuresis_agents.guided.choice import Taken, canonical_or_none
from heuresis_agents.guided.history import History, even_log_rank
from heuresis_agents.guided.population import Population
from heuresis_agents.guided.sources import NO_QUESTION, Made, Parent, Source

if TYPE_CHECKING:
    from numpy.random import Generator

    from heuresis.ports import DesignSpace
    from heuresis.records import Prompt
    from heuresis.spaces.features import Features
    from heuresis_agents.guided.excursion import Excursion
    from heuresis_agents.guided.settings import UnrankedSettings

_FOUNDERS: Final = 100
"""The first measurements, from which a population descends that nobody ranks."""
_TRIES: Final = 3
"""How often sources are asked that give too little."""


class Unranked:
    """Proposes children without asking the surrogate, and says when.

    Args:
        settings: see `UnrankedSettings`; None: it never does.
        sources: all of the search; those that answer at once make the children.
        space: says what texts are.
        history: what is known.
        features: computes features of texts.
    """

    def __init__(
        self,
        settings: UnrankedSettings | None,
        sources: Sequence[Source],
        space: DesignSpace,
        history: History,
        features: Callable[[Sequence[str]], Features],
    ) -> None:
        self._sources = [source for source in sources if source.every == 1]
        shares = np.array([source.share for source in self._sources])
        self._shares = shares / shares.sum()
        settings = settings if self._sources else None
        self._settings = settings
        self._space = space
        self._history = history
        self._features = features
        self._population = (
            Population(history, settings.parents, _FOUNDERS)
            if settings is not None and settings.population_share
            else None
        )

    def share(self, excursion: Excursion | None) -> float:
        """Return the share of proposals that are not ranked now.

        Args:
            excursion: where the search is; None: at home.
        """
        settings = self._settings
        if settings is None:
            return 0.0
        where = self._history if excursion is None else excursion
        return settings.share if where.stands_still(settings.patience, settings.gain) else 0.0

    def judged(self, text: str, score: float | None, excursion: Excursion | None) -> None:
        """Take note of what was judged, and make children if there is a use for them now.

        Args:
            text: of the candidate; the history knows it already.
            score: of it; None: it has none.
            excursion: where the search is; None: at home.
        """
        population, history = self._population, self._history
        if population is None:
            return
        population.judged(text, score)
        if excursion is None and self.share(excursion):
            assert history.first is not None
            rng = random_generator(int(history.first, 16), "population", history.judged)
            population.breed(self._children, rng)

    def proposals(
        self,
        prompt: Prompt,
        count: int,
        taken: Taken,
        excursion: Excursion | None,
        rng: Generator,
    ) -> list[Proposal]:
        """Return as many of ``count`` proposals as are not ranked now; they are taken."""
        settings, share = self._settings, self.share(excursion)
        if settings is None or not share:
            return []
        wanted = int((rng.random(count) < share).sum())
        chosen: list[Proposal] = []
        if excursion is None and self._population is not None:
            of_population = int((rng.random(wanted) < settings.population_share).sum())
            for made in self._population.newest():
                if len(chosen) == of_population:
                    break
                if made.text not in taken:
                    taken.add(made.text)
                    chosen.append(_as_it_came(made, made.text, "population"))
        draw = self._parents(settings.parents, excursion)
        for _ in range(_TRIES):
            if len(chosen) == wanted:
                break
            missing = wanted - len(chosen)
            known = self._history.known
            for made in self._any(rng).children(prompt, draw, missing, rng, known):
                text = canonical_or_none(self._space, made.text)
                if text is not None and text not in taken and self._is_there(text, excursion):
                    taken.add(text)
                    chosen.append(_as_it_came(made, text, "unranked"))
        return chosen

    def _parents(self, most: int, excursion: Excursion | None) -> Callable[[Generator], Parent]:
        history = self._history
        best = min(most, history.scored if excursion is None else len(excursion))

        def draw(rng: Generator) -> Parent:
            rank = even_log_rank(best, rng)
            return Parent.measured(
                history.ranked(rank) if excursion is None else history.at(excursion.ranked(rank))
            )

        return draw

    def _is_there(self, text: str, excursion: Excursion | None) -> bool:
        return excursion is None or bool(excursion.allows(self._features([text])).all())

    def _any(self, rng: Generator) -> Source:
        return self._sources[int(rng.choice(len(self._sources), p=self._shares))]

    def _children(
        self, draw: Callable[[Generator], Parent], count: int, rng: Generator
    ) -> list[Made]:
        made = self._any(rng).children(NO_QUESTION, draw, count, rng, self._history.known)
        texts = [(one, canonical_or_none(self._space, one.text)) for one in made]
        return [one._replace(text=text) for one, text in texts if text is not None]


def _as_it_came(made: Made, text: str, whose: str) -> Proposal:
    return Proposal(
        text=text,
        operator=f"{whose}:{made.operator}",
        parents=made.parents,
        log_likelihood=made.log_likelihood,
    )
