"""The shape of a decoder in the field names of ``LlamaConfig``, and its rotary angles.

Sources: Su et al., "RoFormer", arXiv:2104.09864 (rotary positions, eq. 34); Ainslie et al., "GQA",
arXiv:2305.13245 (grouped-query attention); Grattafiori et al., "The Llama 3 Herd of Models",
arXiv:2407.21783 (positions beyond those of the pretraining).
"""

from __future__ import annotations

import math
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor


class RotaryScaling(BaseModel):
    """How rotary angles are slowed down, so that more positions fit than were trained first.

    ``linear`` divides all angles by ``factor``. ``llama3`` divides those of slow channels (a turn
    takes more than ``original_max_position_embeddings / low_freq_factor`` positions), keeps those
    of fast ones, and goes smoothly from one to the other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rope_type: Literal["linear", "llama3"]
    factor: float = Field(ge=1)
    low_freq_factor: float = Field(default=1.0, gt=0)
    high_freq_factor: float = Field(default=4.0, gt=0)
    original_max_position_embeddings: int = Field(default=8192, gt=0)

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.rope_type == "llama3" and self.low_freq_factor >= self.high_freq_factor:
            raise ValueError(
                f"low_freq_factor {self.low_freq_factor} must be below high_freq_factor"
                f" {self.high_freq_factor}"
            )
        return self

    def slowed(self, frequency_D: Tensor) -> Tensor:
        """Return the angles per position, from those without scaling."""
        slow_D = frequency_D / self.factor
        if self.rope_type == "linear":
            return slow_D
        turns_D = self.original_max_position_embeddings * frequency_D / (2.0 * math.pi)
        span = self.high_freq_factor - self.low_freq_factor
        keep_D = ((turns_D - self.low_freq_factor) / span).clamp(0.0, 1.0)
        return torch.lerp(slow_D, frequency_D, keep_D)


class TransformerConfig(BaseModel):
    """The shape of the network, in the field names of ``LlamaConfig``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocab_size: int = Field(gt=0)
    hidden_size: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    num_hidden_layers: int = Field(gt=0)
    num_attention_heads: int = Field(gt=0)
    num_key_value_heads: int | None = Field(default=None, gt=0)
    """Heads of keys and values, each shared by a group of query heads; None: as many as those."""
    head_dim: int | None = Field(default=None, gt=0)
    """Channels of one head; None: hidden_size / num_attention_heads."""
    max_position_embeddings: int = Field(default=256, gt=0)
    rms_norm_eps: float = Field(default=1e-5, gt=0)
    rope_theta: float = Field(default=10_000.0, gt=0)
    rope_scaling: RotaryScaling | None = None
    tie_word_embeddings: bool = False
    """The embedding is the output matrix, too."""
    attention_bias: bool = False
    mlp_bias: bool = False

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        heads, groups = self.num_attention_heads, self.key_value_heads
        if self.head_dim is None and (self.hidden_size % heads or self.head_size % 2):
            raise ValueError(
                f"hidden_size {self.hidden_size} must be num_attention_heads {heads} times an even"
                " number"
            )
        if self.head_size % 2:
            raise ValueError(f"head_dim {self.head_size} must be even: channels turn in pairs")
        if heads % groups:
            raise ValueError(
                f"num_attention_heads {heads} must be a multiple of num_key_value_heads {groups}"
            )
        # Stated or left out, the same shape compares equal.
        object.__setattr__(self, "num_key_value_heads", groups)
        object.__setattr__(self, "head_dim", self.head_size)
        return self

    @property
    def head_size(self) -> int:
        """Channels of one attention head."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def key_value_heads(self) -> int:
        """Heads of keys and values."""
        return self.num_key_value_heads or self.num_attention_heads


def rotary_table(config: TransformerConfig) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of every position and channel, each (max_position_embeddings, D)."""
    exponent = torch.arange(0, config.head_size, 2, dtype=torch.float64) / config.head_size
    frequency = config.rope_theta**-exponent
    if config.rope_scaling is not None:
        frequency = config.rope_scaling.slowed(frequency)
    position = torch.arange(config.max_position_embeddings, dtype=torch.float64)
    angle = torch.outer(position, frequency)
    both_halves = torch.cat((angle, angle), dim=-1)
    return both_halves.cos().float(), both_halves.sin().float()
