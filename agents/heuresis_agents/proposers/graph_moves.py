"""Proposer ``graph-moves``: mutation and crossover on molecular graphs, no learning.

A strong baseline that needs no training, and a source of small steps beside the language model's
larger ones. Its parents are the exemplars of the prompt; without exemplars it grows molecules from
a short list of common scaffolds.

Children that the space refuses are drawn again, since trying costs a millisecond; only when a place
stays empty after many tries is a refused child returned, so that the funnel can count the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from heuresis.errors import InvalidCandidate, UserError
from heuresis.plugin import PluginConfig
from heuresis.ports import DesignSpace
from heuresis.records import Prompt, Proposal
from heuresis_agents.libraries import LibraryFile

if TYPE_CHECKING:
    from numpy.random import Generator

    from heuresis_agents.graph_moves.moves import Child, MoleculeMoves, MoveShares

TRIES_PER_PROPOSAL = 30
DEFAULT_ELEMENTS = {"C": 40, "N": 18, "O": 18, "F": 8, "S": 6, "Cl": 4, "Br": 2, "P": 1}
"""Weights by which new atoms are drawn; those that the space forbids are left out."""
RARE_ELEMENT_WEIGHT = 1.0
"""Weight of an element that only the space names."""
DEFAULT_HEAVY_ATOMS = (1, 60)
"""Sizes of children where the space names no limits."""


def moves_in(
    space: DesignSpace, fragments: str | None = None, shares: MoveShares | None = None
) -> MoleculeMoves:
    """Return moves that keep to the elements and sizes of a space of molecules.

    Args:
        space: a space may say what it allows in ``config.elements`` and ``config.heavy_atoms``; one
            that does not is asked by trial.
        fragments: path of a library to take fragments from; None: the built-in list.
        shares: how often what is done.

    Raises:
        UserError: the space allows only elements that no edit knows, or the library is unreadable
            or holds nothing of these elements.
    """
    from heuresis_agents.graph_moves.fragments import fragments_of
    from heuresis_agents.graph_moves.moves import MoleculeMoves, placeable
    from heuresis_agents.libraries import library_texts

    weights = _weights(space)
    found = None
    if fragments is not None:
        found = fragments_of(library_texts(fragments), placeable(weights).values())
        if not found:
            raise UserError(
                f"the library '{fragments}' holds no molecule that is made of"
                f" {', '.join(weights)} alone and can be cut; name another library or none"
            )
    sizes = getattr(_rules(space), "heavy_atoms", DEFAULT_HEAVY_ATOMS)
    return MoleculeMoves(weights, sizes, found, shares)


def _rules(space: DesignSpace) -> Any:
    return getattr(space, "config", None)


def _weights(space: DesignSpace) -> dict[str, float]:
    """Return the elements that edits may place in this space, with their weights."""
    from heuresis_agents.graph_moves.moves import placeable

    allowed = getattr(_rules(space), "elements", tuple(DEFAULT_ELEMENTS))
    known = placeable(allowed)
    if not known:
        raise UserError(
            "graph-moves can place B, C, N, O, F, Si, P, S, Cl, Br and I; the space allows only"
            f" {', '.join(allowed)}; allow one of those or use another proposer"
        )
    return {e: float(DEFAULT_ELEMENTS.get(e, RARE_ELEMENT_WEIGHT)) for e in known}


class GraphMovesConfig(PluginConfig):
    """Shares of the kinds of move, and where fragments come from."""

    crossover_share: float = Field(
        0.5, ge=0.0, le=1.0, description="share of children with two parents, if there are two"
    )
    mutation_after_crossover: float = Field(
        0.2, ge=0.0, le=1.0, description="probability that a child of two parents is mutated, too"
    )
    further_mutation: float = Field(
        0.25, ge=0.0, lt=1.0, description="probability of each mutation after the first"
    )
    max_mutations: int = Field(4, ge=1, le=50, description="most mutations of one child")
    random_start: float = Field(
        0.02,
        ge=0.0,
        le=1.0,
        description="share of children grown from a scaffold although there are exemplars",
    )
    fragments: LibraryFile | None = Field(
        None,
        description="library of SMILES whose common fragments are attached; default: a short list",
    )


class GraphMoves:
    """Implements `Proposer` and `Preparable`. Deterministic given the generator.

    Operators are ``crossover``, ``mutate:MOVE``, where MOVE is the first of the edits, and
    ``start`` for a molecule grown from a scaffold, which has no parents.

    Raises:
        UserError: the space holds no molecules, or allows only elements that no edit knows.
    """

    Config: ClassVar[type[GraphMovesConfig]] = GraphMovesConfig

    def __init__(self, config: GraphMovesConfig, space: DesignSpace) -> None:
        if space.kind != "molecule":
            raise UserError(f"graph-moves edits molecules; the space is '{space.kind}'")
        _weights(space)
        self.config = config
        self._space = space
        self._prepared: MoleculeMoves | None = None

    def prepare(self) -> None:
        """Read the library and cut its fragments."""
        self._moves()

    def _moves(self) -> MoleculeMoves:
        from heuresis_agents.graph_moves.moves import MoveShares

        if self._prepared is None:
            config = self.config
            shares = MoveShares(
                crossover=config.crossover_share,
                mutation_after_crossover=config.mutation_after_crossover,
                further_mutation=config.further_mutation,
                max_mutations=config.max_mutations,
            )
            self._prepared = moves_in(self._space, config.fragments, shares)
        return self._prepared

    def offspring(
        self, draw: Callable[[Generator], str], count: int, rng: Generator, known: Set[str]
    ) -> list[Child]:
        """Return up to ``count`` children, each of parents that ``draw`` returns for it alone.

        For who chooses parents by a rule of its own; the space is not asked. See
        `MoleculeMoves.offspring`.
        """
        return self._moves().offspring(draw, count, rng, known)

    def propose(self, prompt: Prompt, count: int, rng: Generator) -> list[Proposal]:
        """Return up to ``count`` children, all different, none in flight and none a parent."""
        moves = self._moves()
        ids = {member.candidate.text: member.candidate.id for member in prompt.exemplars}
        parents = [text for text in ids if moves.readable(text)]
        taken = ids.keys() | set(prompt.in_flight)
        proposals: list[Proposal] = []
        for _ in range(count):
            refused: Child | None = None
            for _ in range(TRIES_PER_PROPOSAL):
                child = self._child(moves, parents, rng)
                if child is None or child.text in taken:
                    continue
                try:
                    text = self._space.canonical(child.text)
                except InvalidCandidate:
                    refused = child
                    continue
                if text not in taken:
                    taken.add(text)
                    proposals.append(_proposal(child._replace(text=text), ids))
                    break
            else:
                if refused is not None:
                    taken.add(refused.text)
                    proposals.append(_proposal(refused, ids))
        return proposals

    def _child(self, moves: MoleculeMoves, parents: list[str], rng: Generator) -> Child | None:
        """Make one child, or None when the moves that were drawn led nowhere."""
        if not parents or rng.random() < self.config.random_start:
            return moves.started(rng)
        first = int(rng.random() * len(parents))
        if len(parents) > 1 and rng.random() < self.config.crossover_share:
            other = (first + 1 + int(rng.random() * (len(parents) - 1))) % len(parents)
            return moves.crossed(parents[first], parents[other], rng)
        return moves.mutated(parents[first], rng)


def _proposal(child: Child, ids: dict[str, str]) -> Proposal:
    return Proposal(
        text=child.text,
        operator=child.operator,
        parents=tuple(ids[parent] for parent in child.parents),
    )
