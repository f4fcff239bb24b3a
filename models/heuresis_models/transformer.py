"""A decoder-only transformer of the Llama shape, complete in one file.

Each letter at the end of a name is one axis of the tensor:

    B  sequence in the batch        V  vocabulary entry
    T  position that is computed    E  channel of the residual stream (hidden_size)
    S  position that is attended    H  attention head of queries
    D  channel within one head      K  head of keys and values, shared by H / K query heads
    P  position in a document       F  channel of the feed-forward layer (intermediate_size)

so ``q_BHTD`` holds one query vector of D channels for each sequence, head and position.

Parameter names and the rotary convention (rotate-half) are those of ``LlamaForCausalLM`` in
Hugging Face transformers; the saved weights load there without change, and those saved there here.

Sources: Touvron et al., "LLaMA", arXiv:2302.13971 (shape); Su et al., "RoFormer", arXiv:2104.09864
(rotary positions, eq. 34); Ainslie et al., arXiv:2305.13245 (shared key-value heads); Zhang and
Sennrich, arXiv:1910.07467 (RMSNorm); Shazeer, arXiv:2002.05202 (SwiGLU).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from heuresis_models.key_value_cache import KeyValueCache
from heuresis_models.network_shape import RotaryScaling, TransformerConfig, rotary_table

__all__ = [
    "KeyValueCache",
    "RotaryScaling",
    "Transformer",
    "TransformerConfig",
    "masked_attention",
    "rotary_table",
    "rotate",
]


class RMSNorm(nn.Module):
    """Divide by the root mean square over channels, then scale each channel."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x_BTE: Tensor) -> Tensor:
        """Return the normalised activations, in the type that the next product takes."""
        wide_BTE = x_BTE.float()
        scale_BT1 = torch.rsqrt(wide_BTE.square().mean(-1, keepdim=True) + self.eps)
        y_BTE = self.weight * (wide_BTE * scale_BT1).type_as(x_BTE)
        device = x_BTE.device.type
        if device != "meta" and torch.is_autocast_enabled(device):
            # Once here, or autocast does it anew for each of the products.
            y_BTE = y_BTE.to(torch.get_autocast_dtype(device))
        return y_BTE


def rotate(x_BHTD: Tensor, cos_TD: Tensor, sin_TD: Tensor) -> Tensor:
    """Turn each pair of channels (d, d + D/2) by the angle of its position."""
    first, second = x_BHTD.chunk(2, dim=-1)
    return x_BHTD * cos_TD + torch.cat((-second, first), dim=-1) * sin_TD


def masked_attention(
    q_BHTD: Tensor, k_BHSD: Tensor, v_BHSD: Tensor, allowed_B1TS: Tensor
) -> Tensor:
    """Return softmax(q k / sqrt(D)) v over the allowed pairs of positions.

    Written out because at the row lengths used here it trains up to twice as fast on a CPU as
    torch's fused kernel, whose backward pass is slow there.
    """
    bias_B1TS = torch.zeros(allowed_B1TS.shape, dtype=v_BHSD.dtype, device=v_BHSD.device)
    bias_B1TS.masked_fill_(~allowed_B1TS, torch.finfo(v_BHSD.dtype).min)
    # Queries are scaled while they still have all their digits; a bias costs less than a mask.
    scaled_BHTD = (q_BHTD * (1.0 / math.sqrt(q_BHTD.shape[-1]))).type_as(v_BHSD)
    score_BHTS = scaled_BHTD @ k_BHSD.type_as(v_BHSD).transpose(-1, -2) + bias_B1TS
    return score_BHTS.softmax(-1, dtype=torch.float32).type_as(v_BHSD) @ v_BHSD


def single_attention(
    q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, bias_B1TS: Tensor | None
) -> Tensor:
    """Return the same for one query position (T = 1), which may see all but what a bias hides.

    The query heads that share a key head stand where otherwise positions stand, so no key is
    copied, and two batched products do the rest: on a CPU 1.4 times faster than torch's fused
    kernel, which calls a small product for each row and head.
    """
    batch, heads, _, size = q_BHTD.shape
    groups, length = k_BKSD.shape[1:3]
    q_NGD = q_BHTD.reshape(batch * groups, heads // groups, size)
    k_NSD, v_NSD = k_BKSD.flatten(0, 1), v_BKSD.flatten(0, 1)
    if bias_B1TS is None:
        bias_N1S = q_NGD.new_zeros(1)
    elif len(bias_B1TS) == 1:
        bias_N1S = bias_B1TS.view(1, 1, length)
    else:
        bias_N1S = bias_B1TS.expand(-1, groups, -1, -1).reshape(-1, 1, length)
    score_NGS = torch.baddbmm(bias_N1S, q_NGD, k_NSD.mT, alpha=1.0 / math.sqrt(size))
    return torch.bmm(score_NGS.softmax(-1), v_NSD).view(batch, heads, 1, size)


def attend(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask_B1TS: Tensor | None) -> Tensor:
    """Let queries read values, with what is fastest for the case.

    Args:
        q_BHTD: queries.
        k_BKSD: keys.
        v_BKSD: values.
        mask_B1TS: True where a query may look, or a bias to be added to the scores. None: each
            position sees itself and all before it.
    """
    length, groups, shared = q_BHTD.shape[2], k_BKSD.shape[1], q_BHTD.shape[1] // k_BKSD.shape[1]
    on_cpu = q_BHTD.device.type == "cpu"
    if on_cpu and length > 1 and mask_B1TS is not None and torch.is_grad_enabled():
        if shared > 1:
            k_BKSD = k_BKSD.repeat_interleave(shared, dim=1)
            v_BKSD = v_BKSD.repeat_interleave(shared, dim=1)
        return masked_attention(q_BHTD, k_BKSD, v_BKSD, mask_B1TS)
    # Under autocast rotated queries and keys are 32-bit, values are not.
    q_BHTD, k_BKSD = q_BHTD.type_as(v_BKSD), k_BKSD.type_as(v_BKSD)
    if on_cpu and length == 1 and (mask_B1TS is None or mask_B1TS.is_floating_point()):
        return single_attention(q_BHTD, k_BKSD, v_BKSD, mask_B1TS)
    if length == 1:
        q_BKGD = q_BHTD.reshape(-1, groups, shared, q_BHTD.shape[-1])
        mixed = functional.scaled_dot_product_attention(q_BKGD, k_BKSD, v_BKSD, mask_B1TS)
        return mixed.reshape(q_BHTD.shape)
    return functional.scaled_dot_product_attention(
        q_BHTD, k_BKSD, v_BKSD, mask_B1TS, is_causal=mask_B1TS is None, enable_gqa=shared > 1
    )


class Attention(nn.Module):
    """Causal self-attention with rotary positions."""

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        size, bias = config.hidden_size, config.attention_bias
        self.head_size = config.head_size
        self.layer = layer
        queries = config.num_attention_heads * config.head_size
        keys = config.key_value_heads * config.head_size
        self.q_proj = nn.Linear(size, queries, bias=bias)
        self.k_proj = nn.Linear(size, keys, bias=bias)
        self.v_proj = nn.Linear(size, keys, bias=bias)
        self.o_proj = nn.Linear(queries, size, bias=bias)

    def _split(self, x_BTE: Tensor) -> Tensor:
        batch, length, _ = x_BTE.shape
        return x_BTE.view(batch, length, -1, self.head_size).transpose(1, 2)

    def forward(
        self,
        x_BTE: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask_B1TS: Tensor | None,
        cache: KeyValueCache | None,
    ) -> Tensor:
        """Mix positions; see `attend`."""
        q_BHTD = rotate(self._split(self.q_proj(x_BTE)), *rotary)
        k_BKSD = rotate(self._split(self.k_proj(x_BTE)), *rotary)
        v_BKSD = self._split(self.v_proj(x_BTE))
        if cache is not None:
            k_BKSD, v_BKSD = cache.extend(self.layer, k_BKSD, v_BKSD)
        mixed_BHTD = attend(q_BHTD, k_BKSD, v_BKSD, mask_B1TS)
        output: Tensor = self.o_proj(mixed_BHTD.transpose(1, 2).flatten(2))
        return output


class FeedForward(nn.Module):
    """SwiGLU: a gated two-layer network at each position."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        size, inner = config.hidden_size, config.intermediate_size
        self.gate_proj = nn.Linear(size, inner, bias=config.mlp_bias)
        self.up_proj = nn.Linear(size, inner, bias=config.mlp_bias)
        self.down_proj = nn.Linear(inner, size, bias=config.mlp_bias)

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
        mask_B1TS: Tensor | None,
        cache: KeyValueCache | None,
    ) -> Tensor:
        """Return the residual stream after this layer."""
        x_BTE = x_BTE + self.self_attn(self.input_layernorm(x_BTE), rotary, mask_B1TS, cache)
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
        device: where the weights are made; on ``"meta"`` they have shapes only.
        dtype: of weights and activations.
    """

    cos_PD: Tensor
    sin_PD: Tensor

    def __init__(
        self,
        config: TransformerConfig,
        generator: torch.Generator | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.config = config
        with torch.device("meta"):
            self.model = Decoder(config)
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.to(dtype).to_empty(device=device)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight
        cos_PD, sin_PD = rotary_table(config)
        self.register_buffer("cos_PD", cos_PD.to(device), persistent=False)
        self.register_buffer("sin_PD", sin_PD.to(device), persistent=False)
        if generator is not None:
            self._draw_weights(generator)

    @torch.no_grad()
    def _draw_weights(self, generator: torch.Generator) -> None:
        """Draw matrices with variance 1 / inputs; what writes to the residual starts at zero."""
        for name, weight in self.named_parameters():
            if weight.ndim == 1:
                weight.fill_(0.0 if name.endswith("bias") else 1.0)
            elif name.endswith(("o_proj.weight", "down_proj.weight", "lm_head.weight")):
                weight.zero_()
            elif name.endswith("embed_tokens.weight") and not self.config.tie_word_embeddings:
                weight.normal_(0.0, 1.0, generator=generator)
            else:
                weight.normal_(0.0, 1.0 / math.sqrt(weight.shape[1]), generator=generator)

    @property
    def parameter_count(self) -> int:
        """Number of learned values."""
        return sum(weight.numel() for weight in self.parameters())

    def new_cache(self, batch: int, capacity: int) -> KeyValueCache:
        """Return an empty cache that fits this model's type and device."""
        weight = self.lm_head.weight
        return KeyValueCache(self.config, batch, capacity, weight.dtype, weight.device)

    def hidden(
        self,
        token_BT: Tensor,
        document_BT: Tensor | None = None,
        cache: KeyValueCache | None = None,
        padding_BT: Tensor | None = None,
    ) -> Tensor:
        """Return the normalised activations_BTE that the output matrix reads; see `forward`."""
        batch, length = token_BT.shape
        start = 0 if cache is None else cache.length
        position_BT = mask_B1TS = None
        longest = length
        if cache is not None:
            if document_BT is not None:
                raise ValueError("a cache holds one document a row; give no document_BT with it")
            position_BT = cache.place(batch, length, padding_BT)
            mask_B1TS = cache.mask(length, token_BT.device)
            longest = cache.longest
        elif padding_BT is not None:
            raise ValueError("padding_BT needs a cache; without one give document_BT")
        elif document_BT is not None:
            mask_B1TS = (document_BT[:, :, None] == document_BT[:, None, :]).tril()[:, None]
        if longest > self.config.max_position_embeddings:
            raise ValueError(
                f"{longest} positions, but the model has max_position_embeddings ="
                f" {self.config.max_position_embeddings}; cut the input"
            )
        # Rotary attention depends on differences of positions only, so documents that share a row
        # need no positions of their own; rows with padding do, for it lies between their tokens.
        dtype = self.lm_head.weight.dtype
        if position_BT is None:
            there = slice(start, start + length)
            rotary = (self.cos_PD[there].to(dtype), self.sin_PD[there].to(dtype))
        else:
            cos_BTD, sin_BTD = self.cos_PD[position_BT], self.sin_PD[position_BT]
            rotary = (cos_BTD.to(dtype)[:, None], sin_BTD.to(dtype)[:, None])
        x_BTE = self.model.embed_tokens(token_BT)
        for block in self.model.layers:
            x_BTE = block(x_BTE, rotary, mask_B1TS, cache)
        if cache is not None:
            cache.advance(length)
        output: Tensor = self.model.norm(x_BTE)
        return output

    def forward(
        self,
        token_BT: Tensor,
        document_BT: Tensor | None = None,
        cache: KeyValueCache | None = None,
        padding_BT: Tensor | None = None,
    ) -> Tensor:
        """Return logits_BTV of the token that follows each position.

        Args:
            token_BT: token ids.
            document_BT: number of the document that each position belongs to, for rows that hold
                several; a position sees only its own document. None: one document a row.
            cache: earlier positions; extended by this call. Not together with ``document_BT``.
            padding_BT: True where a row has no token; only with ``cache``, which remembers it.
                Padding may stand anywhere; it is neither seen nor counted as a position.

        Raises:
            ValueError: more positions than ``max_position_embeddings`` or than the cache holds, or
                arguments that exclude each other.
        """
        logits_BTV: Tensor = self.lm_head(self.hidden(token_BT, document_BT, cache, padding_BT))
        return logits_BTV
