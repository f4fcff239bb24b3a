"""The rows that `CampaignView` keeps: candidates, curve points, learning steps, tallies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from heuresis.records import Candidate, Failure, Measurement


@dataclass(kw_only=True)
class CandidateRecord:
    """All that is known of one candidate: who proposed it, what was measured, what it scored."""

    candidate: Candidate
    proposer: str
    operator: str
    parents: tuple[str, ...]
    parent_texts: tuple[str, ...]
    """Texts of the parents that this view has seen; in order, unknown ones left out."""
    island: int
    epoch: int
    model_version: str | None
    log_likelihood: float | None
    proposed_sequence: int
    measurements: dict[str, Measurement] = field(default_factory=dict)
    """``oracle.output`` → value with unit and uncertainty."""
    checks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Oracle → quality gates passed."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Oracle → wall seconds of the task that measured it (of the whole batch when batched)."""
    score: float | None = None
    completed_sequence: int | None = None
    evaluations: int | None = None
    """Settled evaluations of the campaign when this candidate was completed."""


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """A value against both axes."""

    evaluations: int
    completed: int
    value: float


@dataclass(frozen=True, kw_only=True)
class LearningStep:
    """One learning step of one proposer, or its failure."""

    sequence: int
    evaluations: int
    proposer: str
    model_version: str | None
    updates: int
    metrics: dict[str, float]
    checkpoint: str | None
    duration_s: float | None
    failure: Failure | None


@dataclass(frozen=True, kw_only=True)
class FailureExample:
    """One failure with the candidate it happened to (None: a proposing or learning step)."""

    text: str | None
    failure: Failure


@dataclass(kw_only=True)
class Tally:
    """How the candidates of one source fared."""

    accepted: int = 0
    completed: int = 0
    score_sum: float = 0.0
    best: float | None = None

    @property
    def mean_score(self) -> float | None:
        """Mean score of the completed candidates; None when there is none."""
        return self.score_sum / self.completed if self.completed else None

    def add_score(self, score: float) -> None:
        """Count one completed candidate."""
        self.completed += 1
        self.score_sum += score
        self.best = score if self.best is None else max(self.best, score)


@dataclass(kw_only=True)
class StageCounts:
    """The funnel at one oracle."""

    submitted: int = 0
    """Candidates handed out, retries included."""
    settled: int = 0
    """Candidates that came back, with a value or a failure, retries included."""
    evaluated: int = 0
    """Candidates that came back with a value."""
    verdicts: Counter[str] = field(default_factory=Counter)
    quarantined: int = 0
    """Candidates given up because they killed their worker in every try."""
    busy_s: float = 0.0
    """Seconds that workers spent in the oracle's code; a batch counts once."""
    shared: int = 0
    """Candidates that came back with what another run had measured."""
    saved_core_s: float = 0.0
    """Processor seconds that measuring them had taken there."""

    @property
    def in_flight(self) -> int:
        """Candidates handed out and not back."""
        return self.submitted - self.settled


def shared_lines(stages: Mapping[str, StageCounts]) -> list[str]:
    """Return, for each oracle that was spared work, what other runs had measured for it."""
    return [
        f"{oracle}: {stage.shared:,} of {stage.settled:,}"
        f" ({100 * stage.shared / stage.settled:.0f} %) measured before,"
        f" {stage.saved_core_s:,.1f} core-seconds saved"
        for oracle, stage in stages.items()
        if stage.shared
    ]
