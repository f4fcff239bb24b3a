"""The executor's side of an isolated oracle: deadlines, deaths, restarts.

`IsolatedWorker` gives every candidate a hard time limit and survives whatever native code does. If
a batch ends in a death or a timeout, nobody knows whose fault it was, so its candidates run again,
each alone, at most once: only the guilty one pays.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from heuresis.errors import PoolError
from heuresis.execution.child import LENGTH
from heuresis.execution.outcomes import reproducible, tail
from heuresis.execution.worker import INSTALLED_PLUGINS, Report, WorkerHost, check_task
from heuresis.records import Failure, FailureCause, Outcome
from heuresis.tasks import EvaluateResult, EvaluateTask, PoolSpec, Task

START_LIMIT_S = 180.0
"""A worker that has not finished its imports after this long will not."""
START_ATTEMPTS = 3
MEMORY_SHARE = 0.8
"""Share of the machine's memory that one worker may use when its pool states no limit."""
_SECRET_WORDS = ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "KEY")
_URL_WITH_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OPENMM_CPU_THREADS",
)
_OUTPUT_KEPT = 16_384
_KILL_GRACE_S = 10.0


def thread_environment(threads: int) -> dict[str, str]:
    """Return the variables that bound the threads of numerical libraries, for a new process."""
    return dict.fromkeys(_THREAD_VARIABLES, str(threads))


def child_environment(environment: Mapping[str, str], threads: int) -> dict[str, str]:
    """Return the environment of an oracle's process: no secrets, bounded threads."""
    kept = {
        name: value
        for name, value in environment.items()
        if not any(word in name.upper() for word in _SECRET_WORDS)
        and not _URL_WITH_PASSWORD.search(value)
    }
    return kept | thread_environment(threads)


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
    start_s = START_ATTEMPTS * (START_LIMIT_S + _KILL_GRACE_S)
    together_s = start_s + candidates * timeout_s + _KILL_GRACE_S
    alone_s = candidates * (start_s + timeout_s + _KILL_GRACE_S) if candidates > 1 else 0.0
    return together_s + alone_s


class _Died(Exception):  # noqa: N818 - an event, turned into a value at once
    """The process ended by itself."""


class _Overdue(Exception):  # noqa: N818 - likewise
    """The deadline passed."""


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
        self._child: _Child | None = self._new_child()

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

    def run(self, task: Task) -> Report:
        """Measure the candidates of an `EvaluateTask`; see `Worker.run`.

        Raises:
            PoolError: the oracle refused to start, or its process died three times while starting.
        """
        check_task(task, {self._pool.name: self._pool})
        assert isinstance(task, EvaluateTask)
        first = self._attempt(task)
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

    def _alone(self, task: EvaluateTask, index: int) -> Outcome:
        single = task.model_copy(update={"candidates": (task.candidates[index],)})
        attempt = self._attempt(single)
        if isinstance(attempt, Report):
            assert isinstance(attempt.result, EvaluateResult)
            return attempt.result.outcomes[0]
        return attempt[2]

    def _attempt(self, task: EvaluateTask) -> Report | tuple[float, float, Failure]:
        """Run once: a report, or when it began (Unix and monotonic seconds) and why it failed."""
        child = self._ready_child()
        count = len(task.candidates)
        limit_s = None if self._pool.timeout_s is None else self._pool.timeout_s * count
        started_at, clock = time.time(), time.monotonic()
        try:
            answer = child.exchange(task.model_dump_json().encode(), limit_s)
            report = Report.model_validate_json(answer)
            if _ran_out_of_memory(report):
                # What it still holds would fail the next candidates: they get a fresh process.
                self._discard()
            return report
        except _Overdue:
            cause = FailureCause.TIMEOUT
            message = (
                f"no result within {limit_s:g} s"
                + (f" for {count} candidates" if count > 1 else "")
                + "; the process was stopped"
            )
            self._discard()
        except _Died:
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

    def _ready_child(self) -> _Child:
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
            except (_Died, _Overdue) as error:
                ended = _how_it_ended(self._discard())
                last = (
                    f"it did not start within {START_LIMIT_S:g} s"
                    if isinstance(error, _Overdue)
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

    def _new_child(self) -> _Child:
        try:
            return _Child(self._pool, self._plugins)
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


class _Child:
    """One started process (see `heuresis.execution.child`) and the two lines to it."""

    def __init__(self, pool: PoolSpec, plugins: str) -> None:
        self.is_ready = False
        self.scratch = Path(tempfile.mkdtemp(prefix="heuresis-"))
        limit = (pool.memory_limit_MiB or 0) * 2**20 or int(MEMORY_SHARE * _machine_memory_bytes())
        self._channel, theirs = socket.socketpair()
        lifeline_theirs, lifeline = os.pipe()
        self._lifeline = [lifeline]
        """Empty once it is cut: two threads may want to, and a number is soon another file's."""
        output, output_theirs = os.pipe()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-P",  # the current folder is no place to import from
                "-m",
                "heuresis.execution.child",
                f"--channel={theirs.fileno()}",
                f"--lifeline={lifeline_theirs}",
                f"--scratch={self.scratch}",
                f"--plugins={plugins}",
                f"--memory-limit-bytes={limit}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=output_theirs,
            stderr=output_theirs,
            env=child_environment(os.environ, pool.threads),
            pass_fds=(theirs.fileno(), lifeline_theirs),
            start_new_session=True,  # Ctrl-C in the terminal is for the campaign, which settles
        )
        theirs.close()
        os.close(lifeline_theirs)
        os.close(output_theirs)
        self._output = output
        self._tail = bytearray()
        self._channel.setblocking(False)
        os.set_blocking(self._output, False)

    def is_alive(self) -> bool:
        """Tell whether an idle process still holds its end of the channel."""
        try:
            return bool(self._channel.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except ConnectionError:
            return False

    def exchange(self, message: bytes, limit_s: float | None) -> bytes:
        """Send a message, return the answer; keep draining what the process prints.

        Raises:
            _Overdue: no answer in time.
            _Died: the process closed the channel.
        """
        deadline = None if limit_s is None else time.monotonic() + limit_s
        self._tail.clear()
        to_send = memoryview(LENGTH.pack(len(message)) + message)
        received = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ | selectors.EVENT_WRITE)
            selector.register(self._output, selectors.EVENT_READ)
            while True:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise _Overdue
                for key, events in selector.select(left):
                    if key.fd == self._output:
                        if not self._drain():
                            selector.unregister(self._output)
                        continue
                    try:
                        if events & selectors.EVENT_WRITE:
                            to_send = to_send[self._channel.send(to_send) :]
                            if not to_send:
                                selector.modify(self._channel, selectors.EVENT_READ)
                        if events & selectors.EVENT_READ:
                            piece = self._channel.recv(2**16)
                            if not piece:
                                raise _Died
                            received += piece
                    except ConnectionError:
                        raise _Died from None
                    if len(received) >= LENGTH.size:
                        end = LENGTH.size + LENGTH.unpack_from(received)[0]
                        if len(received) >= end:
                            return bytes(received[LENGTH.size : end])

    def _drain(self) -> bool:
        """Read what was printed, keep the end of it; False once nobody can print any more."""
        try:
            piece = os.read(self._output, 2**16)
        except BlockingIOError:
            return True
        self._tail += piece
        del self._tail[:-_OUTPUT_KEPT]
        return bool(piece)

    def output(self) -> str:
        """Return the end of what the process printed since the last message."""
        return self._tail.decode(errors="replace")

    def cut_lifeline(self) -> None:
        """Have the guardian kill everything; from any thread."""
        with contextlib.suppress(IndexError):
            os.close(self._lifeline.pop())

    def close(self) -> int:
        """Kill everything, return how the process ended (negative: minus the signal)."""
        self._channel.close()
        self.cut_lifeline()
        try:
            self.process.wait(_KILL_GRACE_S)
        except subprocess.TimeoutExpired:
            # The guardian waits for a worker that even SIGKILL does not end (stuck in the kernel).
            self.process.kill()
            self.process.wait()
        while True:
            try:
                piece = os.read(self._output, 2**16)
            except BlockingIOError:
                break
            if not piece:
                break
            self._tail += piece
        del self._tail[:-_OUTPUT_KEPT]
        os.close(self._output)
        shutil.rmtree(self.scratch, ignore_errors=True)
        return self.process.returncode


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


def _machine_memory_bytes() -> int:
    """Return the memory this process may use: the container's limit or the machine's."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit_file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            return min(machine, int(Path(limit_file).read_text()))
    return machine
