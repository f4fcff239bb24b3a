"""The executor's side of an isolated oracle: deadlines, deaths, restarts.

`IsolatedWorker` gives every candidate a hard time limit and survives whatever native code does. If
a batch ends in a death or a timeout, nobody knows whose fault it was, so its candidates run again,
each alone, at most once: only the guilty one pays.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable

from heuresis.errors import PoolError
from heuresis.execution.guarded_process import KILL_GRACE_S, Died, GuardedProcess, Overdue
from heuresis.execution.outcomes import reproducible, tail
from heuresis.execution.worker import INSTALLED_PLUGINS, Report, WorkerHost, check_task
from heuresis.records import Failure, FailureCause, Outcome
from heuresis.tasks import EvaluateResult, EvaluateTask, PoolSpec, Task

START_LIMIT_S = 180.0
"""A worker that has not finished its imports after this long will not."""
START_ATTEMPTS = 3


def open_worker(pool: PoolSpec, plugins: str) -> WorkerHost | IsolatedWorker:
    """Start the kind of worker that a pool asks for: in this process or in a child of its own.

    Raises:
        PoolError: the plug-in cannot be started.
    """
    if pool.role == "oracle" and pool.isolated:
        return IsolatedWorker(pool, plugins=plugins)
    return WorkerHost(pool, plugins=plugins)


def longest_run_s(timeout_s: float, candidates: int) -> float:
    """Return the longest that `IsolatedWorker.run` takes for a batch, in seconds."""
    start_s = START_ATTEMPTS * (START_LIMIT_S + KILL_GRACE_S)
    together_s = start_s + candidates * timeout_s + KILL_GRACE_S
    alone_s = candidates * (start_s + timeout_s + KILL_GRACE_S) if candidates > 1 else 0.0
    return together_s + alone_s


class IsolatedWorker:
    """Runs the tasks of one isolated oracle in a child process that can be killed.

    The process starts here and is awaited by the first task, so several workers load their
    libraries at the same time. After a death or a timeout the next task starts a fresh one.

    Args:
        pool: an oracle pool.
        plugins: where plug-in classes come from, see `heuresis.execution.worker`.
    """

    def __init__(self, pool: PoolSpec, *, plugins: str = INSTALLED_PLUGINS) -> None:
        if sys.platform != "linux":
            raise PoolError(
                f"pool '{pool.name}': isolated oracles need Linux, this is {sys.platform};"
                " run in a container"
            )
        self._pool = pool
        self._plugins = plugins
        self._aborted = False
        self._child: GuardedProcess | None = self._new_child()

    @property
    def process_id(self) -> int | None:
        """Process id of the guardian, None while no process is alive."""
        return self._child.process.pid if self._child is not None else None

    def wait_until_ready(self) -> None:
        """Return when the process has loaded its oracle and waits for tasks.

        Raises:
            PoolError: as for `run`.
        """
        self._ready_child()

    def run(self, task: Task, begun: Callable[[], None] | None = None) -> Report:
        """Measure the candidates of an `EvaluateTask`; see `Worker.run`.

        Args:
            task: an `EvaluateTask`.
            begun: called when the process has got it, or soon gets it; from then on, and until
                this returns, `announce` may be used.

        Raises:
            PoolError: the oracle refused to start, or its process died three times while starting.
        """
        check_task(task, {self._pool.name: self._pool})
        assert isinstance(task, EvaluateTask)
        first = self._attempt(task, begun)
        if isinstance(first, Report):
            return first
        started_at, clock, failure = first
        outcomes: tuple[Outcome, ...] = (failure,)
        if len(task.candidates) > 1:
            outcomes = tuple(self._alone(task, index) for index in range(len(task.candidates)))
        return Report(
            result=EvaluateResult(outcomes=outcomes),
            started_at=started_at,
            ended_at=max(time.time(), started_at),
            duration_s=time.monotonic() - clock,
            cpu_s=None,
        )

    def announce(self, task: EvaluateTask) -> None:
        """Give the process the task that `run` gets after the one that it runs; from any thread.

        The process begins with it at once when it is done, and idles for no round trip. Who
        announces a task must run it next, and announces one at a time. It costs nothing if the
        process dies: `run` sends the task to the next one, and nobody else is blamed.
        """
        child = self._child
        if child is not None:
            child.announce(task.id, task.model_dump_json().encode())

    def _alone(self, task: EvaluateTask, index: int) -> Outcome:
        single = task.model_copy(update={"candidates": (task.candidates[index],)})
        attempt = self._attempt(single)
        if isinstance(attempt, Report):
            assert isinstance(attempt.result, EvaluateResult)
            return attempt.result.outcomes[0]
        return attempt[2]

    def _attempt(
        self, task: EvaluateTask, begun: Callable[[], None] | None = None
    ) -> Report | tuple[float, float, Failure]:
        """Run once: a report, or when it began (Unix and monotonic seconds) and why it failed."""
        child = self._ready_child()
        count = len(task.candidates)
        limit_s = None if self._pool.timeout_s is None else self._pool.timeout_s * count
        started_at, clock = time.time(), time.monotonic()
        try:
            request = task.model_dump_json().encode()
            answer = child.exchange(request, limit_s, key=task.id, begun=begun)
            report = Report.model_validate_json(answer)
            if _ran_out_of_memory(report):
                # What it still holds would fail the next candidates: they get a fresh process.
                self._discard()
            return report
        except Overdue:
            cause = FailureCause.TIMEOUT
            message = (
                f"no result within {limit_s:g} s"
                + (f" for {count} candidates" if count > 1 else "")
                + "; the process was stopped"
            )
            self._discard()
        except Died:
            cause = FailureCause.CRASH
            message = f"the process died: {_how_it_ended(self._discard())}"
        except BaseException:
            # Interrupted with an answer under way, which must not be taken for the next one's.
            self._discard()
            raise
        output = reproducible(child.output(), str(child.scratch)).strip()
        return (
            started_at,
            clock,
            Failure(cause=cause, message=message, detail=tail(output) or None),
        )

    def _ready_child(self) -> GuardedProcess:
        last = "its process keeps dying before any work"
        for _ in range(START_ATTEMPTS):
            child = self._child or self._new_child()
            self._child = child
            if self._aborted:
                self._discard()
                raise PoolError(f"pool '{self._pool.name}' was stopped")
            if child.is_ready:
                if child.is_alive():
                    return child
                # It was killed while idle: nobody's candidate is to blame.
                self._discard()
                continue
            try:
                complaint = child.exchange(self._pool.model_dump_json().encode(), START_LIMIT_S)
            except (Died, Overdue) as error:
                ended = _how_it_ended(self._discard())
                last = (
                    f"it did not start within {START_LIMIT_S:g} s"
                    if isinstance(error, Overdue)
                    else f"its process died while starting: {ended}"
                )
                last += f"\n{tail(child.output().strip())}"
            else:
                if not complaint:
                    child.is_ready = True
                    return child
                self._discard()
                raise PoolError(complaint.decode())
        raise PoolError(f"pool '{self._pool.name}' cannot start: {last}".strip())

    def _new_child(self) -> GuardedProcess:
        try:
            return GuardedProcess(self._pool, self._plugins)
        except OSError as error:  # no disk space, no processes, no open files left
            raise PoolError(f"pool '{self._pool.name}' cannot start: {error}") from error

    def _discard(self) -> int:
        child, self._child = self._child, None
        return child.close() if child is not None else 0

    def abort(self) -> None:
        """Kill the process, from any thread; what it is at fails, and no other one is started.

        `close` it afterwards, from the thread that runs its tasks.
        """
        self._aborted = True
        child = self._child
        if child is not None:
            child.cut_lifeline()

    def close(self) -> None:
        """Kill the process with all its descendants and remove its scratch space."""
        self._discard()


def _ran_out_of_memory(report: Report) -> bool:
    return isinstance(report.result, EvaluateResult) and any(
        isinstance(outcome, Failure) and outcome.cause is FailureCause.CRASH
        for outcome in report.result.outcomes
    )


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"it left with exit code {code}"
    name = signal.Signals(-code).name
    described = signal.strsignal(-code) or "signal"
    advice = "; often the kernel, short of memory" if -code == signal.SIGKILL else ""
    return f"{name} ({described.lower()}{advice})"
