"""Pure decisions: what a failure leads to, and when a campaign should pause itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from heuresis.records import Failure, FailureCause

MAX_ATTEMPTS = {
    FailureCause.SETUP: 1,
    FailureCause.CALCULATION: 2,  # another seed gives another conformer
    FailureCause.IMPLAUSIBLE: 1,
    FailureCause.TIMEOUT: 1,
    FailureCause.CRASH: 3,  # then the candidate is poison: quarantined
    FailureCause.LOST: 3,
    FailureCause.CONTRACT: 1,
}
"""Only what can change is retried."""


def may_retry(failure: Failure, attempt: int) -> bool:
    """Return whether a candidate that failed on its ``attempt`` (0-based) is tried again."""
    return attempt + 1 < MAX_ATTEMPTS[failure.cause]


def quarantines(failure: Failure, attempt: int) -> bool:
    """Return whether the candidate is poison: it kills its worker, and was tried often enough."""
    return failure.cause is FailureCause.CRASH and not may_retry(failure, attempt)


@dataclass(kw_only=True)
class CircuitBreaker:
    """Pauses a campaign whose pool does nothing but fail, before it burns the budget.

    It counts failures in a row since this session started; one success closes it again. What was
    lost counts by task, not by candidate, and a pool may lose all that it has in flight once
    more than the limit: that is what one dying node can take with it.
    """

    oracle_limit: int = 12
    proposer_limit: int = 3
    in_flight: Mapping[str, int] = field(default_factory=dict)
    """Oracle → most tasks that its pool holds at once."""
    _in_a_row: dict[str, int] = field(default_factory=dict)
    _last: dict[str, Failure] = field(default_factory=dict)
    _lost_task: dict[str, str] = field(default_factory=dict)

    def success(self, pool: str) -> None:
        """Take note that a pool gave a value."""
        self._in_a_row[pool] = 0

    def failure(self, pool: str, failure: Failure, task: str) -> None:
        """Take note that a pool failed at a task, or at one candidate of it."""
        self._last[pool] = failure
        if failure.cause is FailureCause.LOST:
            if self._lost_task.get(pool) == task:
                return
            self._lost_task[pool] = task
        self._in_a_row[pool] = self._in_a_row.get(pool, 0) + 1

    def tripped(self, proposers: frozenset[str]) -> str | None:
        """Return why the campaign should pause, or None."""
        for pool, count in self._in_a_row.items():
            limit = self.proposer_limit if pool in proposers else self.oracle_limit
            if count < limit:
                continue
            last = self._last[pool]
            if last.cause is FailureCause.LOST:
                limit += self.in_flight.get(pool, 0)
            if count >= limit:
                return (
                    f"{pool} failed {count} times in a row; last cause: {last.cause.value}:"
                    f" {last.message}"
                )
        return None
