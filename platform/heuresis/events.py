"""What the ledger holds. State is a fold over these; nothing else is needed to resume.

An `Entry` is an event with its place and its clocks. The event's payload is reproducible: same
YAML, same seed, inline executor, same bytes. Clocks (`Timing`) are kept beside it.

An event is written *before* work is handed out (`Asked`, `Submitted`, `LearnRequested`) and *after*
it settles (`Proposed`, `Settled`, `Learned`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from heuresis.records import (
    Candidate,
    Failure,
    LearningReport,
    Outcome,
    Record,
    Timing,
)

SCHEMA_VERSION = 1


class CampaignStarted(Record):
    """First event of every ledger."""

    kind: Literal["campaign_started"] = "campaign_started"
    schema_version: int = SCHEMA_VERSION
    campaign: str
    spec_hash: str
    seed: int
    versions: dict[str, str]
    """Heuresis and every oracle: name in the campaign → ``kind@version``."""


class Asked(Record):
    """A proposer is about to be asked. ``exemplars`` are candidate ids in rising score."""

    kind: Literal["asked"] = "asked"
    task: str
    proposer: str
    island: int
    epoch: int
    exemplars: tuple[str, ...]
    count: int
    random_index: int
    """Index of the random stream: ``rng(seed, "propose", random_index)``."""


class AcceptedProposal(Record):
    """A valid, new candidate with its provenance."""

    candidate: Candidate
    operator: str
    parents: tuple[str, ...] = ()
    log_likelihood: float | None = None


class Proposed(Record):
    """What came back from one ask."""

    kind: Literal["proposed"] = "proposed"
    task: str
    proposer: str
    island: int
    epoch: int
    model_version: str | None = None
    accepted: tuple[AcceptedProposal, ...] = ()
    rejected: dict[str, int] = Field(default_factory=dict)
    """Reason code → count; ``duplicate`` counts texts already known to this campaign."""
    failure: Failure | None = None


class Submitted(Record):
    """Candidates are about to be measured."""

    kind: Literal["submitted"] = "submitted"
    task: str
    oracle: str
    candidates: tuple[str, ...]
    attempt: int
    seed: int


class Settled(Record):
    """One oracle has spoken of one candidate."""

    kind: Literal["settled"] = "settled"
    task: str
    oracle: str
    candidate: str
    attempt: int
    outcome: Outcome


Verdict = Literal["promoted", "dropped", "completed", "infeasible", "failed", "retry"]


class Judged(Record):
    """What the objective and the policies concluded from a settled evaluation.

    ``bound`` is the optimistic score (unmeasured desirabilities count as 1); ``score`` is set only
    when every objective has been measured (``completed``).
    """

    kind: Literal["judged"] = "judged"
    candidate: str
    oracle: str
    verdict: Verdict
    bound: float | None = None
    threshold: float | None = None
    score: float | None = None
    reason: str | None = None


class LearnRequested(Record):
    """A proposer is about to learn from these candidates (descending score)."""

    kind: Literal["learn_requested"] = "learn_requested"
    task: str
    proposer: str
    examples: tuple[str, ...]
    random_index: int


class Learned(Record):
    """A learning step ended; ``checkpoint`` is a folder name under the run's ``checkpoints/``."""

    kind: Literal["learned"] = "learned"
    task: str
    proposer: str
    report: LearningReport | None = None
    checkpoint: str | None = None
    failure: Failure | None = None


class IslandsReset(Record):
    """The weakest islands were emptied and re-founded."""

    kind: Literal["islands_reset"] = "islands_reset"
    founders: dict[int, str | None]
    """Island → candidate id of its new founder (None: restarts from the prior)."""
    completed: int
    """Number of completed candidates at the reset."""


class BudgetExtended(Record):
    """A person granted more; amounts replace the previous limits."""

    kind: Literal["budget_extended"] = "budget_extended"
    budget: dict[str, Any]


class Forked(Record):
    """All before this entry is another run's history; from here on this run goes its own way."""

    kind: Literal["forked"] = "forked"
    origin: str
    """Name of the run whose history this is."""
    shared: int
    """Sequence number of the last entry that both share."""
    checksum: str
    """Checksum of that entry in both ledgers."""
    spec_hash: str
    seed: int
    changed: dict[str, Any] = Field(default_factory=dict)
    """Setting → its new value, by dotted path."""


class Finished(Record):
    """The campaign reached one of its stop rules. An interruption is not an event."""

    kind: Literal["finished"] = "finished"
    reason: str


Event = Annotated[
    CampaignStarted
    | Asked
    | Proposed
    | Submitted
    | Settled
    | Judged
    | LearnRequested
    | Learned
    | IslandsReset
    | BudgetExtended
    | Forked
    | Finished,
    Field(discriminator="kind"),
]
EVENT_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


class Entry(Record):
    """An event, its place in the ledger (1-based) and its clocks."""

    sequence: int
    event: Event
    recorded_at: float
    """Unix seconds; kept outside the checksummed payload."""
    timing: Timing | None = None
