"""The values that travel through the loop: frozen, validated, JSON-serialisable.

Nothing here knows about Ray, MLflow, torch or chemistry. Every record can be written to the ledger
and read back equal. Field names persist in ledgers for ever: review each like an API.
"""

from __future__ import annotations

import hashlib
import json
import math
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

CONTENT_ID_LENGTH = 20
"""Hexadecimal digits of a content id: 80 bits, collision odds below 1e-12 for a million texts."""


def content_id(*parts: str) -> str:
    """Hash texts into a content id; parts are length-prefixed, so no two lists collide."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()[:CONTENT_ID_LENGTH]


def canonical_json(value: Any) -> str:
    """Serialise with sorted keys and no blanks: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


class Record(BaseModel):
    """Base of all records: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Candidate(Record):
    """A member of a design space, in its canonical text."""

    id: str
    space: str
    text: str

    @classmethod
    def of(cls, space: str, text: str) -> Candidate:
        """Make a candidate from a canonical text; the id is derived from space and text."""
        return cls(id=content_id(space, text), space=space, text=text)


class ScoredCandidate(Record):
    """A candidate with the score that selection ranks by (higher is better, in [0, 1])."""

    candidate: Candidate
    score: float


class Observation(Record):
    """What became of one candidate: the last word that the campaign says of it."""

    candidate: Candidate
    verdict: Literal["completed", "dropped", "infeasible", "failed"]
    score: float | None = None
    """In [0, 1], higher is better; set only when every oracle has measured it (``completed``)."""
    bound: float | None = None
    """Upper limit of the score from what was measured (unmeasured counts as 1); None: failed."""
    desirabilities: dict[str, float] = Field(default_factory=dict)
    """Objective → how well it is met, in [0, 1]; those that were measured."""


class Prompt(Record):
    """What a proposer is asked: frozen, and it carries its island home.

    ``exemplars`` are in rising order of score (FunSearch's best-shot prompt); they may be empty at
    the start of an island. ``in_flight`` are canonical texts being measured now: do not repeat.
    """

    island: int
    epoch: int
    exemplars: tuple[ScoredCandidate, ...] = ()
    in_flight: tuple[str, ...] = ()


class Proposal(Record):
    """A text somebody proposes, with where it came from.

    ``parents`` are candidate ids; ``operator`` names the move (``sample``, ``regrow``,
    ``mutate:atom``, ``crossover`` …); ``log_likelihood`` is natural-log, of the whole text.
    """

    text: str
    operator: str
    parents: tuple[str, ...] = ()
    log_likelihood: float | None = None


class LearningReport(Record):
    """What one learning step did; ``metrics`` are plotted against evaluations."""

    model_version: str
    updates: int
    metrics: dict[str, float] = Field(default_factory=dict)


class Measurement(Record):
    """One value with its unit; ``uncertainty`` is one standard error in the same unit."""

    value: float
    unit: str
    uncertainty: float | None = None

    @field_validator("value")
    @classmethod
    def _finite(cls, value: float) -> float:
        if not math.isfinite(value):
            raise ValueError(f"a measurement must be finite, got {value}; return a Failure instead")
        return value


class Evaluation(Record):
    """All that one oracle said of one candidate: every declared output, gates passed."""

    kind: Literal["evaluation"] = "evaluation"
    measurements: dict[str, Measurement]
    checks: tuple[str, ...] = ()
    """Names of the quality gates that this result passed, e.g. ``converged``."""
    provenance: dict[str, str] = Field(default_factory=dict, exclude_if=lambda facts: not facts)
    """How it was computed, where that is not in settings or version, e.g. ``platform: CUDA``."""
    candidate_id: str | None = Field(default=None, exclude=True)
    """Whose measurements these are, for an oracle that can mix candidates up. The worker checks it;
    it is not kept."""


class FailureCause(StrEnum):
    """Why there is no measurement. The retry policy decides by this alone."""

    SETUP = "setup"
    """Never ran: unsupported element, missing parameters. Never retried."""
    CALCULATION = "calculation"
    """Ran and broke: no convergence, NaN. Retried with another seed."""
    IMPLAUSIBLE = "implausible"
    """Ran, and a quality gate rejected it: inconclusive. Not retried."""
    TIMEOUT = "timeout"
    """Took longer than its deadline. Not retried."""
    CRASH = "crash"
    """The process died (segmentation fault, out of memory). Retried, then quarantined."""
    LOST = "lost"
    """The worker or node vanished through no fault of the candidate. Retried."""
    CONTRACT = "contract"
    """The plug-in broke its contract: wrong count, unit, output or candidate. Not retried."""


class Failure(Record):
    """Why one candidate (or one proposing or learning step) gave no value."""

    kind: Literal["failure"] = "failure"
    cause: FailureCause
    message: str
    detail: str | None = None
    """Traceback or captured output, for people; never parsed."""


Outcome = Annotated[Evaluation | Failure, Field(discriminator="kind")]


class OutputDeclaration(Record):
    """One declared output of an oracle."""

    unit: str
    """Unit of the value (``eV``, ``angstrom``, ``debye``, ``1`` for dimensionless)."""
    description: str
    has_uncertainty: bool = False
    """Its measurements carry a standard error, which an objective may judge by."""


class CostClass(StrEnum):
    """Order of magnitude of one evaluation; an integer budget does not meter negligible ones."""

    NEGLIGIBLE = "negligible"
    SECONDS = "seconds"
    MINUTES = "minutes"
    HOURS = "hours"


class OracleDeclaration(Record):
    """What an oracle is, known without importing its physics."""

    kind: str
    version: str
    spaces: tuple[str, ...]
    """Kinds of design space it can measure."""
    outputs: dict[str, OutputDeclaration]
    checks: dict[str, str] = Field(default_factory=dict)
    """Quality gates: name → what it demands."""
    cost_class: CostClass
    isolated: bool = True
    """Run in a child process with a hard timeout; only pure-Python fast oracles may say False."""
    batch_size: int = 1
    """Candidates per call; cheap oracles batch so that a call takes at least about 50 ms."""
    timeout_s: float = 600.0
    """Default hard limit per candidate."""
    seeded: bool = True
    """The seed can change a result. False: campaigns with different seeds share measurements."""
    failures_repeat: bool = True
    """A set-up or calculation failure says something of the candidate. False: a program or service
    may fail for reasons of its own, so such failures are never shared between campaigns."""
    reference: str
    """Paper or manual that defines the quantity."""


class Origin(Record):
    """Where an outcome was measured that this campaign did not measure itself."""

    run: str
    """Name of the run folder."""
    measured_at: float
    """Unix seconds."""
    duration_s: float
    """Wall time that it took there: the candidate's part of its batch."""
    cpu_s: float | None = None


class Timing(Record):
    """Two clocks: when things happened (Unix seconds) and how long they took (seconds).

    Stored beside the event, never inside what must be reproducible.
    """

    submitted_at: float
    started_at: float
    ended_at: float
    duration_s: float
    """Monotonic wall time spent in the plug-in's code."""
    cpu_s: float | None = None
    worker: str = ""
    host: str = ""
    origin: Origin | None = None
    """Set when nothing was measured here: the outcome is another run's."""
