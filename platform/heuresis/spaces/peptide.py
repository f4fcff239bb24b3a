"""Peptides: short chains of the twenty amino acids, their ends free or capped.

The canonical text is that of the language of the models: ``<acetyl>_A_A_Q<amide>``, one token a
residue, so that a model that has learnt peptides can propose here. Plain letters are read too:
``AAQ``, ``Ac-AAQ-NH2``.
"""

from __future__ import annotations

import re
from typing import ClassVar, NamedTuple, Self
from xml.sax.saxutils import escape

from pydantic import Field, model_validator

from heuresis.errors import InvalidCandidate
from heuresis.plugin import PluginConfig

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
_MAX_CHARACTERS = 2000
_PLAIN = re.compile(r"(Ac-)?([A-Za-z]*)(-NH2)?")
_SPELT = re.compile(r"(<acetyl>)?((?:_[A-Za-z])*)(<amide>)?")
_FAMILIES = {
    "AVLIMFW": "#8d99ae", "STNQCYGP": "#a3b18a", "KRH": "#4361ee", "DE": "#d62828",
}  # fmt: skip
"""Greasy, polar and special, basic, acidic: the colours of a picture."""
_CELL, _ROW = 22, 20


class PeptideParts(NamedTuple):
    """A peptide, read: its residues from the amino end, and what caps its ends."""

    residues: str
    acetyl: bool
    amide: bool

    @property
    def text(self) -> str:
        """The canonical text."""
        head, tail = "<acetyl>" * self.acetyl, "<amide>" * self.amide
        return head + "".join(f"_{letter}" for letter in self.residues) + tail

    @property
    def plain(self) -> str:
        """As people write it."""
        return "Ac-" * self.acetyl + self.residues + "-NH2" * self.amide


def read_peptide(text: str) -> PeptideParts:
    """Return the parts of a peptide in either notation.

    Raises:
        InvalidCandidate: ``empty``, ``too_long``, ``syntax``, ``d_residue`` or ``residue``.
    """
    if not text or text.isspace():
        raise InvalidCandidate("empty", "the text is empty")
    if len(text) > _MAX_CHARACTERS:
        raise InvalidCandidate("too_long", f"{len(text)} characters; at most {_MAX_CHARACTERS}")
    inner = text.removeprefix("<peptide>").removesuffix("</peptide>")
    found = _SPELT.fullmatch(inner) or _PLAIN.fullmatch(inner)
    if found is None:
        raise InvalidCandidate(
            "syntax", f"{text!r} is no peptide; write letters, e.g. AAQ or Ac-AAQ-NH2"
        )
    residues = found[2].replace("_", "")
    if not residues:
        raise InvalidCandidate("empty", f"{text!r} has no residue")
    for letter in residues:
        if letter.upper() not in AMINO_ACIDS:
            raise InvalidCandidate("residue", f"'{letter}' is none of the twenty: {AMINO_ACIDS}")
        if letter.islower():
            raise InvalidCandidate(
                "d_residue", f"'{letter}' is a D-amino acid; this space holds L-amino acids alone"
            )
    return PeptideParts(residues, bool(found[1]), bool(found[3]))


class PeptideSpace:
    """The `peptide` design space.

    Reason codes of refusals: ``empty``, ``too_long``, ``syntax``, ``residue``, ``d_residue``,
    ``size``, ``cap``.
    """

    kind: ClassVar[str] = "peptide"

    class Config(PluginConfig):
        """What a campaign may say about its peptides."""

        length: tuple[int, int] = (2, 60)
        """Fewest and most residues."""
        residues: str = AMINO_ACIDS
        """One-letter codes that may occur."""
        caps: str | None = Field(default=None, pattern="^(both|none)$")
        """``both``: acetyl and amide at the ends of every peptide, whatever the text says;
        ``none``: neither; by default as the text says."""

        @model_validator(mode="after")
        def _possible(self) -> Self:
            low, high = self.length
            if not 1 <= low <= high:
                raise ValueError(
                    f"impossible constraint: length [{low}, {high}] must rise and begin at 1"
                )
            unknown = sorted(set(self.residues) - set(AMINO_ACIDS))
            if unknown or not self.residues:
                raise ValueError(
                    f"residues '{self.residues}' must be one-letter codes out of {AMINO_ACIDS}"
                )
            return self

    def __init__(self, config: Config) -> None:
        self.config = config

    def canonical(self, text: str) -> str:
        """Return the canonical text of a peptide.

        Raises:
            InvalidCandidate: unreadable, or outside the rules; see the class for reason codes.
        """
        peptide = read_peptide(text)
        if self.config.caps is not None:
            capped = self.config.caps == "both"
            peptide = peptide._replace(acetyl=capped, amide=capped)
        foreign = sorted(set(peptide.residues) - set(self.config.residues))
        if foreign:
            raise InvalidCandidate("residue", f"residue {', '.join(foreign)} is not allowed")
        low, high = self.config.length
        if not low <= len(peptide.residues) <= high:
            raise InvalidCandidate(
                "size", f"{len(peptide.residues)} residues; allowed are {low} to {high}"
            )
        return peptide.text

    def depict(self, text: str) -> str:
        """Return an SVG picture: one coloured letter a residue, ten to a line."""
        peptide = read_peptide(text)
        letters = [*(["Ac"] * peptide.acetyl), *peptide.residues, *(["NH₂"] * peptide.amide)]
        cells = []
        for place, letter in enumerate(letters):
            x, y = (place % 10) * _CELL, (place // 10) * _ROW
            colour = next((c for family, c in _FAMILIES.items() if letter in family), "#6c757d")
            cells.append(
                f'<text x="{x + _CELL // 2}" y="{y + 15}" fill="{colour}">{escape(letter)}</text>'
            )
        width, height = 10 * _CELL, _ROW * (1 + (len(letters) - 1) // 10)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}" font-family="monospace" font-size="13"'
            f' text-anchor="middle">{"".join(cells)}</svg>'
        )

    def describe(self) -> str:
        """Return one line for people: what this space allows."""
        low, high = self.config.length
        return f"peptides of {low} to {high} residues out of {self.config.residues}"
