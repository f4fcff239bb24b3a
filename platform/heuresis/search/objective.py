"""From measurements to one score: desirabilities, a weighted geometric mean, hard constraints.

A desirability maps one measurement to [0, 1] (Derringer & Suich, J. Qual. Technol. 12, 214, 1980);
the score is their weighted geometric mean, so one bad property cannot be bought off by a good one.
An unmeasured desirability is at most 1: the *bound* of a half-measured candidate is an upper limit
of its final score, which is what the cascade promotes by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from heuresis.records import Measurement, Record

SIGMOID_STEEPNESS = math.log(19.0)
"""A sigmoid desirability is 0.5 at its limit and 0.05 / 0.95 one ``softness`` away from it."""


class DesirabilityTerm(Record):
    """One wish about one measure: exactly one of ``target``, ``above``, ``below``, ``between``.

    ``linear``: 1 where the wish is met, falling to 0 over one ``softness`` (or ``tolerance``).
    ``sigmoid``: 0.5 at the limit, never exactly 0, so that far-away candidates still compare.
    All numbers are in the unit of the measure.
    """

    measure: str = Field(description="`oracle.output`, e.g. `xtb.gap_eV`")
    target: float | None = Field(
        None, description="best value; 0.5 (sigmoid) or 0 (linear) one `tolerance` away"
    )
    tolerance: float | None = Field(None, gt=0, description="with `target`: half-width")
    above: float | None = Field(None, description="wanted: at least this")
    below: float | None = Field(None, description="wanted: at most this")
    between: tuple[float, float] | None = Field(None, description="wanted: inside [low, high]")
    softness: float | None = Field(
        None, gt=0, description="width of the fall-off at a limit; default 10 % of the limit"
    )
    shape: Literal["sigmoid", "linear"] = "sigmoid"
    weight: float = Field(1.0, gt=0, description="exponent in the geometric mean")

    @model_validator(mode="after")
    def _one_wish(self) -> Self:
        given = [
            name
            for name in ("target", "above", "below", "between")
            if getattr(self, name) is not None
        ]
        if len(given) != 1:
            raise ValueError(
                "expected exactly one of target, above, below, between;"
                f" got {', '.join(given) or 'none'}"
            )
        if given == ["target"]:
            if self.tolerance is None:
                raise ValueError("'target' needs 'tolerance', in the unit of the measure")
            if self.softness is not None:
                raise ValueError(
                    "'softness' belongs to above, below and between; 'target' takes 'tolerance'"
                )
        elif self.tolerance is not None:
            raise ValueError(f"'tolerance' belongs to 'target'; '{given[0]}' takes 'softness'")
        if self.between is not None and not self.between[0] < self.between[1]:
            raise ValueError(
                f"'between' expects [low, high] with low < high, got {list(self.between)}"
            )
        if self.softness is None and 0.0 in self._limits() and given != ["target"]:
            raise ValueError(f"'{given[0]}: 0' has no default softness; give 'softness'")
        return self

    def _limits(self) -> tuple[float, ...]:
        if self.between is not None:
            return self.between
        return tuple(x for x in (self.above, self.below) if x is not None)

    def _soft(self, limit: float) -> float:
        return self.softness if self.softness is not None else 0.1 * abs(limit)

    def desirability(self, value: float) -> float:
        """Return how well ``value`` meets the wish, in [0, 1]."""
        if self.target is not None and self.tolerance is not None:
            distance = abs(value - self.target) / self.tolerance
            if self.shape == "linear":
                return max(0.0, 1.0 - distance)
            return math.exp(-math.log(2.0) * min(distance, 30.0) ** 2)
        desirability = 1.0
        lower = self.above if self.above is not None else self.between[0] if self.between else None
        upper = self.below if self.below is not None else self.between[1] if self.between else None
        if lower is not None:
            desirability *= self._one_sided((value - lower) / self._soft(lower))
        if upper is not None:
            desirability *= self._one_sided((upper - value) / self._soft(upper))
        return desirability

    def _one_sided(self, margin: float) -> float:
        """Desirability of being ``margin`` softnesses on the good side of a limit."""
        if self.shape == "linear":
            return min(1.0, max(0.0, 1.0 + margin))
        return 1.0 / (1.0 + math.exp(-SIGMOID_STEEPNESS * max(-100.0, min(100.0, margin))))


class Constraint(Record):
    """A hard limit: a candidate outside it is infeasible, whatever its score."""

    measure: str = Field(description="`oracle.output`, e.g. `descriptors.sa_score`")
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("a constraint needs 'min', 'max' or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"impossible constraint: min {self.min:g} is above max {self.max:g}")
        return self

    def allows(self, value: float) -> bool:
        """Return whether ``value`` is inside the limits."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the objective says of a (perhaps half-) measured candidate."""

    bound: float
    """Upper limit of the final score; equals the score once everything is measured."""
    complete: bool
    desirabilities: dict[str, float]
    violated: str | None = None
    """Name of the first violated constraint, with the value in words."""


class Objective:
    """The aggregate of all terms and constraints of a campaign."""

    def __init__(
        self, terms: Mapping[str, DesirabilityTerm], constraints: Mapping[str, Constraint]
    ) -> None:
        self.terms = dict(terms)
        self.constraints = dict(constraints)
        self._total_weight = sum(term.weight for term in self.terms.values())

    def judge(self, measurements: Mapping[str, Measurement]) -> Judgement:
        """Judge measurements keyed ``oracle.output``; missing ones count as perfect."""
        violated = None
        for name, constraint in self.constraints.items():
            measured = measurements.get(constraint.measure)
            if measured is not None and not constraint.allows(measured.value):
                violated = f"{name}: {constraint.measure} = {measured.value:.4g} {measured.unit}"
                break
        desirabilities: dict[str, float] = {}
        log_score = 0.0
        complete = True
        for name, term in self.terms.items():
            measured = measurements.get(term.measure)
            if measured is None:
                complete = False
                continue
            value = term.desirability(measured.value)
            desirabilities[name] = value
            log_score += term.weight * (math.log(value) if value > 0.0 else -math.inf)
        bound = math.exp(log_score / self._total_weight) if self._total_weight else 0.0
        return Judgement(
            bound=bound, complete=complete, desirabilities=desirabilities, violated=violated
        )
