"""What a model learns from: the rows of data files, split, canonical, ready to be written.

A source is one or several files of one kind. Which side of the split a thing falls on is decided by
`heuresis_models.language.split` alone, by its content, so the same thing is held out whatever the
recipe, the file and the order of rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from heuresis_models.errors import DataError
from heuresis_models.language.augmentation import canonical_smiles
from heuresis_models.language.datafiles import BY_NAME, lines
from heuresis_models.language.documents import Entry
from heuresis_models.language.errors import DocumentError, UnknownTokenError
from heuresis_models.language.objects import Form, Molecule, Reaction
from heuresis_models.language.sources import Row, read_rows
from heuresis_models.language.split import RULE, content_key, row_is_held_out

if TYPE_CHECKING:
    from heuresis_models.recipe import SourceSection

CACHE_SCHEMA: Final = "smiles-1"
_ARROW: Final = " >> "

Report = Callable[[str, int], None]
"""Told the name of a source and the number of its rows that are read."""


@dataclass
class Source:
    """Entries of one source, both sides of the split, each content once.

    SMILES are RDKit's canonical ones; molecules and reactions have the form ``<canonical>``.
    """

    name: str
    share: float
    """Of the tokens that the model reads."""
    files: dict[str, str] = field(default_factory=dict)
    """File name → SHA-256."""
    training: list[Entry] = field(default_factory=list)
    heldout: list[Entry] = field(default_factory=list)
    left_out: int = 0
    """Rows without an entry (see `language.sources`), repeated ones, and unreadable SMILES."""


def read_source(
    section: SourceSection,
    folder: Path,
    *,
    cache: Path | None = None,
    report: Report = lambda _, __: None,
) -> Source:
    """Read one source.

    Args:
        section: names of files, relative to the folder, and the share.
        folder: where data files lie.
        cache: folder for what takes long: canonical SMILES, rewritten crystals
            (`language.sources.read_rows`); None: work it out again.
        report: told the progress.

    Raises:
        DataError: a file is missing or holds no molecules; too few rows.
        SourceError: a known file is not the expected one, or a file is damaged.
    """
    source = Source(section.name, section.share)
    source.files = {Path(name).name: _sha256(folder / name) for name in section.files}
    stored = _stored(source, cache)
    if stored is not None and _restore(source, stored):
        return source
    seen: set[bytes] = set()
    read = 0
    for name in section.files:
        for row in _rows(folder, name, cache):
            read += 1
            if read % 1000 == 0:
                report(section.name, read)
            entry = _canonical_entry(row)
            if entry is None:
                source.left_out += 1
                continue
            # Protein files say different things of the same chain; molecules would only repeat.
            digest = hashlib.sha256(
                f"{content_key(entry.thing, canonical=False)}\0{entry.annotations}".encode()
            ).digest()[:12]
            if digest in seen:
                source.left_out += 1
                continue
            seen.add(digest)
            heldout = row_is_held_out(replace(row, entry=entry), canonical=False)
            (source.heldout if heldout else source.training).append(entry)
    report(section.name, read)
    if not source.training:
        raise DataError(
            f"source '{section.name}' ({', '.join(section.files)}) gives nothing to learn from:"
            f" {read} rows read, {source.left_out} left out"
        )
    if stored is not None:
        _store(source, stored)
    return source


def _stored(source: Source, cache: Path | None) -> Path | None:
    """Return where the canonical SMILES of exactly these files are kept."""
    if cache is None:
        return None
    from rdkit import rdBase

    parts = (CACHE_SCHEMA, RULE, rdBase.rdkitVersion, *source.files.values())
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return cache / f"smiles-{digest[:16]}.tsv"


def _store(source: Source, path: Path) -> None:
    written = [f"left out\t{source.left_out}"]
    for side, entries in (("learn", source.training), ("hold out", source.heldout)):
        for entry in entries:
            thing = entry.thing
            if entry.annotations or not isinstance(thing, Molecule | Reaction):
                return
            text = thing.smiles if isinstance(thing, Molecule) else _arrow(thing)
            written.append(f"{side}\t{text}")
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = path.with_suffix(".part")
    waiting.write_text("\n".join(written) + "\n", encoding="utf-8")
    waiting.replace(path)


def _arrow(reaction: Reaction) -> str:
    return f"{reaction.product}{_ARROW}{reaction.reactants}"


def _restore(source: Source, path: Path) -> bool:
    if not path.is_file():
        return False
    for line in lines(path):
        side, _, text = line.partition("\t")
        if side == "left out":
            source.left_out = int(text)
            continue
        product, arrow, reactants = text.partition(_ARROW)
        thing = Reaction(reactants, product, retro=True) if arrow else Molecule(text)
        (source.heldout if side == "hold out" else source.training).append(Entry(thing))
    return True


def _rows(folder: Path, name: str, cache: Path | None) -> Iterator[Row]:
    if name in BY_NAME:
        yield from read_rows(folder, name, cache=cache)
        return
    path = folder / name
    for number, line in enumerate(lines(path), start=1):
        words = line.split(maxsplit=1)
        if not words:
            raise DataError(f"{path}:{number}: expected a SMILES string, got an empty line")
        entry = Entry(Molecule(words[0], Form.RANDOMIZED))
        try:
            canonical_smiles(words[0])
        except DocumentError as error:
            raise DataError(
                f"{path}:{number}: expected a SMILES string that RDKit can read, got"
                f" {line.strip()[:60]!r}; remove the line or correct it"
            ) from error
        yield Row(path.name, number, entry)


def _canonical_entry(row: Row) -> Entry | None:
    if row.entry is None:
        return None
    thing = row.entry.thing
    try:
        if isinstance(thing, Molecule):
            thing = Molecule(canonical_smiles(thing.smiles), Form.CANONICAL)
        elif isinstance(thing, Reaction):
            thing = replace(
                thing,
                reactants=canonical_smiles(thing.reactants),
                product=canonical_smiles(thing.product),
                form=Form.CANONICAL,
            )
        entry = replace(row.entry, thing=thing)
        entry.tokens()
    except (DocumentError, UnknownTokenError):
        return None
    return entry


def _sha256(path: Path) -> str:
    if not path.is_file():
        known = BY_NAME.get(path.name)
        wanted = (
            f"get it from: {known.origin}"
            if known is not None
            else "expected a SMILES file (.smi, .smi.gz: one molecule a line), or one of the known"
            f" files: {', '.join(BY_NAME)}"
        )
        raise DataError(f"no file {path}; {wanted}")
    return hashlib.sha256(path.read_bytes()).hexdigest()
