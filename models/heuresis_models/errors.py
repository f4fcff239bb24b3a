"""Errors of the model package; all are the user's to fix, so they show as one sentence.

UserError
├── TokenError      a text cannot be cut into tokens of the vocabulary
├── WeightsError    a model folder is missing, damaged, or of another vocabulary
├── RecipeError     a training recipe is wrong
├── DataError       a training file is missing, damaged or holds what is not a molecule
└── TrainingError   a worker of a training died
"""

from __future__ import annotations

from heuresis.errors import UserError


class TokenError(UserError):
    """A text cannot be cut into tokens.

    Args:
        text: the whole text.
        position: 0-based index of the first character that no token covers.
    """

    def __init__(self, text: str, position: int) -> None:
        self.text = text
        self.position = position
        piece = text[position : position + 12]
        start = max(0, position - 20)
        super().__init__(
            f"no token for {piece!r} at position {position} (after {text[start:position]!r});"
            " expected an atom, bond, branch, ring number or bracket atom of SMILES"
        )


class WeightsError(UserError):
    """A model folder cannot be used; the message says which file and why."""


class RecipeError(UserError):
    """A training recipe is wrong; the message names the key."""


class DataError(UserError):
    """A training file cannot be used; the message names file and line."""


class TrainingError(UserError):
    """A training ended too early; the message says why and that it can be continued."""
