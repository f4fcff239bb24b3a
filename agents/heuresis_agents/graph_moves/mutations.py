"""Small edits of a molecular graph, each one function: (graph, random generator, elements) → done?

An edit changes the graph in place and returns True, or finds no place to work and returns False.
It may leave an impossible graph behind: `chemistry.finished` is the judge.
Weights follow a measured mixture (element and append and delete most often; see `MUTATIONS`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TypeVar

from numpy.random import Generator
from rdkit import Chem
from rdkit.Chem import BondType, RWMol

from heuresis_agents.graph_moves.chemistry import editable, free_valence
from heuresis_agents.graph_moves.fragments import SUBSTITUENTS

Elements = Mapping[str, float]
"""Allowed elements with their weights."""
Mutation = Callable[[RWMol, Generator, Elements], bool]
Item = TypeVar("Item")

VALENCE = {
    "C": 4,
    "N": 3,
    "O": 2,
    "F": 1,
    "P": 5,
    "S": 6,
    "Cl": 1,
    "Br": 1,
    "I": 1,
    "B": 3,
    "Si": 4,
}
_ORDER = {BondType.SINGLE: 1, BondType.DOUBLE: 2, BondType.TRIPLE: 3}
_BOND = {order: bond for bond, order in _ORDER.items()}


def pick(items: Sequence[Item], rng: Generator) -> Item:
    """Return one item, uniformly."""
    return items[int(rng.integers(len(items)))]


@cache
def built_from(
    texts: tuple[str, ...], elements: frozenset[str], most: int | None = None
) -> tuple[str, ...]:
    """Return those SMILES that have no other elements, and at most so many heavy atoms."""
    usable = []
    for text in texts:
        atoms = [atom.GetSymbol() for atom in Chem.MolFromSmiles(text).GetAtoms()]
        if elements.issuperset(atoms) and (most is None or len(atoms) <= most):
            usable.append(text)
    return tuple(usable)


def _pick_element(
    elements: Elements, valence: int, rng: Generator, besides: str = ""
) -> str | None:
    """Return an element that can carry ``valence`` bonds."""
    fit = [e for e in elements if VALENCE.get(e, 0) >= valence and e != besides]
    if not fit:
        return None
    weights = [elements[e] for e in fit]
    total = sum(weights)
    return str(rng.choice(fit, p=[w / total for w in weights]))


def _neutral(graph: RWMol) -> list[int]:
    return [a.GetIdx() for a in graph.GetAtoms() if a.GetFormalCharge() == 0]


def _bonds_used(graph: RWMol, index: int) -> int:
    return sum(_ORDER.get(b.GetBondType(), 1) for b in graph.GetAtomWithIdx(index).GetBonds())


def change_element(graph: RWMol, rng: Generator, elements: Elements) -> bool:
    """Replace one atom by another element that can carry its bonds."""
    index = pick(_neutral(graph) or [0], rng)
    atom = graph.GetAtomWithIdx(index)
    new = _pick_element(elements, _bonds_used(graph, index), rng, besides=atom.GetSymbol())
    if new is None or atom.GetFormalCharge():
        return False
    atom.SetAtomicNum(Chem.GetPeriodicTable().GetAtomicNumber(new))
    atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
    return True


def append_atom(graph: RWMol, rng: Generator, elements: Elements) -> bool:
    """Add an atom to one that has hydrogens to give; sometimes with a double bond."""
    open_atoms = [i for i in _neutral(graph) if free_valence(graph, i)]
    if not open_atoms:
        return False
    index = pick(open_atoms, rng)
    order = 2 if free_valence(graph, index) > 1 and rng.random() < 0.15 else 1
    new = _pick_element(elements, order, rng)
    if new is None:
        return False
    graph.AddBond(index, graph.AddAtom(Chem.Atom(new)), _BOND[order])
    return True


def delete_atom(graph: RWMol, rng: Generator, elements: Elements) -> bool:  # noqa: ARG001
    """Remove a terminal atom, or one between two others, which are then bonded."""
    small = [i for i in _neutral(graph) if graph.GetAtomWithIdx(i).GetDegree() in (1, 2)]
    if not small or graph.GetNumAtoms() < 3:
        return False
    index = pick(small, rng)
    neighbours = [n.GetIdx() for n in graph.GetAtomWithIdx(index).GetNeighbors()]
    if len(neighbours) == 2:
        if graph.GetBondBetweenAtoms(*neighbours) is not None:
            return False
        graph.AddBond(neighbours[0], neighbours[1], BondType.SINGLE)
    graph.RemoveAtom(index)
    return True


def insert_atom(graph: RWMol, rng: Generator, elements: Elements) -> bool:
    """Put an atom into a single bond."""
    bonds = [b for b in graph.GetBonds() if b.GetBondType() == BondType.SINGLE]
    new = _pick_element(elements, 2, rng)
    if not bonds or new is None:
        return False
    bond = pick(bonds, rng)
    begin, end = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
    graph.RemoveBond(begin, end)
    middle = graph.AddAtom(Chem.Atom(new))
    graph.AddBond(begin, middle, BondType.SINGLE)
    graph.AddBond(middle, end, BondType.SINGLE)
    return True


def attach_fragment(graph: RWMol, rng: Generator, elements: Elements) -> bool:
    """Attach a common substituent, made of allowed elements, in place of a hydrogen."""
    open_atoms = [i for i in _neutral(graph) if free_valence(graph, i)]
    usable = built_from(SUBSTITUENTS, frozenset(elements))
    if not open_atoms or not usable:
        return False
    fragment = editable(pick(usable, rng))
    assert fragment is not None, "every building block is readable"
    first = graph.GetNumAtoms()
    index = pick(open_atoms, rng)
    graph.InsertMol(fragment)
    graph.AddBond(index, first, BondType.SINGLE)
    return True


def change_bond_order(graph: RWMol, rng: Generator, elements: Elements) -> bool:  # noqa: ARG001
    """Raise or lower one bond by one order."""
    bonds = [b for b in graph.GetBonds() if b.GetBondType() in _ORDER]
    if not bonds:
        return False
    bond = pick(bonds, rng)
    begin, end = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
    order = _ORDER[bond.GetBondType()]
    can_rise = order < 3 and free_valence(graph, begin) and free_valence(graph, end)
    can_fall = order > 1
    if not (can_rise or can_fall):
        return False
    rise = bool(can_rise) and (not can_fall or rng.random() < 0.5)
    bond.SetBondType(_BOND[order + 1 if rise else order - 1])
    bond.SetStereo(Chem.BondStereo.STEREONONE)
    return True


def _acyclic_single_bonds(graph: RWMol) -> list[tuple[int, int]]:
    Chem.FastFindRings(graph)
    return [
        (b.GetBeginAtomIdx(), b.GetEndAtomIdx())
        for b in graph.GetBonds()
        if b.GetBondType() == BondType.SINGLE and not b.IsInRing()
    ]


def move_substituent(graph: RWMol, rng: Generator, elements: Elements) -> bool:  # noqa: ARG001
    """Cut the smaller side of an acyclic single bond off and bond it to another atom."""
    bonds = _acyclic_single_bonds(graph)
    if not bonds:
        return False
    begin, end = pick(bonds, rng)
    graph.RemoveBond(begin, end)
    parts = Chem.GetMolFrags(graph)
    if len(parts) != 2:
        return False
    small, large = sorted(parts, key=len)
    root = begin if begin in small else end
    old = end if root == begin else begin
    targets = [i for i in large if i != old and free_valence(graph, i)]
    if not targets:
        return False
    graph.AddBond(root, pick(targets, rng), BondType.SINGLE)
    return True


def drop_substituent(graph: RWMol, rng: Generator, elements: Elements) -> bool:  # noqa: ARG001
    """Cut the smaller side of an acyclic single bond off and forget it."""
    bonds = _acyclic_single_bonds(graph)
    if not bonds:
        return False
    graph.RemoveBond(*pick(bonds, rng))
    parts = Chem.GetMolFrags(graph)
    if len(parts) != 2:
        return False
    smaller: tuple[int, ...] = min(parts, key=len)
    for index in sorted(smaller, reverse=True):
        graph.RemoveAtom(index)
    return True


def close_ring(graph: RWMol, rng: Generator, elements: Elements) -> bool:  # noqa: ARG001
    """Bond two atoms four or five bonds apart: a new five- or six-membered ring."""
    open_atoms = [i for i in _neutral(graph) if free_valence(graph, i)]
    distances = Chem.GetDistanceMatrix(graph)
    pairs = [(i, j) for i in open_atoms for j in open_atoms if i < j and distances[i, j] in (4, 5)]
    if not pairs:
        return False
    begin, end = pick(pairs, rng)
    graph.AddBond(begin, end, BondType.SINGLE)
    return True


def open_ring(graph: RWMol, rng: Generator, elements: Elements) -> bool:  # noqa: ARG001
    """Remove one single bond of a ring."""
    Chem.FastFindRings(graph)
    bonds = [b for b in graph.GetBonds() if b.IsInRing() and b.GetBondType() == BondType.SINGLE]
    if not bonds:
        return False
    bond = pick(bonds, rng)
    graph.RemoveBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
    return True


def toggle_ring_saturation(graph: RWMol, rng: Generator, elements: Elements) -> bool:  # noqa: ARG001
    """Make a ring all single bonds, or give a saturated six-ring alternating double bonds."""
    Chem.FastFindRings(graph)
    rings = [r for r in graph.GetRingInfo().AtomRings() if len(r) in (5, 6)]
    if not rings:
        return False
    ring = pick(rings, rng)
    bonds = [
        graph.GetBondBetweenAtoms(ring[i], ring[(i + 1) % len(ring)]) for i in range(len(ring))
    ]
    if any(bond.GetBondType() != BondType.SINGLE for bond in bonds):
        for bond in bonds:
            bond.SetBondType(BondType.SINGLE)
        return True
    for position in range(0, len(ring) - 1, 2):
        begin, end = ring[position], ring[position + 1]
        if free_valence(graph, begin) and free_valence(graph, end):
            bonds[position].SetBondType(BondType.DOUBLE)
    for index in ring:
        graph.GetAtomWithIdx(index).SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
    return True


MUTATIONS: dict[str, tuple[float, Mutation]] = {
    "element": (18, change_element),
    "append": (18, append_atom),
    "delete": (18, delete_atom),
    "insert": (10, insert_atom),
    "fragment": (10, attach_fragment),
    "bond-order": (8, change_bond_order),
    "move": (8, move_substituent),
    "close-ring": (7, close_ring),
    "open-ring": (4, open_ring),
    "saturation": (3, toggle_ring_saturation),
    "drop": (2, drop_substituent),
}
"""Name → (weight, edit)."""
