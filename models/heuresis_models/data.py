"""From a file of SMILES to batches: reading, splitting, randomising, packing.

A batch is a rectangle of tokens in which each row holds several whole documents one after the
other. Positions see their own document only (`Batch.document_BT`), so packing is invisible to the
model and no position is spent on padding, up to the few that no document fits into.
"""

from __future__ import annotations

import gzip
import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from heuresis.randomness import random_generator
from heuresis_models.errors import DataError, RecipeError
from heuresis_models.grammar import Form, Grammar

if TYPE_CHECKING:
    from numpy.random import Generator

IGNORED = -100
"""Target of positions that carry no loss (torch's default ``ignore_index``)."""

ROW_PADDING_DOCUMENT = -1


@dataclass(frozen=True)
class Corpus:
    """Distinct molecules of a file, in file order, as RDKit canonical SMILES."""

    molecules: tuple[str, ...]
    sha256: str
    """Of the file as it lies on disk."""
    lines: int
    """Lines read, repeated molecules included."""


def read_molecules(path: Path, report: Callable[[int], None] = lambda _: None) -> Corpus:
    """Read a ``.smi`` or ``.smi.gz`` file: one molecule a line, SMILES first, then anything.

    Args:
        path: the file.
        report: told the number of lines read, now and then.

    Raises:
        DataError: the file is missing, not text, empty, or a line is not a molecule.
    """
    from rdkit import Chem
    from rdkit.rdBase import BlockLogs

    molecules: dict[str, None] = {}
    number = 0
    with BlockLogs():
        for number, line in enumerate(_lines(path), start=1):
            words = line.split(maxsplit=1)
            molecule = Chem.MolFromSmiles(words[0]) if words else None
            if molecule is None or molecule.GetNumAtoms() == 0:
                raise DataError(
                    f"{path}:{number}: expected a SMILES string that RDKit can read, got"
                    f" {line.strip()[:60]!r}; remove the line or correct it"
                )
            molecules[Chem.MolToSmiles(molecule)] = None
            if number % 1000 == 0:
                report(number)
    if not molecules:
        raise DataError(f"{path} is empty; expected one SMILES a line")
    report(number)
    return Corpus(tuple(molecules), hashlib.sha256(path.read_bytes()).hexdigest(), number)


def _lines(path: Path) -> Iterator[str]:
    if not path.is_file():
        raise DataError(f"no file {path}; give the training molecules with --data FILE.smi[.gz]")
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rt", encoding="utf-8") as packed:
                yield from packed
        else:
            with path.open(encoding="utf-8") as plain:
                yield from plain
    except (gzip.BadGzipFile, EOFError, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path} cannot be read as text: {error}") from error


def split(molecules: Sequence[str], heldout_share: float) -> tuple[list[str], list[str]]:
    """Split into training and held-out molecules by a hash of the SMILES.

    The same molecule falls on the same side whatever else the file holds and in whatever order.
    """
    limit = heldout_share * 2**32
    training: list[str] = []
    heldout: list[str] = []
    for smiles in molecules:
        place = int.from_bytes(hashlib.sha256(smiles.encode()).digest()[:4], "big")
        (heldout if place < limit else training).append(smiles)
    return training, heldout


def randomized(smiles: str, rng: Generator) -> str:
    """Write the same molecule from a random atom and with random branch order.

    Raises:
        DataError: RDKit cannot read the SMILES.
    """
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        raise DataError(f"expected a SMILES string that RDKit can read, got {smiles[:60]!r}")
    seed = int(rng.integers(1, 2**31 - 1))
    text: str = Chem.MolToRandomSmilesVect(molecule, 1, randomSeed=seed)[0]
    return text


@dataclass(frozen=True)
class Batch:
    """Packed documents. ``target_BT`` is the next token, or `IGNORED` where there is no loss."""

    token_BT: Tensor
    target_BT: Tensor
    document_BT: Tensor
    token_count: int
    """Positions that are not padding."""


def pack(documents: Sequence[list[int]], row_length: int) -> list[list[list[int]]]:
    """Put documents into rows, longest first, each where it leaves least room (best fit).

    Raises:
        DataError: a document is longer than a row.
    """
    rows: list[list[list[int]]] = []
    # (room left, row) of the rows that are not full, sorted.
    room: list[tuple[int, int]] = []
    for document in sorted(documents, key=len, reverse=True):
        if len(document) > row_length:
            raise DataError(
                f"a document of {len(document)} tokens does not fit into rows of {row_length};"
                " raise row_length or drop it"
            )
        place = bisect_left(room, (len(document), -1))
        if place == len(room):
            left, row = row_length, len(rows)
            rows.append([])
        else:
            left, row = room.pop(place)
        rows[row].append(document)
        rest = (left - len(document), row)
        room.insert(bisect_left(room, rest), rest)
    return rows


def batch_of(rows: Sequence[Sequence[list[int]]], row_length: int, head_length: int) -> Batch:
    """Lay packed rows out as tensors.

    Args:
        rows: documents of each row.
        row_length: positions of a row.
        head_length: leading tokens of each document that are given; predicting them is not scored.
    """
    token = np.zeros((len(rows), row_length), dtype=np.int64)
    target = np.full((len(rows), row_length), IGNORED, dtype=np.int64)
    document = np.full((len(rows), row_length), ROW_PADDING_DOCUMENT, dtype=np.int64)
    count = 0
    for row, documents in enumerate(rows):
        start = 0
        for number, ids in enumerate(documents):
            end = start + len(ids)
            token[row, start:end] = ids
            document[row, start:end] = number
            target[row, start + head_length - 1 : end - 1] = ids[head_length:]
            start = end
        count += start
    return Batch(
        torch.from_numpy(token), torch.from_numpy(target), torch.from_numpy(document), count
    )


class DocumentStream:
    """An endless, addressable sequence of packed batches.

    Molecules are shuffled anew in every epoch and cut into pools; each pool is packed on its own.
    Batch ``(pool, index)`` depends on the arguments and these two numbers only, so a position in
    the stream is all that a resumed training must remember.

    Args:
        molecules: canonical SMILES.
        grammar: makes documents.
        row_length: positions of a row.
        rows: rows of a batch.
        randomized_share: share of documents in randomised form.
        seed: of the named random streams.
        pool_documents: documents that are packed together.
    """

    def __init__(
        self,
        molecules: Sequence[str],
        grammar: Grammar,
        *,
        row_length: int,
        rows: int,
        randomized_share: float,
        seed: int,
        pool_documents: int = 4096,
    ) -> None:
        self._molecules = molecules
        self._grammar = grammar
        self._row_length = row_length
        self._rows = rows
        self._randomized_share = randomized_share
        self._seed = seed
        self._pool_documents = pool_documents
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=np.int64))
        self.too_long = 0
        """Documents left out so far because no row can hold them."""

    def batches(self, pool: int = 0, index: int = 0) -> Iterator[tuple[int, int, Batch]]:
        """Yield (pool, index of the *following* batch, batch) from a position on, for ever.

        Raises:
            RecipeError: a pool does not fill a single batch.
        """
        while True:
            rows = self._pool(pool)
            full = len(rows) // self._rows
            if full == 0:
                raise RecipeError(
                    f"{self._pool_documents} documents fill {len(rows)} rows, fewer than one batch"
                    f" of {self._rows}; lower batch_tokens"
                )
            for number in range(index, full):
                chosen = rows[number * self._rows : (number + 1) * self._rows]
                batch = batch_of(chosen, self._row_length, self._grammar.head_length)
                yield pool, number + 1, batch
            pool, index = pool + 1, 0

    def _pool(self, pool: int) -> list[list[list[int]]]:
        rng = random_generator(self._seed, "documents", pool)
        documents = []
        for place in range(pool * self._pool_documents, (pool + 1) * self._pool_documents):
            epoch, offset = divmod(place, len(self._molecules))
            smiles = self._molecules[self._shuffled(epoch)[offset]]
            form = Form.RANDOMIZED if rng.random() < self._randomized_share else Form.CANONICAL
            text = randomized(smiles, rng) if form is Form.RANDOMIZED else smiles
            document = self._grammar.document(text, form)
            if len(document) > self._row_length:
                self.too_long += 1
            else:
                documents.append(document)
        rows = pack(documents, self._row_length)
        # Packing sorts by length; a batch should not be all long molecules.
        return [rows[row] for row in rng.permutation(len(rows))]

    def _shuffled(self, epoch: int) -> np.ndarray:
        if self._order[0] != epoch:
            rng = random_generator(self._seed, "epoch", epoch)
            self._order = (epoch, rng.permutation(len(self._molecules)))
        return self._order[1]
