"""The moves as a whole: what children of real molecules look like, and what is promised of them."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.random import Generator
from rdkit import Chem

from heuresis_agents.graph_moves import moves as module
from heuresis_agents.graph_moves.chemistry import editable, finished
from heuresis_agents.graph_moves.crossover import crossover
from heuresis_agents.graph_moves.moves import Child, MoleculeMoves, MoveShares
from heuresis_agents.graph_moves.mutations import (
    MUTATIONS,
    RING_WEIGHTS,
    Mutation,
    Stock,
    append_atom,
    change_bond_order,
    change_element,
    close_ring,
    delete_atom,
    toggle_ring_saturation,
    use_fragment,
)
from heuresis_agents.libraries import library_texts
from heuresis_agents.proposers.graph_moves import DEFAULT_ELEMENTS

DATA = Path(__file__).parents[4] / "shared" / "data" / "zinc250k.smi.gz"
PARENTS = ("CC(=O)Oc1ccccc1C(=O)O", "CN1CCC(Oc2ccc3[nH]ccc3c2)CC1", "N#Cc1ccc(-c2ccsc2)cc1")


def canonical(text: str) -> str:
    smiles: str = Chem.MolToSmiles(Chem.MolFromSmiles(text))
    return smiles


def ring_sizes(molecule: Chem.Mol) -> list[int]:
    return [len(ring) for ring in molecule.GetRingInfo().AtomRings()]


def uniform(rng: Generator) -> str:
    return PARENTS[int(rng.random() * len(PARENTS))]


def made(text: str, move: Mutation, stock: Stock, tries: int = 100) -> set[str]:
    """Return what a mutation makes of a molecule, in many tries."""
    rng = np.random.default_rng(1)
    found = set()
    for _ in range(tries):
        graph = editable(text)
        assert graph is not None
        if move(graph, rng, stock) and (child := finished(graph)):
            found.add(child)
    return found


def test_offspring_are_new_distinct_and_decided_by_the_generator() -> None:
    moves = MoleculeMoves(DEFAULT_ELEMENTS)
    known = {canonical(text) for text in PARENTS}
    first = moves.offspring(uniform, 40, np.random.default_rng(1), known)
    texts = [child.text for child in first]
    assert len(set(texts)) == 40
    assert not known & set(texts)
    assert [canonical(text) for text in texts] == texts
    assert {parent for child in first for parent in child.parents} == set(PARENTS)
    # Neither what was made before nor what was read before matters.
    again = moves.offspring(uniform, 40, np.random.default_rng(1), known)
    fresh = MoleculeMoves(DEFAULT_ELEMENTS).offspring(uniform, 40, np.random.default_rng(1), known)
    assert again == first == fresh
    later = moves.offspring(uniform, 40, np.random.default_rng(1), known | set(texts))
    assert not {child.text for child in later} & set(texts)


def test_offspring_give_up_where_there_are_none() -> None:
    moves = MoleculeMoves({"F": 1.0}, (1, 1), shares=MoveShares(crossover=0.0))
    assert moves.offspring(lambda rng: "F", 5, np.random.default_rng(1), {"F"}, tries=4) == []


def test_a_parent_is_read_once_and_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    read: Counter[str] = Counter()

    def counting(text: str) -> object:
        read[text] += 1
        return editable(text)

    moves = MoleculeMoves(DEFAULT_ELEMENTS)
    monkeypatch.setattr(module, "editable", counting)
    monkeypatch.setattr(module, "PARENTS_REMEMBERED", 3)
    rng = np.random.default_rng(2)
    for _ in range(20):
        moves.mutated("CCO", rng)
        moves.crossed("CCO", "CCCN", rng)
    assert read == {"CCO": 1, "CCCN": 1}
    for text in ("CCF", "CCO", "CCCl"):
        moves.mutated(text, rng)
    assert read["CCO"] == 1
    moves.mutated("CCCN", rng)
    assert read["CCCN"] == 2
    assert len(moves._read) == 3


def test_parents_that_cannot_be_read_have_no_children() -> None:
    moves = MoleculeMoves(DEFAULT_ELEMENTS)
    rng = np.random.default_rng(1)
    assert not moves.readable("CCO.Cl")
    assert moves.mutated("nonsense", rng) is None
    assert moves.crossed("CCO", "nonsense", rng) is None


def test_limits_are_kept() -> None:
    moves = MoleculeMoves({"C": 1.0, "N": 1.0}, (9, 11))
    rng = np.random.default_rng(3)
    children = moves.offspring(lambda r: "CCCCCCNCCN", 60, rng)
    for child in children:
        molecule = Chem.MolFromSmiles(child.text)
        assert 9 <= molecule.GetNumAtoms() <= 11
        assert {atom.GetSymbol() for atom in molecule.GetAtoms()} <= {"C", "N"}
    assert len(children) == 60
    with pytest.raises(ValueError, match="no edit can place any of He"):
        MoleculeMoves({"He": 1.0})


def test_shares_are_kept() -> None:
    moves = MoleculeMoves(DEFAULT_ELEMENTS, shares=MoveShares(crossover=0.0))
    operators = {child.operator for child in moves.offspring(uniform, 50, np.random.default_rng(1))}
    assert operators
    assert not {"crossover", "start"} & operators
    moves = MoleculeMoves(DEFAULT_ELEMENTS, shares=MoveShares(crossover=1.0))
    crossed = moves.offspring(uniform, 100, np.random.default_rng(1))
    # The same parent drawn twice is mutated.
    assert 40 < sum(child.operator == "crossover" for child in crossed) < 90


def test_sulphides_can_be_oxidised_but_get_no_other_high_valence() -> None:
    stock = Stock({6: 1.0, 8: 1.0, 16: 1.0})
    assert "CS(C)=O" in made("CSC", append_atom, stock)
    assert "CS(C)(=O)=O" in made("CS(C)=O", append_atom, stock)
    for text in ("CSC", "CS(C)=O", "CS(C)(=O)=O", "CC(C)(C)C", "CC(C)=O", "CP(C)C"):
        for move in (append_atom, change_element, change_bond_order, delete_atom):
            for child in made(text, move, stock, 60):
                check_valences(Chem.MolFromSmiles(child))


def test_elements_change_only_where_the_bonds_fit() -> None:
    stock = Stock({7: 1.0, 8: 1.0, 9: 1.0, 16: 1.0})
    assert made("CC(C)(C)C", change_element, stock) == {
        "CC(C)(C)N", "CC(C)(C)O", "CC(C)(C)F", "CC(C)(C)S"
    }  # fmt: skip
    assert "CN(C)C" in made("C[NH+](C)C", change_element, Stock({7: 1.0})), "a charge may go"
    assert made("O=[N+]([O-])c1ccccc1", change_element, Stock({8: 1.0})) == set()


def test_rings_are_closed_at_all_sizes_mostly_five_and_six() -> None:
    rng = np.random.default_rng(1)
    sizes: Counter[int] = Counter()
    for _ in range(400):
        graph = editable("CCCCCCCCCC")
        assert graph is not None
        close_ring(graph, rng, Stock({6: 1.0}))
        sizes[len(graph.smallest_ring(*next(iter(graph.ring_bonds()))))] += 1
    assert set(sizes) == set(RING_WEIGHTS) == set(range(3, 9))
    assert sizes[5] + sizes[6] > 200


@pytest.mark.parametrize(
    ("saturated", "unsaturated"),
    [("C1CCCCC1", "c1ccccc1"), ("C1CCNCC1", "c1ccncc1"), ("C1CCOC1", "c1ccoc1")],
)
def test_rings_gain_and_lose_all_their_double_bonds(saturated: str, unsaturated: str) -> None:
    stock = Stock({6: 1.0})
    assert made(unsaturated, toggle_ring_saturation, stock) == {saturated}
    assert unsaturated in made(saturated, toggle_ring_saturation, stock)


def test_fragments_replace_and_extend() -> None:
    from heuresis_agents.graph_moves.fragments import fragments_of

    stock = Stock({6: 1.0}, [f for f in fragments_of(["BrC"], (6, 35)) if 35 in f.graph.elements])
    found = made("CCc1ccccc1", use_fragment, stock)
    assert {"BrCCc1ccccc1", "CCc1ccccc1Br", "Brc1ccccc1"} <= found


def test_crossover_exchanges_ring_arcs() -> None:
    rng = np.random.default_rng(4)
    left, right = editable("FC1CCCCC1"), editable("ClC1CCNCC1")
    assert left is not None
    assert right is not None
    rings = set()
    for _ in range(300):
        child = crossover(left, right, rng)
        text = finished(child) if child is not None else None
        if text is not None:
            molecule = Chem.MolFromSmiles(text)
            if {"F", "Cl"} <= {a.GetSymbol() for a in molecule.GetAtoms()}:
                rings.update(ring_sizes(molecule))
                assert len(ring_sizes(molecule)) <= 2
    assert rings >= {5, 6, 7}
    assert finished(left) == "FC1CCCCC1", "parents stay as they are"


def check_valences(molecule: Chem.Mol) -> None:
    """Assert that sulphur and phosphorus are those of thiols, oxides, sulphones and phosphates."""
    for atom in molecule.GetAtoms():
        doubles = sum(bond.GetBondTypeAsDouble() == 2 for bond in atom.GetBonds())
        valence = atom.GetTotalValence()
        if atom.GetSymbol() == "S" and not atom.GetFormalCharge() and not atom.GetIsAromatic():
            assert (valence, doubles) in {(2, 0), (2, 1), (4, 1), (6, 2)}, Chem.MolToSmiles(
                molecule
            )
        if atom.GetSymbol() == "P" and not atom.GetFormalCharge() and not atom.GetIsAromatic():
            assert valence == 3 or (valence, doubles) == (5, 1), Chem.MolToSmiles(molecule)


@cache
def zinc_children() -> tuple[tuple[str, ...], tuple[Child, ...]]:
    """Return 200 random molecules of ZINC250k and 1,000 children of them."""
    if not DATA.exists():
        pytest.skip(f"needs ZINC250k as {DATA.name} in the data folder beside the repository")
    texts = library_texts(DATA)
    rng = np.random.default_rng(5)
    parents = tuple(texts[int(i)] for i in rng.choice(len(texts), size=200, replace=False))
    moves = MoleculeMoves(DEFAULT_ELEMENTS, (3, 60))
    children = moves.offspring(lambda r: parents[int(r.random() * 200)], 1000, rng)
    return parents, tuple(children)


def test_children_of_zinc_have_the_size_of_their_parents() -> None:
    parents, children = zinc_children()
    before = [Chem.MolFromSmiles(text).GetNumAtoms() for text in parents]
    after = [Chem.MolFromSmiles(child.text).GetNumAtoms() for child in children]
    assert len(after) == 1000
    assert abs(np.mean(after) - np.mean(before)) < 1.5
    assert abs(np.median(after) - np.median(before)) <= 1.5
    mutants = [size for size, child in zip(after, children, strict=True) if len(child.parents) == 1]
    assert abs(np.mean(mutants) - np.mean(before)) < 1.0


def test_children_of_zinc_are_chemistry() -> None:
    parents, children = zinc_children()
    largest = max(size for text in parents for size in ring_sizes(Chem.MolFromSmiles(text)))
    cumulated = Chem.MolFromSmarts("*=C=*")
    triple_in_ring = Chem.MolFromSmarts("[R]#@[R]")
    for child in children:
        molecule = Chem.MolFromSmiles(child.text)
        assert molecule is not None, child
        assert Chem.MolToSmiles(molecule) == child.text
        assert len(Chem.GetMolFrags(molecule)) == 1
        assert all(3 <= size <= max(8, largest) for size in ring_sizes(molecule)), child
        assert not molecule.HasSubstructMatch(cumulated), child
        assert not molecule.HasSubstructMatch(triple_in_ring), child
        assert not sum(atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms()), child
        check_valences(molecule)


def test_every_move_is_seen_and_most_tries_succeed() -> None:
    parents, children = zinc_children()
    operators = Counter(child.operator for child in children)
    assert set(operators) == {"crossover", *(f"mutate:{name}" for name in MUTATIONS)}
    assert 0.4 < operators["crossover"] / len(children) < 0.6
    moves = MoleculeMoves(DEFAULT_ELEMENTS, (3, 60))
    rng = np.random.default_rng(6)
    tries = [moves.one(lambda r: parents[int(r.random() * 200)], rng) for _ in range(300)]
    assert sum(child is not None for child in tries) > 0.75 * len(tries)
