"""Building blocks that the moves attach, and molecules to start from without parents."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from heuresis_agents.graph_moves.graph import Graph, Special

if TYPE_CHECKING:
    from numpy.random import Generator

SUBSTITUENTS = (
    "C", "CC", "C(C)C", "O", "OC", "N", "NC", "N(C)C", "F", "Cl", "C#N", "C(F)(F)F", "C=O",
    "C(=O)O", "C(=O)N", "C(=O)NC", "C(=O)OC", "NC(C)=O", "S(C)(=O)=O", "S(N)(=O)=O", "OC(F)(F)F",
    "C=C", "C#C", "c1ccccc1", "c1ccncc1", "c1cccnc1", "c1ccsc1", "c1ccoc1", "N1C=CC=C1",
    "c1cn[nH]c1",
    "c1nccs1", "c1ncco1", "C1CC1", "C1CCC1", "C1CCCC1", "C1CCCCC1", "N1CCCC1", "N1CCCCC1",
    "N1CCOCC1", "N1CCN(C)CC1", "C1CCOCC1", "c1ccc2[nH]ccc2c1", "c1ccc2ncccc2c1", "c1ccc2occc2c1",
)  # fmt: skip
"""SMILES whose first atom is the attachment point; used when no library is given."""

STARTING_MOLECULES = (
    "c1ccc(-c2ccccc2)cc1", "O=C(Nc1ccccc1)c1ccccc1", "c1ccc(Cc2ccccc2)cc1", "c1ccc2[nH]ccc2c1",
    "c1ccc2ncccc2c1", "O=C(c1ccccc1)N1CCCCC1", "c1ccc(CN2CCCC2)cc1", "CCOC(=O)c1ccccc1",
    "O=S(=O)(Nc1ccccc1)c1ccccc1", "c1ccc(Oc2ccccc2)cc1", "C1CCC(N2CCOCC2)CC1", "c1ccc(-c2ccco2)cc1",
    "c1ccc(-c2cccs2)cc1", "c1ccc(-c2ccncc2)cc1", "O=C1CCCN1c1ccccc1", "c1ccc2c(c1)CCC2",
    "c1ccc2occc2c1", "c1ccc2sccc2c1", "CC(=O)Nc1ccc(O)cc1", "COc1ccc(C=O)cc1", "N#Cc1ccc(N)cc1",
    "c1ccc2c(c1)[nH]c1ccccc12", "c1ccc2ccccc2c1", "C(=Cc1ccccc1)c1ccccc1", "CCCCCC(=O)NC",
)  # fmt: skip
"""Small, common scaffolds, written by us; none is a drug or a benchmark target."""

LIBRARY_MOLECULES = 2_000
LARGEST_FRAGMENT = 12
MOST_FRAGMENTS = 4_000
_REFINEMENTS = 4


class Fragment(NamedTuple):
    """A substituent: its first atom is the attachment point."""

    graph: Graph
    weight: float


class Fragments:
    """Substituents to draw from, by weight."""

    def __init__(self, fragments: Sequence[Fragment]) -> None:
        self._graphs = [fragment.graph for fragment in fragments]
        self._cumulative = list(accumulate(fragment.weight for fragment in fragments))

    def __len__(self) -> int:
        """Return how many different ones there are."""
        return len(self._graphs)

    def draw(self, rng: Generator) -> Graph | None:
        """Return one, which must not be changed; None if there are none."""
        if not self._graphs:
            return None
        return self._graphs[bisect(self._cumulative, rng.random() * self._cumulative[-1])]


def built_in(elements: Collection[int]) -> list[Fragment]:
    """Return the short list that comes with us, as far as it has no other elements."""
    from heuresis_agents.graph_moves.chemistry import editable

    # Read on a carbon, so that the open bond is no hydrogen: the S of a sulphone would keep it.
    whole = [graph for text in SUBSTITUENTS if (graph := editable(f"C{text}")) is not None]
    graphs = [graph.part(range(1, len(graph))) for graph in whole]
    return [Fragment(graph, 1.0) for graph in graphs if set(graph.elements) <= set(elements)]


def fragments_of(
    texts: Iterable[str],
    elements: Collection[int],
    *,
    molecules: int = LIBRARY_MOLECULES,
    largest: int = LARGEST_FRAGMENT,
    most: int = MOST_FRAGMENTS,
) -> list[Fragment]:
    """Cut the first usable molecules at every acyclic single bond and return the common sides.

    A molecule is usable if it is readable, of one piece and made of ``elements``. A fragment weighs
    the square root of how often it occurs, so that methyl does not drown the rest. Stereochemistry
    is left out; charged pairs such as nitro groups stay, single charges do not.

    Args:
        texts: SMILES, e.g. of a library.
        elements: atomic numbers.
        molecules: usable molecules to read.
        largest: heavy atoms of a fragment.
        most: fragments to return, the most frequent ones.
    """
    from heuresis_agents.graph_moves.chemistry import editable
    from heuresis_agents.libraries import without_stereo

    allowed = set(elements)
    counts: dict[int, int] = {}
    found: dict[int, Graph] = {}
    read = 0
    for text in texts:
        if read == molecules:
            break
        graph = editable(without_stereo(text))
        if graph is None or not allowed.issuperset(graph.elements):
            continue
        read += 1
        colours = _surroundings(graph)
        for pair in graph.acyclic_single_bonds():
            for root, other in (pair, pair[::-1]):
                side = graph.side(root, other)
                if len(side) > largest or _charge(graph.special, side):
                    continue
                key = _rooted_hash(graph, side, colours)
                counts[key] = counts.get(key, 0) + 1
                if key not in found:
                    found[key] = graph.part(side)
    # Equal counts stay in the order in which they were found.
    ranked = sorted(found, key=lambda key: -counts[key])[:most]
    return [Fragment(found[key], math.sqrt(counts[key])) for key in ranked]


def _surroundings(graph: Graph) -> list[int]:
    """Return a number per atom that tells element, charge, degree and hydrogens apart.

    Together with the bonds these tell molecules apart without bond orders, which depend on how
    aromatic rings were written. Hashes of integers are the same in every process.
    """
    return [
        hash((element, len(graph.bonds[atom]), graph.room(atom), graph.special.get(atom, ())))
        for atom, element in enumerate(graph.elements)
    ]


def _rooted_hash(graph: Graph, side: Sequence[int], surroundings: Sequence[int]) -> int:
    """Return a number that is equal for equal fragments with equal roots.

    Source: Weisfeiler and Lehman's refinement. Different fragments with equal numbers, which are
    rare at this size, are counted as one.
    """
    colours = {atom: surroundings[atom] for atom in side}
    colours[side[0]] = hash((colours[side[0]], 1))
    neighbours = [(atom, [b for b in graph.bonds[atom] if b in colours]) for atom in side]
    for _ in range(_REFINEMENTS):
        colours = {
            atom: hash((colours[atom], *sorted([colours[b] for b in beside])))
            for atom, beside in neighbours
        }
    return hash(tuple(sorted(colours.values())))


def _charge(special: dict[int, Special], atoms: Iterable[int]) -> int:
    return sum(special[atom].charge for atom in atoms if atom in special)
