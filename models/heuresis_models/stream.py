"""An endless, addressable stream of packed batches, mixed from several sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from heuresis.randomness import random_generator
from heuresis_models.corpus import Source
from heuresis_models.curriculum import Curriculum
from heuresis_models.errors import RecipeError
from heuresis_models.packing import Batch, ScoredTokens, batch_of, pack
from heuresis_models.prefetch import Prefetcher
from heuresis_models.team import Team

POOL_BATCHES = 16
_PROBE_DOCUMENTS = 200
"""Documents of each source whose mean length turns a share of tokens into a count."""


class _Arrays(NamedTuple):
    """The batches of one pool."""

    tokens: NDArray[np.int16]
    """(batches, rows, positions), as the next two."""
    targets: NDArray[np.int16]
    documents: NDArray[np.int16]
    counts: NDArray[np.int64]
    """Tokens of each batch."""


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
        pool_workers: processes that write coming pools (`prefetch`); 0: this one writes them.
        team: workers that take turns in writing pools; all must read in step.

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
        pool_batches: int = POOL_BATCHES,
        pool_workers: int = 0,
        team: Team | None = None,
    ) -> None:
        self._sources = sources
        self._curriculum = curriculum
        self._row_length = row_length
        self._rows = rows
        self._seed = seed
        self._team = team if team is not None and team.size > 1 else None
        self._orders: dict[tuple[int, int], np.ndarray] = {}
        total = sum(source.share for source in sources)
        self.counts = [
            max(1, round(source.share / total * rows * row_length * pool_batches / mean))
            for source, mean in zip(sources, self._mean_lengths(), strict=True)
        ]
        """Entries of each source in one pool."""
        self._prefetcher = Prefetcher(self._arrays, pool_workers) if pool_workers else None

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
        for arrays in self._pools(at.pool):
            tokens, targets, documents, counts = arrays
            for number in range(at.batch, len(counts)):
                yield (
                    Position(at.pool, number + 1),
                    Batch(
                        torch.from_numpy(tokens[number]).long(),
                        torch.from_numpy(targets[number]).long(),
                        torch.from_numpy(documents[number]).long(),
                        int(counts[number]),
                    ),
                )
            at = Position(at.pool + 1, 0)

    def _pools(self, first: int) -> Iterator[_Arrays]:
        """Yield pools from a number on; the workers of a team write one each, then share them."""
        size = self._team.size if self._team is not None else 1
        rank = self._team.rank if self._team is not None else 0
        mine = count(first + rank, size)
        written = (
            map(self._arrays, mine) if self._prefetcher is None else self._prefetcher.things(mine)
        )
        for arrays in written:
            if self._team is None:
                yield arrays
                continue
            for owner in range(size):
                yield _Arrays(*self._team.hand_round(arrays, owner))

    def _arrays(self, number: int) -> _Arrays:
        """Return the batches of a pool as small numbers: that is cheap to send."""
        rows = self.pool(number)
        full = len(rows) // self._rows
        if full == 0:
            raise RecipeError(
                f"a pool of documents fills {len(rows)} rows, fewer than one batch of"
                f" {self._rows}; lower optimization.batch_tokens or give more data"
            )
        batches = [
            batch_of(rows[first : first + self._rows], self._row_length)
            for first in range(0, full * self._rows, self._rows)
        ]
        return _Arrays(
            np.stack([batch.token_BT.numpy() for batch in batches]).astype(np.int16),
            np.stack([batch.target_BT.numpy() for batch in batches]).astype(np.int16),
            np.stack([batch.document_BT.numpy() for batch in batches]).astype(np.int16),
            np.array([batch.token_count for batch in batches], dtype=np.int64),
        )

    def close(self) -> None:
        """End the processes that write pools, if there are any."""
        if self._prefetcher is not None:
            self._prefetcher.close()

    def pool(self, number: int) -> list[list[ScoredTokens]]:
        """Return the packed rows of one pool, in random order."""
        rng = random_generator(self._seed, "documents", number)
        documents = []
        for index, (source, amount) in enumerate(zip(self._sources, self.counts, strict=True)):
            for place in range(number * amount, (number + 1) * amount):
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


class OpenedStream:
    """One stream for a number of pools, then another for ever; addressable like each of them.

    Args:
        opening: read first.
        pools: how many of its pools.
        rest: read from its beginning afterwards.
    """

    def __init__(self, opening: DocumentStream, pools: int, rest: DocumentStream) -> None:
        self._opening, self._pools, self._rest = opening, pools, rest

    def batches(self, start: Position | None = None) -> Iterator[tuple[Position, Batch]]:
        """Yield (position after the batch, batch) from a position on, for ever."""
        at = start or Position()
        if at.pool < self._pools:
            for position, batch in self._opening.batches(at):
                if position.pool >= self._pools:
                    break
                yield position, batch
            self._opening.close()
            at = Position(self._pools, 0)
        for position, batch in self._rest.batches(Position(at.pool - self._pools, at.batch)):
            yield Position(position.pool + self._pools, position.batch), batch

    def close(self) -> None:
        """End the processes that write pools, if there are any."""
        self._opening.close()
        self._rest.close()
