"""Coordinate check: how far a few steps move the activations must not depend on the width."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from heuresis_models.optimizer import Muon, is_block_matrix
from heuresis_models.presets import preset
from heuresis_models.transformer import Transformer, TransformerConfig
from heuresis_models.width_scaling import (
    BASE_WIDTH,
    Rates,
    adam_groups,
    group_of,
    scaled_rates,
)

WIDTHS = (64, 128, 256, 512)
STEPS = 3
MATRIX_RATE, OTHER_RATE = 0.02, 3e-3
TOLERANCE = 0.15
"""Of the exponent: between the widths 64 and 512 an activation may change 1.4-fold; without
correction the logits change nearly 8-fold."""


def _movements(width: int, rates: Rates) -> dict[str, float]:
    """Return the root mean square change of activations after a few real training steps."""
    config = TransformerConfig(
        vocab_size=900,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=width // 32,
        max_position_embeddings=32,
    )
    model = Transformer(config, torch.Generator().manual_seed(0))
    token_BT = torch.randint(0, 60, (8, 25), generator=torch.Generator().manual_seed(7))
    now: dict[str, Tensor] = {}

    def note(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            now[name] = output.detach()

        return keep

    model.model.embed_tokens.register_forward_hook(note("embedding"))
    for number, block in enumerate(model.model.layers):
        block.register_forward_hook(note(f"residual after block {number}"))
    model.lm_head.register_forward_hook(note("logits"))
    matrices = [w for name, w in model.named_parameters() if is_block_matrix(name, w)]
    optimizers = (
        Muon(matrices, lr=rates.matrices),
        torch.optim.AdamW(adam_groups(model, rates), betas=(0.9, 0.95), weight_decay=0.0),
    )
    first: dict[str, Tensor] = {}
    for _ in range(STEPS):
        logits_BTV = model(token_BT[:, :-1])
        first = first or dict(now)
        loss = functional.cross_entropy(logits_BTV.flatten(0, 1), token_BT[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    with torch.no_grad():
        model(token_BT[:, :-1])
    return {name: float((now[name] - first[name]).square().mean().sqrt()) for name in now}


def _exponents(rates: Callable[[int], Rates]) -> dict[str, float]:
    """Return p of the best fit ``movement ~ width ** p`` for each activation."""
    moved = [_movements(width, rates(width)) for width in WIDTHS]
    x = torch.tensor([math.log(width) for width in WIDTHS])
    x = x - x.mean()
    exponents = {}
    for name in moved[0]:
        y = torch.tensor([math.log(movement[name]) for movement in moved])
        exponents[name] = float((x * y).sum() / (x * x).sum())
    return exponents


def test_scaled_rates_move_all_widths_alike() -> None:
    exponents = _exponents(
        lambda width: scaled_rates(width, matrix_rate=MATRIX_RATE, other_rate=OTHER_RATE)
    )
    assert len(exponents) == 4
    assert max(abs(exponent) for exponent in exponents.values()) < TOLERANCE, exponents


def test_equal_rates_for_all_widths_fail_the_same_check() -> None:
    naive = Rates(MATRIX_RATE, OTHER_RATE, OTHER_RATE, OTHER_RATE)
    exponents = _exponents(lambda _width: naive)
    assert exponents["logits"] > 0.8
    # Only the output matrix needs the correction.
    del exponents["logits"]
    assert max(abs(exponent) for exponent in exponents.values()) < TOLERANCE, exponents


def test_nothing_changes_at_the_base_width() -> None:
    rates = scaled_rates(BASE_WIDTH, matrix_rate=0.02, other_rate=3e-3)
    assert rates == Rates(matrices=0.02, embedding=3e-3, vectors=3e-3, output=3e-3)
    assert preset("3M").hidden_size == BASE_WIDTH


def test_a_wider_network_has_a_slower_output_only() -> None:
    rates = scaled_rates(4 * BASE_WIDTH, matrix_rate=0.02, other_rate=4e-3)
    assert rates == Rates(matrices=0.02, embedding=4e-3, vectors=4e-3, output=1e-3)
    tied = scaled_rates(4 * BASE_WIDTH, matrix_rate=0.02, other_rate=4e-3, tied=True)
    assert tied.embedding == 1e-3
    with pytest.raises(ValueError, match="got width 0"):
        scaled_rates(0, matrix_rate=0.02, other_rate=4e-3)


@pytest.mark.parametrize("biased", [False, True])
def test_every_parameter_is_in_one_group(biased: bool) -> None:
    config = preset("0.1M").model_copy(update={"attention_bias": biased})
    model = Transformer(config, device="meta")
    groups = adam_groups(model, scaled_rates(32, matrix_rate=0.02, other_rate=3e-3))
    rates = {id(weight): group["lr"] for group in groups for weight in group["params"]}
    for name, weight in model.named_parameters():
        assert (id(weight) in rates) is (group_of(name, weight) != "matrices")
    assert rates[id(model.lm_head.weight)] == pytest.approx(6 * 3e-3)
    assert rates[id(model.model.embed_tokens.weight)] == 3e-3
