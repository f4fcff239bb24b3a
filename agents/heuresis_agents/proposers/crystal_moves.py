"""Proposer ``crystal-moves``: substitution, exchange, strain and ordering of crystals, no learning.

Ion substitution into known structures is the baseline that generators of crystals have to beat. Its
parents are the exemplars of the prompt; without exemplars it fills common structure types with the
elements that the space allows, or draws from a library.

Crystals of one skeleton (same group, same elements on the same positions, much the same shape of
the cell) mostly relax to the same, however large they are written. So a child with the skeleton of
a parent, of a candidate in flight or of one that was observed is drawn again, and so are children
that the space refuses; only when a place stays empty after many tries is a refused child returned,
so that the funnel can count the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, model_validator

from heuresis.errors import InvalidCandidate, UserError
from heuresis.plugin import PluginConfig
from heuresis.ports import DesignSpace
from heuresis.records import Observation, Prompt, Proposal
from heuresis.spaces.crystals.errors import CrystalTextError
from heuresis.spaces.crystals.text import read_text
from heuresis_agents.libraries import LibraryFile, library_texts

if TYPE_CHECKING:
    from numpy.random import Generator

    from heuresis_agents.crystal_moves.moves import Child, CrystalMoves

TRIES_PER_PROPOSAL = 30
DEFAULT_ELEMENT_COUNT = (1, 5)
DEFAULT_MOST_ATOMS = 40
_SHAPE_STEPS = 10
_COORDINATE_STEPS = 50
"""Free coordinates that differ by less than about 0.05 are taken for the same."""


class CrystalMovesConfig(PluginConfig):
    """Shares of the kinds of move, and where to begin; of shares only ratios count."""

    substitute: float = Field(
        4.0, ge=0.0, description="one element by a similar one of the same charge"
    )
    cosubstitute: float = Field(
        2.0, ge=0.0, description="two elements by two of other charges that balance again"
    )
    swap: float = Field(1.0, ge=0.0, description="two elements, or two orbits, change places")
    strain: float = Field(1.0, ge=0.0, description="cell and free coordinates change a little")
    order: float = Field(
        1.5, ge=0.0, description="half the sites of an element by a similar one, in a supercell"
    )
    transfer: float = Field(
        2.5, ge=0.0, description="the elements of one crystal in the structure of another"
    )
    random_start: float = Field(
        0.1,
        ge=0.0,
        le=1.0,
        description="share of children begun from a structure type although there are exemplars;"
        " 1: nothing is bred, for a control arm",
    )
    library: LibraryFile | None = Field(
        None, description="file of crystal texts to begin from, too; default: built-in types alone"
    )

    @model_validator(mode="after")
    def _something_is_done(self) -> Self:
        shares = (self.substitute, self.cosubstitute, self.swap, self.strain, self.order)
        if not sum(shares) + self.transfer and self.random_start < 1.0:
            raise ValueError("all shares of moves are 0; set one of them, or random_start: 1")
        return self


class CrystalMovesProposer:
    """Edits crystals and fills structure types; implements `Proposer`, `Observer`, `Preparable`.

    Deterministic given the generator. Operators are ``mutate:MOVE``, and ``start:TYPE`` for a
    filled structure type, which has no parents.

    Raises:
        UserError: the space holds no crystals, or no built-in type has as many elements as it asks.
    """

    Config: ClassVar[type[CrystalMovesConfig]] = CrystalMovesConfig

    def __init__(self, config: CrystalMovesConfig, space: DesignSpace) -> None:
        self.check_space(config, space)
        self.config = config
        self._space = space
        self._prepared: CrystalMoves | None = None
        self._observed: set[str] = set()

    @classmethod
    def check_space(cls, config: CrystalMovesConfig, space: DesignSpace) -> None:
        """Refuse spaces of other kinds."""
        del config
        if space.kind != "crystal":
            raise UserError(f"crystal-moves edits crystals; the space is '{space.kind}'")

    def prepare(self) -> None:
        """Read tables, structure types and the library."""
        self._moves()

    def _moves(self) -> CrystalMoves:
        from heuresis.spaces.crystals.rules import USUAL_ELEMENTS
        from heuresis_agents.crystal_moves.moves import CrystalMoves, MoveShares

        if self._prepared is None:
            config, rules = self.config, _rules(self._space)
            shares = MoveShares(**{name: getattr(config, name) for name in MoveShares._fields})
            self._prepared = CrystalMoves(
                getattr(rules, "elements", USUAL_ELEMENTS),
                getattr(rules, "require_elements", ()),
                getattr(rules, "element_count", DEFAULT_ELEMENT_COUNT),
                getattr(rules, "atoms", (1, DEFAULT_MOST_ATOMS))[1],
                shares if sum(shares) else MoveShares(),
                library_texts(config.library, "crystal") if config.library else (),
            )
        return self._prepared

    def observe(self, news: Sequence[Observation]) -> None:
        """Take note of the skeletons that need not be proposed again, whoever proposed them."""
        self._observed.update(skeleton(told.candidate.text) for told in news)

    def offspring(
        self, draw: Callable[[Generator], str], count: int, rng: Generator, known: Set[str]
    ) -> list[Child]:
        """Return up to ``count`` canonical children of parents that ``draw`` returns.

        For who chooses parents by a rule of its own. What the space refuses is left out.
        """
        children = []
        taken = set(known)
        for child in self._moves().offspring(draw, count, rng, known):
            try:
                text = self._space.canonical(child.text)
            except InvalidCandidate:
                continue
            if text not in taken:
                taken.add(text)
                children.append(child._replace(text=text))
        return children

    def propose(self, prompt: Prompt, count: int, rng: Generator) -> list[Proposal]:
        """Return up to ``count`` children, all different, none in flight and none a parent."""
        moves = self._moves()
        ids = {member.candidate.text: member.candidate.id for member in prompt.exemplars}
        parents = [text for text in ids if moves.readable(text)]
        taken = ids.keys() | set(prompt.in_flight)
        skeletons = self._observed | {skeleton(text) for text in taken}
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
                if text not in taken and skeleton(text) not in skeletons:
                    taken.add(text)
                    skeletons.add(skeleton(text))
                    proposals.append(_proposal(child._replace(text=text), ids))
                    break
            else:
                if refused is not None and refused.text not in taken:
                    taken.add(refused.text)
                    proposals.append(_proposal(refused, ids))
        return proposals

    def _child(self, moves: CrystalMoves, parents: list[str], rng: Generator) -> Child | None:
        if not parents or rng.random() < self.config.random_start:
            return moves.started(rng)
        first = int(rng.integers(len(parents)))
        partner = None
        if len(parents) > 1:
            partner = parents[(first + 1 + int(rng.integers(len(parents) - 1))) % len(parents)]
        return moves.changed(parents[first], partner, rng)


def skeleton(text: str) -> str:
    """Return what is left of a crystal when its size, and small shifts of its sites, are forgotten.

    An unreadable text is its own skeleton.
    """
    try:
        crystal = read_text(text)
    except CrystalTextError:
        return text
    first = crystal.lattice[0]
    shape = [round(_SHAPE_STEPS * step / first) for step in crystal.lattice[1:]]
    sites = [
        f"{orbit.element}{orbit.letter}{[round(step / _COORDINATE_STEPS) for step in orbit.steps]}"
        for orbit in crystal.orbits
    ]
    return f"{crystal.number} {shape} {sites}"


def _rules(space: DesignSpace) -> Any:
    return getattr(space, "config", None)


def _proposal(child: Child, ids: dict[str, str]) -> Proposal:
    return Proposal(
        text=child.text,
        operator=child.operator,
        parents=tuple(ids[parent] for parent in child.parents),
    )
