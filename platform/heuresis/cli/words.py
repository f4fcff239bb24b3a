"""Numbers, objectives and budgets in words, the same in every table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from heuresis.engine.budget import budget_words, duration

if TYPE_CHECKING:
    from heuresis.records import Measurement
    from heuresis.search.objective import Constraint, DesirabilityTerm


def number(value: float, digits: int = 4) -> str:
    """Write a number with so many significant digits, no exponent where none is needed."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.{digits}g}" if 1e-4 <= abs(value) < 1e6 else f"{value:.{digits - 1}e}"


def measured(measurement: Measurement, *, unit: bool = False) -> str:
    """Write a value, rounded to its uncertainty, as ``0.412±0.013`` and perhaps its unit."""
    spread = measurement.uncertainty
    if spread is not None and spread > 0:
        places = max(0, min(8, 1 - math.floor(math.log10(spread))))
        text = f"{measurement.value:.{places}f}±{spread:.{places}f}"
    else:
        text = number(measurement.value)
    return f"{text} {unit_word(measurement.unit)}".rstrip() if unit else text


def unit_word(unit: str) -> str:
    """Return a unit for people: nothing for dimensionless, Å for angstrom."""
    return {"1": "", "angstrom": "Å", "angstrom2": "Å²"}.get(unit, unit)


def wish(term: DesirabilityTerm, unit: str) -> str:
    """Say what an objective wants, e.g. ``near 2.9 eV (± 0.3)``."""
    word = unit_word(unit)
    tail = f" {word}" if word else ""
    soft = f" (softness {term.softness:g})" if term.softness is not None else ""
    if term.target is not None:
        text = f"near {term.target:g}{tail} (± {term.tolerance:g})"
    elif term.above is not None:
        text = f"at least {term.above:g}{tail}{soft}"
    elif term.below is not None:
        text = f"at most {term.below:g}{tail}{soft}"
    else:
        low, high = term.between or (0.0, 0.0)
        text = f"between {low:g} and {high:g}{tail}{soft}"
    return text if term.weight == 1.0 else f"{text}, weight {term.weight:g}"


def limit(constraint: Constraint, unit: str) -> str:
    """Say what a constraint demands, e.g. ``at most 4.5``."""
    word = unit_word(unit)
    tail = f" {word}" if word else ""
    parts = []
    if constraint.min is not None:
        parts.append(f"at least {constraint.min:g}{tail}")
    if constraint.max is not None:
        parts.append(f"at most {constraint.max:g}{tail}")
    return " and ".join(parts)


__all__ = [
    "budget_words", "duration", "limit", "measured", "number", "unit_word", "wish",
]  # fmt: skip
