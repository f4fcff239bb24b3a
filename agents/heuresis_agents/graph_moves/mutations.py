"""Small random edits of one molecule.

Each edit returns a new graph, or None when it does not apply to the place it drew. Edits keep
valences within bounds, but may give strained or silly structures: `reasonable.py` judges those.
The set and its weights are those of graph-based genetic algorithms on molecules (J. H. Jensen,
Chem. Sci. 10, 3567 (2019), doi:10.1039/C8SC05372C), edited directly instead of by reactions.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

from heuresis_agents.graph_moves.fragments import Fragment, attach
from heuresis_agents.graph_moves.graph import VALENCES, MoleculeGraph, pick

if TYPE_CHECKING:
    from numpy.random import Generator

_RING_SIZES = ((5, 0.35), (6, 0.55), (3, 0.03), (4, 0.03), (7, 0.04))
"""Sizes of rings to close and their shares: five and six are what chemists mostly make."""


class Palette:
    """What edits may draw from: elements with weights, and substituents."""

    def __init__(self, elements: Mapping[str, float], substituents: tuple[Fragment, ...]) -> None:
        self.elements = tuple(elements)
        self._cumulative = list(accumulate(elements.values()))
        self.substituents = substituents

    def element(self, rng: Generator) -> str:
        """Draw an element by weight."""
        return self.elements[bisect(self._cumulative, rng.random() * self._cumulative[-1])]


Mutation = Callable[[MoleculeGraph, Palette, "Generator"], MoleculeGraph | None]


def change_element(graph: MoleculeGraph, palette: Palette, rng: Generator) -> MoleculeGraph | None:
    """Give a neutral atom another element that can hold its bonds."""
    atom = pick(range(len(graph)), rng)
    element = palette.element(rng)
    used = sum(graph.bonds[atom].values())
    if graph.charges[atom] or element == graph.elements[atom] or VALENCES[element][0] < used:
        return None
    child = graph.copy()
    child.elements[atom] = element
    return child


def append_atom(graph: MoleculeGraph, palette: Palette, rng: Generator) -> MoleculeGraph | None:
    """Put an atom in the place of a hydrogen; mostly by a single bond."""
    places = graph.open_atoms()
    if not places:
        return None
    place = pick(places, rng)
    element = palette.element(rng)
    order = 2 if rng.random() < 0.2 else 1
    if VALENCES[element][0] < order or graph.free_valence(place) < order:
        return None
    child = graph.copy()
    child.connect(place, child.add(element), order)
    return child


def delete_atom(graph: MoleculeGraph, palette: Palette, rng: Generator) -> MoleculeGraph | None:  # noqa: ARG001
    """Remove an atom with one or two neighbours; two neighbours are joined."""
    atom = pick(range(len(graph)), rng)
    neighbours = sorted(graph.bonds[atom])
    if graph.charges[atom] or len(neighbours) not in (1, 2):
        return None
    child = graph.copy()
    if len(neighbours) == 2:
        first, second = neighbours
        if second in graph.bonds[first]:
            return None
        child.connect(first, second)
    return child.without([atom])


def insert_atom(graph: MoleculeGraph, palette: Palette, rng: Generator) -> MoleculeGraph | None:
    """Put an atom with two bonds into a single bond."""
    singles = [(a, b) for a, b in graph.bond_list() if graph.bonds[a][b] == 1]
    element = palette.element(rng)
    if not singles or VALENCES[element][0] < 2:
        return None
    first, second = pick(singles, rng)
    child = graph.copy()
    middle = child.add(element)
    child.disconnect(first, second)
    child.connect(first, middle)
    child.connect(middle, second)
    return child


def add_fragment(graph: MoleculeGraph, palette: Palette, rng: Generator) -> MoleculeGraph | None:
    """Attach a substituent, or put it in the place of the smaller side of an acyclic bond."""
    if not palette.substituents:
        return None
    fragment = pick(palette.substituents, rng)
    if rng.random() < 0.5:
        places = graph.open_atoms()
        return attach(graph, pick(places, rng), fragment) if places else None
    cut = _acyclic_single_bond(graph, rng)
    if cut is None:
        return None
    stump, removed = cut
    kept, place = graph.part(set(range(len(graph))) - removed)
    return attach(kept, place[stump], fragment)


def change_order(graph: MoleculeGraph, palette: Palette, rng: Generator) -> MoleculeGraph | None:  # noqa: ARG001
    """Raise or lower the order of a bond by one, rarely by two."""
    bonds = graph.bond_list()
    if not bonds:
        return None
    first, second = pick(bonds, rng)
    if graph.charges[first] or graph.charges[second]:
        return None
    step = pick((1, 1, 1, -1, -1, -1, 2, -2), rng)
    order = graph.bonds[first][second] + step
    room = min(graph.free_valence(first), graph.free_valence(second))
    if not 1 <= order <= 3 or step > room:
        return None
    child = graph.copy()
    child.connect(first, second, order)
    return child


def move_substituent(
    graph: MoleculeGraph,
    palette: Palette,  # noqa: ARG001
    rng: Generator,
) -> MoleculeGraph | None:
    """Cut off the smaller side of an acyclic bond and put it elsewhere on the larger side."""
    cut = _acyclic_single_bond(graph, rng)
    if cut is None:
        return None
    stump, removed = cut
    places = [a for a in graph.open_atoms() if a not in removed and a != stump]
    if not places:
        return None
    root = next(a for a in sorted(graph.bonds[stump]) if a in removed)
    child = graph.copy()
    child.disconnect(stump, root)
    child.connect(pick(places, rng), root)
    return child


def close_ring(graph: MoleculeGraph, palette: Palette, rng: Generator) -> MoleculeGraph | None:  # noqa: ARG001
    """Bond two atoms that are as far apart as a ring of a usual size needs."""
    places = graph.open_atoms()
    if len(places) < 2:
        return None
    draw, size = rng.random(), _RING_SIZES[0][0]
    for size, share in _RING_SIZES:  # noqa: B007 - the last size stands when the draw is 1 - epsilon
        draw -= share
        if draw < 0:
            break
    first = pick(places, rng)
    at_distance = []
    for second in places:
        if second != first:
            path = graph.distance_path(first, second)
            if path is not None and len(path) == size:
                at_distance.append(second)
    if not at_distance:
        return None
    child = graph.copy()
    child.connect(first, pick(at_distance, rng))
    return child


def open_ring(graph: MoleculeGraph, palette: Palette, rng: Generator) -> MoleculeGraph | None:  # noqa: ARG001
    """Cut a single bond of a ring."""
    bonds = graph.bond_list()
    if not bonds:
        return None
    first, second = pick(bonds, rng)
    if graph.bonds[first][second] != 1 or graph.ring_through(first, second) is None:
        return None
    child = graph.copy()
    child.disconnect(first, second)
    return child


def change_saturation(
    graph: MoleculeGraph,
    palette: Palette,  # noqa: ARG001
    rng: Generator,
) -> MoleculeGraph | None:
    """Make all bonds of a ring single; or, if they are, put in as many double bonds as fit."""
    bonds = graph.bond_list()
    ring = graph.ring_through(*pick(bonds, rng)) if bonds else None
    if ring is None or any(graph.charges[atom] for atom in ring):
        return None
    pairs = list(zip(ring, ring[1:] + ring[:1], strict=True))
    child = graph.copy()
    if any(graph.bonds[a][b] > 1 for a, b in pairs):
        for a, b in pairs:
            child.connect(a, b, 1)
        return child
    changed = False
    for a, b in pairs:
        if child.free_valence(a) > 0 and child.free_valence(b) > 0 and _sp3(child, a, b):
            child.connect(a, b, 2)
            changed = True
    return child if changed else None


def drop_substituent(
    graph: MoleculeGraph,
    palette: Palette,  # noqa: ARG001
    rng: Generator,
) -> MoleculeGraph | None:
    """Remove the smaller side of an acyclic bond."""
    cut = _acyclic_single_bond(graph, rng)
    return graph.without(cut[1]) if cut is not None else None


MUTATIONS: dict[str, tuple[Mutation, float]] = {
    "element": (change_element, 18),
    "append": (append_atom, 18),
    "delete": (delete_atom, 18),
    "insert": (insert_atom, 10),
    "fragment": (add_fragment, 10),
    "order": (change_order, 8),
    "move": (move_substituent, 8),
    "close-ring": (close_ring, 7),
    "open-ring": (open_ring, 4),
    "saturation": (change_saturation, 3),
    "drop": (drop_substituent, 2),
}
"""Name of each edit, its function and its weight."""

_NAMES = tuple(MUTATIONS)
_CUMULATIVE = list(accumulate(weight for _, weight in MUTATIONS.values()))


def mutate(
    graph: MoleculeGraph, palette: Palette, rng: Generator
) -> tuple[str, MoleculeGraph] | None:
    """Draw an edit by weight and apply it; None when it did not apply."""
    name = _NAMES[bisect(_CUMULATIVE, rng.random() * _CUMULATIVE[-1])]
    child = MUTATIONS[name][0](graph, palette, rng)
    return (name, child) if child is not None else None


def _sp3(graph: MoleculeGraph, *atoms: int) -> bool:
    return all(order == 1 for atom in atoms for order in graph.bonds[atom].values())


def _acyclic_single_bond(graph: MoleculeGraph, rng: Generator) -> tuple[int, set[int]] | None:
    """Draw an acyclic single bond; return the stump on the larger side, and the smaller side."""
    singles = [(a, b) for a, b in graph.bond_list() if graph.bonds[a][b] == 1]
    if not singles:
        return None
    first, second = pick(singles, rng)
    beyond = graph.side(first, second)
    if first in beyond:
        return None
    if len(beyond) * 2 <= len(graph):
        return first, beyond
    return second, set(range(len(graph))) - beyond
