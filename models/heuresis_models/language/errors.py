"""Errors of the language package; all are the user's to fix, so they show as one sentence.

UserError
├── UnknownTokenError   a piece of text is no token: names piece, position and, if known, the row
├── DocumentError       tokens are known, but do not stand in an order that the grammar allows
│   └── OverlongError   a document has more tokens than the caller can hold
├── CrystalTextError    a crystal cannot be written, or a written crystal is no crystal
├── SourceError         a data file is missing, changed, damaged, or has an unexpected row
└── TokenizerFileError  a ``tokenizer.json`` is damaged or belongs to another vocabulary
"""

from __future__ import annotations

from heuresis.errors import UserError
from heuresis.spaces.crystals.errors import CrystalTextError

__all__ = [
    "CrystalTextError",
    "DocumentError",
    "OverlongError",
    "SourceError",
    "TokenizerFileError",
    "UnknownTokenError",
]


class UnknownTokenError(UserError):
    """A piece of a text is no token of the vocabulary.

    Args:
        piece: what stands there.
        position: 0-based character index in the text.
        before: what stands before it, for orientation.
        where: file and row, when the text came from a file.
    """

    def __init__(self, piece: str, position: int, before: str, where: str = "") -> None:
        self.piece = piece
        self.position = position
        self.where = where
        place = f"{where}: " if where else ""
        super().__init__(
            f"{place}no token for {piece!r} at position {position} (after {before!r});"
            " expected a tag such as <molecule>, or a payload token of the open object"
            " (docs/grammar.md lists all)"
        )


class DocumentError(UserError):
    """A sequence of tokens, or the parts of a document, do not follow the grammar."""


class OverlongError(DocumentError):
    """A document has more tokens than the caller can hold."""

    def __init__(self, tokens: int, limit: int, where: str = "") -> None:
        self.tokens = tokens
        self.limit = limit
        place = f"{where}: " if where else ""
        super().__init__(
            f"{place}a document has {tokens} tokens, the limit is {limit}; leave it out, raise the"
            " limit, or cut a fragment (proteins and DNA: document.fragment)"
        )


class SourceError(UserError):
    """A data file cannot be used; the message names file, row and what was expected."""


class TokenizerFileError(UserError):
    """A ``tokenizer.json`` is damaged, of another schema, or of another vocabulary."""
