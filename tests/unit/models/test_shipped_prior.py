"""The model that comes with the package, as a user gets it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from heuresis_models.checkpoint import Checkpoint, load_model, model_folder, shipped_names
from heuresis_models.data import randomized, split
from heuresis_models.grammar import Form, Grammar
from heuresis_models.molecules import canonical_smiles, complete, quality, sample_molecules
from heuresis_models.training import heldout_loss
from heuresis_models.vocabulary import Vocabulary

DATA = Path(__file__).parents[4] / "shared" / "data" / "zinc250k.smi.gz"


@pytest.fixture(scope="module")
def prior() -> Checkpoint:
    return load_model(model_folder("heuresis-base"))


def test_it_is_listed_small_and_has_a_card() -> None:
    assert "heuresis-base" in shipped_names()
    folder = model_folder("heuresis-base")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 20 * 2**20
    card = (folder / "MODEL_CARD.md").read_text()
    for word in ("Licence", "Limits", "held-out loss", "heuresis train heuresis-base"):
        assert word in card


def test_it_speaks_the_vocabulary_of_the_package(prior: Checkpoint) -> None:
    assert prior.vocabulary.tokens == Vocabulary.default().tokens


def test_samples_are_valid_distinct_and_drug_sized(prior: Checkpoint) -> None:
    drawn = sample_molecules(*prior, 500, np.random.default_rng(20))
    texts = [Grammar(prior.vocabulary).text(item.tokens) for item in drawn]
    found = quality(texts)
    assert found.valid_share >= 0.90
    assert found.unique_share >= 0.99
    sizes = [
        Chem.MolFromSmiles(smiles).GetNumHeavyAtoms()
        for smiles in canonical_smiles(texts)
        if smiles is not None
    ]
    assert 18 < float(np.median(sizes)) < 28


def test_it_predicts_a_known_drug_far_better_than_a_shuffled_one(prior: Checkpoint) -> None:
    grammar = Grammar(prior.vocabulary)
    drug = "CC(C)Cc1ccc(C(C)C(=O)O)cc1"
    shuffled = "".join(np.random.default_rng(0).permutation(list(drug)).tolist())
    losses = [
        heldout_loss(prior.model, grammar, [text], Form.CANONICAL, 128) for text in (drug, shuffled)
    ]
    assert losses[0] + 1.0 < losses[1]


def test_the_form_tag_decides_which_smiles_are_written(prior: Checkpoint) -> None:
    grammar = Grammar(prior.vocabulary)

    def share_canonical(form: Form) -> float:
        drawn = sample_molecules(*prior, 100, np.random.default_rng(1), form=form)
        texts = [grammar.text(item.tokens) for item in drawn]
        valid = [
            (text, smiles)
            for text, smiles in zip(texts, canonical_smiles(texts), strict=True)
            if smiles is not None
        ]
        return sum(text == smiles for text, smiles in valid) / len(valid)

    assert share_canonical(Form.CANONICAL) > 0.6
    assert share_canonical(Form.RANDOMIZED) < 0.1


def test_regrowing_half_of_a_molecule_stays_near_it(prior: Checkpoint) -> None:
    from rdkit import DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)

    rng = np.random.default_rng(3)
    grammar = Grammar(prior.vocabulary)
    parent = "Cc1ccc(-c2cc(C(F)(F)F)nn2-c2ccc(S(N)(=O)=O)cc2)cc1"
    prefixes = []
    for _ in range(60):
        text = prior.vocabulary.encode(randomized(parent, rng))
        prefixes.append([*grammar.head(Form.RANDOMIZED), *text[: len(text) // 2]])
    regrown = complete(*prior, prefixes, rng)
    children = canonical_smiles([grammar.text(item.tokens) for item in regrown])
    wanted = generator.GetFingerprint(Chem.MolFromSmiles(parent))
    near = [
        DataStructs.TanimotoSimilarity(wanted, generator.GetFingerprint(Chem.MolFromSmiles(child)))
        for child in children
        if child is not None
    ]
    assert len(near) > 40
    assert float(np.mean(near)) > 0.25


def test_most_samples_are_not_copies_of_the_training_set(prior: Checkpoint) -> None:
    if not DATA.is_file():
        pytest.skip("the training data file zinc250k.smi.gz is not on this machine")
    with gzip.open(DATA, "rt") as lines:
        known = {line.strip() for line in lines}
    drawn = sample_molecules(*prior, 200, np.random.default_rng(4))
    texts = [Grammar(prior.vocabulary).text(item.tokens) for item in drawn]
    found = quality(texts, known)
    assert found.novel_share is not None
    assert found.novel_share > 0.95


def test_heldout_molecules_are_no_worse_than_learned_ones(prior: Checkpoint) -> None:
    if not DATA.is_file():
        pytest.skip("the training data file zinc250k.smi.gz is not on this machine")
    with gzip.open(DATA, "rt") as lines:
        head = [line.strip() for number, line in zip(range(20_000), lines, strict=False) if number]
    canonical = [smiles for smiles in canonical_smiles(head) if smiles is not None]
    training, heldout = split(canonical, 0.01)
    grammar = Grammar(prior.vocabulary)
    learned, unseen = (
        heldout_loss(prior.model, grammar, texts[:150], Form.CANONICAL, 128)
        for texts in (training, heldout)
    )
    assert unseen < 0.75
    assert unseen - learned < 0.06
