"""One oracle, several seeds: the mean counts, and what the seeds disagree on is its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean, stdev

from heuresis.randomness import derived_seed
from heuresis.records import Candidate, Evaluation, Failure, Measurement, Outcome


def repeat_seed(seed: int, repeat: int) -> int:
    """Return the seed of one repeat; the first is the seed itself, as without repeats."""
    return seed if repeat == 0 else derived_seed(seed, "repeat", str(repeat))


def repeated(
    evaluate: Callable[[Sequence[Candidate], int], Sequence[Outcome]],
    candidates: Sequence[Candidate],
    seed: int,
    repeats: int,
) -> tuple[Outcome, ...]:
    """Measure with several seeds and join what they say of each candidate.

    Args:
        evaluate: returns the outcomes of candidates with a given seed, in order.
        candidates: what to measure; one that has failed is not repeated.
        seed: of the task.
        repeats: how many seeds.
    """
    if repeats == 1:
        return tuple(evaluate(candidates, seed))
    said: list[list[Outcome]] = [[] for _ in candidates]
    alive = list(range(len(candidates)))
    for repeat in range(repeats):
        outcomes = evaluate([candidates[i] for i in alive], repeat_seed(seed, repeat))
        for i, outcome in zip(alive, outcomes, strict=True):
            said[i].append(outcome)
        alive = [i for i in alive if isinstance(said[i][-1], Evaluation)]
        if not alive:
            break
    return tuple(joined(outcomes, repeats) for outcomes in said)


def joined(outcomes: Sequence[Outcome], repeats: int) -> Outcome:
    """Join the outcomes of one candidate with several seeds.

    All must have succeeded: a result that one seed gives and another does not is inconclusive, for
    the reason of the first failure. The value is the mean; its standard error is the larger of what
    the scatter of the repeats says and what they said themselves.
    """
    for number, outcome in enumerate(outcomes, 1):
        if isinstance(outcome, Failure):
            message = f"repeat {number} of {repeats}: {outcome.message}"
            return outcome.model_copy(update={"message": message})
    evaluations = [outcome for outcome in outcomes if isinstance(outcome, Evaluation)]
    checks = set.intersection(*(set(one.checks) for one in evaluations))
    return Evaluation(
        measurements={
            name: _mean([one.measurements[name] for one in evaluations])
            for name in evaluations[0].measurements
        },
        checks=tuple(check for check in evaluations[0].checks if check in checks),
    )


def _mean(measurements: Sequence[Measurement]) -> Measurement:
    count = len(measurements)
    values = [measurement.value for measurement in measurements]
    scatter = stdev(values) / math.sqrt(count)
    claimed = math.sqrt(fmean((m.uncertainty or 0.0) ** 2 for m in measurements) / count)
    return Measurement(
        value=fmean(values), unit=measurements[0].unit, uncertainty=max(scatter, claimed)
    )
