"""What may stand in a campaign file. Settings of plug-ins are checked by the plug-ins' own Config.

Read it from top to bottom with ``campaigns/quickstart/campaign.yaml`` beside it.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from heuresis.engine.budget import Budget
from heuresis.records import Record
from heuresis.search.objective import Constraint, DesirabilityTerm
from heuresis.search.settings import SearchSettings

LEARN_EVERY = 24
"""Completed or dropped candidates between learning steps, for proposers that can learn."""

CampaignName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)
]  # becomes a folder name: no dots, no slashes
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", max_length=60)]


class PluginSection(BaseModel):
    """A plug-in by its ``kind``, our settings about it, and the plug-in's own settings."""

    model_config = ConfigDict(frozen=True, extra="allow")
    what: ClassVar[str]

    kind: str = Field(description="registered name of the plug-in")

    @property
    def params(self) -> dict[str, Any]:
        """Settings that the plug-in's own ``Config`` takes, as they stand in the file."""
        return dict(self.model_extra or {})

    @classmethod
    def own_keys(cls) -> list[str]:
        """Return the keys that belong to the platform, not to the plug-in."""
        return list(cls.model_fields)


class SpaceSection(PluginSection):
    """The design space: what a candidate is."""

    what = "space"


class OracleSection(PluginSection):
    """One rung of the cascade."""

    what = "oracle"

    workers: int = Field(1, ge=1, le=10_000, description="how many measure at the same time")
    threads: int = Field(1, ge=1, le=1024, description="processor threads of each worker")
    timeout_s: float | None = Field(
        None,
        gt=0,
        description="hard limit per candidate and repeat; default: what the oracle declares",
    )
    repeats: int = Field(
        1,
        ge=1,
        le=100,
        description="measure each candidate with so many seeds: mean and its standard error count",
    )
    memory_limit_MiB: int | None = Field(
        None,
        ge=64,
        description="memory limit of each isolated worker; default: most of the machine",
    )


class ProposerSection(PluginSection):
    """Somebody who proposes candidates."""

    what = "proposer"

    name: Name | None = Field(None, description="name in tables; default: the kind")
    share: float = Field(1.0, gt=0, description="share of the asks, relative to the others")
    batch: int = Field(16, ge=1, le=4096, description="candidates per ask")
    learn_every: int | None = Field(
        None,
        ge=0,
        description="judged candidates between learning steps; 0: never; default: 24",
    )
    learn_best: int = Field(64, ge=1, description="best candidates that a learning step sees")
    threads: int = Field(1, ge=1, le=1024, description="processor threads")

    @property
    def title(self) -> str:
        """The name that events and tables use."""
        return self.name or self.kind


class CampaignSpec(Record):
    """A campaign file."""

    schema_version: Literal[1] = 1
    campaign: CampaignName = Field(description="short name; run folders are called after it")
    question: str = Field("", max_length=2000, description="what the campaign should answer")
    space: SpaceSection
    oracles: dict[Name, OracleSection] = Field(
        min_length=1, description="a cascade, in the order of cost: cheap first"
    )
    objectives: dict[Name, DesirabilityTerm] = Field(
        min_length=1, description="what is wanted; the score is their weighted geometric mean"
    )
    constraints: dict[Name, Constraint] = Field(
        default_factory=dict, description="hard limits; outside them a candidate is infeasible"
    )
    proposers: tuple[ProposerSection, ...] = Field(
        min_length=1, description="who proposes candidates"
    )
    search: SearchSettings = SearchSettings()
    budget: Budget = Field(description="the campaign ends when the first limit is reached")
    seed: int = Field(0, ge=0, lt=2**63, description="same file, same seed: same campaign")
    measurement_seed: int | None = Field(
        None,
        ge=0,
        lt=2**63,
        description="seed of the oracles alone, so that campaigns with other seeds can share their"
        " measurements; default: seed",
    )

    def with_budget(self, budget: Budget) -> Self:
        """Return the same campaign with another budget."""
        return self.model_copy(update={"budget": budget})
