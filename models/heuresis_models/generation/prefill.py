"""Reading prompts: each distinct prompt once, and what all share only once.

A group of prompts mostly begins alike (``<bos>``, conditions, exemplars) and often is one prompt
asked many times. The common prefix is computed in a single row, the rest in one row for each
distinct prompt (padded on the left), and only then rows are copied.

Axes: B row asked for, U distinct row, T position, V vocabulary entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from heuresis_models.generation.rows import Start
from heuresis_models.key_value_cache import KeyValueCache
from heuresis_models.transformer import Transformer


class Prefilled(NamedTuple):
    """One cache row for each start, ready to go on."""

    cache: KeyValueCache
    logits_BV: Tensor
    """Of the token that follows."""
    log_likelihood: list[float]
    """Of the scored tokens of each start."""


def prefill(model: Transformer, starts: Sequence[Start], room: int) -> Prefilled:
    """Compute what rows start with.

    Args:
        model: the language model.
        starts: one for each row.
        room: most tokens that any row will write afterwards.
    """
    distinct = list(dict.fromkeys(starts))
    place = {start: index for index, start in enumerate(distinct)}
    index = torch.tensor([place[start] for start in starts])
    device = model.lm_head.weight.device
    shared = _shared(distinct)
    rest = max(len(start.ids) for start in distinct) - shared
    rows = 1 if shared else len(distinct)
    cache = KeyValueCache(
        model.config, rows, shared + rest + room, model.lm_head.weight.dtype, device
    )
    logits_UTV: list[Tensor] = [torch.empty(0)] * len(distinct)
    if shared:
        logits_1TV = model(torch.tensor([distinct[0].ids[:shared]], device=device), cache=cache)
        logits_UTV = [logits_1TV[0]] * len(distinct)
        if rest:
            cache.repeat(torch.zeros(len(distinct), dtype=torch.long, device=device))
    if rest:
        token_UT = torch.zeros((len(distinct), rest), dtype=torch.long)
        padding_UT = torch.zeros((len(distinct), rest), dtype=torch.bool)
        for row, start in enumerate(distinct):
            ids = start.ids[shared:]
            token_UT[row, rest - len(ids) :] = torch.tensor(ids)
            padding_UT[row, : rest - len(ids)] = True
        padding = padding_UT.to(device) if bool(padding_UT.any()) else None
        own_UTV = model(token_UT.to(device), cache=cache, padding_BT=padding)
        logits_UTV = [
            torch.cat(([before] if shared else []) + [own[rest + shared - len(start.ids) :]])
            for before, own, start in zip(logits_UTV, own_UTV, distinct, strict=True)
        ]
    likelihood = [_scored(start, own) for start, own in zip(distinct, logits_UTV, strict=True)]
    if index.tolist() != list(range(cache.batch)):
        cache.repeat(index.to(device))
    last_UV = torch.stack([logits_TV[-1] for logits_TV in logits_UTV])
    return Prefilled(cache, last_UV[index], [likelihood[number] for number in index.tolist()])


def _shared(starts: Sequence[Start]) -> int:
    """Return how many ids all begin with; of several, each keeps at least one of its own."""
    first = starts[0].ids
    if len(starts) == 1:
        return len(first)
    length = min(len(start.ids) for start in starts) - 1
    for start in starts[1:]:
        while start.ids[:length] != first[:length]:
            length -= 1
    return length


def _scored(start: Start, logits_TV: Tensor) -> float:
    """Return the log-likelihood of the scored ids of a start."""
    if not start.scored:
        return 0.0
    given = torch.tensor(start.ids[-start.scored :], device=logits_TV.device)
    log_TV = logits_TV[-start.scored - 1 : -1].float().log_softmax(-1)
    return float(log_TV.gather(-1, given[:, None]).double().sum())
