"""A molecule as plain lists: what the moves edit, at a microsecond per edit.

Bonds are single, double or triple (Kekulé form), hydrogens follow from them. Nothing here imports
RDKit; `chemistry` reads and finishes graphs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

BORON, CARBON, NITROGEN, OXYGEN, FLUORINE = 5, 6, 7, 8, 9
SILICON, PHOSPHORUS, SULPHUR, CHLORINE, BROMINE, IODINE = 14, 15, 16, 17, 35, 53
VALENCE = {
    BORON: 3, CARBON: 4, NITROGEN: 3, OXYGEN: 2, FLUORINE: 1, SILICON: 4, PHOSPHORUS: 3,
    SULPHUR: 2, CHLORINE: 1, BROMINE: 1, IODINE: 1,
}  # fmt: skip
"""Atomic number → bonds that a neutral atom forms, hydrogens included."""
HIGH_VALENCES = {SULPHUR: (4, 6), PHOSPHORUS: (5,)}
"""Atomic number → larger valences, which bear no hydrogen."""

Bond = tuple[int, int]


class Special(NamedTuple):
    """An atom whose hydrogens do not follow from its bonds, or an isotope: edits leave it alone."""

    charge: int
    hydrogens: int
    isotope: int
    radicals: int


class Centre(NamedTuple):
    """A stereocentre: its neighbours in order, and whether they turn clockwise."""

    neighbours: tuple[int, ...]
    clockwise: bool


class Geometry(NamedTuple):
    """Of a double bond: a neighbour of either end, and whether they lie on the same side."""

    beside_first: int
    beside_second: int
    same_side: bool


class Graph:
    """A molecule under the knife.

    Attributes:
        elements: atomic numbers of the heavy atoms.
        bonds: of each atom, neighbour → order.
        special: atoms that edits leave alone.
        centres: stereocentres; an edit beside one makes its entry void, which `chemistry` notices.
        geometries: of double bonds, by their two atoms.
        largest_ring: size of the largest ring of the molecule that was read; 0 without rings.
    """

    __slots__ = ("_ring_bonds", "bonds", "centres", "elements", "geometries", "largest_ring",
                 "special")  # fmt: skip

    def __init__(
        self,
        elements: list[int],
        bonds: list[dict[int, int]],
        special: dict[int, Special] | None = None,
        centres: dict[int, Centre] | None = None,
        geometries: dict[Bond, Geometry] | None = None,
        largest_ring: int = 0,
    ) -> None:
        self.elements = elements
        self.bonds = bonds
        self.special = special or {}
        self.centres = centres or {}
        self.geometries = geometries or {}
        self.largest_ring = largest_ring
        self._ring_bonds: frozenset[Bond] | None = None

    def __len__(self) -> int:
        """Return the number of heavy atoms."""
        return len(self.elements)

    def copy(self) -> Graph:
        """Return a graph that can be edited without a change to this one."""
        twin = Graph(
            self.elements.copy(),
            [neighbours.copy() for neighbours in self.bonds],
            self.special.copy(),
            self.centres.copy(),
            self.geometries.copy(),
            self.largest_ring,
        )
        twin._ring_bonds = self._ring_bonds
        return twin

    # What stands there

    def used(self, atom: int) -> int:
        """Return the sum of the bond orders of an atom, hydrogens left out."""
        return sum(self.bonds[atom].values())

    def room(self, atom: int) -> int:
        """Return how many hydrogens an atom could give up; 0 for special atoms."""
        if atom in self.special:
            return 0
        return max(0, VALENCE.get(self.elements[atom], 0) - sum(self.bonds[atom].values()))

    def open_atoms(self) -> list[int]:
        """Return the atoms that have a hydrogen to give up."""
        elements, special = self.elements, self.special
        return [
            atom
            for atom, neighbours in enumerate(self.bonds)
            if sum(neighbours.values()) < VALENCE.get(elements[atom], 0) and atom not in special
        ]

    def pairs(self) -> list[Bond]:
        """Return all bonds, the smaller atom first."""
        return [(a, b) for a, neighbours in enumerate(self.bonds) for b in neighbours if a < b]

    def single_pairs(self) -> list[Bond]:
        """Return the single bonds that may be cut, the smaller atom first.

        Two special atoms stay together, for they are mostly charges that belong together.
        """
        special = self.special
        return [
            (a, b)
            for a, neighbours in enumerate(self.bonds)
            for b, order in neighbours.items()
            if a < b and order == 1 and not (a in special and b in special)
        ]

    def ring_bonds(self) -> frozenset[Bond]:
        """Return the bonds that lie in rings, the smaller atom first.

        Source: Tarjan, A note on finding the bridges of a graph (1974); what is no bridge is in a
        ring. Remembered until the next change.
        """
        if self._ring_bonds is None:
            self._ring_bonds = frozenset(self.pairs()) - self._bridges()
        return self._ring_bonds

    def acyclic_single_bonds(self) -> list[Bond]:
        """Return those of `single_pairs` that lie outside rings."""
        rings = self.ring_bonds()
        return [pair for pair in self.single_pairs() if pair not in rings]

    def side(self, atom: int, beyond: int) -> list[int]:
        """Return the atoms on the side of ``atom`` of its acyclic bond to ``beyond``, it first."""
        seen = [atom]
        known = {atom, beyond}
        for here in seen:
            for there in self.bonds[here]:
                if there not in known:
                    known.add(there)
                    seen.append(there)
        return seen

    def smallest_ring(self, first: int, second: int) -> list[int]:
        """Return a smallest ring through a ring bond, from ``first`` round to ``second``."""
        before = {first: -1}
        shell = [first]
        while shell:
            reached = []
            for here in shell:
                for there in self.bonds[here]:
                    if there in before or (here == first and there == second):
                        continue
                    before[there] = here
                    if there == second:
                        ring = [second]
                        while ring[-1] != first:
                            ring.append(before[ring[-1]])
                        return ring[::-1]
                    reached.append(there)
            shell = reached
        return []

    def distances(self, start: int, furthest: int) -> dict[int, int]:
        """Return the atoms within so many bonds of ``start``, with their distances."""
        found = {start: 0}
        shell = [start]
        for distance in range(1, furthest + 1):
            reached = []
            for here in shell:
                for there in self.bonds[here]:
                    if there not in found:
                        found[there] = distance
                        reached.append(there)
            shell = reached
        return found

    def _bridges(self) -> set[Bond]:
        # Depth-first without recursion; `low` is the earliest atom that a branch leads back to.
        count = len(self.elements)
        order, low = [0] * count, [0] * count
        bridges: set[Bond] = set()
        time = 1
        order[0] = low[0] = time
        stack = [(0, -1, iter(self.bonds[0]))]
        while stack:
            here, parent, neighbours = stack[-1]
            for there in neighbours:
                if there == parent:
                    continue
                if order[there]:
                    low[here] = min(low[here], order[there])
                else:
                    time += 1
                    order[there] = low[there] = time
                    stack.append((there, here, iter(self.bonds[there])))
                    break
            else:
                stack.pop()
                if parent >= 0:
                    low[parent] = min(low[parent], low[here])
                    if low[here] > order[parent]:
                        bridges.add((parent, here) if parent < here else (here, parent))
        return bridges

    # Changes

    def add(self, element: int) -> int:
        """Add a lone atom; return its number."""
        self.elements.append(element)
        self.bonds.append({})
        return len(self.elements) - 1

    def connect(self, first: int, second: int, order: int = 1) -> None:
        """Make a bond, or set the order of the one that is there."""
        self.bonds[first][second] = order
        self.bonds[second][first] = order
        self._ring_bonds = None

    def disconnect(self, first: int, second: int) -> None:
        """Remove a bond."""
        del self.bonds[first][second]
        del self.bonds[second][first]
        self._ring_bonds = None

    def set_element(self, atom: int, element: int) -> None:
        """Make another element of an atom; it becomes an ordinary one."""
        self.elements[atom] = element
        self.special.pop(atom, None)
        self.centres.pop(atom, None)

    def part(self, atoms: Iterable[int]) -> Graph:
        """Return the molecule of these atoms, numbered in this order; other bonds are cut."""
        kept = list(atoms)
        new = {old: number for number, old in enumerate(kept)}
        part = Graph(
            [self.elements[old] for old in kept],
            [{new[b]: o for b, o in self.bonds[old].items() if b in new} for old in kept],
            largest_ring=self.largest_ring,
        )
        part._inherit(self, new)
        return part

    def absorb(self, other: Graph) -> int:
        """Put another molecule beside this one; return the number of its first atom here."""
        offset = len(self.elements)
        self.elements += other.elements
        self.bonds += [{b + offset: o for b, o in bonds.items()} for bonds in other.bonds]
        self._inherit(other, {atom: atom + offset for atom in range(len(other))})
        self.largest_ring = max(self.largest_ring, other.largest_ring)
        self._ring_bonds = None
        return offset

    def _inherit(self, source: Graph, new: dict[int, int]) -> None:
        """Take over what is known of atoms besides elements and bonds, where all of it is kept."""
        for old, special in source.special.items():
            if old in new:
                self.special[new[old]] = special
        for old, centre in source.centres.items():
            if old in new and all(n in new for n in centre.neighbours):
                order = tuple(new[n] for n in centre.neighbours)
                self.centres[new[old]] = centre._replace(neighbours=order)
        for (a, b), geometry in source.geometries.items():
            beside = (geometry.beside_first, geometry.beside_second)
            if all(atom in new for atom in (a, b, *beside)):
                first, second = new[beside[0]], new[beside[1]]
                self.geometries[new[a], new[b]] = Geometry(first, second, geometry.same_side)
