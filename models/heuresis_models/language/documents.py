"""Documents: conditions, an object, what is said of it, and examples before it.

::

    document   = <bos> { <exemplar> entry } [ <target> ] entry <eos>
    entry      = { condition } object { annotation }
    condition  = number | level | label | quantile | formula
    annotation = number | level | label | secondary structure | conservation | contacts

``<target>`` stands exactly where exemplars came before. A document is the unit of training: one
document never sees another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from heuresis_models.language.errors import DocumentError
from heuresis_models.language.objects import (
    DNA,
    CodingDNA,
    Protein,
    Thing,
    object_tokens,
)
from heuresis_models.language.quantities import Formula, Label, Level, Quantile, Quantity
from heuresis_models.language.tokens import BEGIN, CONTACT_BINS_ANGSTROM, CONTACTS, END
from heuresis_models.language.vocabulary import Vocabulary

SECONDARY_CLASSES: Final = "HEC?"
LARGEST_RESIDUE_NUMBER: Final = 9999


@dataclass(frozen=True)
class SecondaryStructure:
    """One of H (helix), E (strand), C (coil), ? (unresolved) for each residue of the chain."""

    classes: str

    def tokens(self) -> list[str]:
        """Return the delimited tokens."""
        _only(self.classes, SECONDARY_CLASSES, "secondary structure")
        return ["<secondary>", *(f"<ss:{letter.lower()}>" for letter in self.classes),
                "</secondary>"]  # fmt: skip


@dataclass(frozen=True)
class Conservation:
    """Conservation of each residue, 1 (variable) to 9 (conserved)."""

    scores: str

    def tokens(self) -> list[str]:
        """Return the delimited tokens."""
        _only(self.scores, "123456789", "conservation")
        return ["<conservation>", *(f"'{score}" for score in self.scores), "</conservation>"]


@dataclass(frozen=True)
class Contacts:
    """Pairs of residues (1-based, first < second) with the index of their distance bin.

    Bin k means: below ``CONTACT_BINS_ANGSTROM[k]`` and not below the one before; the last index,
    `len(CONTACT_BINS_ANGSTROM)`, means farther than all.
    """

    pairs: tuple[tuple[int, int, int], ...]

    @staticmethod
    def bin_of(distance_angstrom: float) -> int:
        """Return the bin index of a distance."""
        return int(np.searchsorted(CONTACT_BINS_ANGSTROM, distance_angstrom, side="right"))

    def tokens(self) -> list[str]:
        """Return the delimited tokens."""
        tokens = ["<contacts>"]
        for first, second, bin_index in self.pairs:
            if not 1 <= first < second <= LARGEST_RESIDUE_NUMBER or not 0 <= bin_index <= 5:
                raise DocumentError(
                    "a contact is (i, j, bin) with 1 <= i < j <= 9999 and bin 0 to 5, got"
                    f" {(first, second, bin_index)}"
                )
            tokens += [f"'{digit}" for digit in str(first)]
            tokens.append(CONTACTS[0])
            tokens += [f"'{digit}" for digit in str(second)]
            tokens.append(CONTACTS[1 + bin_index])
        if not self.pairs:
            raise DocumentError("leave the contacts out when there are none")
        return [*tokens, "</contacts>"]


Condition = Quantity | Level | Label | Quantile | Formula
Annotation = Quantity | Level | Label | SecondaryStructure | Conservation | Contacts


@dataclass(frozen=True)
class Entry:
    """An object with what is asked of it (before) and what is said of it (after)."""

    thing: Thing
    conditions: tuple[Condition, ...] = ()
    annotations: tuple[Annotation, ...] = ()

    def tokens(self) -> list[str]:
        """Return the tokens of conditions, object and annotations.

        Raises:
            DocumentError: a track is not as long as the chain, or stands on no chain.
        """
        for annotation in self.annotations:
            if isinstance(annotation, SecondaryStructure | Conservation | Contacts):
                _check_track(self.thing, annotation)
        before = [token for condition in self.conditions for token in condition.tokens()]
        after = [token for annotation in self.annotations for token in annotation.tokens()]
        return [*before, *object_tokens(self.thing), *after]


@dataclass(frozen=True)
class Document:
    """One training text, or one prompt with its answer."""

    entry: Entry
    exemplars: tuple[Entry, ...] = ()

    def tokens(self) -> list[str]:
        """Return all tokens, ``<bos>`` and ``<eos>`` included."""
        tokens = [BEGIN]
        for exemplar in self.exemplars:
            tokens += ["<exemplar>", *exemplar.tokens()]
        if self.exemplars:
            tokens.append("<target>")
        return [*tokens, *self.entry.tokens(), END]

    def text(self) -> str:
        """Return the document as text."""
        return "".join(self.tokens())

    def ids(self, *, limit: int | None = None, where: str = "") -> list[int]:
        """Return token ids.

        Raises:
            OverlongError: there are more than ``limit``.
        """
        from heuresis_models.language.errors import OverlongError

        ids = Vocabulary.default().ids
        tokens = self.tokens()
        if limit is not None and len(tokens) > limit:
            raise OverlongError(len(tokens), limit, where)
        return [ids[token] for token in tokens]


def document(
    thing: Thing,
    *,
    conditions: Sequence[Condition] = (),
    annotations: Sequence[Annotation] = (),
    exemplars: Sequence[Entry] = (),
) -> Document:
    """Make a document of one object."""
    return Document(Entry(thing, tuple(conditions), tuple(annotations)), tuple(exemplars))


def fragment(thing: Protein | CodingDNA | DNA, start: int, length: int) -> Thing:
    """Cut a piece out of a chain that is too long to be written whole.

    Args:
        thing: the chain.
        start: 0-based first residue, codon (of `CodingDNA`) or base.
        length: how many.

    Raises:
        DocumentError: the piece does not lie within the chain.
    """
    step = 3 if isinstance(thing, CodingDNA) else 1
    chain = thing.residues if isinstance(thing, Protein) else thing.bases
    if start < 0 or length < 1 or (start + length) * step > len(chain):
        raise DocumentError(
            f"a fragment of {length} from {start} does not lie within a chain of"
            f" {len(chain) // step}"
        )
    piece = chain[start * step : (start + length) * step]
    if isinstance(thing, Protein):
        marks = {i - start: m for i, m in thing.marks.items() if start <= i < start + length}
        return Protein(piece, marks, fragment=True)
    return type(thing)(piece, fragment=True)


def _only(text: str, allowed: str, what: str) -> None:
    for position, letter in enumerate(text):
        if letter not in allowed:
            raise DocumentError(
                f"{what} has {letter!r} at position {position}; expected one of {allowed}"
            )
    if not text:
        raise DocumentError(f"{what} is empty")


def _check_track(thing: Thing, track: SecondaryStructure | Conservation | Contacts) -> None:
    if not isinstance(thing, Protein):
        raise DocumentError(
            f"{type(track).__name__} stands after a protein, not after a {type(thing).__name__}"
        )
    residues = len(thing.residues)
    if isinstance(track, Contacts):
        if max(second for _, second, _ in track.pairs or ((0, 0, 0),)) > residues:
            raise DocumentError(f"a contact names a residue beyond the last, {residues}")
        return
    values = track.classes if isinstance(track, SecondaryStructure) else track.scores
    if len(values) != residues:
        raise DocumentError(
            f"{type(track).__name__} has {len(values)} values for {residues} residues"
        )
