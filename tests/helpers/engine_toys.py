"""A toy world for engine tests: texts are integers, the oracles measure digits, no plug-ins."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

from heuresis.engine.budget import Budget
from heuresis.engine.plan import CampaignPlan, OraclePlan, ProposerPlan
from heuresis.randomness import random_generator
from heuresis.records import (
    CostClass,
    Evaluation,
    Failure,
    FailureCause,
    LearningReport,
    Measurement,
    OracleDeclaration,
    Outcome,
    OutputDeclaration,
    Proposal,
    Timing,
)
from heuresis.search.objective import Constraint, DesirabilityTerm, Objective
from heuresis.search.settings import SearchSettings
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
    Settlement,
    Task,
)

TIMING = Timing(submitted_at=0.0, started_at=0.0, ended_at=0.0, duration_s=0.0)


def pool(name: str, role: Any) -> PoolSpec:
    return PoolSpec(
        name=name, role=role, kind=name, config={}, space_kind="integer", space_config={}
    )


def oracle(name: str, cost: CostClass, batch_size: int = 1) -> OraclePlan:
    return OraclePlan(
        name=name,
        pool=pool(name, "oracle"),
        declaration=OracleDeclaration(
            kind=name,
            version="1",
            spaces=("integer",),
            outputs={"value": OutputDeclaration(unit="1", description="toy")},
            cost_class=cost,
            batch_size=batch_size,
            reference="none",
        ),
    )


def plan(**changes: Any) -> CampaignPlan:
    budget = changes.pop("budget", {"evaluations": 60})
    search = changes.pop("search", {"islands": 2, "exemplars": 2, "reset_every": 12})
    learn_every = changes.pop("learn_every", 7)
    constraints = changes.pop("constraints", {})
    return CampaignPlan(
        campaign="toy",
        seed=changes.pop("seed", 3),
        spec_hash="f" * 64,
        space="integer",
        objective=Objective(
            {
                "cheap": DesirabilityTerm(measure="cheap.value", above=50, softness=25),
                "costly": DesirabilityTerm(measure="costly.value", above=50, softness=25),
            },
            {name: Constraint(**value) for name, value in constraints.items()},
        ),
        oracles=(
            oracle("cheap", CostClass.NEGLIGIBLE, batch_size=4),
            oracle("costly", CostClass.SECONDS),
        ),
        proposers=(
            ProposerPlan(
                name="learner", pool=pool("learner", "proposer"), batch=5, learn_every=learn_every
            ),
            ProposerPlan(name="walker", pool=pool("walker", "proposer"), batch=3, share=0.5),
        ),
        search=SearchSettings.model_validate(search),
        budget=Budget.model_validate(budget),
        **changes,
    )


class ToyExecutor:
    """FIFO, synchronous, a pure function of the tasks; keeps what it was given to do."""

    def __init__(self, bias: int = 0) -> None:
        self.queue: deque[Task] = deque()
        self.log: list[Task] = []
        self.bias = bias

    def start(self, pools: object) -> None: ...

    def submit(self, task: Task) -> None:
        self.queue.append(task)

    def next_settled(self, timeout_s: float) -> Settlement | None:
        if not self.queue or timeout_s == 0.0:
            return None
        task = self.queue.popleft()
        self.log.append(task)
        return Settlement(task=task.id, result=self.result(task), timing=TIMING)

    def result(self, task: Task) -> Result:
        match task:
            case ProposeTask():
                rng = random_generator(*task.random_key)
                texts = [str(int(n)) for n in rng.integers(0, 2000, task.count)]
                return ProposeResult(
                    proposals=tuple(
                        ScreenedProposal(canonical=t, proposal=Proposal(text=t, operator="draw"))
                        for t in texts
                    ),
                    rejected={"syntax": 1},
                )
            case LearnTask():
                return LearnResult(
                    report=LearningReport(model_version=task.checkpoint, updates=len(task.examples))
                )
            case EvaluateTask():
                return EvaluateResult(
                    outcomes=tuple(self.outcome(task, int(c.text)) for c in task.candidates)
                )

    def outcome(self, task: EvaluateTask, number: int) -> Outcome:
        if number % 17 == 0:
            return Failure(cause=FailureCause.SETUP, message="seventeen")
        if number % 13 == 0 and task.seed % 2:
            return Failure(cause=FailureCause.CALCULATION, message="thirteen")
        value = number % 100 if task.pool == "cheap" else number // 10 % 100
        return Evaluation(measurements={"value": Measurement(value=float(value), unit="1")})

    def close(self) -> None: ...


def ledger_path(folder: Path) -> Path:
    return folder / "ledger.sqlite"
