"""How good the best candidates are after how many evaluations: one curve and one number.

The rule of PMO (Gao et al., NeurIPS 2022, arXiv:2206.12411, and its code, ``top_auc``): the area
under the running mean of the ten best against calls, looked at every hundred calls, from 0 at the
start, divided by the budget. A run that ends early is held at its last value, so finding the
optimum early costs nothing. Early progress weighs most: reaching the final value only after c calls
loses about c/2 of the budget.

Pure functions of the scores in the order of the calls; they know no ledger and no chemistry.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

BEST = 10
STEP_CALLS = 100


def best_mean(scores: Sequence[float], best: int = BEST) -> float:
    """Return the mean of the ``best`` highest scores, of all if there are fewer; 0 of none."""
    highest = heapq.nlargest(best, scores)
    return sum(highest) / len(highest) if highest else 0.0


def running_best_mean(scores: Sequence[float], best: int = BEST) -> list[float]:
    """Return `best_mean` after each call."""
    highest: list[float] = []
    total = 0.0
    means = []
    for score in scores:
        if len(highest) < best:
            heapq.heappush(highest, score)
            total += score
        elif score > highest[0]:
            total += score - heapq.heapreplace(highest, score)
        means.append(total / len(highest))
    return means


def checkpoints(made: int, budget: int, step: int = STEP_CALLS) -> list[int]:
    """Return the numbers of calls at which the curve is looked at, the end of the run included."""
    end = min(made, budget)
    return [*range(step, end, step), end] if end else []


def area_under_curve(
    scores: Sequence[float], *, budget: int, best: int = BEST, step: int = STEP_CALLS
) -> float:
    """Return the area under the running mean of the best, divided by the budget: 0 to 1.

    Args:
        scores: one per call, in the order of the calls; those beyond the budget do not count.
        budget: calls that were allowed.
        best: how many of the best are averaged.
        step: calls between two looks at the curve.
    """
    looks = checkpoints(len(scores), budget, step)
    return area_of_looks([(k, best_mean(scores[:k], best)) for k in looks], budget=budget)


def area_of_looks(looks: Sequence[tuple[int, float]], *, budget: int) -> float:
    """Return the area under a curve that is known at some calls, divided by the budget.

    Args:
        looks: calls and the value there, in rising order of calls; straight lines join them, the
            first one starts at (0, 0), and the last value is held until the budget.
        budget: calls that were allowed.

    Raises:
        ValueError: the looks do not rise, or go beyond the budget.
    """
    if budget < 1:
        raise ValueError(f"the budget must be at least 1 call, got {budget}")
    total = value = 0.0
    called = 0
    for calls, now in looks:
        if not called < calls <= budget:
            raise ValueError(
                f"looks must rise from 1 to the budget of {budget} calls, got {calls} after"
                f" {called}"
            )
        total += (calls - called) * (now + value) / 2.0
        called, value = calls, now
    return (total + (budget - called) * value) / budget
