"""Errors of the surrogates.

UserError
└── SurrogateError   training points, settings or files of a surrogate cannot be used
"""

from __future__ import annotations

from heuresis.errors import UserError


class SurrogateError(UserError):
    """Points, settings or files of a surrogate cannot be used; the message says which and why."""
