"""Rows that advance together: one forward pass of the model for a token of each.

Axes: B row of the cache, V vocabulary entry, S step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from heuresis_models.generation.drawing import distribution, draw
from heuresis_models.generation.masking import choose
from heuresis_models.generation.prefill import prefill
from heuresis_models.generation.rows import Row
from heuresis_models.generation.settings import Sampling
from heuresis_models.transformer import Transformer


class Batch:
    """Rows with their caches.

    Args:
        model: the language model.
        rows: not done; fresh ones or such that another batch has begun.
        settings: how to sample.
        forbidden: ids that are never drawn.
    """

    def __init__(
        self,
        model: Transformer,
        rows: Sequence[Row],
        settings: Sampling,
        forbidden: Sequence[int],
    ) -> None:
        self._model, self._settings, self._forbidden = model, settings, list(forbidden)
        # None where a finished row still has its place in the cache.
        self._rows: list[Row | None] = list(rows)
        self._device = model.lm_head.weight.device
        room = max(row.limit - len(row.ids) for row in rows)
        # Positions of each cache row: those of finished rows go on being counted.
        self._positions = [len(row.ids) for row in rows]
        self._uniform_BS2 = torch.from_numpy(np.stack([row.uniform_S2(room) for row in rows]))
        asked = prefill(model, [row.start() for row in rows], room)
        for row, likelihood in zip(rows, asked.log_likelihood, strict=True):
            row.likelihood += likelihood
        self._caches, self._logits = [asked.cache], [asked.logits_BV]
        if settings.guidance not in (0.0, 1.0):
            plain = prefill(model, [row.start(plain=True) for row in rows], room)
            self._caches.append(plain.cache)
            self._logits.append(plain.logits_BV)

    def write(self, leave: int) -> list[Row]:
        """Write until at most ``leave`` rows are not done; return those and the refused ones."""
        refused: list[Row] = []
        for step in range(self._uniform_BS2.shape[1]):
            token_B = self._draw(self._uniform_BS2[:, step].to(self._device))
            for place, row in enumerate(self._rows):
                if row is not None and (row.refused or row.done):
                    self._rows[place] = None
                    if row.refused:
                        refused.append(row)
            alive = [place for place, row in enumerate(self._rows) if row is not None]
            if len(alive) <= leave:
                break
            few = len(alive) < self._settings.compact_below * len(self._rows)
            if few or self._overrun(step):
                token_B = self._compact(alive, token_B)
            self._logits = [self._model(token_B[:, None], cache=c)[:, -1] for c in self._caches]
        return refused + [row for row in self._rows if row is not None]

    def _overrun(self, step: int) -> bool:
        """Whether a finished row would soon have more positions than the model knows."""
        most = self._model.config.max_position_embeddings
        return any(
            row is None and positions + step + 1 >= most
            for row, positions in zip(self._rows, self._positions, strict=True)
        )

    def _compact(self, alive: list[int], token_B: Tensor) -> Tensor:
        index = torch.tensor(alive)
        self._uniform_BS2 = self._uniform_BS2[index]
        self._rows = [self._rows[place] for place in alive]
        self._positions = [self._positions[place] for place in alive]
        index = index.to(self._device)
        for cache in self._caches:
            cache.keep(index)
        return token_B[index]

    def _draw(self, uniform_B2: Tensor) -> Tensor:
        """Draw a token for each row; return them."""
        settings = self._settings
        logits_BV = self._logits[0].float()
        guided_BV = logits_BV
        if len(self._logits) > 1:
            plain_BV = self._logits[1].float()
            guided_BV = plain_BV + settings.guidance * (logits_BV - plain_BV)
        probability_BV = distribution(
            guided_BV, settings.temperature, settings.top_p, self._forbidden
        )
        if settings.masked or any(row is not None and row.walk is not None for row in self._rows):
            token_B, chance_B = choose(
                self._rows,
                probability_BV,
                guided_BV,
                uniform_B2,
                lazy=not settings.exact_probabilities,
            )
        else:
            token_B = draw(probability_BV, uniform_B2[:, 0])
            chance_B = probability_BV.gather(-1, token_B[:, None]).squeeze(-1)
        own_B = logits_BV.log_softmax(-1).gather(-1, token_B[:, None]).squeeze(-1)
        drawn = zip(self._rows, token_B.tolist(), own_B.tolist(), chance_B.tolist(), strict=True)
        for row, token, own, chance in drawn:
            if row is not None and not row.refused:
                row.take(token, own, chance)
        return token_B
