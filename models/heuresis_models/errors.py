"""Errors of the model package; all are the user's to fix, so they show as one sentence.

UserError (more: `language.errors`)
├── WeightsError    a model folder is missing, damaged, or of another vocabulary
├── RecipeError     a training recipe is wrong
├── DataError       a training file is missing, damaged or holds what is not a molecule
└── TrainingError   a worker of a training died
"""

from __future__ import annotations

from heuresis.errors import UserError


class WeightsError(UserError):
    """A model folder cannot be used; the message says which file and why."""


class RecipeError(UserError):
    """A training recipe is wrong; the message names the key."""


class DataError(UserError):
    """A training file cannot be used; the message names file and line."""


class TrainingError(UserError):
    """A training ended too early; the message says why and that it can be continued."""
