"""Packing: several whole documents in each row of a batch, each seeing only itself.

No position is spent on padding, up to the few that no document fits into, and a document is never
conditioned on its neighbours in the row (`Batch.document_BT`): a model trained without that mask
learns to ignore whatever stands in front of an object, prompts included.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from heuresis_models.errors import DataError

IGNORED: Final = -100
"""Target of positions that carry no loss (torch's default ``ignore_index``)."""

ROW_PADDING_DOCUMENT: Final = -1


class ScoredTokens(NamedTuple):
    """A document as ids, and which of them the model is asked to predict."""

    ids: list[int]
    scored: list[bool]
    """As long as ``ids``; False for what is given: start tags, forms, conditions."""


@dataclass(frozen=True)
class Batch:
    """Packed documents. ``target_BT`` is the next token, or `IGNORED` where there is no loss."""

    token_BT: Tensor
    target_BT: Tensor
    document_BT: Tensor
    token_count: int
    """Positions that are not padding."""

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(
            self.token_BT.to(device, non_blocking=True),
            self.target_BT.to(device, non_blocking=True),
            self.document_BT.to(device, non_blocking=True),
            self.token_count,
        )

    def pinned(self) -> Batch:
        """Return the batch in memory that an accelerator copies from without waiting."""
        return Batch(
            self.token_BT.pin_memory(),
            self.target_BT.pin_memory(),
            self.document_BT.pin_memory(),
            self.token_count,
        )


def pack(documents: Sequence[ScoredTokens], row_length: int) -> list[list[ScoredTokens]]:
    """Put documents into rows, longest first, each where it leaves least room (best fit).

    Raises:
        DataError: a document is longer than a row.
    """
    rows: list[list[ScoredTokens]] = []
    # (room left, row) of the rows that are not full, sorted.
    room: list[tuple[int, int]] = []
    for document in sorted(documents, key=lambda item: len(item.ids), reverse=True):
        size = len(document.ids)
        if size > row_length:
            raise DataError(
                f"a document of {size} tokens does not fit into rows of {row_length};"
                " raise row_length or drop it"
            )
        place = bisect_left(room, (size, -1))
        if place == len(room):
            left, row = row_length, len(rows)
            rows.append([])
        else:
            left, row = room.pop(place)
        rows[row].append(document)
        rest = (left - size, row)
        room.insert(bisect_left(room, rest), rest)
    return rows


def batch_of(rows: Sequence[Sequence[ScoredTokens]], row_length: int) -> Batch:
    """Lay packed rows out as tensors of shape (rows, row_length)."""
    token = np.zeros((len(rows), row_length), dtype=np.int64)
    target = np.full((len(rows), row_length), IGNORED, dtype=np.int64)
    document = np.full((len(rows), row_length), ROW_PADDING_DOCUMENT, dtype=np.int64)
    count = 0
    for row, documents in enumerate(rows):
        start = 0
        for number, (ids, scored) in enumerate(documents):
            end = start + len(ids)
            token[row, start:end] = ids
            document[row, start:end] = number
            target[row, start : end - 1] = np.where(scored[1:], ids[1:], IGNORED)
            start = end
        count += start
    return Batch(
        torch.from_numpy(token), torch.from_numpy(target), torch.from_numpy(document), count
    )
