"""A decoder-only transformer of the Llama shape, complete in one file.

Each letter at the end of a name is one axis of the tensor:

    B  sequence in the batch        V  vocabulary entry
    T  position that is computed    E  channel of the residual stream (hidden_size)
    S  position that is attended    H  attention head
    D  channel within one head      F  channel of the feed-forward layer (intermediate_size)

so ``q_BHTD`` holds one query vector of D channels for each sequence, head and position.

Parameter names and the rotary convention (rotate-half) are those of ``LlamaForCausalLM`` in
Hugging Face transformers; the saved weights load there without change.

Sources: Touvron et al., "LLaMA", arXiv:2302.13971 (shape); Su et al., "RoFormer", arXiv:2104.09864
(rotary positions, eq. 34); Zhang and Sennrich, arXiv:1910.07467 (RMSNorm); Shazeer,
arXiv:2002.05202 (SwiGLU).
"""

from __future__ import annotations

import math
from typing import Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional


class TransformerConfig(BaseModel):
    """The shape of the network, in the field names of ``LlamaConfig``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocab_size: int = Field(gt=0)
    hidden_size: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    num_hidden_layers: int = Field(gt=0)
    num_attention_heads: int = Field(gt=0)
    max_position_embeddings: int = Field(default=256, gt=0)
    rms_norm_eps: float = Field(default=1e-5, gt=0)
    rope_theta: float = Field(default=10_000.0, gt=0)

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.hidden_size % self.num_attention_heads or self.head_size % 2:
            raise ValueError(
                f"hidden_size {self.hidden_size} must be num_attention_heads"
                f" {self.num_attention_heads} times an even number"
            )
        return self

    @property
    def head_size(self) -> int:
        """Channels of one attention head."""
        return self.hidden_size // self.num_attention_heads


class KeyValueCache:
    """Keys and values of the positions computed so far, in memory reserved at the start.

    Args:
        config: shape of the network.
        batch: rows.
        capacity: most positions that will ever be held.
        dtype: of the activations, that is, of the weights.
    """

    def __init__(
        self, config: TransformerConfig, batch: int, capacity: int, dtype: torch.dtype
    ) -> None:
        shape = (batch, config.num_attention_heads, capacity, config.head_size)
        self._keys = [torch.empty(shape, dtype=dtype) for _ in range(config.num_hidden_layers)]
        self._values = [torch.empty(shape, dtype=dtype) for _ in range(config.num_hidden_layers)]
        self._batch = batch
        self.capacity = capacity
        self.length = 0

    def extend(self, layer: int, k_BHTD: Tensor, v_BHTD: Tensor) -> tuple[Tensor, Tensor]:
        """Store new positions of one layer; return all keys and values up to them (BHSD)."""
        end = self.length + k_BHTD.shape[2]
        keys, values = self._keys[layer][: self._batch], self._values[layer][: self._batch]
        keys[:, :, self.length : end] = k_BHTD
        values[:, :, self.length : end] = v_BHTD
        return keys[:, :, :end], values[:, :, :end]

    def advance(self, positions: int) -> None:
        """Count positions as held; called once per forward pass, after the last layer."""
        self.length += positions

    def keep(self, rows: Tensor) -> None:
        """Move the listed rows to the front and forget all others."""
        for stored in (*self._keys, *self._values):
            stored[: len(rows), :, : self.length] = stored[rows, :, : self.length]
        self._batch = len(rows)


class RMSNorm(nn.Module):
    """Divide by the root mean square over channels, then scale each channel."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x_BTE: Tensor) -> Tensor:
        """Return the normalised activations, in the type they came in."""
        wide_BTE = x_BTE.float()
        scale_BT1 = torch.rsqrt(wide_BTE.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * (wide_BTE * scale_BT1).type_as(x_BTE)


def rotary_table(config: TransformerConfig) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of every position and channel, each (max_position_embeddings, D)."""
    exponent = torch.arange(0, config.head_size, 2, dtype=torch.float64) / config.head_size
    position = torch.arange(config.max_position_embeddings, dtype=torch.float64)
    angle = torch.outer(position, config.rope_theta**-exponent)
    both_halves = torch.cat((angle, angle), dim=-1)
    return both_halves.cos().float(), both_halves.sin().float()


def rotate(x_BHTD: Tensor, cos_TD: Tensor, sin_TD: Tensor) -> Tensor:
    """Turn each pair of channels (d, d + D/2) by the angle of its position."""
    first, second = x_BHTD.chunk(2, dim=-1)
    return x_BHTD * cos_TD + torch.cat((-second, first), dim=-1) * sin_TD


def masked_attention(
    q_BHTD: Tensor, k_BHSD: Tensor, v_BHSD: Tensor, allowed_B1TS: Tensor
) -> Tensor:
    """Return softmax(q k / sqrt(D)) v over the allowed pairs of positions.

    Written out because at the row lengths used here (128) it trains 1.4 times faster on a CPU than
    torch's fused kernel, whose backward pass is slow there.
    """
    score_BHTS = (q_BHTD.type_as(v_BHSD) @ k_BHSD.type_as(v_BHSD).transpose(-1, -2)).float()
    score_BHTS = score_BHTS * (1.0 / math.sqrt(q_BHTD.shape[-1]))
    score_BHTS = score_BHTS.masked_fill(~allowed_B1TS, -1e30)
    return score_BHTS.softmax(-1).type_as(v_BHSD) @ v_BHSD


class Attention(nn.Module):
    """Causal self-attention with rotary positions."""

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads = config.num_attention_heads
        self.layer = layer
        self.q_proj = nn.Linear(size, size, bias=False)
        self.k_proj = nn.Linear(size, size, bias=False)
        self.v_proj = nn.Linear(size, size, bias=False)
        self.o_proj = nn.Linear(size, size, bias=False)

    def _split(self, x_BTE: Tensor) -> Tensor:
        batch, length, _ = x_BTE.shape
        return x_BTE.view(batch, length, self.heads, -1).transpose(1, 2)

    def forward(
        self,
        x_BTE: Tensor,
        rotary: tuple[Tensor, Tensor],
        allowed_B1TS: Tensor | None,
        cache: KeyValueCache | None,
    ) -> Tensor:
        """Mix positions. Without ``allowed_B1TS`` each position sees itself and all before it."""
        q_BHTD = rotate(self._split(self.q_proj(x_BTE)), *rotary)
        k_BHSD = rotate(self._split(self.k_proj(x_BTE)), *rotary)
        v_BHSD = self._split(self.v_proj(x_BTE))
        if cache is not None:
            k_BHSD, v_BHSD = cache.extend(self.layer, k_BHSD, v_BHSD)
        if allowed_B1TS is None:
            # A single new position sees everything before it, so it needs no causal mask.
            mixed_BHTD = functional.scaled_dot_product_attention(
                q_BHTD, k_BHSD, v_BHSD, is_causal=q_BHTD.shape[2] > 1
            )
        else:
            mixed_BHTD = masked_attention(q_BHTD, k_BHSD, v_BHSD, allowed_B1TS)
        output: Tensor = self.o_proj(mixed_BHTD.transpose(1, 2).flatten(2))
        return output


class FeedForward(nn.Module):
    """SwiGLU: a gated two-layer network at each position."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        size, inner = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(size, inner, bias=False)
        self.up_proj = nn.Linear(size, inner, bias=False)
        self.down_proj = nn.Linear(inner, size, bias=False)

    def forward(self, x_BTE: Tensor) -> Tensor:
        """Return the update of the residual stream."""
        inner_BTF = functional.silu(self.gate_proj(x_BTE)) * self.up_proj(x_BTE)
        output: Tensor = self.down_proj(inner_BTF)
        return output


class Block(nn.Module):
    """One layer: attention, then feed-forward, each on normalised input and added back."""

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config, layer)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = FeedForward(config)

    def forward(
        self,
        x_BTE: Tensor,
        rotary: tuple[Tensor, Tensor],
        allowed_B1TS: Tensor | None,
        cache: KeyValueCache | None,
    ) -> Tensor:
        """Return the residual stream after this layer."""
        x_BTE = x_BTE + self.self_attn(self.input_layernorm(x_BTE), rotary, allowed_B1TS, cache)
        output: Tensor = x_BTE + self.mlp(self.post_attention_layernorm(x_BTE))
        return output


class Decoder(nn.Module):
    """Embedding, layers and final norm (named ``model`` in the saved weights)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            Block(config, layer) for layer in range(config.num_hidden_layers)
        )
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)


class Transformer(nn.Module):
    """The language model: token ids in, logits of the next token out.

    Args:
        config: shape of the network.
        generator: where the initial weights are drawn from; None leaves them unset, for loading.
    """

    cos_PD: Tensor
    sin_PD: Tensor

    def __init__(self, config: TransformerConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        with torch.device("meta"):
            self.model = Decoder(config)
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.to_empty(device="cpu")
        cos_PD, sin_PD = rotary_table(config)
        self.register_buffer("cos_PD", cos_PD, persistent=False)
        self.register_buffer("sin_PD", sin_PD, persistent=False)
        if generator is not None:
            self._draw_weights(generator)

    @torch.no_grad()
    def _draw_weights(self, generator: torch.Generator) -> None:
        """Draw matrices with variance 1 / inputs; what writes to the residual starts at zero."""
        for name, weight in self.named_parameters():
            if weight.ndim == 1:
                weight.fill_(1.0)
            elif name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")):
                weight.zero_()
            elif name.endswith("embed_tokens.weight"):
                weight.normal_(0.0, 1.0, generator=generator)
            else:
                weight.normal_(0.0, 1.0 / math.sqrt(weight.shape[1]), generator=generator)

    @property
    def parameter_count(self) -> int:
        """Number of learned values."""
        return sum(weight.numel() for weight in self.parameters())

    def forward(
        self,
        token_BT: Tensor,
        document_BT: Tensor | None = None,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        """Return logits_BTV of the token that follows each position.

        Args:
            token_BT: token ids.
            document_BT: number of the document that each position belongs to, for rows that hold
                several; a position sees only its own document. None: one document a row.
            cache: earlier positions; extended by this call. Not together with ``document_BT``.

        Raises:
            ValueError: more positions than ``max_position_embeddings``.
        """
        length = token_BT.shape[1]
        start = 0 if cache is None else cache.length
        if start + length > self.config.max_position_embeddings:
            raise ValueError(
                f"{start + length} positions, but the model has max_position_embeddings ="
                f" {self.config.max_position_embeddings}; cut the input"
            )
        allowed_B1TS = None
        if document_BT is not None:
            allowed_B1TS = (document_BT[:, :, None] == document_BT[:, None, :]).tril()[:, None]
        elif start and length > 1:
            allowed_B1TS = torch.ones(length, start + length, dtype=torch.bool).tril(start)
        # Rotary attention depends on differences of positions only, so documents that share a row
        # need no positions of their own.
        rotary = (
            self.cos_PD[start : start + length].to(self.lm_head.weight.dtype),
            self.sin_PD[start : start + length].to(self.lm_head.weight.dtype),
        )
        x_BTE = self.model.embed_tokens(token_BT)
        for block in self.model.layers:
            x_BTE = block(x_BTE, rotary, allowed_B1TS, cache)
        if cache is not None:
            cache.advance(length)
        logits_BTV: Tensor = self.lm_head(self.model.norm(x_BTE))
        return logits_BTV
