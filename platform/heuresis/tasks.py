"""Messages between the controller and its workers: pools, tasks, settlements. All JSON-able."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from heuresis.records import (
    Candidate,
    Failure,
    LearningReport,
    Observation,
    Origin,
    Outcome,
    Prompt,
    Proposal,
    Record,
    ScoredCandidate,
    Timing,
)


class PoolSpec(Record):
    """A pool of equal workers that host one plug-in."""

    name: str
    """Name in the campaign, e.g. ``xtb`` or ``language-model``; unique over all pools."""
    role: Literal["oracle", "proposer"]
    kind: str
    """Entry-point name of the plug-in."""
    config: dict[str, Any]
    space_kind: str
    space_config: dict[str, Any]
    workers: int = 1
    threads: int = 1
    isolated: bool = False
    timeout_s: float | None = None
    """Hard limit per candidate, all repeats included; None: no limit."""
    repeats: int = 1
    """How many seeds an oracle measures each candidate with."""
    memory_limit_MiB: int | None = None
    """Limit on the private writable memory of one isolated worker; None: most of the machine's."""
    checkpoint: str | None = None
    """Absolute path of learned state to load at start (proposers only)."""
    checkpoint_root: str | None = None
    """Absolute folder under which learning steps save their state (proposers only)."""


class EvaluateTask(Record):
    """Measure candidates with one oracle."""

    kind: Literal["evaluate"] = "evaluate"
    id: str
    pool: str
    candidates: tuple[Candidate, ...]
    seed: int


class ProposeTask(Record):
    """Ask a proposer. The generator is rebuilt from ``random_key`` in the worker."""

    kind: Literal["propose"] = "propose"
    id: str
    pool: str
    prompt: Prompt
    count: int
    random_key: tuple[int, str, int]
    observed: int = 0
    """Judged candidates that an `Observer` must know of when it answers: those before the ask."""
    news_from: int = 0
    """Place in the campaign's history of the first of ``news``."""
    news: tuple[Observation, ...] = ()
    """History from ``news_from`` up to ``observed``: what the worker has not been told yet."""


class LearnTask(Record):
    """Let a proposer learn and save its state as ``checkpoint`` under the pool's root."""

    kind: Literal["learn"] = "learn"
    id: str
    pool: str
    examples: tuple[ScoredCandidate, ...]
    checkpoint: str
    random_key: tuple[int, str, int]


Task = Annotated[EvaluateTask | ProposeTask | LearnTask, Field(discriminator="kind")]


class EvaluateResult(Record):
    """Outcomes in the order of the task's candidates."""

    kind: Literal["evaluate"] = "evaluate"
    outcomes: tuple[Outcome, ...]


class ScreenedProposal(Record):
    """A proposal that the design space accepted, with its canonical text."""

    canonical: str
    proposal: Proposal


class ProposeResult(Record):
    """What a proposer gave, already screened by the design space in the worker."""

    kind: Literal["propose"] = "propose"
    proposals: tuple[ScreenedProposal, ...]
    rejected: dict[str, int] = Field(default_factory=dict)
    model_version: str | None = None


class LearnResult(Record):
    """What a learning step did."""

    kind: Literal["learn"] = "learn"
    report: LearningReport


Result = Annotated[
    EvaluateResult | ProposeResult | LearnResult | Failure, Field(discriminator="kind")
]


class Settlement(Record):
    """A task came back. ``result`` is a `Failure` when the whole task failed."""

    task: str
    result: Result
    timing: Timing
    origins: dict[str, Origin] = Field(default_factory=dict)
    """Candidate → who measured it, for those that nobody had to measure for this task."""

    def timing_of(self, candidate: str | None) -> Timing:
        """Return the clocks of one candidate, or (None) of the task."""
        origin = self.origins.get(candidate) if candidate is not None else None
        if origin is None:
            return self.timing
        nothing = {"duration_s": 0.0, "cpu_s": 0.0, "worker": "", "origin": origin}
        return self.timing.model_copy(update=nothing)
