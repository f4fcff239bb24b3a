"""Proposer ``graph-moves``: mutation and crossover on molecular graphs, no learning.

A strong baseline that needs no training, and a source of small steps beside the language model's
larger ones. Its parents are the exemplars of the prompt; without exemplars it starts from a short
list of common scaffolds.
"""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.random import Generator
from pydantic import Field

from heuresis.errors import UserError
from heuresis.plugin import PluginConfig
from heuresis.ports import DesignSpace
from heuresis.records import Prompt, Proposal

TRIES_PER_PROPOSAL = 30
DEFAULT_ELEMENTS = {"C": 40, "N": 18, "O": 18, "F": 8, "S": 6, "Cl": 4, "Br": 2, "P": 1}
"""Weights by which new atoms are drawn; those that the space forbids are left out."""


class GraphMovesConfig(PluginConfig):
    """Shares of the two kinds of move."""

    crossover_share: float = Field(
        0.4, ge=0.0, le=1.0, description="share of children with two parents, if there are two"
    )
    further_mutation: float = Field(
        0.25, ge=0.0, lt=1.0, description="probability of each mutation after the first"
    )


class GraphMoves:
    """Implements `Proposer`. Deterministic given the generator.

    Operators are ``crossover`` and ``mutate:MOVE``, where MOVE is the first of the edits.
    """

    Config: ClassVar[type[GraphMovesConfig]] = GraphMovesConfig

    def __init__(self, config: GraphMovesConfig, space: DesignSpace) -> None:
        if space.kind != "molecule":
            raise UserError(f"graph-moves edits molecules; the space is '{space.kind}'")
        self.config = config
        # A space may say which elements it allows; one that does not is asked by trial.
        allowed = getattr(getattr(space, "config", None), "elements", None)
        self._elements = {
            e: float(w) for e, w in DEFAULT_ELEMENTS.items() if allowed is None or e in allowed
        } or {"C": 1.0}

    def propose(self, prompt: Prompt, count: int, rng: Generator) -> list[Proposal]:
        """Return up to ``count`` children, all different, none in flight and none a parent."""
        from heuresis_agents.graph_moves.fragments import STARTING_MOLECULES

        parents = [(m.candidate.id, m.candidate.text) for m in prompt.exemplars] or [
            ("", text) for text in STARTING_MOLECULES
        ]
        taken = {text for _, text in parents} if prompt.exemplars else set()
        taken.update(prompt.in_flight)
        children: list[Proposal] = []
        for _ in range(count):
            for _ in range(TRIES_PER_PROPOSAL):
                child = self._child(parents, rng)
                if child is not None and child.text not in taken:
                    taken.add(child.text)
                    children.append(child)
                    break
        return children

    def _child(self, parents: list[tuple[str, str]], rng: Generator) -> Proposal | None:
        from heuresis_agents.graph_moves.chemistry import editable, finished
        from heuresis_agents.graph_moves.crossover import crossover
        from heuresis_agents.graph_moves.mutations import pick

        if len(parents) > 1 and rng.random() < self.config.crossover_share:
            first, second = (parents[int(i)] for i in rng.choice(len(parents), 2, replace=False))
            graphs = editable(first[1]), editable(second[1])
            if graphs[0] is None or graphs[1] is None:
                return None
            child = crossover(graphs[0], graphs[1], rng)
            text = finished(child) if child is not None else None
            return self._proposal(text, "crossover", first[0], second[0])
        parent = pick(parents, rng)
        graph = editable(parent[1])
        if graph is None:
            return None
        operator = self._mutate(graph, rng)
        return self._proposal(finished(graph) if operator else None, operator, parent[0])

    def _mutate(self, graph: Any, rng: Generator) -> str:
        """Edit the graph in place; return the operator's name, empty if no edit found a place."""
        from heuresis_agents.graph_moves.mutations import MUTATIONS

        names = list(MUTATIONS)
        weights = [MUTATIONS[name][0] for name in names]
        shares = [weight / sum(weights) for weight in weights]
        operator = ""
        while True:
            name = str(rng.choice(names, p=shares))
            if MUTATIONS[name][1](graph, rng, self._elements) and not operator:
                operator = f"mutate:{name}"
            if not operator or rng.random() >= self.config.further_mutation:
                return operator
            graph.UpdatePropertyCache(strict=False)

    @staticmethod
    def _proposal(text: str | None, operator: str, *parents: str) -> Proposal | None:
        if text is None:
            return None
        return Proposal(text=text, operator=operator, parents=tuple(p for p in parents if p))
