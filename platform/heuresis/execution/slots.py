"""The driver's books about actors that work elsewhere: pure bookkeeping, no Ray.

A slot is a place for an actor; actors die and are replaced, slots stay.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from heuresis.errors import PoolError
from heuresis.execution.bookkeeping import PoolUse, Tally, worker_name
from heuresis.execution.isolation import longest_run_s
from heuresis.execution.worker import Report
from heuresis.records import Failure, FailureCause
from heuresis.tasks import EvaluateResult, EvaluateTask, PoolSpec, Task

TASKS_PER_ACTOR = 2
"""One to work on, and the next one at hand: an actor never idles for a round trip.

Only where the plug-in runs in a child process. A plug-in that takes its actor with it can also
take the answer to the task before, still on its way; those get one task at a time, so that a death
is never blamed on another task.
"""


@dataclass(eq=False)
class Call:
    """A task that an actor has."""

    task: Task
    submitted_at: float
    """Unix seconds."""
    reference: Any
    """What the answer is known by."""


@dataclass(eq=False)
class Slot:
    """A place for one actor, and what is expected of it."""

    name: str
    actor: Any = None
    starting: Any = None
    """Reference to the answer that the actor is ready; None once it came."""
    host: str = ""
    calls: deque[Call] = field(default_factory=deque)
    patience_until: float | None = None
    """Monotonic time at which the start, or the oldest call, counts as hung; None: never."""
    lives: int = 0

    @property
    def is_ready(self) -> bool:
        """Tell whether tasks can be given to it."""
        return self.actor is not None and self.starting is None


class SlotPool:
    """The slots of one pool, the tasks that wait for them, and the pool's deaths."""

    def __init__(self, spec: PoolSpec) -> None:
        self.spec = spec
        self.slots = [Slot(worker_name(spec, number + 1)) for number in range(spec.workers)]
        self.waiting: deque[tuple[Task, float]] = deque()
        self.tally = Tally()
        self.deaths = 0
        """Actors that died since the last task was done."""
        self.broken: PoolError | None = None
        self._calls_per_slot = TASKS_PER_ACTOR if spec.isolated else 1

    def assignments(self) -> Iterator[tuple[Slot, Task, float]]:
        """Take waiting tasks, oldest first, each for the ready actor that has least to do.

        The caller appends a `Call` to the slot before it asks for the next.
        """
        while self.waiting:
            ready = (slot for slot in self.slots if slot.is_ready)
            slot = min(ready, key=lambda slot: len(slot.calls), default=None)
            if slot is None or len(slot.calls) >= self._calls_per_slot:
                return
            yield slot, *self.waiting.popleft()

    def watch(self, slot: Slot, grace_s: float) -> None:
        """Start the clock of a slot's oldest call: the worker's own limit and a grace."""
        slot.patience_until = None
        if not slot.calls or self.spec.timeout_s is None:
            return
        task, limit_s = slot.calls[0].task, self.spec.timeout_s
        if isinstance(task, EvaluateTask):
            count = len(task.candidates)
            limit_s = longest_run_s(limit_s, count) if self.spec.isolated else limit_s * count
        slot.patience_until = time.monotonic() + limit_s + grace_s

    def overdue(self) -> list[Slot]:
        """Return the slots whose patience has run out."""
        now = time.monotonic()
        return [s for s in self.slots if s.patience_until is not None and s.patience_until <= now]

    def drop_everything(self) -> set[str]:
        """Forget all tasks, return their ids."""
        tasks = [task for task, _ in self.waiting]
        tasks += [call.task for slot in self.slots for call in slot.calls]
        self.waiting.clear()
        return {task.id for task in tasks}

    def use(self) -> PoolUse:
        """Return the figures of this moment."""
        calls = [len(slot.calls) for slot in self.slots]
        return self.tally.use(
            self.spec,
            ready=sum(slot.is_ready for slot in self.slots),
            running=sum(map(bool, calls)),
            waiting=len(self.waiting) + sum(max(0, count - 1) for count in calls),
        )


def fate(spec: PoolSpec, *, reason: str, hung: bool, blameless: bool, was_next: bool) -> Failure:
    """Say what a call of a dead actor settles as.

    Args:
        spec: the pool.
        reason: how the actor ended, for people.
        hung: it was killed because it gave no sign of life in time.
        blameless: its node died or could not be reached.
        was_next: the call was the oldest one, so the actor was probably at it.

    Returns:
        A timeout or a crash for the call that may have caused it, lost for the others. What an
        isolated oracle does cannot kill an actor, so its calls are always lost.
    """
    if hung and was_next:
        return Failure(
            cause=FailureCause.TIMEOUT, message="no answer in time; the worker was stopped"
        )
    if was_next and not blameless and not spec.isolated:
        message = f"the worker died at this task: {reason}"
        return Failure(cause=FailureCause.CRASH, message=message)
    return Failure(cause=FailureCause.LOST, message=f"the worker was lost: {reason}")


def report_of(failure: Failure, task: Task) -> Report:
    """Return the report that a worker could not write; evaluations fail one by one."""
    now = time.time()
    result: EvaluateResult | Failure = failure
    if isinstance(task, EvaluateTask):
        result = EvaluateResult(outcomes=(failure,) * len(task.candidates))
    return Report(
        result=result,
        started_at=now,
        ended_at=now,
        duration_s=0.0,
        cpu_s=None,
    )
