"""From logits to tokens. Axes: B row, V vocabulary entry."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def distribution(
    logits_BV: Tensor, temperature: float, top_p: float, forbidden: Sequence[int]
) -> Tensor:
    """Return the probabilities that tokens are drawn with, in 64 bits; each row adds up to 1."""
    scaled_BV = logits_BV.double() / temperature
    scaled_BV[:, list(forbidden)] = -torch.inf
    probability_BV = scaled_BV.softmax(-1)
    if top_p < 1.0:
        falling_BV, order_BV = probability_BV.sort(dim=-1, descending=True)
        # A token stays while the tokens before it have not yet reached top_p.
        falling_BV[falling_BV.cumsum(-1) - falling_BV >= top_p] = 0.0
        probability_BV = torch.zeros_like(probability_BV).scatter(-1, order_BV, falling_BV)
        probability_BV /= probability_BV.sum(-1, keepdim=True)
    return probability_BV


def draw(probability_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """Draw one token a row by inverting the cumulative distribution; rows need not add up to 1."""
    cumulative_BV = probability_BV.cumsum(-1)
    threshold_B1 = (uniform_B * cumulative_BV[:, -1])[:, None]
    token_B = torch.searchsorted(cumulative_BV, threshold_B1, right=True).squeeze(-1)
    # Rounding can push a uniform number just below 1 over the end: take the last possible token.
    last_B = probability_BV.shape[1] - 1 - (probability_BV.flip(-1) > 0).int().argmax(-1)
    return torch.minimum(token_B, last_B)


def restricted(probability_BV: Tensor, logits_BV: Tensor, mask_BV: Tensor) -> Tensor:
    """Return probabilities restricted to a mask.

    Where the mask leaves nothing of them (top_p had cut it off), the model's own at temperature 1
    take their place, and where even these vanish all allowed tokens are equally likely.
    """
    kept_BV = probability_BV * mask_BV
    lost_B = kept_BV.sum(-1) <= 0.0
    if bool(lost_B.any()):
        own_BV = logits_BV[lost_B].double().masked_fill(~mask_BV[lost_B], -torch.inf).softmax(-1)
        kept_BV[lost_B] = torch.where(own_BV.isnan(), mask_BV[lost_B].double(), own_BV)
    return kept_BV / kept_BV.sum(-1, keepdim=True)
