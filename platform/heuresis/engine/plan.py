"""What the controller needs to know about a campaign, with no trace of YAML or plug-in classes."""

from __future__ import annotations

from dataclasses import dataclass

from heuresis.engine.budget import Budget
from heuresis.records import CostClass, OracleDeclaration
from heuresis.search.objective import Objective
from heuresis.search.settings import SearchSettings
from heuresis.tasks import PoolSpec


@dataclass(frozen=True, kw_only=True)
class OraclePlan:
    """One rung of the cascade, in the order of the campaign file (cheap first)."""

    name: str
    declaration: OracleDeclaration
    pool: PoolSpec

    @property
    def metered(self) -> bool:
        """Whether an integer budget counts this oracle's evaluations."""
        return self.declaration.cost_class is not CostClass.NEGLIGIBLE


@dataclass(frozen=True, kw_only=True)
class ProposerPlan:
    """One proposer, its share of the asks, and when it learns."""

    name: str
    pool: PoolSpec
    share: float = 1.0
    batch: int = 16
    """Proposals per ask."""
    learn_every: int | None = None
    """Completed candidates between learning steps; None: it does not learn."""
    learn_best: int = 64
    """How many of the best scored candidates a learning step sees."""
    observes: bool = False
    """It is told what became of every candidate (`heuresis.ports.Observer`)."""


@dataclass(frozen=True, kw_only=True)
class CampaignPlan:
    """Everything that decides what happens next, given the ledger."""

    campaign: str
    seed: int
    spec_hash: str
    space: str
    objective: Objective
    oracles: tuple[OraclePlan, ...]
    proposers: tuple[ProposerPlan, ...]
    search: SearchSettings
    budget: Budget
    measurement_seed: int | None = None
    """Seed of the oracles; None: ``seed``."""

    @property
    def oracle_seed(self) -> int:
        """What the seeds of evaluations are derived from."""
        return self.seed if self.measurement_seed is None else self.measurement_seed

    @property
    def pools(self) -> tuple[PoolSpec, ...]:
        """All worker pools: proposers first, for they take longest to start."""
        return tuple(p.pool for p in self.proposers) + tuple(o.pool for o in self.oracles)
