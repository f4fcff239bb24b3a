"""One fixed rule of what is held out, for every file, model and comparison.

A thing is held out when the hash of its *content key* falls below the held-out share. The key says
what must not stand on both sides: the canonical SMILES of a molecule whatever its written form; the
product of a reaction, so that both directions fall together; reduced formula and space group of a
crystal; the sequence of a chain, capped ends and mirror images aside.

USPTO-50k keeps its published split: the rows of its test file are held out, of its valid file too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

from heuresis_models.language.crystal_text import Crystal
from heuresis_models.language.errors import DocumentError
from heuresis_models.language.objects import (
    DNA,
    BindingSite,
    CodingDNA,
    Complex,
    Framework,
    Molecule,
    Peptide,
    Protein,
    Reaction,
    Thing,
)
from heuresis_models.language.sources import Row

RULE: Final = "heuresis-split-1"
HELD_OUT_SHARE: Final = 0.05
_ALWAYS_HELD_OUT: Final = ("uspto50k-valid.smi.gz", "uspto50k-test.smi.gz")
_NEVER_HELD_OUT: Final = ("uspto50k-train.smi.gz",)


def content_key(thing: Thing, *, canonical: bool = True) -> str:
    """Return what must not stand on both sides of the split.

    Args:
        thing: any object.
        canonical: rewrite SMILES by RDKit first; False trusts the text, for files that hold one
            fixed SMILES per molecule.

    Raises:
        DocumentError: RDKit cannot read the SMILES.
    """
    if isinstance(thing, Molecule):
        return "molecule " + (_canonical(thing.smiles) if canonical else thing.smiles)
    if isinstance(thing, Reaction):
        return "reaction " + (_canonical(thing.product) if canonical else thing.product)
    if isinstance(thing, Crystal):
        return f"crystal {thing.reduced_formula()} {thing.number}"
    if isinstance(thing, Peptide):
        return "peptide " + thing.residues.upper()
    if isinstance(thing, BindingSite):
        return "protein " + thing.marked.residues
    if isinstance(thing, Protein):
        return "protein " + thing.residues
    if isinstance(thing, Complex):
        return "protein " + thing.protein.residues
    if isinstance(thing, Framework):
        linkers = sorted(content_key(linker, canonical=canonical) for linker in thing.linkers)
        return " ".join(("framework", *thing.node, *linkers))
    if isinstance(thing, CodingDNA | DNA):
        return "dna " + thing.bases
    raise DocumentError(f"no split rule for {type(thing).__name__}")


def is_held_out(key: str, share: float = HELD_OUT_SHARE) -> bool:
    """Whether a content key belongs to the held-out side."""
    digest = hashlib.sha256(f"{RULE}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def row_is_held_out(row: Row, *, canonical: bool = True) -> bool:
    """Whether a row is held out; published splits come first.

    Raises:
        DocumentError: the row has no entry.
    """
    if row.entry is None:
        raise DocumentError(f"{row.where}: {row.problem}")
    if row.file in _ALWAYS_HELD_OUT:
        return True
    if row.file in _NEVER_HELD_OUT:
        return False
    return is_held_out(content_key(row.entry.thing, canonical=canonical))


def deduplicated(rows: Iterable[Row], *, canonical: bool = True) -> Iterator[Row]:
    """Yield the first row of each content key; rows without an entry are left out."""
    seen: set[bytes] = set()
    for row in rows:
        if row.entry is None:
            continue
        key = content_key(row.entry.thing, canonical=canonical)
        digest = hashlib.sha256(key.encode()).digest()[:12]
        if digest not in seen:
            seen.add(digest)
            yield row


def _canonical(smiles: str) -> str:
    from heuresis_models.language.augmentation import canonical_smiles

    return canonical_smiles(smiles)
