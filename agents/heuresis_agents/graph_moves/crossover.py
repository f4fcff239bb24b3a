"""Crossover: one side of a cut bond of one molecule, joined to one side of another's."""

from __future__ import annotations

from numpy.random import Generator
from rdkit import Chem
from rdkit.Chem import BondType, RWMol

from heuresis_agents.graph_moves.mutations import pick


def _cut(graph: RWMol, rng: Generator) -> tuple[RWMol, int] | None:
    """Cut an acyclic single bond; return one side and the index of its open atom."""
    Chem.FastFindRings(graph)
    bonds = [
        (b.GetBeginAtomIdx(), b.GetEndAtomIdx())
        for b in graph.GetBonds()
        if b.GetBondType() == BondType.SINGLE
        and not b.IsInRing()
        and not b.GetBeginAtom().GetFormalCharge()
        and not b.GetEndAtom().GetFormalCharge()
    ]
    if not bonds:
        return None
    begin, end = pick(bonds, rng)
    side = RWMol(graph)
    side.RemoveBond(begin, end)
    parts = Chem.GetMolFrags(side)
    if len(parts) != 2:
        return None
    kept = set(parts[int(rng.integers(2))])
    root = begin if begin in kept else end
    root -= sum(1 for index in range(root) if index not in kept)
    for index in sorted(set(range(side.GetNumAtoms())) - kept, reverse=True):
        side.RemoveAtom(index)
    return side, root


def crossover(first: RWMol, second: RWMol, rng: Generator) -> RWMol | None:
    """Return the child of two Kekulé graphs; None when one of them has no bond to cut."""
    left, right = _cut(first, rng), _cut(second, rng)
    if left is None or right is None:
        return None
    child = RWMol(Chem.CombineMols(left[0], right[0]))
    child.AddBond(left[1], left[0].GetNumAtoms() + right[1], BondType.SINGLE)
    return child
