"""Proposer ``guided-search``: makes far more candidates than are asked for and ranks them.

Its sources (graph moves, language models, any registered proposer) make children of what scored
well; a Gaussian process that has seen every measurement says what each may be worth; the most
promising by an upper confidence bound are proposed. It starts from a library, if there is one: a
few candidates at random, then those that the process finds most promising.

Sources that can learn do so while the history is told: their weights follow from it, too.

It works in any space with features. What it proposes depends on the history it was told, the
prompt, the count and the generator alone; everything it keeps in memory follows from the history.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from heuresis.errors import UserError
from heuresis.ports import DesignSpace, Featured
from heuresis.randomness import random_generator
from heuresis.records import Observation, Prompt, Proposal
from heuresis_agents.guided.choice import Choice, Choosing, Taken, canonical_or_none, choices
from heuresis_agents.guided.excursion import Excursion, Row, rows_of
from heuresis_agents.guided.history import History
from heuresis_agents.guided.makers import Makers
from heuresis_agents.guided.pool import Breeding, Pool
from heuresis_agents.guided.settings import BurstSettings, GuidedSearchConfig
from heuresis_agents.guided.sources import NO_QUESTION
from heuresis_agents.guided.unranked import Unranked

if TYPE_CHECKING:
    from numpy.random import Generator

    from heuresis.spaces.features import Features
    from heuresis_agents.guided.shelf import Shelf
    from heuresis_models.gaussian_process import SearchSurrogate

_TRIES = 3
"""How often sources are asked that give too little."""
_AVOIDED = 30
"""Candidates of earlier excursions that a new one keeps away from: the latest, ten excursions'."""
_OTHERS = 2_000
"""Measured candidates that an excursion looks through for a beginning, without a library: the best.
A bound, so that an excursion costs the same in a long campaign."""


class GuidedSearch:
    """Implements `Proposer` and `Observer`.

    Operators are those of the sources, ``library`` for a ranked and ``draw`` for a random line of
    the library, and ``control:OPERATOR`` for the share that is chosen without ranking.

    Args:
        config: see `GuidedSearchConfig`.
        space: with features.

    Raises:
        UserError: the space offers no features, or not those that the surrogate reads; a source is
            unknown, wrongly set or unfit for the space.
    """

    Config: ClassVar[type[GuidedSearchConfig]] = GuidedSearchConfig

    def __init__(self, config: GuidedSearchConfig, space: DesignSpace) -> None:
        from heuresis_agents.guided.shelf import Shelf
        from heuresis_agents.guided.sources import make_sources
        from heuresis_models.gaussian_process import SearchSurrogate

        self.config = config
        self._space = space
        self._featured = self.check_space(config, space)
        self._blocks = config.surrogate.blocks
        self._sources = make_sources(config.sources, space)
        self._shares = [source.share for source in self._sources]
        self._makers = Makers(self._shares, config.source_bandit)
        self._shelf = Shelf(config.library, space, self._features) if config.library else None
        self._surrogate: SearchSurrogate | None = None
        self._make_surrogate = SearchSurrogate
        self._pool: Pool | None = None
        self._excursion: Excursion | None = None
        self._avoided: list[Row] = []
        """Counts of the best of earlier excursions."""
        self._top_mean = -math.inf
        """Of the campaign when the excursion began."""
        self._left = self._returned = 0
        """How many were scored when the last excursion began, and when it ended."""
        self.history = History()
        # A control arm chooses evenly from the pool, always.
        unranked = config.unranked if config.ranking else None
        self._unranked = Unranked(unranked, self._sources, space, self.history, self._features)

    @classmethod
    def check_space(cls, config: GuidedSearchConfig, space: DesignSpace) -> Featured:
        """Return the space as one with features.

        Raises:
            UserError: it offers none, or not those that the surrogate reads.
        """
        if not isinstance(space, Featured):
            raise UserError(
                f"guided-search ranks by features, and the space '{space.kind}' offers none; use"
                " graph-moves or language-model, or a space with features, such as molecule"
            )
        unknown = sorted(set(config.surrogate.blocks) - set(space.feature_blocks))
        if unknown:
            raise UserError(
                f"the surrogate of guided-search reads the counts '{', '.join(unknown)}', which"
                f" the space '{space.kind}' does not offer; it offers"
                f" {', '.join(space.feature_blocks)}"
            )
        return space

    @property
    def model_version(self) -> str | None:
        """Weights of its sources now; what waits in the pool may have been written by older ones.

        None: no source has a model.
        """
        versions = [one.model_version for one in self._sources if one.model_version is not None]
        return ", ".join(versions) or None

    def observe(self, news: Sequence[Observation]) -> None:
        """Take note of what became of candidates, and think of new ones."""
        for told in news:
            scored = self.history.observe([told])
            pool = self._pool
            source = pool.judged(told.candidate.text) if pool is not None else None
            if scored:
                self._makers.measured(scored[0].score, source)
                features = self._features([told.candidate.text])
                self._fed().observe(features, [member.score for member in scored])
                own = source is not None
                self._go_or_return(features, scored[0].score, told.candidate.id, own=own)
            self._learn(told.candidate.id)
            self._think(told.candidate.id)
            score = scored[0].score if scored else None
            self._unranked.judged(told.candidate.text, score, self._excursion)

    def propose(self, prompt: Prompt, count: int, rng: Generator) -> list[Proposal]:
        """Return up to ``count`` canonical texts, none of them known, in flight or an exemplar."""
        exemplars = [member.candidate.text for member in prompt.exemplars]
        taken = Taken(self.history.known, [*prompt.in_flight, *exemplars])
        library = self.config.library
        if self._shelf is not None and library is not None:
            on_their_way = self.history.judged + len(prompt.in_flight)
            if not self.history.scored or on_their_way < library.random:
                texts = self._shelf.draw(count, taken, rng)
                return [Proposal(text=text, operator="draw") for text in texts]
            if self.history.judged < library.until:
                return self._from_shelf(self._shelf, count, taken, rng)
        chosen = self._unranked.proposals(prompt, count, taken, self._excursion, rng)
        if self._pool is not None and len(chosen) < count:
            chosen += self._from_pool(self._pool, count - len(chosen), taken, rng)
        if len(chosen) < count:
            chosen += self._made_now(prompt, count - len(chosen), taken, rng)
        return chosen

    def _from_shelf(self, shelf: Shelf, count: int, taken: Taken, rng: Generator) -> list[Proposal]:
        surrogate = self._fed()
        assert self.history.first is not None
        belief = surrogate.predict(shelf.open(self.history.first))
        chosen = choices(belief, shelf.text, taken, count, self._choosing(), rng)
        return [
            Proposal(text=choice.text, operator=_operator("library", choice)) for choice in chosen
        ]

    def _from_pool(self, pool: Pool, count: int, taken: Taken, rng: Generator) -> list[Proposal]:
        def text_of(place: int) -> str | None:
            return canonical_or_none(self._space, pool[place].text)

        belief = pool.belief_on(self._excursion)
        chosen = choices(belief, text_of, taken, count, self._choosing(), rng)
        return [
            Proposal(
                text=choice.text,
                operator=_operator(pool[choice.place].operator, choice),
                parents=pool[choice.place].parents,
                log_likelihood=pool[choice.place].log_likelihood,
            )
            for choice in chosen
        ]

    def _made_now(self, prompt: Prompt, count: int, taken: Taken, rng: Generator) -> list[Proposal]:
        """Make candidates for this question alone, because none are waiting."""
        pool = self._new_pool(keep=False)
        stage = self.config.stage(self.history.judged, self._burst())
        for _ in range(_TRIES):
            pool.breed(count * stage.candidates, stage.rounds, self._breeding(), rng, prompt)
            if len(pool) >= count:
                break
        return self._from_pool(pool, count, taken, rng)

    def _go_or_return(self, latest: Features, score: float, last: str, *, own: bool) -> None:
        """Begin an excursion, go on with it or end it, after one more score.

        Args:
            latest: features of who was scored.
            score: of it.
            last: id of it.
            own: it came from the pool.
        """
        bursts, history, away = self.config.bursts, self.history, self._excursion
        if bursts is None or bursts.most_alike is None:
            return
        if away is not None:
            away.measured(latest, history.scored - 1, score, own=own)
            if away.is_over(bursts, self._top_mean):
                self._avoided += rows_of(self._fed().shown(away.best), self._blocks[0])
                self._excursion, self._returned = None, history.scored
        elif history.stands_still(
            bursts.patience, bursts.gain
        ) and history.scored - self._returned >= max(bursts.length, self._returned - self._left):
            self._left = history.scored
            self._excursion = self._set_out(bursts, bursts.most_alike, last)
            self._top_mean = history.top_mean

    def _set_out(self, bursts: BurstSettings, most_alike: float, last: str) -> Excursion:
        surrogate, block = self._fed(), self._blocks[0]
        best = rows_of(surrogate.shown(self.history.best_places()), block)
        avoided = [*best, *self._avoided[-_AVOIDED:]]
        if self._shelf is None:
            # The others of the search are all there is to begin with.
            excursion = Excursion(block, avoided, most_alike)
            others = self.history.best_places(_OTHERS)
            scores = [self.history.at(place).score for place in others]
            excursion.admit(surrogate.shown(others), others, scores)
            return excursion
        assert self.history.first is not None
        excursion = Excursion(block, avoided, most_alike, born=self.history.judged)
        rng = random_generator(int(self.history.first, 16), f"excursion {last}", excursion.born)
        lines = self._shelf.sample(self.history.first, bursts.fresh, excursion.allows, rng)
        if self._pool is None:
            self._pool = self._new_pool(keep=True)
        self._pool.admit(lines, "library")
        return excursion

    def _learn(self, last: str) -> None:
        """Give sources the lessons that are due."""
        judged, library = self.history.judged, self.config.library
        if not self.history.scored or (library is not None and judged < library.until):
            return
        assert self.history.first is not None
        for place, source in enumerate(self._sources):
            if source.lesson_due(judged):
                stream = f"lesson {place} {last}"
                rng = random_generator(int(self.history.first, 16), stream, judged)
                source.learn(self.history, rng)

    def _think(self, last: str) -> None:
        """Make candidates for the pool, if it is time to."""
        judged, library = self.history.judged, self.config.library
        stage = self.config.stage(judged, self._burst())
        if (
            not self.history.scored
            or judged % stage.every
            or (library is not None and judged < library.until)
        ):
            return
        if self._pool is None:
            self._pool = self._new_pool(keep=True)
        assert self.history.first is not None
        rng = random_generator(int(self.history.first, 16), last, judged)
        count = round(
            stage.candidates * stage.every * (1.0 - self._unranked.share(self._excursion))
        )
        self._pool.breed(count, stage.rounds, self._breeding(), rng, NO_QUESTION, saving=True)

    def _new_pool(self, *, keep: bool) -> Pool:
        followed = self._fed().follow() if keep else self._fed().candidates()
        # What is made for one question alone leaves no trace.
        makers = self._makers if keep else Makers(self._shares, None)
        return Pool(self._sources, makers, self.history, self.config.pool, self._features, followed)

    def _breeding(self) -> Breeding:
        config, wider = self.config, self._wider()
        return Breeding(
            rank_exponents=wider.rank_exponents if wider else config.rank_exponents,
            beta_exponents=config.beta_exponents,
            beta_factor=wider.beta_factor if wider else 1.0,
            excursion=self._excursion,
        )

    def _choosing(self) -> Choosing:
        surrogate, wider = self._fed(), self._wider()
        return Choosing(
            ranked=self.config.ranking and surrogate.learned_points > 0 and surrogate.gate.open,
            control_share=self.config.control_share,
            beta_exponents=self.config.beta_exponents,
            beta_factor=wider.beta_factor if wider else 1.0,
            least_deviation=self.config.least_deviation,
            best=self.history.ranked(0).score if self.history.scored else -math.inf,
        )

    def _wider(self) -> BurstSettings | None:
        """Return how the search gets wider now; None: it does not, or goes on an excursion."""
        burst = self._burst()
        return burst if burst is not None and burst.most_alike is None else None

    def _burst(self) -> BurstSettings | None:
        bursts = self.config.bursts
        if bursts is not None and bursts.most_alike is not None:
            return bursts if self._excursion is not None else None
        return bursts if self.history.in_burst(bursts) else None

    def _fed(self) -> SearchSurrogate:
        """Return the surrogate; made with the first score, whose candidate opens the shelf."""
        if self._surrogate is None:
            reference = None
            if self._shelf is not None and self.history.first is not None:
                reference = self._shelf.open(self.history.first)
            self._surrogate = self._make_surrogate(self.config.surrogate, reference)
        return self._surrogate

    def _features(self, texts: Sequence[str]) -> Features:
        return self._featured.features(texts, self._blocks)


def _operator(name: str, choice: Choice) -> str:
    return f"control:{name}" if choice.control else name
