"""How much a campaign may spend, as it stands under ``budget:`` in a campaign file."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from heuresis.records import Record

_UNITS_s = {"s": 1.0, "sec": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"^\s*([0-9]*\.?[0-9]+)\s*(s|sec|min|h|d)\s*$")


def duration_s(value: Any) -> float:
    """Read a duration such as ``90 s``, ``10 min``, ``2 h``, ``3 d``; return seconds.

    Raises:
        ValueError: no unit, an unknown unit, or not positive.
    """
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            "expected a duration with a unit such as '90 s', '10 min', '2 h' or '3 d',"
            f" got {value!r}"
        )
    seconds = float(match[1]) * _UNITS_s[match[2]]
    if seconds <= 0:
        raise ValueError(f"a duration must be positive, got {value!r}")
    return seconds


def _duration_or_seconds(value: Any) -> Any:
    # A resolved spec and a ledger store seconds as a number; a person must write the unit.
    return value if isinstance(value, float) else duration_s(value)


Count = Annotated[int, Field(ge=1)]


class Budget(Record):
    """Limits; the campaign ends when the first one is reached. At least one is required.

    ``evaluations``: an integer counts evaluations by metered oracles (cost class above
    negligible; all oracles when none is metered); a mapping limits oracles one by one.
    """

    evaluations: Count | dict[str, Count] | None = None
    candidates: Count | None = Field(None, description="candidates admitted to the first oracle")
    wall_time: Annotated[float, BeforeValidator(_duration_or_seconds)] | None = Field(
        None, description="running time over all sessions, e.g. `10 min`"
    )


def duration(seconds: float) -> str:
    """Write a duration: ``8 s``, ``3 min 20 s``, ``2 h 05 min``, ``3 d 4 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def budget_words(budget: Budget) -> str:
    """Say what a campaign may spend."""
    parts = []
    if isinstance(budget.evaluations, int):
        parts.append(f"{budget.evaluations} evaluations")
    elif budget.evaluations is not None:
        parts += [f"{count} evaluations of {name}" for name, count in budget.evaluations.items()]
    if budget.candidates is not None:
        parts.append(f"{budget.candidates} candidates")
    if budget.wall_time is not None:
        parts.append(f"{duration(budget.wall_time)} of running time")
    return ", ".join(parts)
