"""An executor that asks before it measures: has a campaign that shares with us done it already?

It stands between the controller and any other executor and changes nothing but the time that
things take. An answer from the store is the very outcome that the oracle would have given (the
question holds all that decides it), so the events of a campaign are the same with an empty store, a
full one, and none. Where an answer came from stands in its `Timing`, beside the event.
"""

from __future__ import annotations

import json
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from heuresis.execution.measurement_store import Answer, MeasurementStore
from heuresis.execution.outcomes import verified
from heuresis.ports import Executor
from heuresis.records import (
    CostClass,
    Failure,
    FailureCause,
    OracleDeclaration,
    Origin,
    Outcome,
    Timing,
    canonical_json,
)
from heuresis.tasks import EvaluateResult, EvaluateTask, PoolSpec, Settlement, Task

_OF_THE_CANDIDATE = (FailureCause.SETUP, FailureCause.CALCULATION, FailureCause.IMPLAUSIBLE)


class _Partly(NamedTuple):
    """A task of which some candidates were known."""

    task: EvaluateTask
    known: dict[str, Answer]


class SharingExecutor:
    """An `heuresis.ports.Executor` that shares measurements through a `MeasurementStore`.

    Args:
        executor: who does what nobody has done before.
        path: the file that is shared.
        declarations: of the oracles, by pool. Those of negligible cost are not shared: asking
            would cost as much as measuring.
        run: the name of this run, kept with what it measures.
        in_order: answers come in the order of submission, as this executor's do (inline); without
            it, what is known settles at once.
        say: called with one line for the user when something is wrong with the file.
    """

    def __init__(
        self,
        executor: Executor,
        path: Path,
        declarations: Mapping[str, OracleDeclaration],
        *,
        run: str,
        in_order: bool = False,
        say: Callable[[str], None] = print,
    ) -> None:
        self._executor = executor
        self._path = path
        self._declarations = {
            name: declaration
            for name, declaration in declarations.items()
            if declaration.cost_class is not CostClass.NEGLIGIBLE
        }
        self._run = run
        self._in_order = in_order
        self._say = say
        self._store: MeasurementStore | None = None
        self._pools: dict[str, PoolSpec] = {}
        self._measuring: dict[str, _Partly] = {}
        """Tasks of shared oracles that the executor has, by id."""
        self._known: dict[str, Settlement] = {}
        """What needs no executor, by task."""
        self._order: deque[str] = deque()

    def __getattr__(self, name: str) -> Any:
        """Hand on what executors have besides the port: use of the pools, addresses."""
        return getattr(self._executor, name)

    def start(self, pools: Sequence[PoolSpec]) -> None:
        """Open the file and start the workers.

        Raises:
            UserError: the file is none of shared measurements.
        """
        if self._store is None:
            self._store = MeasurementStore.open(self._path, say=self._say)
        self._executor.start(pools)
        self._pools.update({pool.name: pool for pool in pools})

    def submit(self, task: Task) -> None:
        """Settle what is known, hand on the rest."""
        if task.id in self._known:
            raise ValueError(f"task '{task.id}' was submitted before and has not settled")
        if not isinstance(task, EvaluateTask) or task.pool not in self._declarations:
            self._executor.submit(task)
        else:
            known = self._answers(task)
            missing = tuple(c for c in task.candidates if c.id not in known)
            if not missing:
                self._known[task.id] = self._settled_by_others(task, known)
            else:
                self._executor.submit(task.model_copy(update={"candidates": missing}))
                self._measuring[task.id] = _Partly(task, known)
        if self._in_order:
            self._order.append(task.id)

    def next_settled(self, timeout_s: float) -> Settlement | None:
        """Return the next settled task, known or measured."""
        if self._in_order:
            if not self._order or timeout_s <= 0.0:
                return None
            known = self._known.pop(self._order[0], None)
        else:
            known = self._known.pop(next(iter(self._known)), None) if self._known else None
        settlement = known or self._executor.next_settled(timeout_s)
        if settlement is None:
            return None
        if self._in_order:
            self._order.popleft()
        partly = self._measuring.pop(settlement.task, None)
        return settlement if partly is None else self._whole(partly, settlement)

    def close(self) -> None:
        """Stop all workers and let go of the file; safe to call twice."""
        self._executor.close()
        if self._store is not None:
            self._store.close()
            self._store = None
        for kept in (self._pools, self._measuring, self._known, self._order):
            kept.clear()

    def _answers(self, task: EvaluateTask) -> dict[str, Answer]:
        """Return what is known, by candidate; nothing that the oracle could not have said."""
        assert self._store is not None
        declaration = self._declarations[task.pool]
        questions = self._questions(task)
        found = self._store.find(list(questions.values()))
        known = {}
        for candidate in task.candidates:
            answer = found.get(questions[candidate.id])
            if answer is None:
                continue
            [outcome] = verified([answer.outcome], declaration, [candidate])
            if outcome == answer.outcome and _lasting(outcome, declaration):
                known[candidate.id] = answer
        return known

    def _questions(self, task: EvaluateTask) -> dict[str, str]:
        """Return all that decides the outcome of each candidate, as text, by candidate."""
        pool, declaration = self._pools[task.pool], self._declarations[task.pool]
        question = {
            "oracle": declaration.kind,
            "version": declaration.version,
            "settings": json.loads(canonical_json(pool.config)),
            "repeats": pool.repeats,
            "seed": task.seed if declaration.seeded else None,
            "space": pool.space_kind,
        }
        return {c.id: canonical_json({**question, "candidate": c.text}) for c in task.candidates}

    def _settled_by_others(self, task: EvaluateTask, known: dict[str, Answer]) -> Settlement:
        now = time.time()
        return Settlement(
            task=task.id,
            result=EvaluateResult(outcomes=tuple(known[c.id].outcome for c in task.candidates)),
            timing=Timing(
                submitted_at=now,
                started_at=now,
                ended_at=now,
                duration_s=0.0,
                cpu_s=0.0,
                host=socket.gethostname(),
            ),
            origins={candidate: answer.origin for candidate, answer in known.items()},
        )

    def _whole(self, partly: _Partly, settlement: Settlement) -> Settlement:
        """Share what was measured, and put what was known back into its place."""
        task, known = partly
        result = settlement.result
        missing = [c.id for c in task.candidates if c.id not in known]
        if isinstance(result, Failure):
            outcomes: tuple[Outcome, ...] = (result,) * len(missing)
            if not known:
                return settlement
        elif not isinstance(result, EvaluateResult) or len(result.outcomes) != len(missing):
            return settlement  # broken in a way that the controller judges
        else:
            outcomes = result.outcomes
            self._share(task, dict(zip(missing, outcomes, strict=True)), settlement.timing)
        measured = dict(zip(missing, outcomes, strict=True))
        return settlement.model_copy(
            update={
                "result": EvaluateResult(
                    outcomes=tuple(
                        known[c.id].outcome if c.id in known else measured[c.id]
                        for c in task.candidates
                    )
                ),
                "origins": {candidate: answer.origin for candidate, answer in known.items()},
            }
        )

    def _share(self, task: EvaluateTask, measured: dict[str, Outcome], timing: Timing) -> None:
        assert self._store is not None
        origin = Origin(
            run=self._run,
            measured_at=timing.ended_at,
            duration_s=timing.duration_s / len(measured),
            cpu_s=None if timing.cpu_s is None else timing.cpu_s / len(measured),
        )
        declaration = self._declarations[task.pool]
        questions = self._questions(task)
        self._store.keep(
            {
                questions[candidate]: Answer(outcome, origin)
                for candidate, outcome in measured.items()
                if _lasting(outcome, declaration)
            }
        )


def _lasting(outcome: Outcome, declaration: OracleDeclaration) -> bool:
    """Whether an outcome is a property of the candidate: it would be the same the next time.

    Never shared: time limits, crashes, lost workers, broken plug-ins, and errors that no oracle
    raises on purpose (they carry a traceback): a full disk looks like that.
    """
    if not isinstance(outcome, Failure):
        return True
    if outcome.cause is not FailureCause.IMPLAUSIBLE and not declaration.failures_repeat:
        return False
    return outcome.cause in _OF_THE_CANDIDATE and outcome.detail is None
