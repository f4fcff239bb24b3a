"""The grammar mask while decoding: what to do with a drawn token.

A token is drawn without the mask and judged alone, which is several times cheaper than listing all
that may follow. If the grammar refuses it, one of two things happens, both exact:

- The row starts again (``Sampling.restarts`` times at most). What comes out follows the model's
  own distribution over documents, given that they obey the grammar.
- Otherwise a token is drawn from the allowed ones alone. With A the allowed tokens and a = p(A), a
  token t of A comes out with probability p(t) + (1 − a) p(t) / a = p(t) / a: the masked
  distribution of the next token.

Starting again costs a few per cent more tokens and is better: a row that is only ever corrected
goes on from a text which the model would not have written, and wanders.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from heuresis_models.generation.drawing import draw, restricted
from heuresis_models.generation.formula_walk import FormulaWalk
from heuresis_models.generation.rows import Row
from heuresis_models.language.automaton import Automaton, State

_NEAR: Final = 80
"""Tokens before the limit from which on it is asked whether a row must be led to its end."""


def choose(
    rows: Sequence[Row | None],
    probability_BV: Tensor,
    logits_BV: Tensor,
    uniform_B2: Tensor,
    *,
    lazy: bool,
) -> tuple[Tensor, Tensor]:
    """Draw a token for each row under its mask, and move its state on.

    Args:
        rows: None where nothing is to be drawn; rows without a state are not masked, rows with
            slots are given their kept text. Where a row must start again, ``refused`` is set and
            its token means nothing.
        probability_BV: what to draw from.
        logits_BV: used where the mask leaves nothing of ``probability_BV``.
        uniform_B2: two random numbers a row: one for the draw, one for the second.
        lazy: judge drawn tokens one by one; False: compute every mask, nobody starts again.

    Returns:
        token_B, and the probability that each was drawn with (NaN where that is not known).
    """
    automaton = Automaton.default()
    token_B = draw(probability_BV, uniform_B2[:, 0])
    chance_B = probability_BV.gather(-1, token_B[:, None]).squeeze(-1)
    wanted = token_B.tolist()
    places: list[int] = []
    masked: list[Row] = []
    masks = []
    unknown: list[int] = []
    for place, row in enumerate(rows):
        if row is None or (row.state is None and row.walk is None):
            continue
        forced = row.walk.forced if row.walk is not None else None
        if forced is not None:
            _force(row, forced)
            token_B[place], chance_B[place] = forced, 1.0
            continue
        state = row.state
        closing = state is not None and _must_close(row, state)
        if lazy:
            if state is not None:
                unknown.append(place)
            banned_now = row.walk is not None and row.walk.bans(wanted[place])
            if not closing and not banned_now:
                new = None if state is None else automaton.advance_if_allowed(state, wanted[place])
                if new is not None or state is None:
                    row.state = new
                    continue
            # A model that has no formula in mind would begin again and again.
            again = row.restarts and not (banned_now and isinstance(row.walk, FormulaWalk))
            if not closing and again:
                row.refused = True
                continue
        row.closed |= closing
        places.append(place)
        masked.append(row)
        banned = row.walk.banned if row.walk is not None else frozenset[int]()
        masks.append(_mask(state, banned, closing=closing, size=probability_BV.shape[1]))
    chance_B[unknown] = torch.nan
    if places:
        index = torch.tensor(places, device=token_B.device)
        mask_RV = torch.from_numpy(np.stack(masks)).to(token_B.device)
        kept_RV = restricted(probability_BV[index], logits_BV[index], mask_RV)
        # The first number is spent: it led to the refusal.
        redrawn_R = draw(kept_RV, uniform_B2[index, 1])
        refused = (~mask_RV.gather(-1, token_B[index, None])).squeeze(-1).tolist()
        if not lazy:
            chance_B[index] = kept_RV.gather(-1, redrawn_R[:, None]).squeeze(-1)
        token_B[index] = redrawn_R
        for row, token, wrong in zip(masked, redrawn_R.tolist(), refused, strict=True):
            row.corrections += wrong
            if row.state is not None:
                row.state = automaton.advance(row.state, token, check=False)
    return token_B, chance_B


def _force(row: Row, index: int) -> None:
    """Move a row on by kept text; where the grammar refuses it, the row starts again or goes on."""
    if row.state is not None:
        row.state = Automaton.default().advance_if_allowed(row.state, index)
        row.refused = row.state is None and row.restarts > 0


def _must_close(row: Row, state: State) -> bool:
    left = row.limit - state.length
    return left <= _NEAR and left <= Automaton.default().closing_length(state)


def _mask(
    state: State | None, banned: frozenset[int], *, closing: bool, size: int
) -> NDArray[np.bool_]:
    """Return what may be drawn; the grammar comes first where nothing else is left."""
    if state is None:
        mask = np.ones(size, dtype=np.bool_)
    else:
        mask = Automaton.default().mask(state, closing=closing)
    if banned and not closing:
        free = mask.copy()
        free[list(banned)] = False
        mask = free if free.any() else mask
    return mask
