"""The molecule model that comes with the package, as a user gets it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from heuresis_models.checkpoint import Checkpoint, load_model, model_folder, shipped_names
from heuresis_models.descriptors import properties_of
from heuresis_models.errors import WeightsError
from heuresis_models.generation import (
    Knowledge,
    Sampling,
    generate,
    payload,
    prompt,
    quality,
    sample_molecules,
)
from heuresis_models.language import Form, Quantity, Vocabulary
from heuresis_models.language.augmentation import canonical_or_none, randomized_smiles
from heuresis_models.packing import ScoredTokens
from heuresis_models.training import mean_loss

NAME = "heuresis-zinc"
DATA = Path(__file__).parents[4] / "shared" / "data" / "zinc250k.smi.gz"


@pytest.fixture(scope="module")
def prior() -> Checkpoint:
    return load_model(model_folder(NAME))


def _loss(prior: Checkpoint, texts: list[str]) -> float:
    documents = []
    for text in texts:
        asked = prompt(given=text)
        ids = [*asked.ids, prior.vocabulary["</molecule>"]]
        documents.append(ScoredTokens(ids, [place >= asked.head for place in range(len(ids))]))
    return mean_loss(prior.model, documents, 128)


def test_it_is_listed_small_and_has_a_card() -> None:
    assert NAME in shipped_names()
    folder = model_folder(NAME)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 20 * 2**20
    card = (folder / "MODEL_CARD.md").read_text()
    for word in ("Licence", "Limits", "held-out loss"):
        assert word.lower() in card.lower()


def test_it_speaks_the_vocabulary_of_the_package_and_knows_plain_molecules(
    prior: Checkpoint,
) -> None:
    assert prior.vocabulary.tokens == Vocabulary.default().tokens
    assert Knowledge.of(model_folder(NAME)).taught == {"molecules"}


def test_the_model_of_the_whole_language_says_what_it_heeds() -> None:
    knowledge = Knowledge.of(model_folder("heuresis-base"))
    assert {"exemplars", "retro", "crystals", "conditions"} <= knowledge.taught
    assert knowledge.levels
    knowledge.check([Quantity("logp", 2.0), Quantity("tpsa", 60.0)])
    with pytest.raises(WeightsError, match="logp"):
        knowledge.check([Quantity("logp", 12.0)])


@pytest.mark.parametrize(("masked", "least"), [(False, 0.88), (True, 0.99)])
def test_samples_are_valid_distinct_and_drug_sized(
    prior: Checkpoint, masked: bool, least: float
) -> None:
    drawn = sample_molecules(prior.model, 300, np.random.default_rng(20), Sampling(masked=masked))
    texts = [payload(item.tokens) for item in drawn]
    found = quality(texts)
    assert found.valid_share >= least
    assert found.unique_share >= 0.99
    sizes = [
        Chem.MolFromSmiles(smiles).GetNumHeavyAtoms()
        for smiles in map(canonical_or_none, texts)
        if smiles is not None
    ]
    assert 18 < float(np.median(sizes)) < 28
    assert max(sizes) < 60


def test_it_predicts_a_known_drug_far_better_than_a_shuffled_one(prior: Checkpoint) -> None:
    drug = "CC(C)Cc1ccc(C(C)C(=O)O)cc1"
    shuffled = "".join(np.random.default_rng(0).permutation(list(drug)).tolist())
    assert _loss(prior, [drug]) + 1.0 < _loss(prior, [shuffled])


def test_the_form_tag_decides_which_smiles_are_written(prior: Checkpoint) -> None:
    def share_canonical(form: Form) -> float:
        drawn = sample_molecules(prior.model, 100, np.random.default_rng(1), form=form)
        texts = [payload(item.tokens) for item in drawn]
        valid = [
            (text, smiles)
            for text, smiles in zip(texts, map(canonical_or_none, texts), strict=True)
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
    parent = "Cc1ccc(-c2cc(C(F)(F)F)nn2-c2ccc(S(N)(=O)=O)cc2)cc1"
    prompts = []
    for _ in range(60):
        tokens = prior.vocabulary.cut(randomized_smiles(parent, rng))
        given = "".join(tokens[: len(tokens) // 2])
        prompts.append(prompt(form=Form.RANDOMIZED, given=given))
    children = [
        canonical_or_none(payload(item.tokens)) for item in generate(prior.model, prompts, rng)
    ]
    wanted = generator.GetFingerprint(Chem.MolFromSmiles(parent))
    near = [
        DataStructs.TanimotoSimilarity(wanted, generator.GetFingerprint(Chem.MolFromSmiles(child)))
        for child in children
        if child is not None
    ]
    assert len(near) > 50
    assert float(np.mean(near)) > 0.25


def _lines(most: int | None = None) -> list[str]:
    if not DATA.is_file():
        pytest.skip("the training data file zinc250k.smi.gz is not on this machine")
    with gzip.open(DATA, "rt") as lines:
        return [line.strip() for number, line in enumerate(lines) if not most or number < most]


def test_most_samples_are_not_copies_of_the_training_set(prior: Checkpoint) -> None:
    known = set(_lines())
    drawn = sample_molecules(prior.model, 200, np.random.default_rng(4))
    found = quality([payload(item.tokens) for item in drawn], known)
    assert found.novel_share is not None
    assert found.novel_share > 0.95


def test_it_predicts_molecules_of_its_data_as_stated(prior: Checkpoint) -> None:
    canonical = [smiles for smiles in map(canonical_or_none, _lines(400)) if smiles is not None]
    assert _loss(prior, canonical[:200]) < 0.75


@pytest.mark.parametrize("name", ["heuresis-zinc-conditional", "heuresis-base"])
def test_models_that_heed_stated_values_write_what_they_are_asked_for(name: str) -> None:
    folder = model_folder(name)
    knowledge = Knowledge.of(folder)
    assert knowledge.levels
    assert {"logp", "tpsa", "qed", "sa_score"} <= knowledge.ranges.keys()
    model, _ = load_model(folder)
    means = []
    for logp in (0.5, 4.5):
        asked = prompt(conditions=knowledge.worded([Quantity("logp", logp)]))
        drawn = generate(model, [asked] * 32, np.random.default_rng(1), Sampling(masked=True))
        found = [Chem.MolFromSmiles(payload(sample.tokens)) for sample in drawn]
        means.append(np.mean([properties_of(one, ["logp"])["logp"] for one in found if one]))
    assert means[1] - means[0] > 1.5
