"""The same network with fewer, larger products: for writing, not for training.

Queries, keys and values come from one matrix, gate and up from another; the scales of the norms are
folded into them. At a few hundred rows a step of a small model is bound by the number of
operations, not by their size.

Axes as in `heuresis_models.transformer`; X: queries, keys and values side by side.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from heuresis_models.key_value_cache import KeyValueCache
from heuresis_models.transformer import (
    Block,
    RMSNorm,
    Transformer,
    attend,
    rotate,
)


def decoding_network(model: Transformer, dtype: torch.dtype | None = None) -> Transformer:
    """Return a network that computes what ``model`` does, faster, and cannot be trained or saved.

    Args:
        model: not changed, and not followed: make another one after the next learning step.
        dtype: of weights and activations; None: as they are. ``torch.bfloat16`` pays from about a
            hundred rows on.
    """
    dtype = dtype or model.lm_head.weight.dtype
    twin = Transformer(model.config, device="meta")
    for name in ("cos_PD", "sin_PD"):
        setattr(twin, name, getattr(model, name))
    with torch.no_grad():
        twin.model.embed_tokens = copy.deepcopy(model.model.embed_tokens).to(dtype)
        twin.model.layers = nn.ModuleList(_FusedBlock(block, dtype) for block in model.model.layers)
        twin.model.norm = _Scale(model.model.norm)
        twin.lm_head = _joined([model.lm_head], model.model.norm.weight, dtype)
    return twin.requires_grad_(False).eval()


def _joined(linears: list[nn.Linear], scale_E: Tensor, dtype: torch.dtype) -> nn.Linear:
    """Return one linear layer for several, with the scale of the norm before them inside."""
    weight = torch.cat([linear.weight.float() * scale_E.float() for linear in linears]).to(dtype)
    joined = nn.Linear(1, 1, bias=linears[0].bias is not None, device="meta")
    joined.out_features, joined.in_features = weight.shape
    joined.weight = nn.Parameter(weight)
    if joined.bias is not None:
        joined.bias = nn.Parameter(torch.cat([linear.bias for linear in linears]).to(dtype))
    return joined


class _Scale(RMSNorm):
    """`RMSNorm` without the scale of channels."""

    def __init__(self, norm: nn.Module) -> None:
        assert isinstance(norm, RMSNorm)
        super().__init__(0, norm.eps)

    def forward(self, x_BTE: Tensor) -> Tensor:
        wide_BTE = x_BTE.float()
        scale_BT1 = wide_BTE.square().mean(-1, keepdim=True).add_(self.eps).rsqrt_()
        return (wide_BTE * scale_BT1).type_as(x_BTE)


class _FusedBlock(nn.Module):
    def __init__(self, block: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        assert isinstance(block, Block)
        attention, forward = block.self_attn, block.mlp
        self.layer, self.head_size = attention.layer, attention.head_size
        self.queries = attention.q_proj.out_features // self.head_size
        self.before = _Scale(block.input_layernorm)
        self.between = _Scale(block.post_attention_layernorm)
        self.qkv = _joined(
            [attention.q_proj, attention.k_proj, attention.v_proj],
            block.input_layernorm.weight,
            dtype,
        )
        self.gate_up = _joined(
            [forward.gate_proj, forward.up_proj], block.post_attention_layernorm.weight, dtype
        )
        self.o_proj = copy.deepcopy(attention.o_proj).to(dtype)
        self.down_proj = copy.deepcopy(forward.down_proj).to(dtype)

    def forward(
        self,
        x_BTE: Tensor,
        rotary: tuple[Tensor, Tensor],
        mask_B1TS: Tensor | None,
        cache: KeyValueCache | None,
    ) -> Tensor:
        batch, length, _ = x_BTE.shape
        x_BXTD = self.qkv(self.before(x_BTE)).view(batch, length, -1, self.head_size)
        x_BXTD = x_BXTD.transpose(1, 2)
        groups = (x_BXTD.shape[1] - self.queries) // 2
        turned_BXTD = rotate(x_BXTD[:, :-groups], *rotary)
        q_BHTD, k_BKSD = turned_BXTD[:, : self.queries], turned_BXTD[:, self.queries :]
        v_BKSD = x_BXTD[:, -groups:]
        if cache is not None:
            k_BKSD, v_BKSD = cache.extend(self.layer, k_BKSD, v_BKSD)
        mixed_BHTD = attend(q_BHTD, k_BKSD, v_BKSD, mask_B1TS)
        x_BTE = x_BTE + self.o_proj(mixed_BHTD.transpose(1, 2).flatten(2))
        gate_BTF, up_BTF = self.gate_up(self.between(x_BTE)).chunk(2, dim=-1)
        output: Tensor = x_BTE + self.down_proj(functional.silu(gate_BTF) * up_BTF)
        return output
