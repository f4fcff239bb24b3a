"""Errors of crystals; all are the user's to fix, so they show as one sentence.

UserError
├── CrystalTextError    a crystal cannot be written, or a written crystal is no crystal
└── CompositionError    a composition holds no element, an unknown one, or a count below 1
"""

from __future__ import annotations

from heuresis.errors import UserError


class CrystalTextError(UserError):
    """A crystal cannot be written as text, or a text does not describe a crystal."""


class CompositionError(UserError):
    """A composition of no elements, of an unknown one, or with a count below 1."""
