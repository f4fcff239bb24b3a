"""Writing new documents: batched, cached, with the log-probability of everything written.

All rows of a batch advance together. A row with a given prefix reads its next given token instead
of drawing one, so prefixes of different length share a batch. When fewer than three quarters of the
rows are still being written, the finished ones are dropped from the cache (compaction).

Every row consumes one uniform number per step whether it needs it or not, so what a row writes
depends neither on the other rows nor on compaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from heuresis_models.transformer import KeyValueCache, Transformer

if TYPE_CHECKING:
    from numpy.random import Generator

COMPACT_BELOW = 0.75
"""Share of living rows under which the cache is compacted; 0.9 was no better."""


@dataclass(frozen=True)
class Sample:
    """One written document.

    Args:
        tokens: head, text and, if ``finished``, the end token.
        log_likelihood: natural log of the probability of all tokens after the head, end included,
            under the model itself (temperature 1, nothing cut), given tokens included.
        finished: False when the document was cut off at the longest allowed length.
    """

    tokens: tuple[int, ...]
    log_likelihood: float
    finished: bool


def torch_generator(rng: Generator) -> torch.Generator:
    """Derive a torch generator from a numpy generator, which advances by one draw."""
    return torch.Generator().manual_seed(int(rng.integers(2**63 - 1)))


@torch.inference_mode()
def sample(
    model: Transformer,
    prefixes: Sequence[Sequence[int]],
    rng: Generator,
    *,
    head_length: int,
    end: int,
    forbidden: Sequence[int] = (),
    max_tokens: int | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
    compact_below: float = COMPACT_BELOW,
) -> list[Sample]:
    """Complete each prefix to a document.

    Args:
        model: the language model.
        prefixes: at least the head of each document; one result for each, in order.
        rng: source of randomness.
        head_length: tokens of the head, which do not count in the log-likelihood.
        end: id of the token that ends a document.
        forbidden: ids that are never drawn (control tokens).
        max_tokens: longest document, head included; default what the model can hold.
        temperature: below 1 prefers likely tokens; above 1 spreads.
        top_p: draw from the smallest set of tokens whose probabilities add up to this.
        compact_below: share of living rows under which the batch is compacted; 0 never.

    Raises:
        ValueError: an argument is out of range.
    """
    capacity = model.config.max_position_embeddings
    longest = min(max_tokens or capacity, capacity)
    _check(prefixes, longest, head_length, temperature, top_p)
    if not prefixes:
        return []
    generator = torch_generator(rng)
    batch = len(prefixes)
    shared = min(len(prefix) for prefix in prefixes)
    given_length = torch.tensor([len(prefix) for prefix in prefixes])
    written = torch.zeros((batch, longest), dtype=torch.long)
    for row, prefix in enumerate(prefixes):
        written[row, : len(prefix)] = torch.tensor(prefix)
    log_likelihood = torch.zeros(batch, dtype=torch.float64)
    length = torch.full((batch,), longest)
    finished = torch.zeros(batch, dtype=torch.bool)

    cache = KeyValueCache(model.config, batch, longest, model.lm_head.weight.dtype)
    logits_BTV = model(written[:, :shared], cache=cache)
    if shared > head_length:
        log_probability_BTV = functional.log_softmax(logits_BTV[:, head_length - 1 : -1], dim=-1)
        next_BT1 = written[:, head_length:shared, None]
        log_likelihood += log_probability_BTV.gather(-1, next_BT1).sum((1, 2))
    logits_BV = logits_BTV[:, -1]

    # `rows` are the original numbers of the cache's rows, `living` those still being written.
    rows = torch.arange(batch)
    living = torch.ones(batch, dtype=torch.bool)
    for position in range(shared, longest):
        uniform = torch.rand(batch, dtype=torch.float64, generator=generator)[rows]
        drawn = _draw(logits_BV, uniform, temperature, top_p, forbidden)
        token = torch.where(given_length[rows] > position, written[rows, position], drawn)
        chosen = functional.log_softmax(logits_BV, dim=-1).gather(-1, token[:, None]).squeeze(-1)
        log_likelihood[rows] += torch.where(living, chosen.double(), 0.0)
        written[rows[living], position] = token[living]
        ended = living & (token == end)
        length[rows[ended]] = position + 1
        finished[rows[ended]] = True
        living = living & ~ended
        alive = int(living.sum())
        if alive == 0 or position + 1 == longest:
            break
        if alive < compact_below * len(rows):
            kept = living.nonzero().squeeze(-1)
            cache.keep(kept)
            rows, token, living = rows[kept], token[kept], living[kept]
        logits_BV = model(token[:, None], cache=cache)[:, -1]

    return [
        Sample(tuple(tokens[:count]), value, done)
        for tokens, count, value, done in zip(
            written.tolist(),
            length.tolist(),
            log_likelihood.tolist(),
            finished.tolist(),
            strict=True,
        )
    ]


def _draw(
    logits_BV: Tensor,
    uniform: Tensor,
    temperature: float,
    top_p: float,
    forbidden: Sequence[int],
) -> Tensor:
    """Draw one token per row by inverting the cumulative distribution at ``uniform``."""
    scaled_BV = logits_BV.float() / temperature
    scaled_BV[:, list(forbidden)] = -torch.inf
    probability_BV = scaled_BV.double().softmax(-1)
    if top_p < 1.0:
        falling_BV, order_BV = probability_BV.sort(dim=-1, descending=True)
        # A token stays while the tokens before it have not yet reached top_p.
        falling_BV[falling_BV.cumsum(-1) - falling_BV >= top_p] = 0.0
        probability_BV = torch.zeros_like(probability_BV).scatter(-1, order_BV, falling_BV)
    cumulative_BV = probability_BV.cumsum(-1)
    threshold_B1 = (uniform * cumulative_BV[:, -1])[:, None]
    return torch.searchsorted(cumulative_BV, threshold_B1, right=True).squeeze(-1)


def _check(
    prefixes: Sequence[Sequence[int]],
    longest: int,
    head_length: int,
    temperature: float,
    top_p: float,
) -> None:
    if not temperature > 0.0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    if not 0.0 < top_p <= 1.0:
        raise ValueError(f"top_p must be above 0 and at most 1, got {top_p}")
    for prefix in prefixes:
        if not head_length <= len(prefix) < longest:
            raise ValueError(
                f"a prefix has {len(prefix)} tokens; expected at least the head ({head_length})"
                f" and fewer than {longest}"
            )
