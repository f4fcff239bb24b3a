from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem

from heuresis_models.checkpoint import Checkpoint, load_model, model_folder
from heuresis_models.generation import (
    Sampling,
    Scaffold,
    grow,
    payload,
    ring_scaffold,
    scaffold_of,
)
from heuresis_models.generation.slots import Slot, SlotWalk
from heuresis_models.language import DocumentError, Vocabulary
from heuresis_models.language.augmentation import canonical_or_none

VOCABULARY = Vocabulary.default()


@pytest.fixture(scope="module")
def prior() -> Checkpoint:
    return load_model(model_folder("heuresis-zinc"))


@pytest.mark.parametrize(
    ("smiles", "most_failures"),
    [
        ("[*]c1ccc(S(N)(=O)=O)cc1", 2),
        ("O=C([*])N1CCC([*])CC1", 4),
        ("C[C@@H]1CCN([*])C1", 2),
        ("CC(=O)N[*].[*]c1ccncc1", 4),
    ],
)
def test_what_grows_keeps_the_scaffold(prior: Checkpoint, smiles: str, most_failures: int) -> None:
    scaffold = Scaffold(smiles)
    # Independent of `Scaffold.kept_in`: the kept part without its points, as SMARTS.
    plain = Chem.MolFromSmarts(Chem.MolToSmarts(Chem.DeleteSubstructs(
        Chem.MolFromSmiles(smiles), Chem.MolFromSmarts("[#0]"))))  # fmt: skip
    grown = grow(prior.model, scaffold, 10, np.random.default_rng(1), linker_atoms=(2, 6))
    kept = [found for found in grown.molecules if found is not None]
    assert sum(grown.failures.values()) == 10 - len(kept) <= most_failures
    assert len(set(kept)) > 0.6 * len(kept)
    for found in kept:
        molecule = Chem.MolFromSmiles(found)
        assert molecule.HasSubstructMatch(plain)
        assert molecule.GetNumHeavyAtoms() > plain.GetNumAtoms()


def test_failures_are_counted_by_cause(prior: Checkpoint) -> None:
    hot = Sampling(masked=False, temperature=3.0, max_tokens=50)
    grown = grow(prior.model, Scaffold("[*]c1ccccc1"), 20, np.random.default_rng(0), hot)
    assert grown.molecules.count(None) == sum(grown.failures.values()) > 5
    assert set(grown.failures) <= {"unfinished", "invalid", "scaffold lost"}
    assert len(grown.samples) == 20


def test_a_kept_part_stands_as_far_ahead_of_the_gap_as_can_be() -> None:
    rng = np.random.default_rng(0)
    for smiles in ("[*]c1ccc(S(N)(=O)=O)cc1", "C[C@@H]1CCN([*])C1"):
        asked = Scaffold(smiles).prompt(rng)
        assert [slot.kind for slot in asked.slots] == ["tail"]
        text = VOCABULARY.decode(asked.ids).partition("<randomized>")[2]
        atoms = Chem.MolFromSmiles(smiles).GetNumHeavyAtoms()
        assert Chem.MolFromSmiles(text).GetNumHeavyAtoms() == atoms
    (link,) = Scaffold("CC[*].[*]c1ccccc1").prompt(rng, linker_atoms=(3, 3)).slots
    assert link.kind == "link"
    assert link.atoms == 3
    assert VOCABULARY.decode(link.then).endswith("</molecule>")


def test_a_kept_part_gains_no_other_bonds() -> None:
    scaffold = Scaffold("[*]c1ccccc1")
    assert scaffold.kept_in("CCc1ccccc1")
    assert not scaffold.kept_in("CCc1ccccc1C")  # substituted elsewhere, too
    assert not scaffold.kept_in("CCC1CCCCC1")
    assert not scaffold.kept_in("not a molecule")
    two = Scaffold("CN[*].[*]c1ccccc1")
    assert two.kept_in("CNCc1ccccc1")
    assert not two.kept_in("CNCc1ccncc1")


def test_kept_atoms_of_a_parent_become_a_scaffold() -> None:
    parent = "CC(=O)Nc1ccc(OC)cc1"
    assert scaffold_of(parent, range(4)).smiles == Scaffold("CC(=O)N[*]").smiles
    ring = ring_scaffold(parent)
    assert ring is not None
    assert ring.smiles == Scaffold("[*]c1ccc([*])cc1").smiles
    both = scaffold_of(parent, [0, 1, 2, 8, 9])
    assert len(both.parts) == 2
    assert ring_scaffold("CCCC") is None
    assert ring_scaffold("c1ccccc1") is None
    with pytest.raises(DocumentError, match="cut an aromatic ring"):
        scaffold_of(parent, [4, 5])
    with pytest.raises(DocumentError, match="some, not all"):
        scaffold_of(parent, [99])


@pytest.mark.parametrize(
    ("smiles", "message"),
    [
        ("c1ccccc1", "0 points"),
        ("nonsense", "cannot read"),
        ("[*]C.[*]C.[*]C", "3 pieces"),
        ("C[*]C", "2 neighbours"),
        ("[*]C[*].[*]C", "2 pieces and 3 points"),
    ],
)
def test_senseless_scaffolds_are_refused(smiles: str, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        Scaffold(smiles)


def _walk(slot: Slot, text: str) -> SlotWalk:
    walk = SlotWalk((slot,))
    for index in VOCABULARY.encode(text):
        assert index not in walk.banned, VOCABULARY.tokens[index]
        walk.take(index)
    return walk


def test_slots_end_where_nothing_is_open() -> None:
    then = (VOCABULARY["C"], VOCABULARY["</molecule>"])
    branch = _walk(Slot("branch", then), "C(C)CC)")
    assert branch.forced == then[0]
    branch.take(then[0])
    assert branch.forced == then[1]
    branch.take(then[1])
    assert branch.forced is None
    assert not branch.banned
    assert _walk(Slot("link", then, atoms=2), "C1CC").forced is None
    assert _walk(Slot("link", then, atoms=2), "C1CC1").forced == then[0]
    assert _walk(Slot("link", then, atoms=2), "[13CH2]C").forced == then[0]
    fresh = SlotWalk((Slot("tail", taken=frozenset({VOCABULARY["1"]})),))
    assert {VOCABULARY[token] for token in ("(", "1", "2", "</molecule>", ".")} <= fresh.banned
    fresh.take(VOCABULARY["C"])
    assert VOCABULARY["1"] in fresh.banned
    assert VOCABULARY["2"] not in fresh.banned


def test_payload_of_a_grown_molecule_is_its_smiles(prior: Checkpoint) -> None:
    grown = grow(prior.model, Scaffold("[*]c1ccccc1"), 3, np.random.default_rng(5))
    for sample, found in zip(grown.samples, grown.molecules, strict=True):
        assert found == canonical_or_none(payload(sample.tokens))
