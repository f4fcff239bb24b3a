"""Who makes candidates: any registered proposer, shown the parents that the search chose."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from heuresis.records import Prompt, Proposal, ScoredCandidate
from heuresis.registry import PROPOSERS, load

if TYPE_CHECKING:
    from numpy.random import Generator

    from heuresis.ports import DesignSpace, Proposer
    from heuresis_agents.graph_moves.moves import Child
    from heuresis_agents.guided.settings import SourceSettings


@runtime_checkable
class Breeder(Protocol):
    """What ``graph-moves`` offers beside `Proposer`: each child draws parents of its own."""

    def offspring(
        self, draw: Callable[[Generator], str], count: int, rng: Generator, known: Set[str]
    ) -> Sequence[Child]:
        """Return up to ``count`` children, all different and none of them known."""
        ...


class Source:
    """One proposer with its share.

    Args:
        settings: see `SourceSettings`.
        proposer: what they describe.
    """

    def __init__(self, settings: SourceSettings, proposer: Proposer) -> None:
        self.share = settings.share
        self._most_parents = settings.parents
        self._proposer = proposer
        self._breeder = proposer if isinstance(proposer, Breeder) else None

    def children(
        self,
        prompt: Prompt,
        draw: Callable[[Generator], ScoredCandidate | None],
        count: int,
        rng: Generator,
        known: Set[str],
    ) -> list[Proposal]:
        """Ask for children of parents that ``draw`` returns; without any, for a fresh start."""
        first = draw(rng)
        if first is None or self._breeder is None:
            return self._asked(prompt, first, draw, count, rng)
        drawn: dict[str, str] = {}

        def text(rng: Generator) -> str:
            parent = draw(rng) or first
            drawn[parent.candidate.text] = parent.candidate.id
            return parent.candidate.text

        return [
            Proposal(
                text=child.text,
                operator=child.operator,
                parents=tuple(drawn[parent] for parent in child.parents),
            )
            for child in self._breeder.offspring(text, count, rng, known)
        ]

    def _asked(
        self,
        prompt: Prompt,
        first: ScoredCandidate | None,
        draw: Callable[[Generator], ScoredCandidate | None],
        count: int,
        rng: Generator,
    ) -> list[Proposal]:
        """Show some parents, best last, as the exemplars of the port `Proposer`."""
        parents = {first.candidate.id: first} if first is not None else {}
        for _ in range(min(count, self._most_parents) - 1 if parents else 0):
            parent = draw(rng)
            if parent is not None:
                parents.setdefault(parent.candidate.id, parent)
        shown = sorted(parents.values(), key=lambda parent: parent.score)
        asked = prompt.model_copy(update={"exemplars": tuple(shown)})
        return self._proposer.propose(asked, count, rng)


def make_sources(settings: Sequence[SourceSettings], space: DesignSpace) -> list[Source]:
    """Build the proposers.

    Raises:
        UserError: one cannot work in this space.
    """
    return [Source(one, load(PROPOSERS, one.kind)(one.checked(), space)) for one in settings]
