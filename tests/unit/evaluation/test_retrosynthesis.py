"""Beam search against trying everything; merging of ranks; inputs from several roots."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from heuresis_models import retrosynthesis
from heuresis_models.language import Form, Reaction, Vocabulary
from heuresis_models.language.augmentation import aligned, canonical_smiles
from heuresis_models.language.errors import DocumentError, OverlongError, UnknownTokenError
from heuresis_models.language.tokens import SMILES
from heuresis_models.retrosynthesis import Hypothesis, beam_search, inputs_of, merged
from heuresis_models.transformer import Transformer, TransformerConfig

VOCABULARY = Vocabulary.default()
END = VOCABULARY["</retro>"]


@pytest.fixture(scope="module")
def model() -> Transformer:
    """A small network with weights drawn wide, so that texts differ a lot in probability."""
    generator = torch.Generator().manual_seed(5)
    config = TransformerConfig(
        vocab_size=len(VOCABULARY), hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    network = Transformer(config, generator)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim == 2:
                weight.normal_(0.0, 0.7, generator=generator)
        # The closing tag must be worth writing now and then.
        network.lm_head.weight[END] *= 2.0
    return network.eval()


def _prompt(smiles: str) -> list[int]:
    tokens = ["<bos>", "<retro>", "<aligned>", *VOCABULARY.cut(smiles), "<from>"]
    return [VOCABULARY[token] for token in tokens]


@torch.inference_mode()
def _log_probability(model: Transformer, prompt: list[int], text: str) -> float:
    ids = [*prompt, *VOCABULARY.encode(text), END]
    log_TV = model(torch.tensor([ids]))[0].log_softmax(-1)
    places = range(len(prompt), len(ids))
    return float(sum(log_TV[place - 1, ids[place]] for place in places))


def _cuts(text: str) -> bool:
    # Without a grammar a text may join tokens that are read as others.
    try:
        VOCABULARY.cut(text)
    except UnknownTokenError:
        return False
    return True


def test_a_wide_beam_finds_what_trying_everything_finds(model: Transformer) -> None:
    prompt = _prompt("CCO")
    texts = [first + second for first in SMILES for second in ("", *SMILES)]
    # Two tokens and the closing tag fit.
    limit = len(prompt) + 3
    found = beam_search(model, [prompt], end="</retro>", width=len(SMILES), max_tokens=limit)[0]
    with torch.inference_mode():
        start = torch.tensor([prompt])
        ids = torch.tensor([VOCABULARY[token] for token in SMILES])
        one = torch.cat((start.expand(len(ids), -1), ids[:, None]), dim=1)
        log_BTV = model(one).log_softmax(-1)
        first = log_BTV[:, -2].gather(1, ids[:, None])
        pair_BV = first + log_BTV[:, -1][:, ids]
        two = torch.cat((one.repeat_interleave(len(ids), 0), ids.repeat(len(ids))[:, None]), dim=1)
        parts = (two[start : start + 4096] for start in range(0, len(two), 4096))
        last = torch.cat([model.hidden(part)[:, -1] for part in parts])
        closing = model.lm_head(last).log_softmax(-1)[:, END]
        single = first[:, 0] + log_BTV[:, -1, END]
        double = pair_BV + closing.view_as(pair_BV)
    everything = torch.cat((single[:, None], double), dim=1).flatten().tolist()
    best = sorted(zip(everything, texts, strict=True), reverse=True)[: len(SMILES)]
    assert len(found) == len(SMILES)
    np.testing.assert_allclose(
        [hypothesis.log_probability for hypothesis in found[:50]],
        [value for value, _ in best[:50]],
        atol=1e-4,
    )
    assert found[0].text == best[0][1]


def test_log_probabilities_are_those_of_the_model(model: Transformer) -> None:
    prompts = [_prompt("CCO"), _prompt("c1ccccc1C(=O)NCC"), _prompt("N")]
    beams = beam_search(model, prompts, end="</retro>", width=4, max_tokens=30)
    for prompt, beam in zip(prompts, beams, strict=True):
        assert beam
        values = [hypothesis.log_probability for hypothesis in beam]
        assert values == sorted(values, reverse=True)
        for hypothesis in beam:
            if not _cuts(hypothesis.text):
                continue
            expected = _log_probability(model, prompt, hypothesis.text)
            assert hypothesis.log_probability == pytest.approx(expected, abs=1e-3)


def test_a_beam_depends_on_its_prompt_alone(model: Transformer) -> None:
    prompts = [_prompt(text) for text in ("CCO", "c1ccccc1C(=O)NCC", "N", "CCO")]
    done: list[int] = []
    together = beam_search(
        model, prompts, end="</retro>", width=3, max_tokens=25, batch=3, advance=done.append
    )
    assert sum(done) == 4
    for prompt, beam in zip(prompts, together, strict=True):
        alone = beam_search(model, [prompt], end="</retro>", width=3, max_tokens=25)[0]
        assert [item.text for item in alone] == [item.text for item in beam]


def test_a_wider_beam_is_never_worse_at_the_top(model: Transformer) -> None:
    prompt = _prompt("CCO")
    tops = [
        beam_search(model, [prompt], end="</retro>", width=width, max_tokens=20)[0][0]
        for width in (1, 5, 40)
    ]
    assert tops[0].log_probability <= tops[2].log_probability + 1e-4


def test_a_prompt_without_room_is_an_error(model: Transformer) -> None:
    with pytest.raises(OverlongError, match="one token to write"):
        beam_search(model, [_prompt("C" * 60)], end="</retro>")
    with pytest.raises(ValueError, match="width from 1"):
        beam_search(model, [_prompt("C")], end="</retro>", width=0)


def test_ranks_are_merged_over_inputs() -> None:
    beams = [
        [Hypothesis("CCO", -1.0), Hypothesis("C(", -1.5), Hypothesis("CCN", -2.0)],
        # The repeat takes no rank, so CCC is second here.
        [Hypothesis("NCC", -3.0), Hypothesis("CCN", -3.5), Hypothesis("CCC", -4.0)],
    ]
    proposals = merged(beams)
    assert [(item.reactants, item.score) for item in proposals] == [
        ("CCN", 1.5), ("CCO", 1.0), ("CCC", 0.5),
    ]  # fmt: skip
    assert proposals[0].written == "CCN"
    assert proposals[0].log_probability == -2.0


def test_one_input_keeps_the_order_of_its_beam() -> None:
    beam = [Hypothesis("OCC", -1.0), Hypothesis("CCN", -2.0), Hypothesis("CCC", -3.0)]
    assert [item.written for item in merged([beam])] == ["OCC", "CCN", "CCC"]


def test_inputs_are_spellings_of_the_product_that_training_knows() -> None:
    product = "COc1ccc(CN)cc1"
    texts = inputs_of(product, np.random.default_rng(0), 6)
    assert len(set(texts)) == len(texts) > 3
    assert {canonical_smiles(text) for text in texts} == {canonical_smiles(product)}
    everything = set(inputs_of(product, np.random.default_rng(1), 99))
    for seed in range(8):
        reaction = Reaction("CN.COc1ccc(Br)cc1", product, retro=True)
        assert aligned(reaction, np.random.default_rng(seed)).product in everything
    salts = inputs_of("COc1ccc(CN)cc1.Cl", np.random.default_rng(0), 4)
    assert {canonical_smiles(text) for text in salts} == {canonical_smiles("Cl." + product)}
    assert inputs_of("OCC", np.random.default_rng(0), 5, Form.CANONICAL) == ["CCO"]
    with pytest.raises(DocumentError):
        inputs_of("C(", np.random.default_rng(0), 1)


def test_answers_come_from_all_inputs(model: Transformer) -> None:
    answers = retrosynthesis.propose_reactants(
        model, ["CCO", "CCNC"], np.random.default_rng(0), inputs=2, width=3
    )
    assert [len(answer.beams) for answer in answers] == [2, 2]
    for answer in answers:
        scores = [proposal.score for proposal in answer.proposals]
        assert scores == sorted(scores, reverse=True)
    assert len(retrosynthesis.predict_products(model, ["CCO.CN", "C"])) == 2
