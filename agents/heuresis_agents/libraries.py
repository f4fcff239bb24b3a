"""Libraries of candidates in files: one text per line, read quickly and judged only when drawn.

Nothing here is parsed as chemistry: a quarter of a million lines load in well under a second, and
the space canonicalises what is really drawn.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from numpy.random import Generator
from pydantic import AfterValidator

from heuresis.errors import UserError

COLUMN_NAMES = ("smiles", "canonical_smiles", "sequence", "text")
"""Names of the column to read, in the order of preference; in capitals too."""
_GZIP_MAGIC = b"\x1f\x8b"
_STEREO = re.compile(r"@(?:@|(?:TH|AL|SP|TB|OH)\d+)?|[/\\]")


def library_texts(path: str | Path, kind: str = "molecule") -> tuple[str, ...]:
    """Return the texts of a library, in the order of the file, repeats included.

    The first column is read, or the one that a header names (`COLUMN_NAMES`). Columns are parted by
    tabs; those of molecules, and those under a header, also by commas or blanks. Empty lines are
    left out. Compressed files are recognised by their first bytes.

    Args:
        path: of the file; relative ones start at the working directory, as all paths do.
        kind: of the design space; only of molecules it is known that no text has a blank or comma.

    Raises:
        UserError: the file is missing, unreadable or holds no text.
    """
    file = Path(path).expanduser().resolve()
    try:
        state = file.stat()
        return _read(file, state.st_mtime_ns, state.st_size, kind)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read the library '{path}' ({file}): {error}; expected a text file with one"
            " candidate per line, which may be gzipped"
        ) from error


def check_library(path: str | Path) -> None:
    """Say early what is wrong with the path of a library, without reading the file.

    Raises:
        UserError: there is no such file.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserError(
            f"there is no library '{path}' ({file.resolve()}); expected a text file with one"
            " candidate per line; relative paths start at the working directory"
        )


def without_stereo(smiles: str) -> str:
    r"""Return a SMILES without marks of stereochemistry (``@``, ``/``, ``\``); not canonical."""
    return _STEREO.sub("", smiles)


def random_order(size: int, rng: Generator) -> Iterator[int]:
    """Yield the numbers below ``size`` in random order, at a cost per number drawn alone.

    Source: Fisher and Yates' shuffle, with a dictionary of the places that were exchanged.
    """
    moved: dict[int, int] = {}
    for place in range(size):
        other = place + int(rng.integers(size - place))
        yield moved.get(other, other)
        moved[other] = moved.pop(place, place)


# The file's date and size are part of the key, so a changed file is read again.
@lru_cache(maxsize=2)
def _read(file: Path, modified_ns: int, size: int, kind: str) -> tuple[str, ...]:  # noqa: ARG001
    data = file.read_bytes()
    if data.startswith(_GZIP_MAGIC):
        data = gzip.decompress(data)
    lines = data.decode("utf-8-sig").splitlines()
    first = next((line for line in lines if line.strip()), "")
    separator, column, header = _layout(first, kind)
    texts = tuple(_column(lines, separator, column))[1 if header else 0 :]
    if not texts:
        raise UserError(f"the library '{file}' holds no text; expected one candidate per line")
    return texts


def _layout(first: str, kind: str) -> tuple[str | None, int, bool]:
    """Return separator (None: blanks), number of the column and whether there is a header."""
    for separator in ("\t", ",", ";", None):
        names = [name.strip(' "').lower() for name in first.split(separator)]
        for wanted in COLUMN_NAMES:
            if wanted in names:
                return separator, names.index(wanted), True
    if "\t" in first or kind != "molecule":
        return "\t", 0, False
    return ("," if "," in first else None), 0, False


def _column(lines: Sequence[str], separator: str | None, column: int) -> Iterator[str]:
    for line in lines:
        fields = line.split(separator, column + 1)
        if len(fields) > column and (text := fields[column].strip(' \r"')):
            yield text


def _there(file: str) -> str:
    try:
        check_library(file)
    except UserError as error:
        raise ValueError(str(error)) from error
    return file


LibraryFile = Annotated[str, AfterValidator(_there)]
"""A setting that names a library: what cannot be read is said when the campaign is checked."""
