"""The graph of plain lists, against RDKit's answers to the same questions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from rdkit import Chem

from heuresis_agents.graph_moves.chemistry import editable, finished
from heuresis_agents.graph_moves.fragments import SUBSTITUENTS, built_in, fragments_of
from heuresis_agents.graph_moves.graph import Graph

MOLECULES = (
    "CC(=O)Oc1ccccc1C(=O)O",
    "CN1CCC(Oc2ccc3[nH]ccc3c2)CC1",
    "C[C@@H](N)c1ccc(Cl)cc1",
    "F/C=C/C[C@H](F)[C@@H](Cl)C/C=C\\Br",
    "O=[N+]([O-])c1ccc(CCO)cc1",
    "C[N+](C)(C)CC(=O)[O-]",
    "C1CC2CCC1C2",
    "C1CC12CC2",
    "CS(=O)(=O)N1CCS(=O)CC1",
    "CP(=O)(O)OCC",
    "[13CH3]C(=O)N",
    "N#Cc1ccc(-c2ccsc2)cc1",
    "C[S@@](=O)c1ccccc1",
    "c1ccc2c(c1)[nH]c1ccccc12",
    "O=C1C=CC(=O)N1/N=C/c1cccnc1",
    "C1CCCCCCCCCCC1",
)


def canonical(text: str) -> str:
    smiles: str = Chem.MolToSmiles(Chem.MolFromSmiles(text))
    return smiles


def read(text: str) -> Graph:
    graph = editable(text)
    assert graph is not None
    return graph


@pytest.mark.parametrize("text", MOLECULES)
def test_what_is_read_is_written_again_with_its_stereochemistry(text: str) -> None:
    expected = canonical(text)
    assert finished(read(text)) == expected
    assert finished(read(expected)) == expected


@pytest.mark.parametrize("text", MOLECULES)
def test_the_order_of_the_atoms_does_not_matter(text: str) -> None:
    graph = read(text)
    order = np.random.default_rng(1).permutation(len(graph)).tolist()
    assert finished(graph.part(order)) == canonical(text)


@pytest.mark.parametrize("text", ["", "not-a-molecule", "CCO.CCO", "C->[Fe]"])
def test_what_cannot_be_a_parent_is_no_graph(text: str) -> None:
    assert editable(text) is None


@pytest.mark.parametrize("text", MOLECULES)
def test_ring_bonds_and_smallest_rings_are_rdkits(text: str) -> None:
    molecule = Chem.MolFromSmiles(text)
    graph = read(text)
    expected = {
        tuple(sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))): bond
        for bond in molecule.GetBonds()
        if bond.IsInRing()
    }
    assert graph.ring_bonds() == set(expected)
    rings = molecule.GetRingInfo()
    for pair, bond in expected.items():
        ring = graph.smallest_ring(*pair)
        assert (ring[0], ring[-1]) == pair
        assert len(ring) == len(set(ring)) == rings.MinBondRingSize(bond.GetIdx())
        assert all(b in graph.bonds[a] for a, b in pairwise(ring))


@pytest.mark.parametrize("text", MOLECULES)
def test_distances_and_sides_are_rdkits(text: str) -> None:
    molecule = Chem.MolFromSmiles(text)
    graph = read(text)
    matrix = Chem.GetDistanceMatrix(molecule)
    near = graph.distances(0, 4)
    assert near == {a: int(d) for a, d in enumerate(matrix[0]) if d <= 4}
    for first, second in graph.acyclic_single_bonds():
        cut = Chem.RWMol(molecule)
        cut.RemoveBond(first, second)
        parts = {frozenset(part) for part in Chem.GetMolFrags(cut)}
        side, other = graph.side(first, second), graph.side(second, first)
        assert parts == {frozenset(side), frozenset(other)}
        assert (side[0], other[0]) == (first, second)


def test_a_copy_is_edited_alone() -> None:
    graph = read("C[C@H](N)C(=O)O")
    twin = graph.copy()
    twin.connect(0, twin.add(8))
    twin.set_element(2, 8)
    assert finished(graph) == canonical("C[C@H](N)C(=O)O")
    assert finished(twin) == canonical("OC[C@H](O)C(=O)O")


def test_stereo_stays_where_the_edit_is_not_and_goes_where_it_is() -> None:
    far = read("C[C@H](N)CCF")
    far.set_element(5, 17)
    assert finished(far) == canonical("C[C@H](N)CCCl")
    beside = read("C[C@H](F)CCF")
    beside.disconnect(1, 2)
    beside.connect(1, beside.add(17))
    kept = beside.part(atom for atom in range(len(beside)) if atom != 2)
    assert finished(kept) == "CC(Cl)CCF"
    saturated = read("C/C=C/CN")
    saturated.connect(1, 2, 1)
    assert finished(saturated) == "CCCCN"


def test_charges_that_belong_together_are_not_parted() -> None:
    graph = read("O=[N+]([O-])c1ccccc1")
    assert graph.acyclic_single_bonds() == [(1, 3)]
    assert not any(graph.room(atom) for atom in (0, 1, 2))


def test_fragments_of_a_library_are_counted_whatever_their_kekule_form() -> None:
    texts = [
        "Cc1ccccc1F",
        "Cc1c(F)cccc1",
        "c1(C)ccccc1F",
        "CCc1ccccc1F",
        "not-a-molecule",
        "C[Si]C",
    ]
    found = fragments_of(texts, (6, 9))
    shown = {(finished(item.graph), item.graph.room(0)): round(item.weight**2) for item in found}
    assert shown[("C", 4)] == 4
    assert shown[("F", 1)] == 4
    assert shown[("CC", 3)] == 1
    assert [round(f.weight**2) for f in found if finished(f.graph) == "Fc1ccccc1"] == [4]
    assert [round(f.weight**2) for f in found if finished(f.graph) == "Cc1ccccc1"] == [3]
    assert [f.weight for f in found] == sorted((f.weight for f in found), reverse=True)


def test_limits_of_fragments_are_kept() -> None:
    texts = ["CCCCCCCCc1ccccc1", "C[NH2+]CC(=O)[O-]", "C[N+](=O)[O-]", "CCO", "CBr"]
    found = fragments_of(texts, (6, 7, 8), largest=4, most=3)
    assert len(found) == 3
    assert max(len(item.graph) for item in found) <= 4
    everything = fragments_of(texts, (6, 7, 8), largest=12)
    texts_found = {finished(item.graph) for item in everything}
    assert "O=[N+][O-]" in texts_found
    assert "Br" not in texts_found
    charged = [f for f in everything if sum(s.charge for s in f.graph.special.values())]
    assert not charged
    assert len(fragments_of(texts, (6, 7, 8), molecules=1)) < len(everything)
    assert max(len(item.graph) for item in everything) <= 12


def test_every_built_in_fragment_can_be_attached() -> None:
    fragments = built_in((6, 7, 8, 9, 16, 17))
    assert len(fragments) == len(SUBSTITUENTS)
    for text, fragment in zip(SUBSTITUENTS, fragments, strict=True):
        graph = read("C1CC1")
        graph.connect(0, graph.absorb(fragment.graph))
        assert finished(graph) == canonical(f"C1CC1{text.replace('1', '3').replace('2', '4')}")


def test_built_in_fragments_keep_to_the_elements() -> None:
    assert {e for item in built_in((6, 8)) for e in item.graph.elements} == {6, 8}
    assert len(built_in((6, 7, 8, 9, 16, 17))) > len(built_in((6,))) > 3
