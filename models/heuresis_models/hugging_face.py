"""``config.json`` of Hugging Face transformers ↔ the shape of our network.

Read are the layouts of transformers 4 (``rope_theta``, ``rope_scaling``) and 5
(``rope_parameters``). What our network does not compute is refused, never left out in silence.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import ValidationError

from heuresis_models.errors import WeightsError
from heuresis_models.network_shape import RotaryScaling, TransformerConfig

# What a missing key means, by architecture; the defaults of LlamaConfig and MistralConfig.
_COMMON: Final = {"rms_norm_eps": 1e-6, "rope_theta": 10_000.0, "hidden_act": "silu"}
ARCHITECTURES: Final[dict[str, dict[str, Any]]] = {
    "llama": {**_COMMON, "max_position_embeddings": 2048, "sliding_window": None},
    "mistral": {
        **_COMMON,
        "max_position_embeddings": 131_072,
        "sliding_window": 4096,
        "num_key_value_heads": 8,
    },
}
"""Architectures that can be read, with their defaults."""

_NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {
    "hidden_act": ("silu", "swish"),
    "partial_rotary_factor": (None, 1.0),
    "quantization_config": (None,),
    "use_qk_norm": (None, False),
}
"""Keys that would change what is computed, with the values that do not."""

_COPIED: Final = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "rms_norm_eps",
    "tie_word_embeddings",
    "attention_bias",
    "mlp_bias",
)


def shape_from(document: Any, where: str) -> TransformerConfig:
    """Return the shape that a ``config.json`` describes.

    Args:
        document: the parsed file.
        where: its path, for messages.

    Raises:
        WeightsError: no configuration, or one of another architecture; names the key.
    """
    if not isinstance(document, dict):
        raise WeightsError(f"{where} is not a model configuration: expected keys and values")
    kind = document.get("model_type", "llama" if "hidden_size" in document else None)
    if kind not in ARCHITECTURES:
        raise WeightsError(
            f"{where} is not a model configuration of a known architecture: model_type is {kind!r};"
            f" known: {', '.join(ARCHITECTURES)}"
        )
    stated = {**ARCHITECTURES[kind], **document}
    for key, neutral in _NEUTRAL.items():
        if stated.get(key) not in neutral:
            raise WeightsError(
                f"{where}: {key} is {stated[key]!r}; this network computes only"
                f" {' or '.join(str(value) for value in neutral)}"
            )
    positions, window = stated["max_position_embeddings"], stated["sliding_window"]
    if isinstance(window, int) and isinstance(positions, int):
        # Within one window, attention with and without the window are the same.
        positions = min(positions, window)
    try:
        return TransformerConfig(
            max_position_embeddings=positions,
            **_rotary(stated),
            **{key: stated[key] for key in _COPIED if key in stated},
        )
    except (ValidationError, TypeError, ValueError, AttributeError) as error:
        raise WeightsError(f"{where} is not a model configuration: {_first(error)}") from error


def _rotary(stated: dict[str, Any]) -> dict[str, Any]:
    parameters = dict(stated.get("rope_parameters") or stated.get("rope_scaling") or {})
    theta = parameters.pop("rope_theta", stated["rope_theta"])
    kind = parameters.pop("rope_type", parameters.pop("type", "default"))
    parameters.pop("type", None)
    if kind in (None, "default"):
        return {"rope_theta": theta}
    known = RotaryScaling.model_fields.keys()
    return {
        "rope_theta": theta,
        "rope_scaling": {
            "rope_type": kind,
            **{key: value for key, value in parameters.items() if key in known},
        },
    }


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else first["msg"]
    return " ".join(str(error).split())


def document_of(config: TransformerConfig) -> dict[str, Any]:
    """Return the ``config.json`` of a shape, without token ids and type of the weights."""
    scaling = config.rope_scaling
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **config.model_dump(exclude={"rope_scaling", "rope_theta"}),
        # Both layouts, for readers of either age.
        "rope_theta": config.rope_theta,
        "rope_scaling": None if scaling is None else scaling.model_dump(),
        "rope_parameters": {
            "rope_theta": config.rope_theta,
            **({"rope_type": "default"} if scaling is None else scaling.model_dump()),
        },
        "hidden_act": "silu",
    }
