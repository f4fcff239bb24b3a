from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch.nn import functional

from heuresis_models.generation import (
    Prompt,
    Sample,
    Sampling,
    generate,
    payload,
    prompt,
)
from heuresis_models.generation.drawing import distribution, draw, restricted
from heuresis_models.language import Automaton, DocumentError, Form, Molecule, Quantity, Vocabulary
from heuresis_models.language.documents import Entry
from heuresis_models.language.errors import OverlongError, UnknownTokenError
from heuresis_models.transformer import Transformer

CANONICAL = prompt()
LONGER = prompt(form=Form.RANDOMIZED, given="CC(=O)N")
ASKED = prompt(conditions=[Quantity("logp", 2.0)], given="c1cc")


def draw_samples(
    model: Transformer, prompts: list[Prompt], *, seed: int = 0, **settings: object
) -> list[Sample]:
    chosen = {"max_tokens": 60, "masked": False, **settings}
    return generate(model, prompts, np.random.default_rng(seed), Sampling.model_validate(chosen))


@pytest.fixture
def mortal_model(random_model: Transformer, vocabulary: Vocabulary) -> Transformer:
    """Writes mostly simple SMILES and ends in about one step of ten."""
    bias = torch.full((random_model.config.vocab_size,), -4.0)
    for token in ["C", "c", "N", "n", "O", "o", "(", ")", "1", "2", "=", "F"]:
        bias[vocabulary[token]] = 1.0
    bias[vocabulary["</molecule>"]] = 1.0
    head = torch.nn.Linear(random_model.config.hidden_size, len(bias))
    with torch.no_grad():
        head.weight.copy_(0.05 * random_model.lm_head.weight)
        head.bias.copy_(bias)
    random_model.lm_head = head
    return random_model


@pytest.mark.parametrize("masked", [False, True])
def test_batches_stragglers_and_compaction_change_nothing(
    mortal_model: Transformer, masked: bool
) -> None:
    prompts = [CANONICAL, LONGER, ASKED] * 14
    never = draw_samples(mortal_model, prompts, masked=masked, batch=64, compact_below=0.0)
    small = draw_samples(mortal_model, prompts, masked=masked, batch=16, compact_below=1.0)
    assert len({len(item.tokens) for item in never}) > 5
    assert [item.tokens for item in small] == [item.tokens for item in never]
    assert [item.log_likelihood for item in small] == pytest.approx(
        [item.log_likelihood for item in never], rel=1e-4
    )


def test_a_row_does_not_depend_on_the_other_rows(mortal_model: Transformer) -> None:
    alone = draw_samples(mortal_model, [CANONICAL, CANONICAL, CANONICAL])
    mixed = draw_samples(mortal_model, [LONGER, CANONICAL, ASKED])
    assert mixed[1].tokens == alone[1].tokens
    assert mixed[0].tokens[: len(LONGER.ids)] == LONGER.ids
    assert mixed[2].tokens[: len(ASKED.ids)] == ASKED.ids


@pytest.mark.parametrize("masked", [False, True])
def test_log_likelihood_is_that_of_a_forward_pass(mortal_model: Transformer, masked: bool) -> None:
    # Also with a distorted temperature, for rows that start again, and for stragglers.
    prompts = [CANONICAL, LONGER, ASKED, LONGER] * 8
    drawn = draw_samples(mortal_model, prompts, temperature=0.7, top_p=0.9, masked=masked, batch=16)
    for asked, item in zip(prompts, drawn, strict=True):
        token_BT = torch.tensor([item.tokens])
        with torch.no_grad():
            log_p = functional.log_softmax(mortal_model(token_BT)[0, :-1], dim=-1)
        each = log_p.gather(-1, token_BT[0, 1:, None])[asked.head - 1 :]
        assert item.log_likelihood == pytest.approx(float(each.sum()), abs=1e-3)


def test_log_probability_is_that_of_the_drawn_tokens(mortal_model: Transformer) -> None:
    plain, *_ = draw_samples(mortal_model, [LONGER])
    given = draw_samples(mortal_model, [prompt()], max_tokens=4)[0]
    assert given.log_probability == pytest.approx(given.log_likelihood, abs=1e-2)
    assert plain.log_probability is not None
    assert plain.log_probability > plain.log_likelihood  # the given text is not drawn
    lazy, exact = (
        draw_samples(mortal_model, [CANONICAL] * 8, masked=True, exact_probabilities=flag)
        for flag in (False, True)
    )
    assert all(item.log_probability is None for item in lazy)
    for item in exact:
        assert item.log_probability is not None
        # The mask takes tokens away, so those that stay are likelier than under the model.
        assert item.log_probability > item.log_likelihood


def test_same_generator_same_samples(mortal_model: Transformer) -> None:
    one, two, other = (
        draw_samples(mortal_model, [CANONICAL] * 8, seed=seed, masked=True) for seed in (1, 1, 2)
    )
    assert one == two
    assert one != other


def test_draws_follow_the_models_distribution(random_model: Transformer) -> None:
    with torch.no_grad():
        wanted = random_model(torch.tensor([CANONICAL.ids]))[0, -1]
    wanted[:2] = -torch.inf  # padding and begin are never drawn
    wanted = wanted.softmax(-1)
    drawn = draw_samples(random_model, [CANONICAL] * 4000, max_tokens=4, batch=4000)
    counts = torch.bincount(
        torch.tensor([item.tokens[-1] for item in drawn]), minlength=len(wanted)
    )
    assert float((counts / 4000 - wanted).abs().sum()) / 2 < 0.2
    top = int(wanted.argmax())
    error = (float(wanted[top]) / 4000) ** 0.5
    assert float(counts[top]) / 4000 == pytest.approx(float(wanted[top]), abs=5 * error)


@pytest.mark.parametrize("way", [{"restarts": 0}, {"restarts": 50}, {"exact_probabilities": True}])
def test_every_way_to_mask_gives_the_masked_distribution(
    mortal_model: Transformer, vocabulary: Vocabulary, way: dict[str, object]
) -> None:
    # One token is asked for, so that starting again and drawing again mean the same.
    asked = prompt(given="c1ccccc1C(")
    automaton = Automaton.default()
    mask = torch.from_numpy(automaton.mask(automaton.read(asked.ids)).copy())
    with torch.no_grad():
        wanted = mortal_model(torch.tensor([asked.ids]))[0, -1]
    wanted = wanted.masked_fill(~mask, -torch.inf).softmax(-1)
    stop = tuple(vocabulary.tokens[150:403])
    chosen = {"masked": True, "stop": stop, "batch": 3000, "max_tokens": 80, **way}
    drawn = generate(
        mortal_model,
        [asked] * 3000,
        np.random.default_rng(0),
        Sampling.model_validate(chosen),
    )
    counts = Counter(item.tokens[len(asked.ids)] for item in drawn)
    for token in ("C", "c", "N", "O", "F", "="):
        share = counts[vocabulary[token]] / 3000
        expected = float(wanted[vocabulary[token]])
        assert share == pytest.approx(expected, abs=4 * (expected / 3000) ** 0.5 + 0.002), token
    assert not counts[vocabulary[")"]]


def test_under_the_mask_everything_reads_and_ends(mortal_model: Transformer) -> None:
    drawn = draw_samples(mortal_model, [CANONICAL, LONGER] * 20, masked=True, max_tokens=40)
    automaton = Automaton.default()
    for item in drawn:
        assert item.masked
        if not item.closed:  # a lost row is closed in any way there is
            automaton.read(item.tokens)
    # The way out is nearly always found in time, whatever nonsense a random model writes.
    assert sum(item.finished for item in drawn) >= 38
    assert any(item.restarts for item in drawn)
    corrected = draw_samples(mortal_model, [CANONICAL] * 20, masked=True, restarts=0)
    assert any(item.corrections for item in corrected)
    assert not any(item.restarts for item in corrected)
    immortal = draw_samples(
        mortal_model, [prompt(given="C" * 20)] * 10, masked=True, max_tokens=26, temperature=0.01
    )
    assert all(item.finished for item in immortal)
    assert any(item.closed for item in immortal)


def test_a_prompt_that_the_grammar_cannot_read_goes_unmasked(mortal_model: Transformer) -> None:
    five_bonds = prompt(form=Form.RANDOMIZED, given="CN(=O)(=O)")
    drawn, other = draw_samples(mortal_model, [five_bonds, CANONICAL], masked=True)
    assert not drawn.masked
    assert other.masked


def test_guidance_mixes_the_logits_of_two_prompts(mortal_model: Transformer) -> None:
    asked = prompt(conditions=[Quantity("logp", 2.0)])
    assert asked.plain == CANONICAL.ids
    plain, zero = (
        draw_samples(mortal_model, [question] * 6, guidance=guidance)
        for question, guidance in ((CANONICAL, 1.0), (asked, 0.0))
    )
    assert [item.tokens for item in zero] == [item.tokens for item in plain]
    with torch.no_grad():
        conditional = mortal_model(torch.tensor([asked.ids]))[0, -1]
        unasked = mortal_model(torch.tensor([CANONICAL.ids]))[0, -1]
    wanted = int((unasked + 6.0 * (conditional - unasked))[2:].argmax()) + 2
    # Nearly without randomness the first token is the likeliest of the guided distribution.
    (guided,) = draw_samples(mortal_model, [asked], guidance=6.0, temperature=1e-3)
    assert guided.tokens[len(asked.ids)] == wanted
    with pytest.raises(ValueError, match="no prompt has conditions"):
        draw_samples(mortal_model, [CANONICAL], guidance=2.0)


def test_half_precision_is_a_copy(random_model: Transformer) -> None:
    drawn = draw_samples(random_model, [CANONICAL] * 4, precision="bf16", temperature=1e-3)
    same = draw_samples(random_model, [CANONICAL] * 4, temperature=1e-3)
    assert random_model.lm_head.weight.dtype is torch.float32
    assert drawn[0].tokens[:6] == same[0].tokens[:6]


def test_cut_tails_are_never_drawn(random_model: Transformer) -> None:
    drawn = draw_samples(random_model, [CANONICAL] * 50, temperature=3.0)
    assert all(token > 1 for item in drawn for token in item.tokens[3:])
    greedy = draw_samples(random_model, [CANONICAL] * 5, top_p=1e-6)
    assert len({item.tokens for item in greedy}) == 1


def test_drawing_and_restricting() -> None:
    logits = torch.tensor([[0.0, 0.0, 1.0], [9.0, 0.0, 0.0]])
    probability = distribution(logits, 1.0, 0.5, [])
    assert probability[0].tolist() == [0.0, 0.0, 1.0]
    mask = torch.tensor([[True, True, False], [False, False, True]])
    kept = restricted(probability, logits, mask)
    # top_p had cut the allowed tokens off, so the model's own probabilities step in.
    assert kept[0].tolist() == pytest.approx([0.5, 0.5, 0.0])
    assert kept[1].tolist() == [0.0, 0.0, 1.0]
    assert draw(kept, torch.tensor([0.999999999, 0.0], dtype=torch.float64)).tolist() == [1, 2]
    nothing = restricted(
        torch.tensor([[1.0, 0.0]]).double(),
        torch.tensor([[0.0, -torch.inf]]),
        torch.tensor([[False, True]]),
    )
    assert nothing.tolist() == [[0.0, 1.0]]


def test_prompts_follow_the_grammar() -> None:
    vocabulary = Vocabulary.default()
    question = prompt(
        conditions=[Quantity("similarity", 0.5)], exemplars=[Entry(Molecule("CCO"))], given="CC"
    )
    assert vocabulary.decode(question.ids) == (
        "<bos><exemplar><molecule><canonical>CCO</molecule><target><similarity><+>'5'0'0<e-1>"
        "<molecule><canonical>CC"
    )
    assert question.head == len(question.ids) - 2
    assert question.plain is not None
    assert vocabulary.decode(question.plain) == "<bos><molecule><canonical>CC"
    crystal = prompt("crystal", given="<sg:225>")
    assert vocabulary.decode(crystal.ids) == "<bos><crystal><sg:225>"
    assert payload(vocabulary.encode("<bos><crystal><sg:225>'0'5</crystal>"), "crystal") == (
        "<sg:225>'0'5"
    )
    assert payload(vocabulary.encode("<bos><molecule><canonical>CC"), "molecule") == "CC"
    assert payload(crystal.ids, "molecule") == ""
    with pytest.raises(DocumentError, match="no objects of the kind 'planet'"):
        prompt("planet")
    with pytest.raises(UnknownTokenError):
        prompt(given="C<eos>")
    with pytest.raises(DocumentError, match="payload of one object"):
        prompt("crystal", given="</crystal>")


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"temperature": 0.0}, ValueError, "temperature"),
        ({"top_p": 0.0}, ValueError, "top_p"),
        ({"top_p": 1.5}, ValueError, "top_p"),
        ({"guidance": -1}, ValueError, "guidance"),
        ({"precision": "fp8"}, ValueError, "precision"),
        ({"max_tokens": 3}, OverlongError, "4 tokens, the limit is 3"),
        ({"stop": ("<end>",)}, ValueError, "'<end>' is not in the vocabulary"),
    ],
)
def test_senseless_settings_are_refused(
    settings: dict[str, object],
    error: type[Exception],
    message: str,
    random_model: Transformer,
) -> None:
    with pytest.raises(error, match=message):
        draw_samples(random_model, [CANONICAL], seed=0, **settings)


def test_nothing_asked_nothing_drawn(random_model: Transformer) -> None:
    assert draw_samples(random_model, []) == []
