"""Who makes candidates: any registered proposer, shown the parents that the search chose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, runtime_checkable

from heuresis.ports import Trainable
from heuresis.records import Candidate, Prompt, ScoredCandidate
from heuresis.registry import PROPOSERS, load
from heuresis_agents.guided.choice import canonical_or_none

if TYPE_CHECKING:
    from numpy.random import Generator

    from heuresis.ports import DesignSpace, Proposer
    from heuresis_agents.graph_moves.moves import Child
    from heuresis_agents.guided.history import History
    from heuresis_agents.guided.settings import SourceSettings


_MOST_PARENTS = 2
_UNSCORED = "unscored"
"""Stands for the space in the ids of candidates that nobody measured; they never leave here."""


class Parent(NamedTuple):
    """What children are made of."""

    text: str
    roots: tuple[str, ...]
    """Ids of the measured candidates that it is, or descends from."""
    score: float
    """Measured, or expected."""

    @classmethod
    def measured(cls, candidate: ScoredCandidate) -> Parent:
        """Return a candidate that was measured as a parent."""
        return cls(candidate.candidate.text, (candidate.candidate.id,), candidate.score)


class Made(NamedTuple):
    """A candidate that nobody measured."""

    text: str
    operator: str
    parents: tuple[str, ...]
    """Ids of measured candidates, however many edits lie between."""
    score: float = 0.0
    """What was expected of it when it was made."""
    log_likelihood: float | None = None
    source: int = 0
    """Place of who made it among the sources."""


@runtime_checkable
class Breeder(Protocol):
    """What ``graph-moves`` offers beside `Proposer`: each child draws parents of its own."""

    def offspring(
        self, draw: Callable[[Generator], str], count: int, rng: Generator, known: Set[str]
    ) -> Sequence[Child]:
        """Return up to ``count`` children, all different and none of them known."""
        ...


NO_QUESTION: Final = Prompt(island=0, epoch=0)
"""What sources are shown while nobody asks: parents, and nothing else."""


class Source:
    """One proposer with its share.

    Args:
        settings: see `SourceSettings`.
        proposer: what they describe.
        space: says what its texts are.
    """

    def __init__(self, settings: SourceSettings, proposer: Proposer, space: DesignSpace) -> None:
        self.share = settings.share
        self.every = settings.every
        self._lessons = settings.lessons
        self._most_parents = settings.parents
        self._proposer = proposer
        self._space = space
        self._breeder = proposer if isinstance(proposer, Breeder) else None

    @property
    def model_version(self) -> str | None:
        """Weights of the model that it writes with now; None: it has none."""
        version: str | None = getattr(self._proposer, "model_version", None)
        return version

    def lesson_due(self, judged: int) -> bool:
        """Tell whether it learns when so many were judged."""
        return self._lessons is not None and judged % self._lessons.every == 0

    def learn(self, history: History, rng: Generator) -> None:
        """Let it take a learning step on the best that are known."""
        assert self._lessons is not None
        assert isinstance(self._proposer, Trainable)
        count = min(self._lessons.examples, history.scored)
        self._proposer.learn([history.ranked(rank) for rank in range(count)], rng)

    def children(
        self,
        prompt: Prompt,
        draw: Callable[[Generator], Parent | None],
        count: int,
        rng: Generator,
        known: Set[str],
    ) -> list[Made]:
        """Ask for children of parents that ``draw`` returns; without any, for a fresh start."""
        first = draw(rng)
        if first is None or self._breeder is None:
            return self._asked(prompt, first, draw, count, rng)
        drawn: dict[str, tuple[str, ...]] = {}

        def text(rng: Generator) -> str:
            parent = draw(rng) or first
            drawn[parent.text] = parent.roots
            return parent.text

        return [
            Made(child.text, child.operator, _roots(drawn[parent] for parent in child.parents))
            for child in self._breeder.offspring(text, count, rng, known)
        ]

    def _asked(
        self,
        prompt: Prompt,
        first: Parent | None,
        draw: Callable[[Generator], Parent | None],
        count: int,
        rng: Generator,
    ) -> list[Made]:
        """Show some parents, best last, as the exemplars of the port `Proposer`."""
        parents = {first.text: first} if first is not None else {}
        for _ in range(min(count, self._most_parents) - 1 if parents else 0):
            parent = draw(rng)
            if parent is not None:
                parents.setdefault(parent.text, parent)
        shown = sorted(parents.values(), key=lambda parent: parent.score)
        exemplars = tuple(
            ScoredCandidate(candidate=Candidate.of(_UNSCORED, parent.text), score=parent.score)
            for parent in shown
        )
        roots = {
            exemplar.candidate.id: parent.roots
            for exemplar, parent in zip(exemplars, shown, strict=True)
        }
        asked = prompt.model_copy(update={"exemplars": exemplars})
        made = []
        for one in self._proposer.propose(asked, count, rng):
            # One candidate is one text here, or it would be ranked again after it was measured.
            text = canonical_or_none(self._space, one.text)
            if text is not None:
                parents_of = _roots(roots.get(parent, (parent,)) for parent in one.parents)
                made.append(Made(text, one.operator, parents_of, log_likelihood=one.log_likelihood))
        return made


def _roots(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(root for group in groups for root in group))[:_MOST_PARENTS]


def make_sources(settings: Sequence[SourceSettings], space: DesignSpace) -> list[Source]:
    """Build the proposers.

    Raises:
        UserError: one cannot work in this space.
    """
    return [Source(one, load(PROPOSERS, one.kind)(one.checked(), space), space) for one in settings]
