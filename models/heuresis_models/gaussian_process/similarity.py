"""Similarities between features: MinMax on counts, squared exponential on descriptors.

MinMax (Tanimoto on counts) of two vectors is the sum of the lesser counts over the sum of the
greater ones (Ralaivola et al., Neural Networks 2005, 18, 1093). A count c of part f is written as
c ones in columns (f, 1) … (f, c); the sum of the lesser counts is then a product of matrices, in
whole numbers, so the result is exact.

Letters: N rows of the table, M new rows, U columns after writing counts as ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import sparse

from heuresis.spaces.features import SparseCounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_PARTS: Final = 65_535
"""Counted parts of one text: overlaps are added up in 16 bits."""
FARTHEST: Final = 5.0
"""Standard deviations; one rare atom must not make a candidate unlike all others."""
_ROWS: Final = 256
_COLUMNS: Final = 1024


class CountTable:
    """Rows of counts that others are compared with; rows are appended one by one.

    The table is kept dense, one line per column U with a bit for each row, so that a sparse row is
    compared with all N by adding up some ninety lines: about 10 ns a pair.

    Args:
        width: number of parts that are told apart.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._column = np.full((width, 8), -1, dtype=np.int32)
        self._used = 0
        self._ones = np.zeros((_COLUMNS, _ROWS), dtype=np.uint16)
        self._totals = np.zeros(_ROWS, dtype=np.int64)
        self.size = 0

    def append(self, indices: NDArray[np.int32], counts: NDArray[np.int32]) -> None:
        """Add one row."""
        total = int(counts.sum())
        if total > MOST_PARTS:
            raise ValueError(f"a text has {total} counted parts; at most {MOST_PARTS} are compared")
        self._make_room(int(counts.max(initial=0)), total)
        parts, levels = _as_ones(indices, counts)
        columns = self._column[parts, levels]
        new = columns < 0
        fresh = int(new.sum())
        columns[new] = np.arange(self._used, self._used + fresh)
        self._column[parts, levels] = columns
        self._used += fresh
        self._ones[columns, self.size] = 1
        self._totals[self.size] = total
        self.size += 1

    def similarity(self, block: SparseCounts) -> NDArray[np.float64]:
        """Return the MinMax similarity of new rows to all of the table, shape (M, N)."""
        totals = block.totals()
        if len(totals) and totals.max() > MOST_PARTS:
            raise ValueError(
                f"a text has {totals.max()} counted parts; at most {MOST_PARTS} are compared"
            )
        parts, levels = _as_ones(block.indices, block.counts)
        known = levels < self._column.shape[1]
        columns = np.full(len(parts), -1, dtype=np.int32)
        columns[known] = self._column[parts[known], levels[known]]
        kept = columns >= 0
        # Where each row's ones end among those that are kept.
        ends = np.concatenate([[0], np.cumsum(kept)])[np.concatenate([[0], np.cumsum(totals)])]
        rows = sparse.csr_array(
            (np.ones(int(kept.sum()), dtype=np.uint16), columns[kept], ends),
            shape=(len(totals), len(self._ones)),
        )
        # All of the table, for a part of its lines would be copied first.
        overlap = (rows @ self._ones)[:, : self.size].astype(np.float64)
        return _minmax(overlap, totals[:, None] + self._totals[None, : self.size])

    def _make_room(self, level: int, ones: int) -> None:
        if level > self._column.shape[1]:
            grown = np.full((self._width, 2 * level), -1, dtype=np.int32)
            grown[:, : self._column.shape[1]] = self._column
            self._column = grown
        lines, rows = self._ones.shape
        more_lines = -(-max(self._used + ones, lines) // _COLUMNS) * _COLUMNS
        more_rows = rows + (_ROWS if self.size == rows else 0)
        if (more_lines, more_rows) != (lines, rows):
            grown_ones = np.zeros((more_lines, more_rows), dtype=np.uint16)
            grown_ones[:lines, :rows] = self._ones
            self._ones = grown_ones
            self._totals = np.concatenate(
                [self._totals, np.zeros(more_rows - rows, dtype=np.int64)]
            )


def minmax_to_one(
    block: SparseCounts, indices: NDArray[np.int32], counts: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Return the MinMax similarity of many rows to one, shape (M,)."""
    one = np.zeros(block.width, dtype=np.int32)
    one[indices] = counts
    lesser = np.concatenate([[0], np.cumsum(np.minimum(block.counts, one[block.indices]))])
    overlap = (lesser[block.starts[1:]] - lesser[block.starts[:-1]]).astype(np.float64)
    return _minmax(overlap, block.totals() + int(counts.sum()))


LEAST_SPREAD_OF_COUNTS = 0.5
"""Standard deviation below which that of a count is not taken."""


class Scale:
    """Where descriptors lie and how far they spread, so that each counts alike.

    Args:
        descriptors: shape (N, D), of what is typical.
    """

    def __init__(self, descriptors: NDArray[np.float64]) -> None:
        self._centre = descriptors.mean(axis=0)
        spread = descriptors.std(axis=0)
        # What never varies among typical texts is measured in its own unit.
        spread = np.where(spread > 1e-9, spread, 1.0)
        # One atom of a rare element more is a small change, however rare it is.
        counts = (descriptors == np.round(descriptors)).all(axis=0)
        self._spread = np.where(counts, np.maximum(spread, LEAST_SPREAD_OF_COUNTS), spread)

    def __call__(self, descriptors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return descriptors in standard deviations from the centre, at most `FARTHEST`."""
        scaled: NDArray[np.float64] = (descriptors - self._centre) / self._spread
        return scaled.clip(-FARTHEST, FARTHEST)


def squared_exponential(
    a_MD: NDArray[np.float64], b_ND: NDArray[np.float64], length: float
) -> NDArray[np.float64]:
    """Return exp(-|a - b|^2 / (2 length^2)), shape (M, N)."""
    square = (a_MD**2).sum(axis=1)[:, None] + (b_ND**2).sum(axis=1)[None, :] - 2.0 * a_MD @ b_ND.T
    similar: NDArray[np.float64] = np.exp(np.maximum(square, 0.0) / (-2.0 * length**2))
    return similar


def _as_ones(
    indices: NDArray[np.int32], counts: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return part and level (from 0) of each one that the counts are written as."""
    parts = np.repeat(indices, counts)
    ends = np.cumsum(counts, dtype=np.int64)
    levels = np.arange(len(parts), dtype=np.int64) - np.repeat(ends - counts, counts)
    return parts, levels


def _minmax(overlap: NDArray[np.float64], totals: NDArray[np.int64]) -> NDArray[np.float64]:
    greater = totals - overlap
    # Two texts without any part are alike.
    return np.divide(overlap, greater, out=np.ones_like(overlap), where=greater > 0)
