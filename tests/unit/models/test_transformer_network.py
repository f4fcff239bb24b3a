from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from heuresis_models.decoding_network import decoding_network
from heuresis_models.key_value_cache import BLOCK
from heuresis_models.network_shape import RotaryScaling
from heuresis_models.transformer import (
    Transformer,
    TransformerConfig,
    attend,
    masked_attention,
)

SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "shared key-value heads": {"num_key_value_heads": 2},
    "one key-value head, wide heads": {"num_key_value_heads": 1, "head_dim": 12},
    "tied, biased, slowed": {
        "tie_word_embeddings": True,
        "attention_bias": True,
        "mlp_bias": True,
        "rope_scaling": RotaryScaling(
            rope_type="llama3", factor=8.0, original_max_position_embeddings=32
        ),
    },
}


def _config(**changes: Any) -> TransformerConfig:
    shape: dict[str, Any] = {
        "vocab_size": 90,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 96,
    }
    return TransformerConfig(**{**shape, **changes})


def _random_model(**changes: Any) -> Transformer:
    """Small, with random weights everywhere, so that every path carries signal."""
    generator = torch.Generator().manual_seed(5)
    model = Transformer(_config(**changes), generator)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.2 * torch.randn(weight.shape, generator=generator))
    return model


@pytest.fixture(params=list(SHAPES))
def random_model(request: pytest.FixtureRequest) -> Transformer:
    return _random_model(**SHAPES[request.param])


def _tokens(model: Transformer, rows: int, length: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, model.config.vocab_size, (rows, length), generator=generator)


@torch.no_grad()
def test_cached_steps_equal_the_full_forward_pass(random_model: Transformer) -> None:
    token_BT = _tokens(random_model, 3, 20)
    full_BTV = random_model(token_BT)
    cache = random_model.new_cache(3, 20)
    pieces = [
        random_model(token_BT[:, start:end], cache=cache)
        for start, end in ((0, 5), (5, 6), (6, 7), (7, 15), (15, 16), (16, 17), (17, 20))
    ]
    torch.testing.assert_close(torch.cat(pieces, dim=1), full_BTV, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_dropping_rows_from_the_cache_leaves_the_others_unchanged(
    random_model: Transformer,
) -> None:
    token_BT = _tokens(random_model, 4, 12)
    full_BTV = random_model(token_BT)
    cache = random_model.new_cache(4, 12)
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


@torch.no_grad()
def test_a_prompt_computed_once_is_continued_by_many_rows(random_model: Transformer) -> None:
    token_BT = _tokens(random_model, 3, 14)
    token_BT[:, :6] = token_BT[0, :6]
    cache = random_model.new_cache(1, 14)
    random_model(token_BT[:1, :6], cache=cache)
    cache.repeat(torch.zeros(3, dtype=torch.long))
    rest_BTV = random_model(token_BT[:, 6:], cache=cache)
    torch.testing.assert_close(rest_BTV, random_model(token_BT)[:, 6:], rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_rows_read_and_write_as_if_they_stood_alone(
    random_model: Transformer, side: str
) -> None:
    token_BT = _tokens(random_model, 3, 18)
    lengths, given, end = (3, 8, 5), 8, 14
    cache = random_model.new_cache(3, 30)
    prefix_BT = torch.zeros((3, given), dtype=torch.long)
    padding_BT = torch.ones((3, given), dtype=torch.bool)
    for row, length in enumerate(lengths):
        there = slice(given - length, None) if side == "left" else slice(length)
        prefix_BT[row, there] = token_BT[row, :length]
        padding_BT[row, there] = False
    logits_BTV = random_model(prefix_BT, cache=cache, padding_BT=padding_BT)
    # Rows are shuffled, one is doubled, one is dropped; then single tokens, then two at once.
    rows = torch.tensor([2, 0, 1, 0])
    cache.repeat(rows)
    rows = rows[kept := torch.tensor([0, 2, 3])]
    cache.keep(kept)
    pieces: list[list[torch.Tensor]] = [[], [], []]
    written = [lengths[row] for row in rows]
    for step in (1, 1, 2, 1):
        next_BT = torch.stack(
            [token_BT[row, at : at + step] for row, at in zip(rows, written, strict=True)]
        )
        for piece, logits_TV in zip(pieces, random_model(next_BT, cache=cache), strict=True):
            piece.append(logits_TV)
        written = [at + step for at in written]
    for row, piece in zip(rows.tolist(), pieces, strict=True):
        alone_TV = random_model(token_BT[row : row + 1, :end])[0]
        length = lengths[row]
        torch.testing.assert_close(
            torch.cat(piece), alone_TV[length : length + 5], rtol=1e-4, atol=1e-4
        )
        last = given - 1 if side == "left" else length - 1
        torch.testing.assert_close(
            logits_BTV[row, last], alone_TV[length - 1], rtol=1e-4, atol=1e-4
        )


@torch.no_grad()
def test_only_real_positions_count_against_the_limit() -> None:
    model = _random_model(max_position_embeddings=8)
    cache = model.new_cache(2, 20)
    padding_BT = torch.tensor([[True] * 10 + [False] * 2, [True] * 9 + [False] * 3])
    model(_tokens(model, 2, 12), cache=cache, padding_BT=padding_BT)
    model(_tokens(model, 2, 5), cache=cache)
    with pytest.raises(ValueError, match=r"9 positions.*max_position_embeddings = 8"):
        model(_tokens(model, 2, 1), cache=cache)


@torch.no_grad()
def test_nothing_of_a_forward_pass_is_made_on_another_device() -> None:
    """The meta device refuses tensors of other devices, as a GPU does, and is there everywhere."""
    model = Transformer(_config(num_key_value_heads=2), device="meta").to(torch.bfloat16)
    token_BT = torch.zeros((2, 6), dtype=torch.long, device="meta")
    cache = model.new_cache(2, 12)
    for tokens in (token_BT, token_BT[:, :3], token_BT[:, :1]):
        assert model(tokens, cache=cache).device.type == "meta"
    cache.keep(torch.zeros(1, dtype=torch.long, device="meta"))
    cache.repeat(torch.zeros(2, dtype=torch.long, device="meta"))
    logits_BTV = model(token_BT, document_BT=token_BT)
    assert logits_BTV.device.type == "meta"
    assert logits_BTV.dtype == torch.bfloat16


def test_memory_of_the_cache_follows_from_the_shape() -> None:
    model = _random_model(num_key_value_heads=2)
    # keys and values x layers x rows x positions x heads x channels x bytes
    cache = model.new_cache(3, 90)
    model(_tokens(model, 3, 10), cache=cache)
    assert cache.memory_bytes == 2 * 2 * 3 * BLOCK * 2 * 8 * 4


@torch.no_grad()
def test_misuse_of_the_cache_is_named() -> None:
    model = _random_model()
    token_BT = _tokens(model, 2, 5)
    with pytest.raises(ValueError, match="2 rows given, but the cache holds 3"):
        model(token_BT, cache=model.new_cache(3, 8))
    with pytest.raises(ValueError, match=r"0 \+ 5 positions, but the cache holds 4"):
        model(token_BT, cache=model.new_cache(2, 4))
    with pytest.raises(ValueError, match="one document a row"):
        model(token_BT, document_BT=token_BT, cache=model.new_cache(2, 8))
    with pytest.raises(ValueError, match="padding_BT needs a cache"):
        model(token_BT, padding_BT=token_BT > 3)


def test_shared_key_heads_equal_repeated_ones() -> None:
    generator = torch.Generator().manual_seed(2)
    q = torch.randn(2, 6, 7, 8, generator=generator)
    k, v = (torch.randn(2, 2, 7, 8, generator=generator) for _ in range(2))
    allowed = torch.ones(7, 7, dtype=torch.bool).tril()[None, None].expand(2, 1, 7, 7)
    many_k, many_v = k.repeat_interleave(3, dim=1), v.repeat_interleave(3, dim=1)
    wanted = masked_attention(q, many_k, many_v, allowed)
    for mask in (None, allowed):
        torch.testing.assert_close(attend(q, k, v, mask), wanted, rtol=1e-5, atol=1e-5)
        with torch.no_grad():
            torch.testing.assert_close(attend(q, k, v, mask), wanted, rtol=1e-5, atol=1e-5)
        last = attend(q[:, :, -1:], k, v, None if mask is None else mask[:, :, -1:])
        torch.testing.assert_close(last, wanted[:, :, -1:], rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("rows", [1, 3])
def test_the_network_for_writing_computes_the_same(random_model: Transformer, rows: int) -> None:
    token_BT = _tokens(random_model, rows, 20)
    full_BTV = random_model(token_BT)
    fused = decoding_network(random_model)
    cache = fused.new_cache(rows, 20)
    steps = [(0, 7), *((at, at + 1) for at in range(7, 20))]
    pieces = [fused(token_BT[:, start:end], cache=cache) for start, end in steps]
    torch.testing.assert_close(torch.cat(pieces, dim=1), full_BTV, rtol=1e-4, atol=1e-4)
    half = decoding_network(random_model, torch.bfloat16)
    assert half(token_BT).dtype == torch.bfloat16
    assert half.new_cache(1, 4).memory_bytes == 0
    difference = half(token_BT).float() - full_BTV
    assert 0.0 < float(difference.std() / full_BTV.std()) < 0.03


def test_a_fresh_model_knows_nothing() -> None:
    model = Transformer(_config(vocab_size=50), torch.Generator().manual_seed(0))
    logits = model(torch.tensor([[1, 2, 3]]))
    loss = functional.cross_entropy(logits[0], torch.tensor([4, 5, 6]))
    assert float(loss.detach()) == pytest.approx(math.log(50), abs=1e-6)


def test_same_generator_same_weights() -> None:
    one, two, other = (
        Transformer(_config(), torch.Generator().manual_seed(seed)).model.embed_tokens.weight
        for seed in (4, 4, 5)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_a_tied_matrix_is_counted_once_and_starts_with_modest_logits() -> None:
    tied = Transformer(_config(tie_word_embeddings=True), torch.Generator().manual_seed(0))
    free = Transformer(_config(), torch.Generator().manual_seed(0))
    assert free.parameter_count - tied.parameter_count == 90 * 32
    assert 0.1 < float(tied(torch.arange(90)[None]).std().detach()) < 3.0


def test_too_many_positions_are_refused(random_model: Transformer) -> None:
    with pytest.raises(ValueError, match=r"97 positions.*max_position_embeddings = 96"):
        random_model(_tokens(random_model, 1, 97))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 30}, "hidden_size 30 must be num_attention_heads 4 times an even"),
        ({"head_dim": 7}, "head_dim 7 must be even"),
        ({"num_key_value_heads": 3}, "4 must be a multiple of num_key_value_heads 3"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "'linear' or 'llama3'"),
        (
            {"rope_scaling": {"rope_type": "llama3", "factor": 2.0, "low_freq_factor": 4.0}},
            "low_freq_factor 4.0 must be below",
        ),
    ],
)
def test_impossible_shapes_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        _config(**changes)


def test_names_are_those_of_the_llama_layout() -> None:
    names = set(_random_model().state_dict())
    assert {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"} <= names
    layer = {name.removeprefix("model.layers.1.") for name in names if ".layers.1." in name}
    assert layer == {
        "input_layernorm.weight",
        "post_attention_layernorm.weight",
        *(f"self_attn.{part}_proj.weight" for part in "qkvo"),
        *(f"mlp.{part}_proj.weight" for part in ("gate", "up", "down")),
    }
