"""How to sample: everything a caller can set, checked once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import torch
    from numpy.random import Generator

Precision = Literal["fp32", "bf16"]


class Sampling(BaseModel):
    """Settings of `generate`. The defaults draw from the model as it is, under the grammar mask."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(default=1.0, gt=0, le=10)
    """Below 1 prefers likely tokens; above 1 spreads."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Draw from the smallest set of tokens whose probabilities add up to this (before the mask)."""
    max_tokens: int = Field(default=256, gt=1)
    """Longest document, prompt included, but never more than the model can hold. The default is
    the longest that the shipped models have read."""
    stop: tuple[str, ...] = ()
    """Tokens that end a row; default: the closing tag of the prompt's object, or ``<eos>``."""
    annotations: bool = False
    """Go on after the object until ``<eos>``: the model may say what it thinks of it."""
    masked: bool = True
    """Leave out tokens that the grammar forbids, and close the object before the limit."""
    restarts: int = Field(default=8, ge=0)
    """How often a row starts again when the grammar refuses a token, before refused tokens are
    only replaced. Starting again keeps to what the model would have written; see `masking`."""
    exact_probabilities: bool = False
    """Keep `Sample.log_probability` under the mask, too: refused tokens are replaced at once, and
    every mask is computed in full, which takes several times longer."""
    guidance: float = Field(default=1.0, ge=0, le=20)
    """Classifier-free guidance (Ho and Salimans, arXiv:2207.12598; for text Sanchez et al.,
    arXiv:2306.17806): logits are plain + guidance × (conditional − plain). 1: conditional;
    0: plain, that is, as if nothing had been asked; above 1: exaggerated."""
    precision: Precision | None = None
    """Of the arithmetic; None: that of the loaded weights. ``bf16`` pays from batches of 128 on."""
    batch: int = Field(default=128, gt=0)
    """Rows that are written together."""
    compact_below: float = Field(default=0.75, ge=0, le=1)
    """Finished rows are dropped when fewer than this share are alive; 0.9 was no better."""


def torch_generator(rng: Generator) -> torch.Generator:
    """Derive a torch generator from a numpy generator, which advances by one draw."""
    import torch

    return torch.Generator().manual_seed(int(rng.integers(2**63 - 1)))
