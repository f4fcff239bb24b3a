"""The grammar: how an object becomes a document, the sequence of tokens that the model learns.

A molecule is ``<bos> <molecule> FORM token … token <eos>`` where FORM says which of the many SMILES
of one molecule follows: ``<canonical>`` (one per molecule: easiest to write validly, used for
sampling) or ``<randomized>`` (any atom first, any branch order: used for augmentation, and for
keeping part of a molecule and writing the rest anew, which needs every part to be able to come
first).

Further objects (crystals, proteins, reactions …) add a start tag, their own text tokens and a
method here; nothing else in the package knows what a document means.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from heuresis_models.vocabulary import BEGIN, CANONICAL, END, MOLECULE, RANDOMIZED, Vocabulary


class Form(StrEnum):
    """Which SMILES of a molecule a document holds."""

    CANONICAL = CANONICAL
    RANDOMIZED = RANDOMIZED


class Grammar:
    """Builds and reads documents in one vocabulary."""

    head_length = 3
    """Tokens before the text: begin, start tag, form. They are given, never learned."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.begin = vocabulary[BEGIN]
        self.end = vocabulary[END]

    def head(self, form: Form) -> list[int]:
        """Return the tokens that ask for a molecule in a form; sampling starts from them."""
        return [self.begin, self.vocabulary[MOLECULE], self.vocabulary[form]]

    def document(self, smiles: str, form: Form) -> list[int]:
        """Return the whole document of one molecule.

        Raises:
            TokenError: the SMILES cannot be cut into tokens.
        """
        return [*self.head(form), *self.vocabulary.encode(smiles), self.end]

    def text(self, document: Sequence[int]) -> str:
        """Return the text of a document or of a part of it."""
        return self.vocabulary.decode(document)
