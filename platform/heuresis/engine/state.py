"""The state of a campaign: a fold over its events, the same live and on replay.

`CampaignState.apply` is the only thing that changes it, and it depends on nothing but the plan and
the events. Tasks that were handed out and have not settled are part of the state, in the order
they were handed out, so that a resumed campaign hands out the same ones again.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from heuresis.engine.budget import Budget
from heuresis.engine.plan import CampaignPlan, OraclePlan
from heuresis.events import (
    AcceptedProposal,
    Asked,
    BudgetExtended,
    CampaignStarted,
    Event,
    Finished,
    Forked,
    IslandsReset,
    Judged,
    Learned,
    LearnRequested,
    Proposed,
    Settled,
    Submitted,
)
from heuresis.records import (
    Candidate,
    Evaluation,
    Measurement,
    Observation,
    Prompt,
    ScoredCandidate,
)
from heuresis.search.archive import Archive
from heuresis.search.bandit import Bandit, BestScores
from heuresis.search.chances import Chances
from heuresis.search.promotion import PromotionRule
from heuresis.tasks import EvaluateTask, LearnTask, ProposeTask, Task

IN_FLIGHT_SHOWN = 256
"""At most so many texts in flight are shown to a proposer."""
SIGNATURE_DIGITS = 3


@dataclass(kw_only=True)
class ActiveCandidate:
    """A candidate between its proposal and its final verdict."""

    candidate: Candidate
    proposer: str
    island: int
    epoch: int
    order: int
    stage: int = 0
    attempt: int = 0
    bound: float = 1.0
    priority: float = 1.0
    """Who is measured first at a rung: the greater."""
    measurements: dict[str, Measurement] = field(default_factory=dict)


class CampaignState:
    """Islands, queues, budget, counters, and what is in flight."""

    def __init__(self, plan: CampaignPlan) -> None:
        self.plan = plan
        self.budget: Budget = plan.budget
        self.archive = Archive(plan.search)
        self.promotion = PromotionRule(plan.search.promotion)
        self._chances = Chances(len(plan.oracles) - 1)
        self.bandit = Bandit(plan.search.bandit.window)
        self._bar = BestScores(plan.search.bandit.top)
        self.active: dict[str, ActiveCandidate] = {}
        self.known: set[str] = set()
        self.outstanding: dict[str, Task] = {}
        self.pool_load: dict[str, int] = {pool.name: 0 for pool in plan.pools}
        """Tasks handed out and not settled, by pool."""
        self.in_flight: dict[str, int] = {oracle.name: 0 for oracle in plan.oracles}
        """Candidates handed out and not settled, by oracle."""
        self.expected = 0
        """Proposals asked for and not yet come."""
        self.spent: dict[str, int] = {oracle.name: 0 for oracle in plan.oracles}
        """Evaluations reserved or settled, retries included, by oracle."""
        self.admitted = 0
        self.asked: dict[str, int] = {proposer.name: 0 for proposer in plan.proposers}
        self.asks = self.submissions = self.learns = 0
        self.judged = 0
        """Candidates with a score or a final bound (completed or dropped)."""
        self.completed_at_reset = 0
        self.resets = 0
        self.judged_at_learning: dict[str, int] = {p.name: 0 for p in plan.proposers}
        self.checkpoints: dict[str, str] = {}
        self.empty_asks = 0
        """Asks in a row that brought nothing new."""
        self.started = False
        self.finished: str | None = None
        self.history: list[Observation] = []
        """What became of every candidate, in the order of judgement; empty if nobody observes."""
        self._observers = frozenset(p.name for p in plan.proposers if p.observes)
        self._stages = {oracle.name: i for i, oracle in enumerate(plan.oracles)}
        self._queues: list[list[tuple[float, int, str]]] = [[] for _ in plan.oracles]
        self._arrivals = 0

    # -- reading -------------------------------------------------------------------------------

    def queue_length(self, stage: int) -> int:
        """Candidates that wait for the oracle at ``stage``."""
        return len(self._queues[stage])

    def next_waiting(self, stage: int, count: int) -> tuple[str, ...]:
        """Return the ids that should be measured next: highest bound first, then oldest."""
        return tuple(item[2] for item in self._queues[stage][:count])

    def remaining(self, oracle: OraclePlan) -> float:
        """Evaluations that the budget still allows this oracle; infinity when unlimited."""
        limit = self.budget.evaluations
        if isinstance(limit, int):
            if oracle not in self._metered():
                return math.inf
            return limit - self.spent_metered()
        if limit is not None and oracle.name in limit:
            return limit[oracle.name] - self.spent[oracle.name]
        return math.inf

    def _metered(self) -> list[OraclePlan]:
        return [o for o in self.plan.oracles if o.metered] or list(self.plan.oracles)

    def spent_metered(self) -> int:
        """Return the evaluations that an integer budget counts: reserved or settled."""
        return sum(self.spent[oracle.name] for oracle in self._metered())

    def admissible(self) -> float:
        """Candidates that the budget still allows into the cascade."""
        limit = self.budget.candidates
        return math.inf if limit is None else limit - self.admitted

    # -- folding -------------------------------------------------------------------------------

    def apply_all(self, events: Iterable[Event]) -> None:
        """Apply events in order."""
        for event in events:
            self.apply(event)

    def apply(self, event: Event) -> None:
        """Change the state by one event."""
        match event:
            case CampaignStarted():
                self.started = True
            case Asked():
                self._asked(event)
            case Proposed():
                self._proposed(event)
            case Submitted():
                self._submitted(event)
            case Settled():
                self._settled(event)
            case Judged():
                self._judged(event)
            case LearnRequested():
                self._learn_requested(event)
            case Learned():
                self._release(event.task)
                if event.checkpoint is not None:
                    self.checkpoints[event.proposer] = event.checkpoint
            case IslandsReset():
                self.archive.reset(event.founders)
                self.completed_at_reset = event.completed
                self.resets += 1
            case BudgetExtended():
                self.budget = Budget.model_validate(event.budget)
                self.finished = None
            case Forked():
                self.finished = None
            case Finished():
                self.finished = event.reason

    def _asked(self, event: Asked) -> None:
        members = {m.candidate.id: m for m in self._members(event.island)}
        prompt = Prompt(
            island=event.island,
            epoch=event.epoch,
            exemplars=tuple(members[i] for i in event.exemplars),
            in_flight=tuple(a.candidate.text for a in self.active.values())[-IN_FLIGHT_SHOWN:],
        )
        self._hand_out(
            ProposeTask(
                id=event.task,
                pool=event.proposer,
                prompt=prompt,
                count=event.count,
                random_key=(self.plan.seed, "propose", event.random_index),
                observed=len(self.history) if event.proposer in self._observers else 0,
            )
        )
        self.asks += 1
        self.asked[event.proposer] += 1
        self.expected += event.count

    def _members(self, island: int) -> Iterable[ScoredCandidate]:
        for cluster in self.archive.islands[island].clusters.values():
            yield from cluster

    def _proposed(self, event: Proposed) -> None:
        task = self._release(event.task)
        if isinstance(task, ProposeTask):
            self.expected -= task.count
        for accepted in event.accepted:
            self._accept(accepted, event)
        self.empty_asks = 0 if event.accepted else self.empty_asks + 1
        if not event.accepted:
            self.bandit.record(event.proposer, success=False)

    def _accept(self, accepted: AcceptedProposal, event: Proposed) -> None:
        candidate = accepted.candidate
        self.known.add(candidate.id)
        self.active[candidate.id] = ActiveCandidate(
            candidate=candidate,
            proposer=event.proposer,
            island=event.island,
            epoch=event.epoch,
            order=self._arrivals,
        )
        self._arrivals += 1
        self._enqueue(candidate.id)

    def _enqueue(self, candidate_id: str) -> None:
        entry = self.active[candidate_id]
        bisect.insort(self._queues[entry.stage], (-entry.priority, entry.order, candidate_id))

    def _submitted(self, event: Submitted) -> None:
        stage = self._stages[event.oracle]
        chosen = set(event.candidates)
        self._queues[stage] = [i for i in self._queues[stage] if i[2] not in chosen]
        self._hand_out(
            EvaluateTask(
                id=event.task,
                pool=event.oracle,
                candidates=tuple(self.active[i].candidate for i in event.candidates),
                seed=event.seed,
            )
        )
        self.submissions += 1
        self.spent[event.oracle] += len(event.candidates)
        self.in_flight[event.oracle] += len(event.candidates)
        if stage == 0 and event.attempt == 0:
            self.admitted += len(event.candidates)

    def _settled(self, event: Settled) -> None:
        self._release(event.task)
        self.in_flight[event.oracle] -= 1
        if isinstance(event.outcome, Evaluation):
            entry = self.active[event.candidate]
            for name, measurement in event.outcome.measurements.items():
                entry.measurements[f"{event.oracle}.{name}"] = measurement

    def _judged(self, event: Judged) -> None:
        entry = self.active[event.candidate]
        if event.verdict == "retry":
            entry.attempt += 1
            self._enqueue(event.candidate)
            return
        if event.verdict == "promoted":
            entry.bound = event.bound if event.bound is not None else entry.bound
            chance = self.chance(entry, entry.bound)
            entry.priority = entry.bound if chance is None else chance
            entry.stage += 1
            entry.attempt = 0
            self._enqueue(event.candidate)
            return
        del self.active[event.candidate]
        desirabilities = self.plan.objective.judge(entry.measurements).desirabilities
        if self._observers:
            self.history.append(
                Observation(
                    candidate=entry.candidate,
                    verdict=event.verdict,
                    score=event.score,
                    bound=event.bound,
                    desirabilities=desirabilities,
                )
            )
        self._learn_chances(entry, event)
        if event.score is not None:
            self.promotion.add_completed(event.score)
        signature = tuple(round(d, SIGNATURE_DIGITS) for d in desirabilities.values())
        success = self._succeeded(event, signature)
        if success is not None:
            self.bandit.record(entry.proposer, success)
        value = event.score if event.verdict == "completed" else event.bound
        if event.verdict in ("completed", "dropped") and value is not None:
            # A dropped candidate is bred by its bound: it lost to the threshold, not to nothing.
            self.judged += 1
            self.archive.register(
                ScoredCandidate(candidate=entry.candidate, score=value),
                signature,
                island=entry.island,
                epoch=entry.epoch,
                completed=event.verdict == "completed",
            )

    def chance(self, entry: ActiveCandidate, bound: float) -> float | None:
        """Return the chance of a candidate to end above the threshold; None: nobody asks for it."""
        threshold = self.promotion.threshold()
        if self.plan.search.promotion.rule != "learned" or threshold is None:
            return None
        return self._chances.chance(entry.stage, self._values(entry, entry.stage), bound, threshold)

    def _learn_chances(self, entry: ActiveCandidate, event: Judged) -> None:
        """Take note, for each rung that a candidate left behind, how much of its bound was left."""
        if self.plan.search.promotion.rule != "learned":
            return
        final = event.score if event.verdict == "completed" else None
        # What a later rung dropped keeps what was still possible: the most favourable reading.
        left = final if final is not None else event.bound if event.verdict == "dropped" else 0.0
        for rung in range(entry.stage):
            values = self._values(entry, rung)
            measured = {name: entry.measurements[name] for name in values}
            bound = self.plan.objective.judge(measured).bound
            kept = min(1.0, (left or 0.0) / bound) if bound > 0.0 else 0.0
            self._chances.add(rung, values, kept)

    def _values(self, entry: ActiveCandidate, rung: int) -> dict[str, float]:
        """Return what the oracles up to a rung measured of a candidate."""
        return {
            name: measurement.value
            for name, measurement in entry.measurements.items()
            if self._stages[name.partition(".")[0]] <= rung
        }

    def _succeeded(self, event: Judged, signature: tuple[float, ...]) -> bool | None:
        """Tell whether a final verdict is a success of its proposer; None: it says nothing."""
        if event.score is None:
            return False
        if self.plan.search.ranking == "pareto":
            return self.archive.front.admits(signature)
        return self._bar.enters(event.score)

    def _learn_requested(self, event: LearnRequested) -> None:
        elite = {m.candidate.id: m for m in self.archive.best(self.archive.registered)}
        self._hand_out(
            LearnTask(
                id=event.task,
                pool=event.proposer,
                examples=tuple(elite[i] for i in event.examples),
                checkpoint=f"{event.proposer}-{event.random_index}",
                random_key=(self.plan.seed, "learn", event.random_index),
            )
        )
        self.learns += 1
        self.judged_at_learning[event.proposer] = self.judged

    def _hand_out(self, task: Task) -> None:
        self.outstanding[task.id] = task
        self.pool_load[task.pool] += 1

    def _release(self, task_id: str) -> Task | None:
        """Forget a task; a batch is released by the first of its settlements."""
        task = self.outstanding.pop(task_id, None)
        if task is not None:
            self.pool_load[task.pool] -= 1
        return task
