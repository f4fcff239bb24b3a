"""Hosts one plug-in and runs its tasks, in whatever process it finds itself.

The same `WorkerHost` works inside the driver (inline), inside a child process (isolated oracles)
and inside a Ray actor. Whatever the plug-in does short of killing the process comes back as a
value.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from numpy.random import Generator

from heuresis.errors import InvalidCandidate, PoolError, UserError
from heuresis.execution.outcomes import broken_contract, failure_from, one_line, verified
from heuresis.execution.repeats import repeated
from heuresis.execution.scratch import Scratch
from heuresis.ports import DesignSpace, Observer, Preparable, Trainable
from heuresis.randomness import random_generator
from heuresis.records import (
    Candidate,
    Failure,
    FailureCause,
    OracleDeclaration,
    Outcome,
    Proposal,
    Record,
)
from heuresis.registry import ORACLES, PROPOSERS, SPACES
from heuresis.tasks import (
    EvaluateResult,
    EvaluateTask,
    LearnResult,
    LearnTask,
    PoolSpec,
    ProposeResult,
    ProposeTask,
    Result,
    ScreenedProposal,
    Task,
)

INSTALLED_PLUGINS = "heuresis.registry:load"
"""Where plug-in classes come from: ``module:function`` called as ``function(group, name)``.

It is chosen by the code that makes an executor, never by a campaign file, so no YAML can name
arbitrary code. Tests inject ``heuresis.testing.fakes:load``.
"""


class Report(Record):
    """What came of one task, with the clocks of the process that did the work."""

    result: Result
    started_at: float
    """Unix seconds."""
    ended_at: float
    duration_s: float
    """Monotonic seconds inside plug-in code."""
    cpu_s: float | None
    """Processor seconds of the process and its ended children; None if it died."""


class Worker(Protocol):
    """Runs the tasks of one pool, one at a time."""

    def run(self, task: Task) -> Report:
        """Run a task to its end; plug-in failures are values.

        Raises:
            PoolError: the plug-in cannot be started, so no task of this pool can run.
        """
        ...

    def close(self) -> None:
        """Release processes and scratch space; safe to call twice."""
        ...


def check_task(task: Task, pools: dict[str, PoolSpec]) -> PoolSpec:
    """Return the pool that a task is for.

    Raises:
        ValueError: the pool is unknown or does another kind of work (a defect of the caller).
    """
    pool = pools.get(task.pool)
    if pool is None:
        known = ", ".join(sorted(pools)) or "none"
        raise ValueError(f"task '{task.id}' is for pool '{task.pool}'; known pools: {known}")
    if (pool.role == "oracle") != isinstance(task, EvaluateTask):
        raise ValueError(f"task '{task.id}' asks the {pool.role} pool '{pool.name}' to {task.kind}")
    return pool


class _Stopwatch:
    """Measures the plug-in's own time: wall and processor, over several entries."""

    def __init__(self) -> None:
        self.duration_s = 0.0
        self.cpu_s = 0.0

    def __enter__(self) -> None:
        self._wall = time.perf_counter()
        self._cpu = _processor_seconds()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.duration_s += time.perf_counter() - self._wall
        self.cpu_s += _processor_seconds() - self._cpu


def _processor_seconds() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


class WorkerHost:
    """Builds one plug-in and runs tasks with it in this process.

    Args:
        pool: what to host.
        plugins: where plug-in classes come from, see `INSTALLED_PLUGINS`.
        scratch_root: folder for the scratch folders of the calls; default: the system's.
        enter_workdir: make the scratch folder of a call the current folder while it runs; only
            for a process of its own, as native codes drop files where they stand.

    Raises:
        PoolError: the plug-in could not be found, configured or built.
    """

    def __init__(
        self,
        pool: PoolSpec,
        *,
        plugins: str = INSTALLED_PLUGINS,
        scratch_root: Path | None = None,
        enter_workdir: bool = False,
    ) -> None:
        self._pool = pool
        self._plugins = plugins
        self._enter_workdir = enter_workdir
        self._checkpoint = pool.checkpoint
        self._plugin: Any = None
        self._space: DesignSpace | None = None
        self._declaration: OracleDeclaration | None = None
        self._told = 0
        self._build()
        self._scratch = Scratch(scratch_root)

    def _build(self) -> None:
        pool = self._pool
        self._told = 0
        try:
            load = _loader(self._plugins)
            plugin_class = load(ORACLES if pool.role == "oracle" else PROPOSERS, pool.kind)
            config = plugin_class.Config.model_validate(pool.config)
            if pool.role == "oracle":
                declaration: OracleDeclaration = plugin_class.declare(config)
                if pool.space_kind not in declaration.spaces:
                    raise PoolError(
                        f"oracle '{pool.kind}' measures {', '.join(declaration.spaces)},"
                        f" not '{pool.space_kind}'"
                    )
                self._declaration = declaration
                self._plugin = plugin_class(config)
            else:
                space_class = load(SPACES, pool.space_kind)
                space = space_class(space_class.Config.model_validate(pool.space_config))
                self._space = space
                self._plugin = plugin_class(config, space)
                if self._checkpoint is not None:
                    self._plugin.load(Path(self._checkpoint))
            if isinstance(self._plugin, Preparable):
                self._plugin.prepare()
        except Exception as error:
            why = str(error) if isinstance(error, UserError) else one_line(error)
            raise PoolError(f"pool '{pool.name}' cannot start: {why}") from error

    @property
    def checkpoint(self) -> str | None:
        """Path of the learned state that the proposer now holds, None before any learning."""
        return self._checkpoint

    def run(self, task: Task) -> Report:
        """Run a task to its end in this process; see `Worker.run`."""
        check_task(task, {self._pool.name: self._pool})
        watch = _Stopwatch()
        started_at = time.time()
        result: Result
        if isinstance(task, EvaluateTask):
            outcomes = repeated(
                lambda candidates, seed: self._evaluate(candidates, seed, watch),
                task.candidates,
                task.seed,
                self._pool.repeats,
            )
            result = EvaluateResult(outcomes=outcomes)
        elif isinstance(task, ProposeTask):
            result = self._propose(task, watch)
        else:
            result = self._learn(task, watch)
        return Report(
            result=result,
            started_at=started_at,
            ended_at=max(time.time(), started_at),
            duration_s=watch.duration_s,
            cpu_s=watch.cpu_s,
        )

    def _evaluate(
        self, candidates: Sequence[Candidate], seed: int, watch: _Stopwatch
    ) -> tuple[Outcome, ...]:
        assert self._declaration is not None
        try:
            with self._workdir() as workdir:
                try:
                    with watch:
                        returned = self._plugin.evaluate(candidates, seed=seed, workdir=workdir)
                except (Exception, SystemExit) as error:
                    if len(candidates) == 1:
                        return (failure_from(error, scratch=str(workdir)),)
                else:
                    return verified(returned, self._declaration, candidates)
        except OSError as error:
            message = f"no scratch folder: {error.strerror or error}"
            return (Failure(cause=FailureCause.LOST, message=message),) * len(candidates)
        # Nobody knows which candidate broke the batch: measure them alone, so it costs only one.
        return tuple(self._evaluate((one,), seed, watch)[0] for one in candidates)

    @contextlib.contextmanager
    def _workdir(self) -> Iterator[Path]:
        workdir = self._scratch.make()
        before = Path.cwd() if self._enter_workdir else None
        if before is not None:
            os.chdir(workdir)
        try:
            yield workdir
        finally:
            if before is not None:
                os.chdir(before)
            self._scratch.remove(workdir)

    def _propose(self, task: ProposeTask, watch: _Stopwatch) -> ProposeResult | Failure:
        rng = random_generator(*task.random_key)
        try:
            with watch:
                gap = self._tell(task)
                if gap is not None:
                    return gap
                proposals = self._plugin.propose(task.prompt, task.count, rng)
                if len(proposals) > task.count or not all(
                    isinstance(proposal, Proposal) for proposal in proposals
                ):
                    return broken_contract(
                        f"proposer '{self._pool.kind}' returned {len(proposals)} items,"
                        f" expected at most {task.count} of type Proposal"
                    )
                return self._screened(proposals)
        except (Exception, SystemExit) as error:
            if isinstance(self._plugin, Observer):
                # What it half noted is no state that a resumed campaign could have: start anew.
                self._build()
            return failure_from(error)

    def _tell(self, task: ProposeTask) -> Failure | None:
        """Tell an observing proposer what it does not know yet; a failure if part of it is missing.

        The controller does not know that a worker was replaced while it was idle. It learns so
        from the failure, and sends everything with the next ask.
        """
        if not isinstance(self._plugin, Observer):
            return None
        told = self._told
        news = task.news[max(0, told - task.news_from) :]
        if task.news_from > told or told + len(news) != task.observed:
            if told:
                self._build()
            return Failure(
                cause=FailureCause.LOST,
                message=f"this worker of proposer '{self._pool.kind}' knows the first {told} of"
                f" {task.observed} judged candidates and was told of those from {task.news_from}"
                " on: it is new; it will be told everything with the next ask",
            )
        if news:
            self._plugin.observe(news)
        self._told = task.observed
        return None

    def _screened(self, proposals: Sequence[Proposal]) -> ProposeResult:
        assert self._space is not None
        accepted: dict[str, ScreenedProposal] = {}
        rejected: dict[str, int] = {}
        for proposal in proposals:
            reason = "duplicate"
            try:
                canonical = self._space.canonical(proposal.text)
            except InvalidCandidate as verdict:
                reason = verdict.reason
            except Exception as error:
                # One text that breaks the parser must not cost the batch; it shows in the funnel.
                reason = f"error:{type(error).__name__}"
            else:
                if canonical not in accepted:
                    accepted[canonical] = ScreenedProposal(canonical=canonical, proposal=proposal)
                    continue
            rejected[reason] = rejected.get(reason, 0) + 1
        return ProposeResult(
            proposals=tuple(accepted.values()),
            rejected=dict(sorted(rejected.items())),
            model_version=getattr(self._plugin, "model_version", None),
        )

    def _learn(self, task: LearnTask, watch: _Stopwatch) -> LearnResult | Failure:
        proposer = self._plugin
        if not isinstance(proposer, Trainable):
            return broken_contract(
                f"proposer '{self._pool.kind}' was asked to learn and has no learn, save and load"
            )
        if self._pool.checkpoint_root is None:
            return broken_contract(f"pool '{self._pool.name}' has no folder for checkpoints")
        rng: Generator = random_generator(*task.random_key)
        try:
            with watch:
                report = proposer.learn(task.examples, rng)
                folder = _save(proposer, Path(self._pool.checkpoint_root), task.checkpoint)
        except (Exception, SystemExit) as error:
            # Half a learning step is no state that a resumed campaign could have: go back.
            self._build()
            return failure_from(error)
        self._checkpoint = str(folder)
        return LearnResult(report=report)

    def close(self) -> None:
        """Wait until the scratch folders are removed; safe to call twice."""
        self._scratch.close()


def _loader(reference: str) -> Callable[[str, str], Any]:
    module, _, function = reference.partition(":")
    loader: Callable[[str, str], Any] = getattr(import_module(module), function)
    return loader


def _save(proposer: Trainable, root: Path, name: str) -> Path:
    """Save learned state so that the folder ``root/name`` is either complete or absent."""
    if name in {"", ".", ".."} or Path(name).name != name:
        raise ValueError(f"a checkpoint is named by one plain folder name, got '{name}'")
    root.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root))
    final = root / name
    try:
        proposer.save(unfinished)
        for file in sorted(unfinished.rglob("*")):
            if file.is_file():
                _flush(file)
        unfinished.chmod(0o755)
        if final.exists():
            # A resumed campaign repeats a step whose result was not journaled.
            shutil.rmtree(final)
        unfinished.rename(final)
        _flush(root)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return final


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
