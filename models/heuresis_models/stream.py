"""An endless, addressable stream of packed batches, mixed from several sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from heuresis.randomness import random_generator
from heuresis_models.corpus import Source
from heuresis_models.curriculum import Curriculum
from heuresis_models.errors import RecipeError
from heuresis_models.packing import Batch, ScoredTokens, batch_of, pack

_PROBE_DOCUMENTS = 200
"""Documents of each source whose mean length turns a share of tokens into a count."""


@dataclass(frozen=True)
class Position:
    """A place in the stream: ``batch`` is the next one of the pool."""

    pool: int = 0
    batch: int = 0


class DocumentStream:
    """Mixes sources by their share of tokens.

    The stream is cut into pools of a fixed number of entries of each source; every source is
    shuffled anew whenever it has been read once. A pool is written and packed on its own and
    depends on the arguments and its number only, so a `Position` is all that a resumed training
    must remember.

    Args:
        sources: what is learned from; shares are relative to their sum.
        curriculum: makes documents.
        row_length: positions of a row.
        rows: rows of a batch.
        seed: of the named random streams.
        pool_batches: batches of a pool, about.

    Raises:
        RecipeError: a source gives no document that fits into a row.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        curriculum: Curriculum,
        *,
        row_length: int,
        rows: int,
        seed: int,
        pool_batches: int = 16,
    ) -> None:
        self._sources = sources
        self._curriculum = curriculum
        self._row_length = row_length
        self._rows = rows
        self._seed = seed
        self._orders: dict[tuple[int, int], np.ndarray] = {}
        total = sum(source.share for source in sources)
        self.counts = [
            max(1, round(source.share / total * rows * row_length * pool_batches / mean))
            for source, mean in zip(sources, self._mean_lengths(), strict=True)
        ]
        """Entries of each source in one pool."""

    def _mean_lengths(self) -> list[float]:
        means = []
        for number, source in enumerate(self._sources):
            rng = random_generator(self._seed, "probe", number)
            entries = source.training
            chosen = rng.integers(len(entries), size=_PROBE_DOCUMENTS)
            written = [self._curriculum.document(entries[int(i)], rng) for i in chosen]
            # What does not fit takes an entry and gives no tokens.
            mean = sum(len(item.ids) for item in written if item is not None) / _PROBE_DOCUMENTS
            if mean == 0:
                raise RecipeError(
                    f"no document of source '{source.name}' fits into rows of"
                    f" {self._row_length} tokens; raise optimization.row_length"
                )
            means.append(mean)
        return means

    def batches(self, start: Position | None = None) -> Iterator[tuple[Position, Batch]]:
        """Yield (position after the batch, batch) from a position on, for ever.

        Raises:
            RecipeError: a pool does not fill a single batch.
        """
        at = start or Position()
        while True:
            rows = self.pool(at.pool)
            full = len(rows) // self._rows
            if full == 0:
                raise RecipeError(
                    f"a pool of documents fills {len(rows)} rows, fewer than one batch of"
                    f" {self._rows}; lower optimization.batch_tokens or give more data"
                )
            for number in range(at.batch, full):
                chosen = rows[number * self._rows : (number + 1) * self._rows]
                yield Position(at.pool, number + 1), batch_of(chosen, self._row_length)
            at = Position(at.pool + 1, 0)

    def pool(self, number: int) -> list[list[ScoredTokens]]:
        """Return the packed rows of one pool, in random order."""
        rng = random_generator(self._seed, "documents", number)
        documents = []
        for index, (source, count) in enumerate(zip(self._sources, self.counts, strict=True)):
            for place in range(number * count, (number + 1) * count):
                epoch, offset = divmod(place, len(source.training))
                entry = source.training[self._shuffled(index, epoch)[offset]]
                written = self._curriculum.document(entry, rng)
                if written is not None:
                    documents.append(written)
        rows = pack(documents, self._row_length)
        # Packing sorts by length; a batch should not be all long documents.
        return [rows[int(row)] for row in rng.permutation(len(rows))]

    def _shuffled(self, source: int, epoch: int) -> np.ndarray:
        key = (source, epoch)
        if key not in self._orders:
            rng = random_generator(self._seed, f"epoch of source {source}", epoch)
            stale = [other for other in self._orders if other[0] == source and other[1] < epoch]
            for other in stale:
                del self._orders[other]
            self._orders[key] = rng.permutation(len(self._sources[source].training))
        return self._orders[key]
