"""``heuresis predict``: learn a property from a table of measured molecules, predict it for others.

Also runs alone: ``python -m heuresis_models.prediction_command KNOWN.csv NEW.csv``.
"""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from heuresis.errors import UserError
from heuresis.randomness import random_generator
from heuresis_models.errors import DataError

_TEXT_COLUMN = "smiles"


def predict(
    known: Annotated[
        Path, typer.Argument(help="CSV with a column 'smiles' and one of measured values.")
    ],
    new: Annotated[Path, typer.Argument(help="CSV with a column 'smiles'.")],
    column: Annotated[str, typer.Option(help="Column of the measured values.")] = "value",
    model: Annotated[
        str, typer.Option(help="Shipped language model, or folder of one.")
    ] = "heuresis-zinc",
    coverage: Annotated[
        float, typer.Option(help="Share of true values that the interval should take in.")
    ] = 0.9,
    save: Annotated[
        Path | None, typer.Option(help="Folder to keep the fitted surrogate in.")
    ] = None,
    seed: int = 0,
) -> None:
    """Predict a property with intervals; writes CSV to the standard output."""
    from heuresis_models.embedding import Encoder
    from heuresis_models.surrogates import ensemble, fit_surrogate, save_surrogate

    rows = _rows(known, (_TEXT_COLUMN, column))
    texts = [row[_TEXT_COLUMN] for row in rows]
    values = [
        _number(row[column], known, number, column) for number, row in enumerate(rows, start=1)
    ]
    asked = [row[_TEXT_COLUMN] for row in _rows(new, (_TEXT_COLUMN,))]
    surrogate = fit_surrogate(
        ensemble(Encoder.load(model)), texts, values, random_generator(seed, "predict", 0)
    )
    said = surrogate.predict(asked, coverage=coverage)
    if save is not None:
        save_surrogate(save, surrogate)
    unseen = surrogate.unseen
    Console(stderr=True).print(
        f"learned from {len(texts)} rows; on rows left out, the root mean square error is"
        f" {unseen.rmse:.3g} (of always saying the mean: {unseen.value_C.std():.3g}), the rank"
        f" correlation {unseen.rank_correlation:.2f}. Intervals hold for molecules like these.",
        soft_wrap=True,
        highlight=False,
    )
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow((_TEXT_COLUMN, column, "standard_deviation", "lower", "upper"))
    for text, *numbers in zip(asked, *said[:4], strict=True):
        writer.writerow((text, *(f"{number:.6g}" for number in numbers)))


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the rows of a table, blanks around texts removed."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or [])]
            if missing:
                raise DataError(
                    f"{path} has no column '{missing[0]}'; its columns:"
                    f" {', '.join(reader.fieldnames or []) or 'none'}"
                )
            rows = [{name: (row[name] or "").strip() for name in columns} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a table: {error}") from error
    if not rows:
        raise DataError(f"{path} has a header but no rows")
    return rows


def _number(text: str, path: Path, number: int, column: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(
            f"{path}: row {number}: expected a finite number in column '{column}', got {text!r};"
            " leave out rows without a measured value"
        )
    return value


def main() -> None:
    """Run the command; errors of the user are one sentence and exit code 2."""
    try:
        typer.run(predict)
    except UserError as error:
        Console(stderr=True).print(f"error: {error}", style="red", markup=False)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
