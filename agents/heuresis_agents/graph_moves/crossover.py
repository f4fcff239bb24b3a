"""Crossover: a part of one molecule, cut off at one or two bonds, joined to a part of another."""

from __future__ import annotations

from numpy.random import Generator

from heuresis_agents.graph_moves.graph import Bond, Graph
from heuresis_agents.graph_moves.mutations import pick

RING_SHARE = 0.3
"""Of the crossovers cut two bonds of one ring in each parent; the others an acyclic single bond."""
_RING_TRIES = 5


def crossover(first: Graph, second: Graph, rng: Generator) -> Graph | None:
    """Return a child of two graphs, which stay as they are; None if one has no bond to cut."""
    if rng.random() < RING_SHARE:
        return _across_rings(first, second, rng)
    return _across_bonds(first, second, rng)


def _across_bonds(first: Graph, second: Graph, rng: Generator) -> Graph | None:
    left, right = _half(first, rng), _half(second, rng)
    if left is None or right is None:
        return None
    left.connect(0, left.absorb(right))
    return left


def _half(graph: Graph, rng: Generator) -> Graph | None:
    """Return one side of an acyclic single bond; its first atom is the open one."""
    bonds = graph.acyclic_single_bonds()
    if not bonds:
        return None
    first, second = pick(bonds, rng)
    if rng.random() < 0.5:
        first, second = second, first
    return graph.part(graph.side(first, second))


def _across_rings(first: Graph, second: Graph, rng: Generator) -> Graph | None:
    left, right = _arc(first, rng), _arc(second, rng)
    if left is None or right is None:
        return None
    (part, ends), (other, other_ends) = left, right
    if rng.random() < 0.5:
        other_ends = other_ends[::-1]
    if [order for _, order in ends] == [order for _, order in other_ends[::-1]]:
        other_ends = other_ends[::-1]
    child = part
    offset = child.absorb(other)
    for (atom, order), (far, far_order) in zip(ends, other_ends, strict=True):
        if offset + far in child.bonds[atom]:
            return None
        # Where the cut bonds differ, the lower order fits both ends; hydrogens fill up.
        child.connect(atom, offset + far, min(order, far_order))
    return child


def _arc(graph: Graph, rng: Generator) -> tuple[Graph, list[tuple[int, int]]] | None:
    """Cut two bonds of a ring; return a part and its two open atoms with the orders of the bonds.

    Both bonds may leave the same atom: the part is then joined to a ring through it.
    """
    bonds = sorted(graph.ring_bonds())
    if not bonds:
        return None
    for _ in range(_RING_TRIES):
        start = pick(bonds, rng)
        ring = graph.smallest_ring(*start)
        # `start` is the bond that closes the ring; the other one is another bond of it.
        place = int(rng.random() * (len(ring) - 1))
        cut = (ring[place], ring[place + 1])
        roots = (start, cut)
        side = _beyond(graph, start[0], roots)
        if start[1] in side:
            continue
        if rng.random() < 0.5:
            inside = set(side)
            side = [atom for atom in range(len(graph)) if atom not in inside]
        number = {atom: new for new, atom in enumerate(side)}
        ends = []
        for a, b in roots:
            order = graph.bonds[a][b]
            open_atom, gone = (a, b) if a in number else (b, a)
            if order > 1 and (open_atom in graph.special or gone in graph.special):
                break
            ends.append((number[open_atom], order))
        else:
            return graph.part(side), ends
    return None


def _beyond(graph: Graph, start: int, cut: tuple[Bond, Bond]) -> list[int]:
    """Return the atoms that are connected to ``start`` when two bonds are cut."""
    gone = {*cut, *(bond[::-1] for bond in cut)}
    seen = [start]
    known = {start}
    for here in seen:
        for there in graph.bonds[here]:
            if there not in known and (here, there) not in gone:
                known.add(there)
                seen.append(there)
    return seen
