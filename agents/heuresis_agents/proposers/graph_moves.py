"""Proposer ``graph-moves``: mutation and crossover on molecular graphs, no learning.

A strong baseline that needs no training, and a source of small steps beside the language model's
larger ones. Its parents are the exemplars of the prompt; without exemplars it grows molecules from
a short list of common scaffolds.

Children that the space refuses are drawn again, since trying costs a millisecond; only when a place
stays empty after many tries is a refused child returned, so that the funnel can count the reason.
"""

from __future__ import annotations

from bisect import bisect
from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from heuresis.errors import InvalidCandidate, UserError
from heuresis.plugin import PluginConfig
from heuresis.ports import DesignSpace
from heuresis.records import Prompt, Proposal

if TYPE_CHECKING:
    from numpy.random import Generator
    from rdkit.Chem import RWMol

TRIES_PER_PROPOSAL = 30
DEFAULT_ELEMENTS = {"C": 40, "N": 18, "O": 18, "F": 8, "S": 6, "Cl": 4, "Br": 2, "P": 1}
"""Weights by which new atoms are drawn; those that the space forbids are left out."""
RARE_ELEMENT_WEIGHT = 1.0
"""Weight of an element that only the space names."""
START_HEAVY_ATOMS = (8, 30)
"""Sizes of grown molecules, as far as the space allows them."""


class GraphMovesConfig(PluginConfig):
    """Shares of the kinds of move."""

    crossover_share: float = Field(
        0.4, ge=0.0, le=1.0, description="share of children with two parents, if there are two"
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


class GraphMoves:
    """Implements `Proposer`. Deterministic given the generator.

    Operators are ``crossover``, ``mutate:MOVE``, where MOVE is the first of the edits, and
    ``start`` for a molecule grown from a scaffold, which has no parents.

    Raises:
        UserError: the space holds no molecules, or allows only elements that no edit knows.
    """

    Config: ClassVar[type[GraphMovesConfig]] = GraphMovesConfig

    def __init__(self, config: GraphMovesConfig, space: DesignSpace) -> None:
        from heuresis_agents.graph_moves.mutations import VALENCE

        if space.kind != "molecule":
            raise UserError(f"graph-moves edits molecules; the space is '{space.kind}'")
        self.config = config
        self._space = space
        # A space may say what it allows; one that does not is asked by trial.
        rules = getattr(space, "config", None)
        allowed = getattr(rules, "elements", tuple(DEFAULT_ELEMENTS))
        self._elements = {
            element: float(DEFAULT_ELEMENTS.get(element, RARE_ELEMENT_WEIGHT))
            for element in allowed
            if element in VALENCE
        }
        if not self._elements:
            raise UserError(
                f"graph-moves can place {', '.join(VALENCE)}; the space allows only"
                f" {', '.join(allowed)}; allow one of those or use another proposer"
            )
        least, most = getattr(rules, "heavy_atoms", START_HEAVY_ATOMS)
        self._start_sizes = (
            min(max(least, START_HEAVY_ATOMS[0]), most),
            max(min(most, START_HEAVY_ATOMS[1]), least),
        )

    def propose(self, prompt: Prompt, count: int, rng: Generator) -> list[Proposal]:
        """Return up to ``count`` children, all different, none in flight and none a parent."""
        from heuresis_agents.graph_moves.chemistry import editable

        parents = [
            (member.candidate.id, graph)
            for member in prompt.exemplars
            if (graph := editable(member.candidate.text)) is not None
        ]
        taken = {member.candidate.text for member in prompt.exemplars} | set(prompt.in_flight)
        children: list[Proposal] = []
        for _ in range(count):
            refused = None
            for _ in range(TRIES_PER_PROPOSAL):
                child = self._child(parents, rng)
                if child is None:
                    continue
                try:
                    text = self._space.canonical(child.text)
                except InvalidCandidate:
                    refused = child
                    continue
                if text not in taken:
                    taken.add(text)
                    children.append(child.model_copy(update={"text": text}))
                    break
            else:
                if refused is not None and refused.text not in taken:
                    taken.add(refused.text)
                    children.append(refused)
        return children

    def _child(self, parents: list[tuple[str, RWMol]], rng: Generator) -> Proposal | None:
        """Make one child, or None when the moves that were drawn led nowhere."""
        from rdkit.Chem import RWMol

        from heuresis_agents.graph_moves.chemistry import finished, largest_ring
        from heuresis_agents.graph_moves.crossover import crossover
        from heuresis_agents.graph_moves.mutations import pick

        if not parents or rng.random() < self.config.random_start:
            start = self._start(rng)
            text = finished(start) if start is not None else None
            return Proposal(text=text, operator="start") if text is not None else None
        if len(parents) > 1 and rng.random() < self.config.crossover_share:
            index = int(rng.integers(len(parents)))
            other = (index + 1 + int(rng.integers(len(parents) - 1))) % len(parents)
            chosen = [parents[index], parents[other]]
            graph = crossover(RWMol(chosen[0][1]), RWMol(chosen[1][1]), rng)
            operator = "crossover"
        else:
            chosen = [pick(parents, rng)]
            graph = RWMol(chosen[0][1])
            operator = self._mutate(graph, rng)
        if graph is None or not operator:
            return None
        text = finished(graph, largest=max(largest_ring(parent) for _, parent in chosen))
        if text is None:
            return None
        return Proposal(text=text, operator=operator, parents=tuple(name for name, _ in chosen))

    def _mutate(self, graph: RWMol, rng: Generator) -> str:
        """Edit the graph in place; return the operator's name, empty if no edit found a place."""
        from heuresis_agents.graph_moves.mutations import MUTATIONS

        names = list(MUTATIONS)
        cumulative = list(accumulate(MUTATIONS[name][0] for name in names))
        operator = ""
        for _ in range(self.config.max_mutations):
            name = names[bisect(cumulative, rng.random() * cumulative[-1])]
            if MUTATIONS[name][1](graph, rng, self._elements) and not operator:
                operator = f"mutate:{name}"
            if not operator or rng.random() >= self.config.further_mutation:
                break
            graph.UpdatePropertyCache(strict=False)
        return operator

    def _start(self, rng: Generator) -> RWMol | None:
        """Grow a molecule to a size that the space allows, from a scaffold or a single atom."""
        from heuresis_agents.graph_moves.chemistry import editable
        from heuresis_agents.graph_moves.fragments import STARTING_MOLECULES
        from heuresis_agents.graph_moves.mutations import (
            append_atom,
            attach_fragment,
            built_from,
            pick,
        )

        smallest, greatest = self._start_sizes
        scaffolds = built_from(STARTING_MOLECULES, frozenset(self._elements), greatest)
        atoms = ["[SiH4]" if element == "Si" else element for element in self._elements]
        graph = editable(pick(scaffolds or atoms, rng))
        size = int(rng.integers(smallest, greatest + 1))
        for _ in range(size):
            if graph is None or graph.GetNumAtoms() >= size:
                break
            grow = attach_fragment if rng.random() < 0.5 else append_atom
            grow(graph, rng, self._elements)
            graph.UpdatePropertyCache(strict=False)
        if graph is not None:
            self._mutate(graph, rng)
        return graph
