"""Writing documents: batched, cached, with the log-probability of everything written.

All rows of a batch advance together, whatever the length of their prompts. When fewer than three
quarters of them are still being written, the finished ones are dropped from the cache; the last few
of a batch are gathered and finished together with those of other batches.

Every row has random numbers of its own, so what it writes depends neither on the other rows nor on
their number, order or batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from heuresis_models.decoding_network import decoding_network
from heuresis_models.generation.batches import Batch
from heuresis_models.generation.prompts import Prompt, end_of
from heuresis_models.generation.rows import Row
from heuresis_models.generation.settings import Precision, Sampling
from heuresis_models.language.automaton import Automaton, State
from heuresis_models.language.errors import DocumentError, OverlongError
from heuresis_models.language.tokens import BEGIN, END, PADDING
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.transformer import Transformer

if TYPE_CHECKING:
    from numpy.random import Generator

_STRAGGLERS = 1 / 16
"""Share of a batch that is left to a later one: the last rows take as long as many."""
_COPIED_PARAMETERS = 200_000_000
_PRECISIONS: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Sample:
    """One written document.

    Args:
        tokens: prompt, text and, if ``finished``, the token that ended it.
        prompt_length: how many of them were the prompt.
        log_likelihood: natural log of the probability of all tokens after the prompt's head, given
            ones and the end included, under the model itself (temperature 1, no mask, no guidance).
        log_probability: natural log of the probability of the drawn tokens under the distribution
            they were drawn from. None where that is not known: under the mask, unless
            ``Sampling.exact_probabilities`` is set.
        finished: False when the document was cut off at the longest allowed length.
        masked: the grammar was enforced. False: not asked for, or given text breaks the grammar.
        restarts: how often the row started again because the grammar refused a token.
        corrections: drawn tokens that the grammar refused and replaced.
        closed: the row was led to its end because the limit came near.
    """

    tokens: tuple[int, ...]
    prompt_length: int
    log_likelihood: float
    log_probability: float | None
    finished: bool
    masked: bool = False
    restarts: int = 0
    corrections: int = 0
    closed: bool = False


def generate(
    model: Transformer,
    prompts: Sequence[Prompt],
    rng: Generator,
    settings: Sampling | None = None,
) -> list[Sample]:
    """Complete each prompt to a document; one result for each, in order.

    Args:
        model: the language model.
        prompts: see `heuresis_models.generation.prompts.prompt`.
        rng: source of randomness; advances by one draw for each prompt.
        settings: see `Sampling`.

    Raises:
        OverlongError: a prompt leaves no room for a token.
        ValueError: guidance is asked for, but nothing is conditioned; an unknown stop token.
    """
    settings = settings or Sampling()
    capacity = model.config.max_position_embeddings
    limit = min(settings.max_tokens, capacity)
    for prompt in prompts:
        if not prompt.ids or not 0 < prompt.head <= len(prompt.ids):
            raise ValueError(
                f"a prompt has at least one token and a head of 1 to all of them; got"
                f" {len(prompt.ids)} tokens, head {prompt.head}"
            )
        if len(prompt.ids) >= limit:
            raise OverlongError(len(prompt.ids) + 1, limit, "prompt and one token to write")
    asked = any(prompt.plain is not None for prompt in prompts)
    if prompts and not asked and settings.guidance not in (0.0, 1.0):
        raise ValueError(
            f"guidance {settings.guidance:g} exaggerates what a prompt asks, but no prompt has"
            " conditions or exemplars; leave guidance at 1"
        )
    if settings.guidance == 0.0:
        prompts = [_unasked(prompt) for prompt in prompts]
    seeds = rng.integers(2**63, size=len(prompts), dtype=np.uint64)
    origins = _origins(prompts) if settings.masked else {}
    rows = [
        Row(
            prompt,
            _stops(prompt, settings),
            limit,
            int(seed),
            origins.get(prompt.ids),
            0 if settings.exact_probabilities else settings.restarts,
        )
        for prompt, seed in zip(prompts, seeds, strict=True)
    ]
    _write(writing_network(model, settings.precision), rows, settings)
    return [_sample(row) for row in rows]


def _write(model: Transformer, rows: Sequence[Row], settings: Sampling) -> None:
    vocabulary = Vocabulary.default()
    forbidden = [vocabulary[PADDING], vocabulary[BEGIN]]
    # Rows of similar length share a batch; what a batch leaves behind forms later ones.
    waiting = sorted(rows, key=lambda row: len(row.ids))
    while waiting:
        chosen, waiting = waiting[: settings.batch], waiting[settings.batch :]
        with torch.inference_mode():
            batch = Batch(model, chosen, settings, forbidden)
            leave = int(_STRAGGLERS * settings.batch) if waiting else 0
            left = batch.write(leave)
        for row in left:
            if row.refused:
                row.restart()
        waiting += sorted(left, key=lambda row: len(row.ids))


def _origins(prompts: Sequence[Prompt]) -> dict[tuple[int, ...], State | None]:
    """Return where the grammar stands after each prompt."""
    automaton = Automaton.default()
    origins: dict[tuple[int, ...], State | None] = {}
    for prompt in prompts:
        if prompt.ids not in origins:
            try:
                origins[prompt.ids] = automaton.read(prompt.ids)
            except DocumentError:
                # The automaton is stricter than SMILES in rare cases: such a row goes unmasked.
                origins[prompt.ids] = None
    return origins


def _sample(row: Row) -> Sample:
    chance = row.log_probability
    return Sample(
        tokens=tuple(row.ids),
        prompt_length=len(row.prompt.ids),
        log_likelihood=row.likelihood,
        log_probability=None if math.isnan(chance) else chance,
        finished=row.finished,
        masked=row.state is not None,
        restarts=row.restarted,
        corrections=row.corrections,
        closed=row.closed,
    )


def writing_network(model: Transformer, precision: Precision | None) -> Transformer:
    """Return the network that writes: the model with joined matrices, in the wanted arithmetic.

    It is a copy, so of very large models it is only made where the arithmetic differs.
    """
    dtype = model.lm_head.weight.dtype if precision is None else _PRECISIONS[precision]
    if model.parameter_count > _COPIED_PARAMETERS and dtype is model.lm_head.weight.dtype:
        return model
    return decoding_network(model, dtype)


def _unasked(prompt: Prompt) -> Prompt:
    if prompt.plain is None:
        return prompt
    given = len(prompt.ids) - prompt.head
    return prompt._replace(ids=prompt.plain, head=len(prompt.plain) - given, plain=None)


def _stops(prompt: Prompt, settings: Sampling) -> frozenset[int]:
    """Return the ids that end a row; ``<eos>`` always does."""
    vocabulary = Vocabulary.default()
    unknown = [token for token in settings.stop if token not in vocabulary.ids]
    if unknown:
        raise ValueError(f"the stop token {unknown[0]!r} is not in the vocabulary")
    if settings.stop:
        ends = list(settings.stop)
    else:
        ends = [] if settings.annotations else [end_of(prompt.ids)]
    return frozenset(vocabulary[token] for token in (*ends, END))
