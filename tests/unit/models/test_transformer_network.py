from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from heuresis_models.transformer import (
    KeyValueCache,
    Transformer,
    TransformerConfig,
    masked_attention,
)


def _tokens(model: Transformer, rows: int, length: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, model.config.vocab_size, (rows, length), generator=generator)


@torch.no_grad()
def test_cached_steps_equal_the_full_forward_pass(random_model: Transformer) -> None:
    token_BT = _tokens(random_model, 3, 20)
    full_BTV = random_model(token_BT)
    cache = KeyValueCache(random_model.config, 3, 20, torch.float32)
    pieces = [
        random_model(token_BT[:, start:end], cache=cache)
        for start, end in ((0, 5), (5, 6), (6, 7), (7, 15), (15, 20))
    ]
    torch.testing.assert_close(torch.cat(pieces, dim=1), full_BTV, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_dropping_rows_from_the_cache_leaves_the_others_unchanged(
    random_model: Transformer,
) -> None:
    token_BT = _tokens(random_model, 4, 12)
    full_BTV = random_model(token_BT)
    cache = KeyValueCache(random_model.config, 4, 12, torch.float32)
    random_model(token_BT[:, :6], cache=cache)
    kept = torch.tensor([1, 3])
    cache.keep(kept)
    rest_BTV = random_model(token_BT[kept, 6:], cache=cache)
    torch.testing.assert_close(rest_BTV, full_BTV[kept, 6:], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_no_position_sees_what_follows_it(random_model: Transformer) -> None:
    token_BT = _tokens(random_model, 1, 16)
    changed_BT = token_BT.clone()
    changed_BT[0, 10] = (changed_BT[0, 10] + 1) % random_model.config.vocab_size
    before, after = random_model(token_BT), random_model(changed_BT)
    torch.testing.assert_close(before[:, :10], after[:, :10])
    assert not torch.allclose(before[:, 10:], after[:, 10:])


@torch.no_grad()
def test_neighbours_in_a_packed_row_do_not_influence_each_other(
    random_model: Transformer,
) -> None:
    token_BT = _tokens(random_model, 1, 24)
    document_BT = torch.tensor([[0] * 9 + [1] * 10 + [-1] * 5])
    packed = random_model(token_BT, document_BT)
    alone = random_model(token_BT[:, 9:19])
    torch.testing.assert_close(packed[:, 9:19], alone, rtol=1e-4, atol=1e-4)
    changed_BT = token_BT.clone()
    changed_BT[0, :9] = (changed_BT[0, :9] + 7) % random_model.config.vocab_size
    torch.testing.assert_close(random_model(changed_BT, document_BT)[:, 9:], packed[:, 9:])


def test_written_out_attention_equals_torchs_kernel() -> None:
    generator = torch.Generator().manual_seed(2)
    q, k, v = (torch.randn(2, 3, 7, 8, generator=generator) for _ in range(3))
    allowed = torch.ones(7, 7, dtype=torch.bool).tril()[None, None]
    wanted = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(masked_attention(q, k, v, allowed), wanted, rtol=1e-5, atol=1e-5)


def test_a_fresh_model_knows_nothing() -> None:
    config = TransformerConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    model = Transformer(config, torch.Generator().manual_seed(0))
    logits = model(torch.tensor([[1, 2, 3]]))
    loss = functional.cross_entropy(logits[0], torch.tensor([4, 5, 6]))
    assert float(loss.detach()) == pytest.approx(math.log(50), abs=1e-6)


def test_same_generator_same_weights() -> None:
    config = TransformerConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    one, two, other = (
        Transformer(config, torch.Generator().manual_seed(seed)).model.embed_tokens.weight
        for seed in (4, 4, 5)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_too_many_positions_are_refused(random_model: Transformer) -> None:
    with pytest.raises(ValueError, match=r"97 positions.*max_position_embeddings = 96"):
        random_model(_tokens(random_model, 1, 97))


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValidationError, match="hidden_size 10 must be"):
        TransformerConfig(
            vocab_size=5,
            hidden_size=10,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=4,
        )


def test_names_are_those_of_the_llama_layout(random_model: Transformer) -> None:
    names = set(random_model.state_dict())
    assert {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"} <= names
    layer = {name.removeprefix("model.layers.1.") for name in names if ".layers.1." in name}
    assert layer == {
        "input_layernorm.weight",
        "post_attention_layernorm.weight",
        *(f"self_attn.{part}_proj.weight" for part in "qkvo"),
        *(f"mlp.{part}_proj.weight" for part in ("gate", "up", "down")),
    }
