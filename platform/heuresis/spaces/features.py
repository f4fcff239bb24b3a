"""What a candidate is made of, as numbers: counted parts and a few descriptors.

A space that can say this of its texts implements the port `Featured`. Surrogates read nothing else,
so they know no chemistry, and one that works for molecules works for any space with features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heuresis.errors import InvalidCandidate

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class SparseCounts:
    """One sparse vector of positive counts per text, as compressed sparse rows.

    Row i is ``indices[starts[i]:starts[i + 1]]`` with the counts at the same places.

    Args:
        starts: shape (texts + 1,).
        indices: numbers of the parts, rising within a row, below ``width``.
        counts: how often each part occurs; at least 1.
        width: number of different parts that could be told apart.
    """

    starts: NDArray[np.int64]
    indices: NDArray[np.int32]
    counts: NDArray[np.int32]
    width: int

    @classmethod
    def of(
        cls, rows: Sequence[tuple[NDArray[np.int32], NDArray[np.int32]]], width: int
    ) -> SparseCounts:
        """Join rows, each given as (indices, counts)."""
        starts = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(indices) for indices, _ in rows], out=starts[1:])
        empty = np.zeros(0, dtype=np.int32)
        return cls(
            starts=starts,
            indices=np.concatenate([empty, *(indices for indices, _ in rows)]),
            counts=np.concatenate([empty, *(counts for _, counts in rows)]),
            width=width,
        )

    def __len__(self) -> int:
        return len(self.starts) - 1

    def row(self, place: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return (indices, counts) of one text."""
        part = slice(int(self.starts[place]), int(self.starts[place + 1]))
        return self.indices[part], self.counts[part]

    def totals(self) -> NDArray[np.int64]:
        """Return the sum of the counts of each text."""
        sums = np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])
        totals: NDArray[np.int64] = sums[self.starts[1:]] - sums[self.starts[:-1]]
        return totals

    def take(self, places: Sequence[int] | NDArray[np.int64]) -> SparseCounts:
        """Return the rows at ``places``, in that order."""
        rows = np.asarray(places, dtype=np.int64)
        lengths = self.starts[rows + 1] - self.starts[rows]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        entries = np.arange(starts[-1]) + np.repeat(self.starts[rows] - starts[:-1], lengths)
        return SparseCounts(starts, self.indices[entries], self.counts[entries], self.width)

    @classmethod
    def joined(cls, parts: Sequence[SparseCounts]) -> SparseCounts:
        """Return the rows of all parts, one after the other; all must have the same width."""
        ends = np.cumsum([0, *(len(part.indices) for part in parts)])
        starts = [part.starts[1:] + end for part, end in zip(parts, ends[:-1], strict=True)]
        return cls(
            starts=np.concatenate([np.zeros(1, dtype=np.int64), *starts]),
            indices=np.concatenate([part.indices for part in parts]),
            counts=np.concatenate([part.counts for part in parts]),
            width=parts[0].width,
        )


@dataclass(frozen=True, eq=False)
class Features:
    """Features of some texts, in their order.

    Args:
        counts: named blocks of counted parts, e.g. ``morgan``; one row per text in each.
        descriptors: shape (texts, D), finite, each column in a unit of its own.
        names: of the D descriptors.
    """

    counts: Mapping[str, SparseCounts]
    descriptors: NDArray[np.float64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.descriptors)

    def take(self, places: Sequence[int] | NDArray[np.int64]) -> Features:
        """Return the features of the texts at ``places``, in that order."""
        rows = np.asarray(places, dtype=np.int64)
        return Features(
            counts={name: block.take(rows) for name, block in self.counts.items()},
            descriptors=self.descriptors[rows],
            names=self.names,
        )

    @classmethod
    def joined(cls, parts: Sequence[Features]) -> Features:
        """Return one after the other; all must have the same blocks and descriptors."""
        first = parts[0]
        if len(parts) == 1:
            return first
        blocks = {
            name: SparseCounts.joined([part.counts[name] for part in parts])
            for name in first.counts
        }
        return cls(blocks, np.concatenate([part.descriptors for part in parts]), first.names)


def readable(
    texts: Sequence[str], compute: Callable[[Sequence[str]], Features]
) -> tuple[list[int], Features | None]:
    """Return the places of the texts that have features, and these; None if none has.

    Args:
        texts: some of which may be unreadable.
        compute: raises `InvalidCandidate` if any text cannot be read.
    """
    if not texts:
        return [], None
    try:
        return list(range(len(texts))), compute(texts)
    except InvalidCandidate:
        if len(texts) == 1:
            return [], None
    middle = len(texts) // 2
    left, first = readable(texts[:middle], compute)
    right, second = readable(texts[middle:], compute)
    parts = [part for part in (first, second) if part is not None]
    places = left + [middle + place for place in right]
    return places, Features.joined(parts) if parts else None
