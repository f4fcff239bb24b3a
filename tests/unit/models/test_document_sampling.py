from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from heuresis_models.grammar import Form, Grammar
from heuresis_models.sampling import Sample, sample
from heuresis_models.transformer import Transformer
from heuresis_models.vocabulary import CONTROL_TOKENS


def _draw(
    model: Transformer,
    grammar: Grammar,
    prefixes: list[list[int]],
    *,
    seed: int = 0,
    **options: object,
) -> list[Sample]:
    arguments: dict[str, object] = {
        "head_length": grammar.head_length,
        "end": grammar.end,
        "max_tokens": 60,
        **options,
    }
    return sample(model, prefixes, np.random.default_rng(seed), **arguments)  # type: ignore[arg-type]


@pytest.fixture
def mortal_model(random_model: Transformer, grammar: Grammar) -> Transformer:
    """Ends a document in about one step of ten, so that rows finish at different times."""
    with torch.no_grad():
        random_model.lm_head.weight.mul_(0.05)
        bias = torch.zeros(random_model.config.vocab_size)
        bias[grammar.end] = 3.2

    def add_bias(_module: object, _inputs: object, logits: torch.Tensor) -> torch.Tensor:
        return logits + bias

    random_model.lm_head.register_forward_hook(add_bias)
    return random_model


def test_compaction_changes_nothing(mortal_model: Transformer, grammar: Grammar) -> None:
    prefixes = [grammar.head(Form.CANONICAL)] * 40
    eager = _draw(mortal_model, grammar, prefixes, compact_below=1.0)
    never = _draw(mortal_model, grammar, prefixes, compact_below=0.0)
    lengths = {len(item.tokens) for item in never}
    assert len(lengths) > 5
    assert [item.tokens for item in eager] == [item.tokens for item in never]
    assert [item.log_likelihood for item in eager] == pytest.approx(
        [item.log_likelihood for item in never], rel=1e-5
    )


def test_a_row_does_not_depend_on_the_prefixes_of_the_others(
    mortal_model: Transformer, grammar: Grammar
) -> None:
    head = grammar.head(Form.RANDOMIZED)
    longer = [*head, *grammar.vocabulary.encode("CC(=O)N")]
    alone = _draw(mortal_model, grammar, [head, head, head])
    mixed = _draw(mortal_model, grammar, [longer, head, longer[:5]])
    assert mixed[1].tokens == alone[1].tokens
    assert list(mixed[0].tokens[: len(longer)]) == longer
    assert list(mixed[2].tokens[:5]) == longer[:5]


def test_log_likelihood_is_that_of_a_forward_pass(
    mortal_model: Transformer, grammar: Grammar
) -> None:
    head = grammar.head(Form.CANONICAL)
    longer = [*head, *grammar.vocabulary.encode("c1cc")]
    # Also where every prefix is longer than the head, and with a distorted temperature.
    for prefixes in ([head, longer], [longer, [*longer, longer[3]]]):
        for item in _draw(mortal_model, grammar, prefixes, temperature=0.7, top_p=0.9):
            token_BT = torch.tensor([item.tokens])
            with torch.no_grad():
                log_p = functional.log_softmax(mortal_model(token_BT)[0, :-1], dim=-1)
            each = log_p.gather(-1, token_BT[0, 1:, None])[grammar.head_length - 1 :]
            assert item.log_likelihood == pytest.approx(float(each.sum()), abs=1e-3)


def test_same_generator_same_samples(mortal_model: Transformer, grammar: Grammar) -> None:
    prefixes = [grammar.head(Form.CANONICAL)] * 8
    one, two, other = (_draw(mortal_model, grammar, prefixes, seed=seed) for seed in (1, 1, 2))
    assert one == two
    assert one != other


def test_draws_follow_the_models_distribution(random_model: Transformer, grammar: Grammar) -> None:
    head = grammar.head(Form.CANONICAL)
    with torch.no_grad():
        wanted = random_model(torch.tensor([head]))[0, -1].softmax(-1)
    drawn = _draw(random_model, grammar, [head] * 4000, max_tokens=len(head) + 1)
    counts = torch.bincount(
        torch.tensor([item.tokens[-1] for item in drawn]), minlength=len(wanted)
    )
    assert float((counts / 4000 - wanted).abs().sum()) / 2 < 0.12
    top = int(wanted.argmax())
    error = (float(wanted[top]) / 4000) ** 0.5
    assert float(counts[top]) / 4000 == pytest.approx(float(wanted[top]), abs=5 * error)


def test_forbidden_tokens_and_cut_tails_are_never_drawn(
    random_model: Transformer, grammar: Grammar
) -> None:
    head = grammar.head(Form.CANONICAL)
    forbidden = range(len(CONTROL_TOKENS))
    drawn = _draw(random_model, grammar, [head] * 50, forbidden=forbidden, temperature=3.0)
    assert all(token not in forbidden for item in drawn for token in item.tokens[3:])
    assert not any(item.finished for item in drawn)
    greedy = _draw(random_model, grammar, [head] * 5, top_p=1e-6)
    assert len({item.tokens for item in greedy}) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
        ({"max_tokens": 3}, "prefix"),
    ],
)
def test_senseless_settings_are_refused(
    options: dict[str, object], message: str, random_model: Transformer, grammar: Grammar
) -> None:
    with pytest.raises(ValueError, match=message):
        _draw(random_model, grammar, [grammar.head(Form.CANONICAL)], **options)  # type: ignore[arg-type]


def test_nothing_asked_nothing_drawn(random_model: Transformer, grammar: Grammar) -> None:
    assert _draw(random_model, grammar, []) == []
