"""Ledgers as a real campaign writes them: the real controller, a simulated cluster with clocks.

Texts are real SMILES (a scaffold with two substituents), values are a smooth function of the
parts, failures and duplicates happen, the learner improves. Nothing depends on the machine.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

from heuresis.engine.budget import Budget
from heuresis.engine.controller import Controller
from heuresis.engine.plan import CampaignPlan, OraclePlan, ProposerPlan
from heuresis.events import Entry
from heuresis.randomness import derived_seed, random_generator
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

SCAFFOLDS = (
    "c1cc({a})ccc1{b}",
    "c1cc({a})cnc1{b}",
    "c1cc({a})c2ccccc2c1{b}",
    "O=C(N{a})c1ccc({b})s1",
    "c1nc({a})nc(N2CCOCC2)c1{b}",
    "c1cc2c(cc1{a})oc1cc({b})ccc12",
    "C1CC({a})CCN1C(=O){b}",
    "c1cc({a})c(C(=O)NC2CC2)cc1{b}",
    "c1ccc2c(c1)c({a})cn2{b}",
    "N#Cc1cc({a})cc(-c2ccc({b})cc2)c1",
)
PARTS = (
    "C", "CC", "C(C)C", "OC", "F", "C(F)(F)F", "C#N", "CO", "N(C)C", "OCC", "c9ccccc9", "c9ccncc9",
    "C9CC9", "C(=O)OC", "CCO", "S(=O)(=O)C", "c9ccco9", "c9cccs9", "C=C", "CCC", "OC(F)F",
)  # fmt: skip
START_s = 1_750_000_000.0


def _pool(name: str, role: str, workers: int = 1) -> PoolSpec:
    return PoolSpec.model_validate(
        {
            "name": name,
            "role": role,
            "kind": name,
            "config": {},
            "space_kind": "molecule",
            "space_config": {},
            "workers": workers,
        }
    )


def _oracle(
    name: str, cost: CostClass, units: dict[str, str], batch_size: int, workers: int
) -> OraclePlan:
    return OraclePlan(
        name=name,
        pool=_pool(name, "oracle", workers),
        declaration=OracleDeclaration(
            kind=name,
            version="1",
            spaces=("molecule",),
            outputs={k: OutputDeclaration(unit=u, description=k) for k, u in units.items()},
            cost_class=cost,
            batch_size=batch_size,
            reference="synthetic",
        ),
    )


def synthetic_plan(evaluations: int = 200, seed: int = 7) -> CampaignPlan:
    """A three-oracle cascade with two proposers, one of which learns."""
    return CampaignPlan(
        campaign="blue-emitters",
        seed=seed,
        spec_hash="5f2c" * 16,
        space="molecule",
        objective=Objective(
            {
                "gap": DesirabilityTerm(measure="xtb.gap_eV", target=2.9, tolerance=0.3),
                "rigidity": DesirabilityTerm(measure="md.rmsf_angstrom", below=0.6, softness=0.2),
                "makeable": DesirabilityTerm(measure="descriptors.sa_score", below=3.5),
            },
            {"size": Constraint(measure="descriptors.molecular_weight", max=330)},
        ),
        oracles=(
            _oracle(
                "descriptors", CostClass.NEGLIGIBLE,
                {"sa_score": "1", "molecular_weight": "dalton"},
                16, 1,
            ),
            _oracle("xtb", CostClass.SECONDS, {"gap_eV": "eV", "dipole_debye": "debye"}, 1, 2),
            _oracle("md", CostClass.MINUTES, {"rmsf_angstrom": "angstrom"}, 1, 2),
        ),
        proposers=(
            ProposerPlan(
                name="language-model", pool=_pool("language-model", "proposer"), learn_every=25
            ),
            ProposerPlan(name="graph-moves", pool=_pool("graph-moves", "proposer"), share=0.5),
        ),
        search=SearchSettings.model_validate({"islands": 3, "exemplars": 2, "reset_every": 40}),
        budget=Budget.model_validate({"evaluations": evaluations}),
    )  # fmt: skip


class ListLedger:
    """Entries in memory."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def append(self, entries: Sequence[Entry]) -> None:
        self.entries += entries

    def read(self, after: int = 0) -> Iterator[Entry]:
        return iter(self.entries[after:])


class SimulatedCluster:
    """Workers with a virtual clock: tasks wait for a free worker, then take their time."""

    def __init__(self, plan: CampaignPlan) -> None:
        self.now_s = START_s
        self._seed = plan.seed
        self._free_at = {pool.name: [START_s] * pool.workers for pool in plan.pools}
        self._done: list[tuple[float, int, Settlement]] = []
        self._count = 0
        self._learned = 0

    def now(self) -> float:
        return self.now_s

    def start(self, pools: object) -> None: ...

    def close(self) -> None: ...

    def submit(self, task: Task) -> None:
        result, seconds = self._work(task)
        free = self._free_at[task.pool]
        started = max(self.now_s, heapq.heappop(free))
        heapq.heappush(free, started + seconds)
        timing = Timing(
            submitted_at=self.now_s,
            started_at=started,
            ended_at=started + seconds,
            duration_s=seconds,
            worker=f"{task.pool}[{self._count % 2}]",
        )
        settlement = Settlement(task=task.id, result=result, timing=timing)
        heapq.heappush(self._done, (timing.ended_at, self._count, settlement))
        self._count += 1

    def next_settled(self, timeout_s: float) -> Settlement | None:
        if not self._done or (timeout_s == 0.0 and self._done[0][0] > self.now_s):
            return None
        ended_at, _, settlement = heapq.heappop(self._done)
        self.now_s = max(self.now_s, ended_at)
        return settlement

    def _work(self, task: Task) -> tuple[Result, float]:
        match task:
            case ProposeTask():
                return self._propose(task), 0.9 if task.pool == "language-model" else 0.05
            case LearnTask():
                self._learned += 1
                report = LearningReport(
                    model_version=f"heuresis-base+{self._learned}",
                    updates=len(task.examples),
                    metrics={"loss": 1.4 * 0.9**self._learned, "kl": 0.05 * self._learned},
                )
                return LearnResult(report=report), 4.0
            case EvaluateTask():
                outcomes = tuple(self._outcome(task, c.text) for c in task.candidates)
                seconds = {"descriptors": 0.05, "xtb": 1.5, "md": 6.0}[task.pool]
                return EvaluateResult(outcomes=outcomes), seconds

    def _propose(self, task: ProposeTask) -> ProposeResult:
        rng = random_generator(*task.random_key)
        learner = task.pool == "language-model"
        narrow = max(6, len(PARTS) - 2 * self._learned) if learner else len(PARTS)
        proposals = []
        parents = tuple(member.candidate.id for member in task.prompt.exemplars)
        for _ in range(task.count):
            scaffold = SCAFFOLDS[int(rng.integers(len(SCAFFOLDS)))]
            a, b = (PARTS[int(rng.integers(narrow))] for _ in range(2))
            text = scaffold.format(a=a, b=b)
            operator = ("regrow" if parents else "sample") if learner else "mutate:atom"
            proposals.append(
                ScreenedProposal(
                    canonical=text,
                    proposal=Proposal(
                        text=text,
                        operator=operator,
                        parents=parents,
                        log_likelihood=-float(len(text)) if learner else None,
                    ),
                )
            )
        invalid = int(rng.integers(0, 3))
        return ProposeResult(
            proposals=tuple(proposals),
            rejected={"valence": invalid, "alert:PAINS": 1} if invalid else {},
            model_version=f"heuresis-base+{self._learned}" if learner else None,
        )

    def _outcome(self, task: EvaluateTask, text: str) -> Outcome:
        rng = random_generator(derived_seed(self._seed, text), task.pool, task.seed)
        if task.pool == "descriptors":
            return Evaluation(
                measurements={
                    "sa_score": Measurement(value=1.5 + 0.06 * len(text), unit="1"),
                    "molecular_weight": Measurement(value=9.0 * len(text), unit="dalton"),
                }
            )
        luck = float(rng.random())
        if luck < 0.04:
            return Failure(cause=FailureCause.CALCULATION, message="SCF did not converge")
        if luck < 0.06:
            return Failure(cause=FailureCause.IMPLAUSIBLE, message="a bond broke during relaxation")
        if luck < 0.07:
            return Failure(cause=FailureCause.TIMEOUT, message="longer than 120 s")
        if task.pool == "md":
            value = 0.25 + 0.02 * len(text) + 0.1 * luck
            return Evaluation(
                measurements={
                    "rmsf_angstrom": Measurement(value=value, unit="angstrom", uncertainty=0.02)
                },
                checks=("energy_drift", "same_molecule"),
            )
        rings = text.count("c")
        return Evaluation(
            measurements={
                "gap_eV": Measurement(value=5.2 - 0.16 * rings + 0.5 * luck, unit="eV"),
                "dipole_debye": Measurement(value=4.0 * luck, unit="debye"),
            },
            checks=("converged", "same_connectivity"),
        )


def synthetic_entries(evaluations: int = 200, seed: int = 7) -> list[Entry]:
    """Run the campaign to its end; return its ledger."""
    plan = synthetic_plan(evaluations, seed)
    ledger = ListLedger()
    cluster = SimulatedCluster(plan)
    controller = Controller(plan, ledger, cluster, now=cluster.now)
    controller.replay(
        versions={
            "heuresis": "0.1.0",
            "descriptors": "rdkit-descriptors@1",
            "xtb": "xtb@1",
            "md": "openmm-md@1",
        }
    )
    controller.run()
    return ledger.entries
