"""Small edits of a molecular graph, each one function: (graph, random generator, stock) → done?

An edit changes the graph in place and returns True, or finds no place to work and returns False.
It keeps the molecule in one piece, but may leave an impossible one behind: `chemistry.finished` is
the judge. Special atoms (charged, isotopes) keep their bonds, save that a single bond may be cut
and made again to another atom.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import TypeVar

from numpy.random import Generator

from heuresis_agents.graph_moves.fragments import Fragment, Fragments
from heuresis_agents.graph_moves.graph import (
    HIGH_VALENCES,
    OXYGEN,
    SULPHUR,
    VALENCE,
    Graph,
)

Item = TypeVar("Item")

DOUBLE_BOND_SHARE = 0.15
"""Of the atoms that are appended where both a single and a double bond fit."""
_TRIES = 4
"""Places that an edit looks at before it gives up; without, edits that need luck would be rare."""
RING_WEIGHTS = {3: 1.0, 4: 1.0, 5: 8.0, 6: 8.0, 7: 2.0, 8: 1.0}
"""Size → weight with which `close_ring` makes it, where it can choose."""


def pick(items: Sequence[Item], rng: Generator) -> Item:
    """Return one item, uniformly."""
    return items[int(rng.random() * len(items))]


class Stock:
    """What edits build with: elements and fragments, drawn by weight.

    Args:
        elements: atomic number → weight.
        fragments: substituents made of these elements.
    """

    def __init__(self, elements: Mapping[int, float], fragments: Sequence[Fragment] = ()) -> None:
        self.elements = dict(elements)
        self.fragments = Fragments(fragments)
        # For each sum of bond orders: the elements that can have it, and their running weights.
        self._fit: list[tuple[list[int], list[float]]] = []
        for used in range(7):
            fit = [e for e in elements if used <= VALENCE[e] or used in HIGH_VALENCES.get(e, ())]
            self._fit.append((fit, list(accumulate(elements[e] for e in fit))))

    def element(self, used: int, rng: Generator) -> int:
        """Return an element that can carry bonds of this sum of orders; 0 if there is none."""
        fit, cumulative = self._fit[used] if used < len(self._fit) else ([], [])
        if not fit:
            return 0
        return fit[bisect(cumulative, rng.random() * cumulative[-1])]


Mutation = Callable[[Graph, Generator, Stock], bool]


def _gives_way(graph: Graph, atom: int) -> bool:
    """Tell whether an atom may go or change: an ordinary one, or a lone charge."""
    return atom not in graph.special or (
        not graph.special.keys() & graph.bonds[atom].keys() and not graph.special[atom].isotope
    )


def change_element(graph: Graph, rng: Generator, stock: Stock) -> bool:
    """Replace one atom by another element that can carry its bonds; a charge goes with it."""
    for _ in range(_TRIES):
        atom = pick(range(len(graph)), rng)
        new = stock.element(graph.used(atom), rng) if _gives_way(graph, atom) else 0
        if new and (new != graph.elements[atom] or atom in graph.special):
            graph.set_element(atom, new)
            return True
    return False


def append_atom(graph: Graph, rng: Generator, stock: Stock) -> bool:
    """Add an atom to one that has hydrogens to give, sometimes doubly bonded; =O to S or P."""
    sites = graph.open_atoms()
    if OXYGEN in stock.elements:
        sites += [
            atom
            for atom, element in enumerate(graph.elements)
            if element in HIGH_VALENCES
            and atom not in graph.special
            and graph.used(atom) in ((2, 4) if element == SULPHUR else (3,))
        ]
    if not sites:
        return False
    site = pick(sites, rng)
    room = graph.room(site)
    if room == 0:
        graph.connect(site, graph.add(OXYGEN), 2)
        return True
    order = 2 if room > 1 and rng.random() < DOUBLE_BOND_SHARE else 1
    new = stock.element(order, rng)
    if not new:
        return False
    graph.connect(site, graph.add(new), order)
    return True


def delete_atom(graph: Graph, rng: Generator, stock: Stock) -> bool:  # noqa: ARG001
    """Remove a terminal atom, or one between two others, which are then bonded."""
    small = [atom for atom, neighbours in enumerate(graph.bonds) if 0 < len(neighbours) < 3]
    if not small or len(graph) < 3:
        return False
    atom = pick(small, rng)
    neighbours = list(graph.bonds[atom])
    if not _gives_way(graph, atom) or any(b in graph.special for b in neighbours):
        return False
    if len(neighbours) == 2 and neighbours[1] not in graph.bonds[neighbours[0]]:
        graph.connect(neighbours[0], neighbours[1])
    _become(graph, graph.part(a for a in range(len(graph)) if a != atom))
    return True


def insert_atom(graph: Graph, rng: Generator, stock: Stock) -> bool:
    """Put an atom into a single bond."""
    bonds = graph.single_pairs()
    new = stock.element(2, rng)
    if not bonds or not new:
        return False
    first, second = pick(bonds, rng)
    graph.disconnect(first, second)
    middle = graph.add(new)
    graph.connect(first, middle)
    graph.connect(middle, second)
    return True


def use_fragment(graph: Graph, rng: Generator, stock: Stock) -> bool:
    """Attach a fragment in place of a hydrogen or, as often, of the smaller side of a bond."""
    fragment = stock.fragments.draw(rng)
    if fragment is None:
        return False
    bonds = graph.acyclic_single_bonds() if rng.random() < 0.5 else []
    if bonds:
        _, large = _sides(graph, pick(bonds, rng))
        _become(graph, graph.part(large))
        site = 0
    else:
        sites = graph.open_atoms()
        if not sites:
            return False
        site = pick(sites, rng)
    graph.connect(site, graph.absorb(fragment))
    return True


def change_bond_order(graph: Graph, rng: Generator, stock: Stock) -> bool:  # noqa: ARG001
    """Raise or lower one bond by one order; no triple bonds in rings."""
    bonds = graph.pairs()
    if not bonds:
        return False
    for _ in range(_TRIES):
        first, second = pick(bonds, rng)
        if first in graph.special or second in graph.special:
            continue
        order = graph.bonds[first][second]
        most = 2 if order == 2 and (first, second) in graph.ring_bonds() else 3
        rises = order < most and graph.room(first) > 0 and graph.room(second) > 0
        falls = order > 1 and not any(_is_oxidised(graph, atom) for atom in (first, second))
        if rises or falls:
            rise = rises and (not falls or rng.random() < 0.5)
            graph.connect(first, second, order + 1 if rise else order - 1)
            return True
    return False


def _is_oxidised(graph: Graph, atom: int) -> bool:
    element = graph.elements[atom]
    return element in HIGH_VALENCES and graph.used(atom) > VALENCE[element]


def move_substituent(graph: Graph, rng: Generator, stock: Stock) -> bool:  # noqa: ARG001
    """Cut the smaller side of an acyclic single bond off and bond it to another atom."""
    bonds = graph.acyclic_single_bonds()
    if not bonds:
        return False
    small, large = _sides(graph, pick(bonds, rng))
    root, old = small[0], large[0]
    if old in graph.special:
        return False
    targets = [atom for atom in large if atom != old and graph.room(atom)]
    if not targets:
        return False
    graph.disconnect(root, old)
    graph.connect(root, pick(targets, rng))
    return True


def drop_substituent(graph: Graph, rng: Generator, stock: Stock) -> bool:  # noqa: ARG001
    """Cut the smaller side of an acyclic single bond off and forget it."""
    bonds = graph.acyclic_single_bonds()
    if not bonds:
        return False
    _, large = _sides(graph, pick(bonds, rng))
    if large[0] in graph.special:
        return False
    _become(graph, graph.part(large))
    return True


def close_ring(graph: Graph, rng: Generator, stock: Stock) -> bool:  # noqa: ARG001
    """Bond two atoms so that a ring of three to eight atoms appears, most often five or six."""
    sites = graph.open_atoms()
    if len(sites) < 2:
        return False
    first = pick(sites, rng)
    reached = graph.distances(first, max(RING_WEIGHTS) - 1)
    targets = [a for a in sites if reached.get(a, 0) + 1 in RING_WEIGHTS]
    if not targets:
        return False
    weights = list(accumulate(RING_WEIGHTS[reached[a] + 1] for a in targets))
    second = targets[bisect(weights, rng.random() * weights[-1])]
    graph.connect(first, second)
    return True


def open_ring(graph: Graph, rng: Generator, stock: Stock) -> bool:  # noqa: ARG001
    """Remove one single bond of a ring."""
    rings = graph.ring_bonds()
    bonds = [
        (a, b)
        for a, b in graph.single_pairs()
        if (a, b) in rings and a not in graph.special and b not in graph.special
    ]
    if not bonds:
        return False
    graph.disconnect(*pick(bonds, rng))
    return True


def toggle_ring_saturation(graph: Graph, rng: Generator, stock: Stock) -> bool:  # noqa: ARG001
    """Make all bonds of a ring single, or put double bonds into a saturated one by turns."""
    bonds = sorted(graph.ring_bonds())
    if not bonds:
        return False
    ring = graph.smallest_ring(*pick(bonds, rng))
    if len(ring) not in (5, 6) or any(atom in graph.special for atom in ring):
        return False
    round_ = list(zip(ring, ring[1:] + ring[:1], strict=True))
    if any(graph.bonds[a][b] != 1 for a, b in round_):
        for a, b in round_:
            graph.connect(a, b, 1)
        return True
    # In a ring of five, the atom that must stay single decides where the double bonds lie.
    start = next((p for p, atom in enumerate(ring) if not graph.room(atom)), 0)
    placed = False
    for step in range(1, len(ring), 2) if len(ring) == 5 else range(0, len(ring), 2):
        a, b = round_[(start + step) % len(ring)]
        if graph.room(a) and graph.room(b):
            graph.connect(a, b, 2)
            placed = True
    return placed


def _sides(graph: Graph, bond: tuple[int, int]) -> tuple[list[int], list[int]]:
    """Return the atoms of the smaller and of the larger side, each from the cut bond outwards."""
    first, second = graph.side(*bond), graph.side(*bond[::-1])
    return (first, second) if len(first) <= len(second) else (second, first)


def _become(graph: Graph, other: Graph) -> None:
    """Make a graph another one, in place."""
    for name in Graph.__slots__:
        setattr(graph, name, getattr(other, name))


MUTATIONS: dict[str, tuple[float, Mutation]] = {
    "element": (18, change_element),
    "append": (18, append_atom),
    "delete": (18, delete_atom),
    "insert": (10, insert_atom),
    "fragment": (10, use_fragment),
    "bond-order": (8, change_bond_order),
    "move": (8, move_substituent),
    "close-ring": (7, close_ring),
    "open-ring": (4, open_ring),
    "saturation": (3, toggle_ring_saturation),
    "drop": (2, drop_substituent),
}
"""Name → (weight, edit)."""
