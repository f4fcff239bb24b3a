from __future__ import annotations

from itertools import count, islice

import numpy as np
import pytest
import torch
from training_toys import molecule_source, peptide_source, tiny_recipe

from heuresis_models.corpus import Source
from heuresis_models.errors import DataError, RecipeError, TrainingError
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.packing import (
    IGNORED,
    ROW_PADDING_DOCUMENT,
    Batch,
    ScoredTokens,
    batch_of,
    pack,
)
from heuresis_models.prefetch import Prefetcher
from heuresis_models.stream import DocumentStream, OpenedStream, Position
from heuresis_models.training import make_curriculum

SOURCES = (molecule_source(0.75), peptide_source(0.25))


def _stream(
    *sources: Source, rows: int = 8, seed: int = 3, pool_batches: int = 4, pool_workers: int = 0
) -> DocumentStream:
    sources = sources or SOURCES
    return DocumentStream(
        sources,
        make_curriculum(tiny_recipe(), sources),
        row_length=64,
        rows=rows,
        seed=seed,
        pool_batches=pool_batches,
        pool_workers=pool_workers,
    )


def _equal(first: Batch, second: Batch) -> bool:
    return first.token_count == second.token_count and all(
        torch.equal(getattr(first, name), getattr(second, name))
        for name in ("token_BT", "target_BT", "document_BT")
    )


# --- packing --------------------------------------------------------------------------------------


def _documents(rng: np.random.Generator, count: int, longest: int) -> list[ScoredTokens]:
    return [
        ScoredTokens(
            [int(x) for x in rng.integers(1, 900, size)], [bool(x) for x in rng.random(size) < 0.7]
        )
        for size in rng.integers(2, longest + 1, size=count)
    ]


def test_packing_keeps_every_document_whole_and_wastes_little() -> None:
    documents = _documents(np.random.default_rng(0), 400, 40)
    rows = pack(documents, 64)
    assert sorted(map(tuple, (d.ids for row in rows for d in row))) == sorted(
        tuple(d.ids) for d in documents
    )
    lengths = [sum(len(document.ids) for document in row) for row in rows]
    assert max(lengths) <= 64
    assert sum(lengths) > 0.97 * 64 * len(rows)


def test_a_document_longer_than_a_row_is_refused() -> None:
    with pytest.raises(DataError, match="65 tokens does not fit into rows of 64"):
        pack([ScoredTokens([1] * 65, [True] * 65)], 64)


def test_targets_are_the_next_token_of_the_same_document_where_it_is_scored() -> None:
    rows = pack(_documents(np.random.default_rng(1), 40, 30), 64)
    batch = batch_of(rows, 64)
    assert batch.token_BT.shape == (len(rows), 64)
    for row, documents in enumerate(rows):
        place = 0
        for number, (ids, scored) in enumerate(documents):
            for index in range(len(ids)):
                last = index == len(ids) - 1
                expected = IGNORED if last or not scored[index + 1] else ids[index + 1]
                assert int(batch.target_BT[row, place]) == expected
                assert int(batch.document_BT[row, place]) == number
                place += 1
        assert torch.all(batch.document_BT[row, place:] == ROW_PADDING_DOCUMENT)
        assert torch.all(batch.target_BT[row, place:] == IGNORED)
    assert batch.token_count == int((batch.document_BT != ROW_PADDING_DOCUMENT).sum())


# --- stream ---------------------------------------------------------------------------------------


def test_a_pool_is_a_pure_function_of_its_number() -> None:
    one, other = _stream(), _stream()
    first = one.pool(5)
    other.pool(0)
    other.pool(9)
    assert other.pool(5) == first
    assert one.pool(5) == first
    assert one.pool(6) != first
    assert _stream(seed=4).pool(5) != first


def test_shares_are_shares_of_tokens() -> None:
    stream = _stream(pool_batches=40)
    peptide = Vocabulary.default()["<peptide>"]
    tokens = {True: 0, False: 0}
    for number in range(2):
        for row in stream.pool(number):
            for document in row:
                tokens[peptide in document.ids] += len(document.ids)
    assert tokens[True] / sum(tokens.values()) == pytest.approx(0.25, abs=0.02)


def test_every_thing_is_read_once_before_any_is_read_again() -> None:
    source = peptide_source()
    stream = _stream(source)
    texts = [
        Vocabulary.default().decode(document.ids)
        for number in range(6)
        for row in sorted(stream.pool(number), key=str)
        for document in row
    ]
    # Each of the 20 peptides stands in one document of five tokens of frame and ten residues.
    counts = {text: texts.count(text) for text in texts}
    assert len(counts) == len(source.training)
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("after", [1, 3, 4, 5])
def test_a_stream_continues_exactly_at_a_position(after: int) -> None:
    whole = list(islice(_stream().batches(), 10))
    position = whole[after - 1][0]
    rest = list(islice(_stream().batches(position), 10 - after))
    for (place, batch), (other_place, other) in zip(whole[after:], rest, strict=True):
        assert place == other_place
        assert _equal(batch, other)
    assert {place.pool for place, _ in whole} >= {0, 1}, "the test never left the first pool"


def test_other_processes_write_the_same_stream() -> None:
    helped = _stream(pool_workers=2)
    try:
        for (place, batch), (other_place, other) in zip(
            islice(_stream().batches(Position(1, 2)), 9),
            islice(helped.batches(Position(1, 2)), 9),
            strict=True,
        ):
            assert place == other_place
            assert _equal(batch, other)
    finally:
        helped.close()


def _square(number: int) -> int:
    if number == 6:
        raise DataError("six is not a number of ours")
    return number * number


def test_what_goes_wrong_in_another_process_is_told() -> None:
    helped = Prefetcher(_square, 1)
    things = helped.things(count(3))
    assert [next(things) for _ in range(3)] == [9, 16, 25]
    with pytest.raises(DataError, match="six"):
        next(things)
    helped.close()


def test_the_death_of_a_helper_is_one_sentence() -> None:
    helped = Prefetcher(_die, 1)
    with pytest.raises(TrainingError, match="lower pool_workers"):
        next(helped.things(count()))
    helped.close()


def _die(number: int) -> None:
    import os

    os._exit(number + 1)


def test_too_little_data_for_one_batch_is_refused() -> None:
    stream = _stream(rows=8, pool_batches=1)
    stream.counts = [1, 1]
    with pytest.raises(RecipeError, match="fewer than one batch of 8"):
        next(stream.batches())


# --- an opening -----------------------------------------------------------------------------------


def test_an_opening_comes_first_and_the_mixture_follows_from_its_beginning() -> None:
    first, rest = _stream(peptide_source()), _stream()
    taken = list(islice(OpenedStream(first, 2, rest).batches(), 14))
    alone = list(islice(_stream(peptide_source()).batches(), 14))
    opening = [item for item in alone if item[0].pool < 2]
    mixed = list(islice(_stream().batches(), 14 - len(opening)))
    assert 2 <= len(opening) < 14
    for (place, batch), (_, expected) in zip(taken, opening + mixed, strict=True):
        assert _equal(batch, expected), place
    assert [place.pool for place, _ in taken] == sorted(place.pool for place, _ in taken)


def test_an_opened_stream_continues_anywhere() -> None:
    def stream() -> OpenedStream:
        return OpenedStream(_stream(peptide_source()), 2, _stream())

    whole = list(islice(stream().batches(), 16))
    for start in range(len(whole) - 2):
        place = whole[start][0]
        position, batch = next(iter(stream().batches(place)))
        assert position == whole[start + 1][0]
        assert _equal(batch, whole[start + 1][1]), place
