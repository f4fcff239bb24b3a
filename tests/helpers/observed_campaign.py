"""A campaign with a proposer that is told everything, and what its answers must have known."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from heuresis.engine.budget import Budget
from heuresis.engine.plan import CampaignPlan, OraclePlan, ProposerPlan
from heuresis.engine.state import CampaignState
from heuresis.events import Asked, Entry, Proposed
from heuresis.search.objective import DesirabilityTerm, Objective
from heuresis.search.settings import SearchSettings
from heuresis.testing.executor_contract import oracle_pool, proposer_pool
from heuresis.testing.fakes import OBSERVING_PROPOSER, ObservingProposer, ScriptedOracle


def observed_plan(
    folder: Path, *, raise_share: float = 0.0, learn_every: int | None = None
) -> CampaignPlan:
    config = ScriptedOracle.Config(isolated=False, batch_size=2)
    measured = oracle_pool(config=config.model_dump(mode="json"), isolated=False, timeout_s=None)
    words = proposer_pool(
        kind=OBSERVING_PROPOSER,
        config={"raise_share": raise_share},
        checkpoint_root=str(folder / "checkpoints"),
    )
    return CampaignPlan(
        campaign="observed",
        seed=5,
        spec_hash="e" * 64,
        space=measured.space_kind,
        objective=Objective(
            {"long": DesirabilityTerm(measure="measured.length", above=16, softness=3)}, {}
        ),
        oracles=(
            OraclePlan(name="measured", declaration=ScriptedOracle.declare(config), pool=measured),
        ),
        proposers=(
            ProposerPlan(name="words", pool=words, batch=4, learn_every=learn_every, observes=True),
        ),
        search=SearchSettings(islands=2, reset_every=10),
        budget=Budget(evaluations=36),
    )


def answers_known(entries: Iterable[Entry], campaign: CampaignPlan) -> int:
    """Check that every answer was given with all that the ledger held at the ask; count them."""
    state = CampaignState(campaign)
    known: dict[str, str] = {}
    answered = 0
    for entry in entries:
        state.apply(entry.event)
        if isinstance(entry.event, Asked):
            known[entry.event.task] = ObservingProposer.digest(state.history)
        if isinstance(entry.event, Proposed) and entry.event.failure is None:
            answered += 1
            for accepted in entry.event.accepted:
                assert accepted.candidate.text.endswith(f"-{known[entry.event.task]}")
    return answered
