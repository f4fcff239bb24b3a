from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from heuresis_models.errors import RecipeError
from heuresis_models.key_value_cache import KeyValueCache
from heuresis_models.network_shape import TransformerConfig
from heuresis_models.optimizer import optimizer_tensors, pretraining_optimizers
from heuresis_models.presets import PRESETS, Cost, cost, preset, table
from heuresis_models.transformer import Transformer
from heuresis_models.width_scaling import adam_groups, scaled_rates

_SUFFIX = {"M": 1e6, "B": 1e9}


@pytest.mark.parametrize("name", PRESETS)
def test_a_size_has_about_the_parameters_of_its_name(name: str) -> None:
    stated = float(name[:-1]) * _SUFFIX[name[-1]]
    assert cost(preset(name)).parameters == pytest.approx(stated, rel=0.09)


def test_the_table_names_every_size() -> None:
    lines = table().splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == list(PRESETS)
    assert {line.count("|") for line in lines} == {12}


def test_an_unknown_size_lists_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"no size '8b'.*0\.1M, 0\.3M"):
        preset("8b")
    assert preset("1M", vocabulary_size=50).vocab_size == 50


@pytest.fixture(scope="module")
def trained() -> tuple[Transformer, Cost, dict[str, float]]:
    """The size 0.3M after one real step, what it should cost, and what it did cost."""
    config = preset("0.3M")
    model = Transformer(config, torch.Generator().manual_seed(0))
    rows, length = 3, 96
    token_BT = torch.zeros((rows, length), dtype=torch.long)
    kept: dict[int, int] = {}
    held: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        held.append(tensor)
        return tensor

    measured: dict[str, float] = {}
    for document_BT, key in ((None, "activations"), (token_BT, "written out")):
        kept.clear()
        with (
            torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
            torch.autocast("cpu", torch.bfloat16),
        ):
            logits_BTV = model(token_BT, document_BT)
            loss = functional.cross_entropy(logits_BTV.float().flatten(0, 1), token_BT.flatten())
        weights = sum(2 * w.numel() for n, w in model.named_parameters() if "embed" not in n)
        weights += sum(4 * w.numel() for w in model.parameters() if w.ndim == 1)
        measured[key] = (sum(kept.values()) - weights) / token_BT.numel()
    loss.backward()  # type: ignore[no-untyped-call]
    rates = scaled_rates(config.hidden_size, matrix_rate=0.01, other_rate=0.001)
    optimizers = pretraining_optimizers(
        model, matrix_rate=rates.matrices, other_groups=adam_groups(model, rates)
    )
    for optimizer in optimizers:
        optimizer.step()
    state = optimizer_tensors(model, optimizers).values()
    measured["optimizer"] = sum(value.nbytes for value in state if value.ndim)
    full_BT = torch.zeros((1, config.max_position_embeddings), dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        model(full_BT, document_BT=full_BT).sum().backward()
    measured["flops"] = counter.get_total_flops() / full_BT.numel()
    return model, cost(config), measured


def test_stated_costs_are_what_a_training_step_takes(
    trained: tuple[Transformer, Cost, dict[str, float]],
) -> None:
    model, costs, measured = trained
    assert costs.parameters == model.parameter_count
    assert costs.optimizer_bytes == measured["optimizer"]
    assert costs.activation_bytes_per_token == pytest.approx(measured["activations"], rel=0.05)
    scores = (measured["written out"] - measured["activations"]) / 96
    assert costs.score_bytes_per_token_and_position == pytest.approx(scores, rel=0.1)
    # Written out, attention computes the whole square; counted is the half that can be seen.
    hidden_half = 3 * 4 * 2 * 64 * 256
    assert costs.training_flops_per_token + hidden_half == measured["flops"]


def test_stated_memory_of_the_cache_is_what_it_takes() -> None:
    for name in ("0.3M", "400M"):
        config: TransformerConfig = preset(name)
        cache = KeyValueCache(config, 2, 64, torch.bfloat16, "meta")
        assert cache.memory_bytes == 2 * 64 * cost(config).cache_bytes_per_token
