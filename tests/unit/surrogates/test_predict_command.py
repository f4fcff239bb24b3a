from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer import Typer
from typer.testing import CliRunner

from heuresis_models.errors import DataError
from heuresis_models.prediction_command import predict
from heuresis_models.surrogates import load_surrogate

APPLICATION = Typer(pretty_exceptions_enable=False)
APPLICATION.command()(predict)


def table(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_table_in_a_table_out(
    smiles: tuple[str, ...], sizes: NDArray[np.float64], tmp_path: Path
) -> None:
    measured = [f"{text},{value}" for text, value in zip(smiles[:40], sizes[:40], strict=True)]
    known = table(tmp_path / "known.csv", "smiles,size", measured)
    new = table(tmp_path / "new.csv", "name,smiles", [f"x,{text}" for text in smiles[40:]])
    words = [str(known), str(new), "--column", "size", "--save", str(tmp_path / "kept")]
    done = CliRunner().invoke(APPLICATION, words, catch_exceptions=False)
    assert done.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["smiles"] for row in rows] == list(smiles[40:])
    truth = sizes[40:]
    inside = [
        float(row["lower"]) <= value <= float(row["upper"])
        for row, value in zip(rows, truth, strict=True)
    ]
    assert np.mean(inside) >= 0.7
    found = np.array([float(row["size"]) for row in rows])
    assert np.sqrt(((found - truth) ** 2).mean()) < 0.3 * truth.std()
    assert "learned from 40 rows" in done.stderr
    kept = load_surrogate(tmp_path / "kept").predict(smiles[40:])
    np.testing.assert_allclose(kept.mean_N, found, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("SMILES,value", "CCO,1", "no column 'smiles'; its columns: SMILES, value"),
        ("smiles,logS", "CCO,1", "no column 'value'"),
        ("smiles,value", "CCO,", "row 1: expected a finite number in column 'value', got ''"),
        ("smiles,value", "CCO,nan", "expected a finite number"),
        ("smiles,value", "CCO", "row 1: expected a finite number"),
    ],
)
def test_tables_that_cannot_be_used_are_named(
    header: str, row: str, message: str, tmp_path: Path
) -> None:
    known = table(tmp_path / "known.csv", header, [row])
    with pytest.raises(DataError, match=message):
        predict(known, known)


def test_missing_and_empty_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.csv cannot be read"):
        predict(tmp_path / "nowhere.csv", tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="no rows"):
        predict(table(tmp_path / "empty.csv", "smiles,value", []), tmp_path / "nowhere.csv")
