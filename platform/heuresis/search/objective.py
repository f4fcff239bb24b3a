"""From measurements to one score: desirabilities, a weighted geometric mean, hard constraints.

A desirability maps one measurement to [0, 1] (Derringer & Suich, J. Qual. Technol. 12, 214, 1980);
the score is their weighted geometric mean, so one bad property cannot be bought off by a good one.
An unmeasured desirability is at most 1: the *bound* of a half-measured candidate is an upper limit
of its final score, which is what the cascade promotes by.

A measurement may carry its standard error. A term says what it makes of it: nothing (``mean``), the
worse end of an interval (``lower-bound``), or the probability that the wish is met.
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


_LEAST_PROBABILITY = 1e-12


def _tail(deviations: float) -> float:
    """Return the probability that a standard normal variable exceeds ``deviations``."""
    return 0.5 * math.erfc(deviations / math.sqrt(2.0))


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
    judge_by: Literal["mean", "lower-bound", "probability"] = Field(
        "mean",
        description="what counts: the value; the worse end of value ± `deviations` standard errors;"
        " or the probability that the wish is met",
    )
    deviations: float | None = Field(
        None,
        gt=0,
        le=10,
        description="with `judge_by: lower-bound`: standard errors either way; default 1",
    )
    uncertainty: float | None = Field(
        None,
        gt=0,
        description="standard error to add to that of the measurement (in quadrature), in its unit:"
        " what is known of the method's own error",
    )

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
        if self.judge_by == "mean" and self.uncertainty is not None:
            raise ValueError(
                "'uncertainty' is heeded with judge_by: lower-bound or probability, and this"
                " objective is judged by the mean"
            )
        if self.judge_by != "lower-bound" and self.deviations is not None:
            raise ValueError("'deviations' belongs to judge_by: lower-bound")
        if self.judge_by == "probability":
            if self.softness is not None or self.shape != "sigmoid":
                raise ValueError(
                    "'softness' and 'shape' have no meaning with judge_by: probability; what"
                    " softens a limit is the uncertainty"
                )
            return self
        if self.softness is None and 0.0 in self._limits() and given != ["target"]:
            raise ValueError(f"'{given[0]}: 0' has no default softness; give 'softness'")
        return self

    def _limits(self) -> tuple[float, ...]:
        if self.between is not None:
            return self.between
        return tuple(x for x in (self.above, self.below) if x is not None)

    def _soft(self, limit: float) -> float:
        return self.softness if self.softness is not None else 0.1 * abs(limit)

    @property
    def certainty(self) -> str:
        """How uncertainty counts, in words to put behind the wish; empty for the plain value."""
        if self.judge_by == "mean":
            return ""
        added = f", ± {self.uncertainty:g} added" if self.uncertainty is not None else ""
        if self.judge_by == "probability":
            return f" (probability{added})"
        return f" (worse end of ± {self.deviations or 1.0:g} standard errors{added})"

    def judged(self, measured: Measurement) -> float:
        """Return how well a measurement meets the wish, in [0, 1], as ``judge_by`` says."""
        error = math.hypot(measured.uncertainty or 0.0, self.uncertainty or 0.0)
        if self.judge_by == "probability":
            return self.probability(measured.value, error)
        if self.judge_by == "lower-bound":
            # Every desirability falls on both sides of its best, so an end of an interval is worst.
            reach = (self.deviations or 1.0) * error
            return min(
                self.desirability(measured.value - reach), self.desirability(measured.value + reach)
            )
        return self.desirability(measured.value)

    def probability(self, value: float, error: float) -> float:
        """Return the probability that a normally distributed value meets the wish.

        Never exactly 0, so that far-away candidates still compare.

        Args:
            value: mean, in the unit of the measure.
            error: standard error, in the same unit; 0 gives a step.
        """
        if self.target is not None and self.tolerance is not None:
            low, high = self.target - self.tolerance, self.target + self.tolerance
        elif self.between is not None:
            low, high = self.between
        else:
            low = -math.inf if self.above is None else self.above
            high = math.inf if self.below is None else self.below
        if error == 0.0:
            return 1.0 if low <= value <= high else _LEAST_PROBABILITY
        # In the tail that is smaller, so that nothing cancels: 1 - 1e-20 would be 1.
        if value > high:
            inside = _tail((value - high) / error) - _tail((value - low) / error)
        elif value < low:
            inside = _tail((low - value) / error) - _tail((high - value) / error)
        else:
            inside = 1.0 - _tail((value - low) / error) - _tail((high - value) / error)
        return max(_LEAST_PROBABILITY, inside)

    def desirability(self, value: float) -> float:
        """Return how well ``value`` meets the wish, in [0, 1], whatever its uncertainty."""
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
            value = term.judged(measured)
            desirabilities[name] = value
            log_score += term.weight * (math.log(value) if value > 0.0 else -math.inf)
        bound = math.exp(log_score / self._total_weight) if self._total_weight else 0.0
        return Judgement(
            bound=bound, complete=complete, desirabilities=desirabilities, violated=violated
        )
