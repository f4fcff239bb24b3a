"""What a sample is compared with: both sides of the fixed split, read as training reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from heuresis_models.corpus import Source, read_source
from heuresis_models.language.augmentation import canonical_smiles
from heuresis_models.language.crystal_text import Crystal
from heuresis_models.language.documents import Entry
from heuresis_models.language.errors import DocumentError
from heuresis_models.language.floors import DOMAINS
from heuresis_models.language.objects import Form, Molecule, Reaction
from heuresis_models.language.sources import read_rows
from heuresis_models.recipe import SourceSection

REACTION_TEST_FILE: Final = "uspto50k-test.smi.gz"
REACTION_HELDOUT_FILES: Final = ("uspto50k-valid.smi.gz", REACTION_TEST_FILE)

Report = Callable[[str, int], None]
"""Told the name of a domain and how many of its rows are read."""


def read_reference(
    folder: Path, domain: str, *, cache: Path | None = None, report: Report = lambda _, __: None
) -> Source:
    """Read all files of a domain (`floors.DOMAINS`), split by content.

    Args:
        folder: with the data files.
        domain: a name of `floors.DOMAINS`.
        cache: folder for rewritten crystals; without it each takes milliseconds again.
        report: told the progress.

    Raises:
        KeyError: there is no such domain.
        SourceError: a file is missing or is not the expected one.
        MissingExtraError: crystals need the extra ``crystals``.
    """
    section = SourceSection(name=domain, files=DOMAINS[domain])
    return read_source(section, folder, cache=cache, report=report)


def read_reactions(folder: Path, name: str = REACTION_TEST_FILE) -> list[Reaction]:
    """Read a file of USPTO-50k's published split, both sides canonical, every readable row.

    Raises:
        SourceError: the file is missing or is not the expected one.
    """
    found = []
    for row in read_rows(folder, name):
        thing = row.entry.thing if row.entry is not None else None
        if not isinstance(thing, Reaction):
            continue
        try:
            product, reactants = canonical_smiles(thing.product), canonical_smiles(thing.reactants)
        except DocumentError:
            continue
        found.append(replace(thing, product=product, reactants=reactants, form=Form.CANONICAL))
    return found


def molecules_of(entries: Sequence[Entry]) -> list[str]:
    """Return the SMILES of the entries that are molecules."""
    return [entry.thing.smiles for entry in entries if isinstance(entry.thing, Molecule)]


def crystals_of(entries: Sequence[Entry]) -> list[Crystal]:
    """Return the entries that are crystals."""
    return [entry.thing for entry in entries if isinstance(entry.thing, Crystal)]
