from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from rdkit import Chem

from heuresis.errors import InvalidCandidate, UserError
from heuresis.records import Candidate, Prompt, Proposal, ScoredCandidate
from heuresis.spaces.molecule import MoleculeSpace
from heuresis_agents.graph_moves.chemistry import editable, finished
from heuresis_agents.graph_moves.crossover import crossover
from heuresis_agents.graph_moves.fragments import STARTING_MOLECULES, SUBSTITUENTS, built_in
from heuresis_agents.graph_moves.mutations import MUTATIONS, Stock
from heuresis_agents.proposers.graph_moves import GraphMoves

PARENTS = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "CN1CCC(Oc2ccc3[nH]ccc3c2)CC1",
    "O=S(=O)(Nc1ccccn1)c1ccc(N)cc1",
    "C[C@H](N)c1ccc(Cl)cc1",
    "O=[N+]([O-])c1ccc(CCO)cc1",
    "N#Cc1ccc(-c2ccsc2)cc1",
]
SPACE = MoleculeSpace(MoleculeSpace.Config(heavy_atoms=(3, 40)))


def prompt(*texts: str, in_flight: tuple[str, ...] = ()) -> Prompt:
    return Prompt(
        island=0,
        epoch=0,
        in_flight=in_flight,
        exemplars=tuple(
            ScoredCandidate(candidate=Candidate.of("molecule", t), score=0.5) for t in texts
        ),
    )


def propose(question: Prompt, count: int, seed: int = 0, **settings: float) -> list[Proposal]:
    proposer = GraphMoves(GraphMoves.Config(**settings), SPACE)
    return proposer.propose(question, count, np.random.default_rng(seed))


def test_the_same_generator_gives_the_same_children() -> None:
    question = prompt(*PARENTS[:2])
    assert propose(question, 20) == propose(question, 20)
    assert propose(question, 20) != propose(question, 20, seed=1)


def test_children_are_new_and_know_their_parents() -> None:
    question = prompt(*PARENTS[:2])
    children = propose(question, 60)
    texts = [child.text for child in children]
    assert len(set(texts)) == len(texts) == 60
    assert not set(texts) & set(PARENTS)
    ids = {member.candidate.id for member in question.exemplars}
    operators = Counter(child.operator.split(":")[0] for child in children)
    assert operators["crossover"] >= 10
    assert operators["mutate"] >= 20
    for child in children:
        assert set(child.parents) <= ids
        expected = {"crossover": 2, "start": 0}.get(child.operator, 1)
        assert len(child.parents) == expected, child


def test_what_is_in_flight_is_not_proposed_again() -> None:
    question = prompt(PARENTS[0])
    first = {child.text for child in propose(question, 10)}
    again = propose(prompt(PARENTS[0], in_flight=tuple(first)), 10)
    assert not first & {child.text for child in again}


def test_without_exemplars_it_starts_from_scaffolds() -> None:
    children = propose(prompt(), 30)
    assert len(children) == 30
    assert all(child.parents == () for child in children)


def test_most_children_are_members_of_the_space() -> None:
    children = [c for seed in range(20) for c in propose(prompt(*PARENTS), 10, seed=seed)]
    refused: Counter[str] = Counter()
    for child in children:
        try:
            SPACE.canonical(child.text)
        except InvalidCandidate as invalid:
            refused[invalid.reason] += 1
    assert sum(refused.values()) <= 0.05 * len(children), refused


def test_the_elements_of_the_space_are_respected() -> None:
    space = MoleculeSpace(MoleculeSpace.Config(elements=("C", "N"), heavy_atoms=(1, 40)))
    proposer = GraphMoves(GraphMoves.Config(), space)
    rng = np.random.default_rng(3)
    drawn: Counter[str] = Counter()
    for _ in range(30):
        for child in proposer.propose(prompt("CCCCNCC"), 5, rng):
            if child.operator in ("mutate:append", "mutate:element", "mutate:insert"):
                drawn.update(a.GetSymbol() for a in Chem.MolFromSmiles(child.text).GetAtoms())
    assert set(drawn) <= {"C", "N", "O", "F", "S", "Cl"}  # fragments may bring others along
    assert drawn["C"] + drawn["N"] > 20 * (sum(drawn.values()) - drawn["C"] - drawn["N"])


@pytest.mark.parametrize("name", MUTATIONS)
def test_every_mutation_finds_work_and_makes_molecules(name: str) -> None:
    rng = np.random.default_rng(5)
    stock = Stock({6: 3.0, 7: 1.0, 8: 1.0}, built_in([6, 7, 8]))
    made = set()
    for _ in range(60):
        graph = editable(PARENTS[int(rng.integers(len(PARENTS)))])
        assert graph is not None
        if MUTATIONS[name][1](graph, rng, stock):
            made.add(finished(graph))
    made.discard(None)
    assert len(made) >= 5, f"{name} made {made}"


def test_crossover_joins_parts_of_both() -> None:
    rng = np.random.default_rng(0)
    left, right = editable("FCCCCCC"), editable("ClCCCCCC")
    assert left is not None
    assert right is not None
    children = {finished(c) for _ in range(40) if (c := crossover(left, right, rng)) is not None}
    assert any(c and "F" in c and "Cl" in c for c in children)


@pytest.mark.parametrize(
    "silly",
    [
        "COOC",
        "CN(C)N(C)N(C)C",
        "CNCl",
        "C1CC#CC1",
        "CS(C)C",
        "C=C=CC",
        "CSOC",
        "C1=CC1",
        "C1=CCC1",
        "C1CC2=CC(C1)CC2",  # Bredt
        "c1cc2cc-2c1N",
        "C[SH](=O)(=O)=O",
        "CP(C)(C)C",
        "C=S(C)(C)=O",
        "OCO",
        "CON(C)OC",
        "CC(O)=CC",
    ],
)
def test_silly_chemistry_is_not_proposed(silly: str) -> None:
    graph = editable(silly)
    assert graph is None or finished(graph) is None


@pytest.mark.parametrize("text", STARTING_MOLECULES + SUBSTITUENTS)
def test_building_blocks_are_sound(text: str) -> None:
    graph = editable(text)
    assert graph is not None
    if text in STARTING_MOLECULES:
        smiles = finished(graph)
        assert smiles is not None
        assert SPACE.canonical(smiles) == SPACE.canonical(text)


def test_large_rings_of_parents_may_stay_but_are_not_made() -> None:
    graph = editable("C1CCCCCCCCCCC1")
    assert graph is not None
    assert finished(graph) == "C1CCCCCCCCCCC1"
    graph.largest_ring = 8
    assert finished(graph) is None


@pytest.mark.parametrize("elements", [("C", "N"), ("Si", "O"), ("O", "N", "F")])
def test_any_set_of_elements_can_be_grown_from(elements: tuple[str, ...]) -> None:
    space = MoleculeSpace(MoleculeSpace.Config(elements=elements, heavy_atoms=(2, 6)))
    proposer = GraphMoves(GraphMoves.Config(), space)
    children = proposer.propose(prompt(), 5, np.random.default_rng(2))
    for child in children:
        atoms = Chem.MolFromSmiles(child.text).GetAtoms()
        assert {atom.GetSymbol() for atom in atoms} <= set(elements)
    # Without carbon there is little that a chemist would make; more must not be made up.
    assert len(children) == 5 if "C" in elements else len(children) >= 1


def test_elements_that_no_edit_knows_are_a_users_error() -> None:
    space = MoleculeSpace(MoleculeSpace.Config(elements=("Xe", "Kr")))
    with pytest.raises(UserError, match="the space allows only Xe, Kr"):
        GraphMoves(GraphMoves.Config(), space)


def test_grown_molecules_have_the_size_that_the_space_asks_for() -> None:
    space = MoleculeSpace(MoleculeSpace.Config(heavy_atoms=(35, 38)))
    proposer = GraphMoves(GraphMoves.Config(), space)
    children = proposer.propose(prompt(), 8, np.random.default_rng(4))
    assert [child.operator for child in children] == ["start"] * 8
    for child in children:
        assert 35 <= Chem.MolFromSmiles(child.text).GetNumHeavyAtoms() <= 38


def test_what_the_space_always_refuses_is_returned_so_that_it_is_counted() -> None:
    hopeless = MoleculeSpace(MoleculeSpace.Config(forbid_smarts={"anything": "[*]"}))
    proposer = GraphMoves(GraphMoves.Config(), hopeless)
    children = proposer.propose(prompt(*PARENTS), 3, np.random.default_rng(4))
    assert 0 < len(children) <= 3
    for child in children:
        with pytest.raises(InvalidCandidate, match="forbidden pattern anything"):
            hopeless.canonical(child.text)


def test_another_space_is_refused() -> None:
    class Crystals(MoleculeSpace):
        kind = "crystal"

    with pytest.raises(UserError, match="graph-moves edits molecules; the space is 'crystal'"):
        GraphMoves(GraphMoves.Config(), Crystals(MoleculeSpace.Config()))
