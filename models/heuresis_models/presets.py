"""Named sizes of the network, from 0.1 M to 8 B parameters, and what each of them costs.

``python -m heuresis_models.presets`` prints the table. All figures follow from the shape: the
network is built on the meta device, where tensors have a shape and no memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch

from heuresis.errors import did_you_mean
from heuresis_models.errors import RecipeError
from heuresis_models.network_shape import TransformerConfig
from heuresis_models.transformer import Transformer

VOCABULARY_SIZE: Final = 900


def _shape(
    width: int, layers: int, heads: int, inner: int, positions: int, key_value_heads: int = 0
) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_value_heads or heads,
        "intermediate_size": inner,
        "max_position_embeddings": positions,
    }


# Embedding and head take 1,800 numbers per channel, most of the smallest sizes. Heads have 32
# channels on a CPU's sizes, 64 and 128 where a GPU's kernels want them; the feed-forward layer is
# about 8/3 of the width (equal cost to an ungated one of 4 x). From 400M on, keys are shared.
PRESETS: Final[dict[str, dict[str, Any]]] = {
    "0.1M": _shape(32, 3, 2, 80, 256),
    "0.3M": _shape(64, 4, 2, 160, 256),
    "1M": _shape(128, 4, 4, 352, 256),
    "3M": _shape(192, 6, 4, 512, 256),
    "7M": _shape(256, 8, 8, 704, 512),
    "25M": _shape(512, 8, 8, 1376, 1024),
    "100M": _shape(768, 14, 12, 2048, 2048),
    "400M": _shape(1280, 23, 20, 3456, 4096, 4),
    "1B": _shape(2048, 22, 32, 5632, 4096, 8),
    "3B": _shape(3072, 30, 24, 8192, 4096, 8),
    "8B": _shape(4096, 37, 32, 14336, 4096, 8),
}
"""Shape by name, in the field names of `TransformerConfig`."""


def preset(name: str, vocabulary_size: int = VOCABULARY_SIZE) -> TransformerConfig:
    """Return the shape of a named size.

    Raises:
        RecipeError: there is no such name; lists the known ones.
    """
    if name not in PRESETS:
        raise RecipeError(
            f"no size '{name}'{did_you_mean(name, PRESETS)}; expected one of {', '.join(PRESETS)}"
        )
    return TransformerConfig(vocab_size=vocabulary_size, **PRESETS[name])


@dataclass(frozen=True)
class Cost:
    """What a shape costs.

    Args:
        parameters: learned values.
        weights_bytes: 32-bit weights, as trained.
        optimizer_bytes: one momentum for each matrix of the blocks (Muon), two moments for the rest
            (AdamW).
        activation_bytes_per_token: kept for the backward pass under bf16 autocast by the operations
            of one position, without attention scores, without recomputation.
        score_bytes_per_token_and_position: what attention keeps in addition where it is written out
            (CPU), for each position of the row.
        cache_bytes_per_token: keys and values of one position, in bf16.
        training_flops_per_token: forward and backward pass, products only, attention over a full
            row included.
    """

    parameters: int
    weights_bytes: int
    optimizer_bytes: int
    activation_bytes_per_token: int
    score_bytes_per_token_and_position: int
    cache_bytes_per_token: int
    training_flops_per_token: int


def cost(config: TransformerConfig) -> Cost:
    """Return what a shape costs; parameters are counted on the meta device, not from a formula."""
    model = Transformer(config, device="meta")
    parameters = model.parameter_count
    matrices = sum(
        weight.numel()
        for name, weight in model.named_parameters()
        if weight.ndim == 2 and ".layers." in name
    )
    layers, width, inner = config.num_hidden_layers, config.hidden_size, config.intermediate_size
    queries = config.num_attention_heads * config.head_size
    keys = config.key_value_heads * config.head_size
    # Each product by a matrix is 2 floating-point operations a weight forward, 4 backward. Scores
    # and mixing: 2 x 2 x queries for each position seen, half of a row on average.
    products = matrices + width * config.vocab_size
    scores = layers * 2 * queries * config.max_position_embeddings
    # Kept per layer: two norms (input and output in 32 bits, output in 16 bits for the products),
    # queries and the mixed values, keys and values, gate, SiLU, up and product.
    kept = width * 2 * (4 + 4 + 2) + queries * 4 + keys * 4 + inner * 4 * 2
    # The last norm, the input of the output matrix, and the softmax over the vocabulary.
    kept_outside = width * (4 + 4 + 2) + config.vocab_size * 4
    return Cost(
        parameters=parameters,
        weights_bytes=4 * parameters,
        optimizer_bytes=4 * matrices + 8 * (parameters - matrices),
        activation_bytes_per_token=layers * kept + kept_outside,
        # Probabilities in 32 and 16 bits.
        score_bytes_per_token_and_position=layers * config.num_attention_heads * (4 + 2),
        cache_bytes_per_token=layers * 2 * keys * torch.bfloat16.itemsize,
        training_flops_per_token=6 * products + 3 * scores,
    )


def table() -> str:
    """Return all sizes and their costs as a Markdown table."""
    lines = [
        "| size | parameters | width × layers | heads (key-value) | feed-forward | positions"
        " | weights | + optimizer | activations a token | cache a token"
        " | training FLOP a token |",
        "| --- | --: | --- | --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for name in PRESETS:
        config = preset(name)
        costs = cost(config)
        cells = (
            name,
            f"{costs.parameters:,}",
            f"{config.hidden_size} × {config.num_hidden_layers}",
            f"{config.num_attention_heads} ({config.key_value_heads})",
            str(config.intermediate_size),
            str(config.max_position_embeddings),
            _bytes(costs.weights_bytes),
            _bytes(costs.optimizer_bytes),
            _bytes(costs.activation_bytes_per_token),
            _bytes(costs.cache_bytes_per_token),
            f"{costs.training_flops_per_token:.3g}".replace("e+", "e"),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


if __name__ == "__main__":
    print(table())
