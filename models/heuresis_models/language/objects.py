"""The objects of the language: what stands between typed delimiters.

Each knows its tokens; `parsing.read_document` is the inverse. Text that a caller passes in (a
SMILES, a sequence) is checked against the payload tokens of its domain, so no tag can be smuggled
in as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from heuresis_models.language.crystal_text import Crystal
from heuresis_models.language.errors import DocumentError, UnknownTokenError
from heuresis_models.language.tokens import (
    ELEMENT_SYMBOLS,
    MARKS,
    RESIDUE_LETTERS,
    SMILES,
)
from heuresis_models.language.vocabulary import Vocabulary

_SMILES_TOKENS: Final = frozenset(SMILES)
_RESIDUES: Final = frozenset(RESIDUE_LETTERS)
_PEPTIDE_RESIDUES: Final = frozenset(RESIDUE_LETTERS + RESIDUE_LETTERS[:20].lower())
BINDING_MARKS: Final = MARKS[3:]


class Form(StrEnum):
    """Which of the many SMILES of a molecule is written."""

    CANONICAL = "<canonical>"
    RANDOMIZED = "<randomized>"
    ALIGNED = "<aligned>"


def smiles_tokens(smiles: str) -> list[str]:
    """Cut a SMILES string.

    Raises:
        UnknownTokenError: it holds something that is no SMILES token, a tag included.
    """
    tokens = Vocabulary.default().cut(smiles)
    position = 0
    for token in tokens:
        if token not in _SMILES_TOKENS:
            raise UnknownTokenError(token, position, smiles[max(0, position - 20) : position])
        position += len(token)
    if not tokens:
        raise DocumentError("an empty SMILES is no molecule")
    return tokens


@dataclass(frozen=True)
class Molecule:
    """A molecule by one of its SMILES."""

    smiles: str
    form: Form = Form.CANONICAL

    def tokens(self) -> list[str]:
        """Return the delimited tokens."""
        return ["<molecule>", self.form.value, *smiles_tokens(self.smiles), "</molecule>"]


@dataclass(frozen=True)
class Reaction:
    """Reactants → product, or, as ``retro``, product → reactants.

    Args:
        reactants: SMILES, several joined by dots.
        product: SMILES.
        retro: which side is written first, and so is given when the other is asked for.
        form: how both sides are written.
    """

    reactants: str
    product: str
    retro: bool = False
    form: Form = Form.CANONICAL

    def tokens(self) -> list[str]:
        """Return the delimited tokens."""
        reactants, product = smiles_tokens(self.reactants), smiles_tokens(self.product)
        form = self.form.value
        if self.retro:
            return ["<retro>", form, *product, "<from>", *reactants, "</retro>"]
        return ["<reaction>", form, *reactants, "<yields>", *product, "</reaction>"]


def _crystal_tokens(crystal: Crystal) -> list[str]:
    return ["<crystal>", *Vocabulary.default().cut(crystal.payload()), "</crystal>"]


@dataclass(frozen=True)
class Protein:
    """A protein chain, perhaps with residues marked as pocket or as binding something.

    Args:
        residues: one letter each.
        marks: 0-based residue → a tag of `BINDING_MARKS`.
        fragment: True, if this is a piece of a longer chain.
    """

    residues: str
    marks: Mapping[int, str] = field(default_factory=dict)
    fragment: bool = False

    def tokens(self) -> list[str]:
        """Return the delimited tokens."""
        _check_letters(self.residues, _RESIDUES, "residue")
        for index, mark in self.marks.items():
            if mark not in BINDING_MARKS or not 0 <= index < len(self.residues):
                raise DocumentError(
                    f"a mark is a residue index below {len(self.residues)} with one of"
                    f" {', '.join(BINDING_MARKS)}; got {index}: {mark}"
                )
        tokens = ["<protein>"] + ["<fragment>"] * self.fragment
        for index, letter in enumerate(self.residues):
            tokens.append(f"_{letter}")
            if index in self.marks:
                tokens.append(self.marks[index])
        return [*tokens, "</protein>"]


@dataclass(frozen=True)
class Peptide:
    """A short chain: D-residues in lower case, ends capped or free."""

    residues: str
    acetyl: bool = False
    amide: bool = False

    def tokens(self) -> list[str]:
        """Return the delimited tokens."""
        _check_letters(self.residues, _PEPTIDE_RESIDUES, "residue")
        head = ["<peptide>"] + ["<acetyl>"] * self.acetyl
        tail = ["<amide>"] * self.amide + ["</peptide>"]
        return [*head, *(f"_{letter}" for letter in self.residues), *tail]


@dataclass(frozen=True)
class CodingDNA:
    """A coding sequence in reading frame, one token a codon.

    A codon with an unknown base is spelt: ``ANT`` is ``^A^N^T``.
    """

    bases: str
    fragment: bool = False

    def tokens(self) -> list[str]:
        """Return the delimited tokens."""
        _check_letters(self.bases, frozenset("ACGTN"), "base")
        if len(self.bases) % 3:
            raise DocumentError(
                f"a coding sequence has whole codons, got {len(self.bases)} bases; use DNA for"
                " other sequences"
            )
        tokens = ["<coding>"] + ["<fragment>"] * self.fragment
        for start in range(0, len(self.bases), 3):
            codon = self.bases[start : start + 3]
            tokens += [f"^{base}" for base in codon] if "N" in codon else [f"^{codon}"]
        return [*tokens, "</coding>"]


@dataclass(frozen=True)
class DNA:
    """Any DNA, one token a nucleotide."""

    bases: str
    fragment: bool = False

    def tokens(self) -> list[str]:
        """Return the delimited tokens."""
        _check_letters(self.bases, frozenset("ACGTN"), "base")
        head = ["<dna>"] + ["<fragment>"] * self.fragment
        return [*head, *(f"^{base}" for base in self.bases), "</dna>"]


@dataclass(frozen=True)
class BindingSite:
    """A plain protein, searched for the residues that bind: the same chain again, marked."""

    marked: Protein

    def tokens(self) -> list[str]:
        """Return plain chain, operator, marked chain."""
        plain = Protein(self.marked.residues, fragment=self.marked.fragment)
        return [*plain.tokens(), "<search>", *self.marked.tokens()]


@dataclass(frozen=True)
class Complex:
    """A protein (its pocket marked, if known) with the molecules bound to it."""

    protein: Protein
    ligands: tuple[Molecule, ...]

    def tokens(self) -> list[str]:
        """Return the delimited tokens."""
        if not self.ligands:
            raise DocumentError("a complex has at least one ligand")
        inner = [token for ligand in self.ligands for token in ligand.tokens()]
        return ["<complex>", *self.protein.tokens(), *inner, "</complex>"]


@dataclass(frozen=True)
class Framework:
    """A metal–organic framework: the elements of its node, then its linkers."""

    node: tuple[str, ...]
    linkers: tuple[Molecule, ...]

    def tokens(self) -> list[str]:
        """Return the delimited tokens."""
        unknown = [symbol for symbol in self.node if symbol not in ELEMENT_SYMBOLS]
        if unknown or not self.node or not self.linkers:
            raise DocumentError(
                f"a framework has known node elements and at least one linker; got {self.node}"
                f" and {len(self.linkers)} linkers"
            )
        inner = [token for linker in self.linkers for token in linker.tokens()]
        node = [f"{{{symbol}}}" for symbol in self.node]
        return ["<framework>", *node, *inner, "</framework>"]


Thing = (
    Molecule | Reaction | Crystal | Protein | Peptide | CodingDNA | DNA | BindingSite | Complex
    | Framework
)  # fmt: skip
"""Any object of the language."""


def object_tokens(thing: Thing) -> list[str]:
    """Return the delimited tokens of any object.

    Raises:
        DocumentError: the object breaks a rule of its domain.
        UnknownTokenError: its text holds something the domain has no token for.
    """
    return _crystal_tokens(thing) if isinstance(thing, Crystal) else thing.tokens()


def _check_letters(text: str, allowed: frozenset[str], what: str) -> None:
    for position, letter in enumerate(text):
        if letter not in allowed:
            raise UnknownTokenError(
                letter, position, text[max(0, position - 20) : position], f"{what} sequence"
            )
    if not text:
        raise DocumentError(f"an empty {what} sequence")
