from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from rdkit import Chem

from heuresis_models.data import (
    IGNORED,
    DocumentStream,
    batch_of,
    pack,
    randomized,
    read_molecules,
    split,
)
from heuresis_models.errors import DataError, RecipeError
from heuresis_models.grammar import Form, Grammar
from heuresis_models.training import batch_loss
from heuresis_models.transformer import Transformer


def _stream(molecules: tuple[str, ...], grammar: Grammar, **options: object) -> DocumentStream:
    arguments: dict[str, object] = {
        "row_length": 64,
        "rows": 4,
        "randomized_share": 0.5,
        "seed": 1,
        "pool_documents": 40,
        **options,
    }
    return DocumentStream(molecules, grammar, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a.smi", "a.smi.gz"])
def test_reading_canonicalises_and_drops_repeats(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    content = b"OCC ethanol\nCCO\nc1ccccc1\textra column\n"
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    corpus = read_molecules(path)
    assert corpus.molecules == ("CCO", "c1ccccc1")
    assert corpus.lines == 3
    assert corpus.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"CCO\nC(C\n", r":2: expected a SMILES.*'C\(C'"),
        (b"CCO\n\nCC\n", ":2: expected a SMILES"),
        (b"", "is empty"),
        (b"CCO\n\xff\xfe\n", "cannot be read as text"),
        (b"F" * 3 + b"(C)(C)(C)\n", ":1: expected a SMILES"),
    ],
)
def test_a_bad_file_is_named_with_its_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.smi"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_molecules(path)


def test_missing_and_damaged_archives_are_clear(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file"):
        read_molecules(tmp_path / "none.smi")
    (tmp_path / "x.smi.gz").write_bytes(b"CCO\n")
    with pytest.raises(DataError, match=r"cannot be read.*gzip"):
        read_molecules(tmp_path / "x.smi.gz")
    whole = gzip.compress(b"CCO\n" * 1000)
    (tmp_path / "cut.smi.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        read_molecules(tmp_path / "cut.smi.gz")


def test_the_side_of_a_molecule_depends_on_nothing_but_itself() -> None:
    names = ["C" * length for length in range(1, 2000)]
    training, heldout = split(names, 0.1)
    assert set(training) | set(heldout) == set(names)
    assert not set(training) & set(heldout)
    assert 140 < len(heldout) < 260
    _, fewer = split(names[::-3], 0.1)
    assert set(fewer) == set(heldout) & set(names[::-3])


def test_random_smiles_are_other_texts_of_the_same_molecule(molecules: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    for smiles in molecules:
        texts = {randomized(smiles, rng) for _ in range(8)}
        assert {Chem.MolToSmiles(Chem.MolFromSmiles(text)) for text in texts} == {smiles}
    assert len({randomized(molecules[0], rng) for _ in range(20)}) > 5
    again = [randomized(molecules[0], np.random.default_rng(9)) for _ in range(2)]
    assert again[0] == again[1]


def test_packing_keeps_every_document_and_wastes_little() -> None:
    rng = np.random.default_rng(3)
    documents = [[number] * int(rng.integers(8, 60)) for number in range(500)]
    rows = pack(documents, 128)
    assert sorted(tuple(document) for row in rows for document in row) == sorted(
        map(tuple, documents)
    )
    filled = [sum(map(len, row)) for row in rows]
    assert max(filled) <= 128
    assert sum(filled) / (128 * len(rows)) > 0.97


def test_a_document_that_fits_no_row_is_an_error() -> None:
    with pytest.raises(DataError, match="9 tokens does not fit into rows of 8"):
        pack([[1] * 9], 8)


def test_targets_are_the_next_tokens_of_the_text(grammar: Grammar) -> None:
    documents = [grammar.document("CO", Form.CANONICAL), grammar.document("N", Form.RANDOMIZED)]
    batch = batch_of([documents], 16, grammar.head_length)
    v = grammar.vocabulary
    ignored = [IGNORED, IGNORED]
    assert batch.target_BT[0].tolist() == [
        *ignored, v["C"], v["O"], grammar.end, IGNORED,
        *ignored, v["N"], grammar.end, IGNORED,
        *[IGNORED] * 5,
    ]  # fmt: skip
    assert batch.document_BT[0].tolist() == [0] * 6 + [1] * 5 + [-1] * 5
    assert batch.token_count == 11


@torch.no_grad()
def test_packed_loss_equals_the_loss_of_single_documents(
    random_model: Transformer, grammar: Grammar, molecules: tuple[str, ...]
) -> None:
    documents = [grammar.document(smiles, Form.CANONICAL) for smiles in molecules]
    packed = batch_of(pack(documents, 90), 90, grammar.head_length)
    assert len(packed.token_BT) < len(documents) / 2
    total, count = 0.0, 0
    for document in documents:
        single = batch_of([[document]], len(document), grammar.head_length)
        scored = int((single.target_BT != IGNORED).sum())
        total += float(batch_loss(random_model, single)) * scored
        count += scored
    assert float(batch_loss(random_model, packed)) == pytest.approx(total / count, rel=1e-5)


def test_the_stream_can_be_entered_anywhere(molecules: tuple[str, ...], grammar: Grammar) -> None:
    whole = _stream(molecules, grammar).batches()
    seen = [next(whole) for _ in range(9)]
    assert seen[-1][0] >= 2
    pool, index, _ = seen[4]
    rest = _stream(molecules, grammar).batches(pool, index)
    for _, _, expected in seen[5:]:
        _, _, batch = next(rest)
        assert torch.equal(batch.token_BT, expected.token_BT)
        assert torch.equal(batch.document_BT, expected.document_BT)


def test_epochs_hold_each_molecule_once_in_new_order(
    molecules: tuple[str, ...], grammar: Grammar
) -> None:
    def epoch(pool: int) -> list[str]:
        stream = _stream(molecules, grammar, randomized_share=0.0, rows=1, pool_documents=20)
        texts: list[str] = []
        for number, _, batch in stream.batches(pool):
            if number > pool:
                return texts
            for document in range(int(batch.document_BT.max()) + 1):
                ids = batch.token_BT[batch.document_BT == document]
                texts.append(grammar.text(ids.tolist()))
        return texts

    first, second = epoch(0), epoch(1)
    assert sorted(first) == sorted(second) == sorted(molecules)
    assert first != second


def test_long_documents_are_left_out_and_counted(grammar: Grammar) -> None:
    stream = _stream(("C" * 100, "CCO", "CCN", "CCF"), grammar, rows=1)
    next(stream.batches())
    assert stream.too_long == 10


def test_a_batch_that_no_pool_can_fill_is_an_error(grammar: Grammar) -> None:
    with pytest.raises(RecipeError, match="lower batch_tokens"):
        next(_stream(("CCO",), grammar, rows=1000).batches())
