"""Children of molecules: texts in, texts out, nothing remembered but how parents were read."""

from __future__ import annotations

from bisect import bisect
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from numpy.random import Generator
from rdkit.Chem import GetPeriodicTable

from heuresis_agents.graph_moves.chemistry import editable, finished
from heuresis_agents.graph_moves.crossover import crossover
from heuresis_agents.graph_moves.fragments import STARTING_MOLECULES, Fragment, built_in
from heuresis_agents.graph_moves.graph import VALENCE, Graph
from heuresis_agents.graph_moves.mutations import (
    MUTATIONS,
    Stock,
    append_atom,
    pick,
    use_fragment,
)

PARENTS_REMEMBERED = 4_096
TRIES_PER_CHILD = 30
START_HEAVY_ATOMS = (8, 30)
"""Sizes of grown molecules, as far as the limits allow them."""
_NAMES = list(MUTATIONS)
_CUMULATIVE = list(accumulate(weight for weight, _ in MUTATIONS.values()))


class Child(NamedTuple):
    """A molecule that moves made.

    ``text`` is RDKit's canonical SMILES; ``parents`` are those of the texts given that it comes of.
    """

    text: str
    operator: str
    parents: tuple[str, ...]


@dataclass(frozen=True)
class MoveShares:
    """How often what is done; the defaults are those of the measured mixture."""

    crossover: float = 0.5
    """Share of children with two parents, if there are two."""
    mutation_after_crossover: float = 0.2
    """Probability that a child of two parents is mutated, too."""
    further_mutation: float = 0.25
    """Probability of each mutation after the first."""
    max_mutations: int = 4


class MoleculeMoves:
    """Makes children of molecules. What it returns depends on the arguments alone.

    A child costs a few tenths of a millisecond: graphs are edited as plain lists, and RDKit
    sanitises and writes each child once. A parent that is drawn often is read once.

    Args:
        elements: symbol → weight, with which new atoms are drawn; see `placeable`.
        heavy_atoms: least and most of a child.
        fragments: substituents; None: the short built-in list.
        shares: how often what is done.

    Raises:
        ValueError: there is no element that an edit can place.
    """

    def __init__(
        self,
        elements: Mapping[str, float],
        heavy_atoms: tuple[int, int] = (1, 60),
        fragments: Sequence[Fragment] | None = None,
        shares: MoveShares | None = None,
    ) -> None:
        numbers = {number: elements[symbol] for symbol, number in placeable(elements).items()}
        if not numbers:
            raise ValueError(f"no edit can place any of {', '.join(elements)}")
        self.shares = shares or MoveShares()
        self.heavy_atoms = heavy_atoms
        self._stock = Stock(numbers, built_in(numbers) if fragments is None else fragments)
        self._read: OrderedDict[str, Graph | None] = OrderedDict()
        least, most = heavy_atoms
        self._start_sizes = (
            min(max(least, START_HEAVY_ATOMS[0]), most),
            max(min(most, START_HEAVY_ATOMS[1]), least),
        )
        scaffolds = [g for text in STARTING_MOLECULES if (g := editable(text)) is not None]
        self._scaffolds = [
            graph
            for graph in scaffolds
            if len(graph) <= self._start_sizes[1] and numbers.keys() >= set(graph.elements)
        ] or [Graph([number], [{}]) for number in numbers]

    def readable(self, text: str) -> bool:
        """Tell whether a SMILES can be a parent."""
        return self._graph(text) is not None

    def mutated(self, parent: str, rng: Generator) -> Child | None:
        """Mutate a molecule; None when the moves that were drawn led nowhere."""
        graph = self._graph(parent)
        if graph is None:
            return None
        graph = graph.copy()
        operator = self._mutate(graph, rng)
        return self._child(graph, operator, (parent,)) if operator else None

    def crossed(self, first: str, second: str, rng: Generator) -> Child | None:
        """Join parts of two molecules; None when the moves that were drawn led nowhere."""
        left, right = self._graph(first), self._graph(second)
        if left is None or right is None:
            return None
        graph = crossover(left, right, rng)
        if graph is None:
            return None
        if rng.random() < self.shares.mutation_after_crossover:
            self._mutate(graph, rng)
        return self._child(graph, "crossover", (first, second))

    def started(self, rng: Generator) -> Child | None:
        """Grow a molecule from a common scaffold or a single atom; None if that led nowhere."""
        smallest, greatest = self._start_sizes
        graph = pick(self._scaffolds, rng).copy()
        size = int(rng.integers(smallest, greatest + 1))
        for _ in range(size):
            if len(graph) >= size:
                break
            grow = use_fragment if rng.random() < 0.5 else append_atom
            grow(graph, rng, self._stock)
        self._mutate(graph, rng)
        return self._child(graph, "start", ())

    def offspring(
        self,
        draw: Callable[[Generator], str],
        count: int,
        rng: Generator,
        known: Set[str] = frozenset(),
        tries: int = TRIES_PER_CHILD,
    ) -> list[Child]:
        """Return up to ``count`` children, all different and none of them known.

        Args:
            draw: returns a parent; called once for each mutation and twice for each crossover.
            count: children wanted.
            rng: of all draws.
            known: canonical texts that are not wanted, e.g. the parents.
            tries: children begun at most for each one wanted.
        """
        children: dict[str, Child] = {}
        for _ in range(count * tries):
            if len(children) >= count:
                break
            child = self.one(draw, rng)
            if child is not None and child.text not in known and child.text not in children:
                children[child.text] = child
        return list(children.values())

    def one(self, draw: Callable[[Generator], str], rng: Generator) -> Child | None:
        """Begin one child of parents that ``draw`` returns; None when it led nowhere.

        When two draws give the same parent, it is mutated.
        """
        first = draw(rng)
        if rng.random() < self.shares.crossover:
            second = draw(rng)
            if second != first:
                return self.crossed(first, second, rng)
        return self.mutated(first, rng)

    def _graph(self, text: str) -> Graph | None:
        """Return how a text was read, from memory if it was read lately."""
        if text in self._read:
            self._read.move_to_end(text)
            return self._read[text]
        graph = self._read[text] = editable(text)
        if len(self._read) > PARENTS_REMEMBERED:
            self._read.popitem(last=False)
        return graph

    def _mutate(self, graph: Graph, rng: Generator) -> str:
        """Edit the graph in place; return the operator's name, empty if no edit found a place."""
        operator = ""
        for _ in range(self.shares.max_mutations):
            name = _NAMES[bisect(_CUMULATIVE, rng.random() * _CUMULATIVE[-1])]
            if MUTATIONS[name][1](graph, rng, self._stock) and not operator:
                operator = f"mutate:{name}"
            if not operator or rng.random() >= self.shares.further_mutation:
                break
        return operator

    def _child(self, graph: Graph, operator: str, parents: tuple[str, ...]) -> Child | None:
        if not self.heavy_atoms[0] <= len(graph) <= self.heavy_atoms[1]:
            return None
        text = finished(graph)
        return Child(text, operator, parents) if text is not None else None


def placeable(elements: Sequence[str] | Mapping[str, float]) -> dict[str, int]:
    """Return symbol → atomic number of those elements that an edit can place."""
    table = GetPeriodicTable()
    numbers = {symbol: int(table.GetAtomicNumber(symbol)) for symbol in elements}
    return {symbol: number for symbol, number in numbers.items() if number in VALENCE}
