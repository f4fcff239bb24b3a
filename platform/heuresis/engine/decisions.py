"""What to do next: pure functions from the state of a campaign to the next event.

`next_decision` says what to hand out (or that the campaign is over); `conclusions` says what
follows from a settled task. Neither acts; the controller does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heuresis.engine.plan import CampaignPlan, OraclePlan, ProposerPlan
from heuresis.engine.policies import MAX_ATTEMPTS, may_retry, quarantines
from heuresis.engine.state import CampaignState
from heuresis.events import (
    AcceptedProposal,
    Asked,
    Event,
    Finished,
    IslandsReset,
    Judged,
    Learned,
    LearnRequested,
    Proposed,
    Settled,
    Submitted,
)
from heuresis.randomness import derived_seed, random_generator
from heuresis.records import Candidate, Failure, FailureCause, Outcome
from heuresis.tasks import (
    EvaluateResult,
    EvaluateTask,
    LearnResult,
    LearnTask,
    ProposeResult,
    ProposeTask,
    Result,
    Task,
)

TASKS_PER_WORKER = 2
"""One running, one waiting at the worker: it never idles, and little is decided too early."""
QUEUE_PER_WORKER = 4
"""A costlier oracle's waiting room; when it is full, the cheaper one before it rests."""
EMPTY_ASKS_BEFORE_END = 60
MINIMUM_EXAMPLES = 8


def next_decision(plan: CampaignPlan, state: CampaignState) -> Event | None:
    """Return the next event to record and act on; None: wait for something to settle."""
    if state.finished is not None:
        return None
    for stage in reversed(range(len(plan.oracles))):
        submission = _submission(plan, state, stage)
        if submission is not None:
            return submission
    return _reset(plan, state) or _learning(plan, state) or _ask(plan, state) or _end(plan, state)


def capacity(oracle: OraclePlan) -> int:
    """Return how many tasks may be in flight at this oracle's pool."""
    return TASKS_PER_WORKER * oracle.pool.workers


def _budget_allows(plan: CampaignPlan, state: CampaignState, stage: int) -> float:
    """Candidates that may still be sent to ``stage``: never more than later stages can take."""
    if stage == 0 and not state.admissible():
        return 0
    if any(state.remaining(later) < 1 for later in plan.oracles[stage + 1 :]):
        return 0
    allowed = state.remaining(plan.oracles[stage])
    return min(allowed, state.admissible()) if stage == 0 else allowed


def _submission(plan: CampaignPlan, state: CampaignState, stage: int) -> Submitted | None:
    oracle = plan.oracles[stage]
    if not state.queue_length(stage) or state.pool_load[oracle.name] >= capacity(oracle):
        return None
    room: float = oracle.declaration.batch_size
    if stage + 1 < len(plan.oracles):
        following = plan.oracles[stage + 1]
        limit = QUEUE_PER_WORKER * following.pool.workers * following.declaration.batch_size
        if state.queue_length(stage + 1) + state.in_flight[oracle.name] >= limit:
            return None
    attempt = state.active[state.next_waiting(stage, 1)[0]].attempt
    if attempt:
        room = 1  # alone, or a batch in which one candidate kills the worker fails three times
    # A retry at the first oracle was admitted already; it only needs evaluations.
    allowed = state.remaining(oracle) if attempt else _budget_allows(plan, state, stage)
    if allowed < 1:
        return None
    # One attempt number per task: the seed depends on it.
    chosen = tuple(
        i
        for i in state.next_waiting(stage, int(min(room, allowed)))
        if state.active[i].attempt == attempt
    )
    return Submitted(
        task=f"evaluate-{state.submissions}",
        oracle=oracle.name,
        candidates=chosen,
        attempt=attempt,
        # The same for all candidates: a result does not depend on its place in the queue.
        seed=derived_seed(plan.oracle_seed, oracle.name, str(attempt)),
    )


def _reset(plan: CampaignPlan, state: CampaignState) -> IslandsReset | None:
    completed = state.promotion.completed
    if plan.search.islands < 2 or completed - state.completed_at_reset < plan.search.reset_every:
        return None
    founders = state.archive.choose_founders(random_generator(plan.seed, "reset", state.resets))
    return IslandsReset(
        founders={i: m.candidate.id if m else None for i, m in founders.items()},
        completed=completed,
    )


def _learning(plan: CampaignPlan, state: CampaignState) -> LearnRequested | None:
    if _budget_allows(plan, state, 0) < 1:
        return None  # nobody will be asked again
    for proposer in plan.proposers:
        due = (
            proposer.learn_every is not None
            and state.judged - state.judged_at_learning[proposer.name] >= proposer.learn_every
        )
        if not due or _is_learning(state, proposer):
            continue
        # The best quarter, not everything: early on most examples are no example to follow.
        count = min(proposer.learn_best, max(MINIMUM_EXAMPLES, state.archive.registered // 4))
        examples = state.archive.best(count)
        return LearnRequested(
            task=f"learn-{state.learns}",
            proposer=proposer.name,
            examples=tuple(member.candidate.id for member in examples),
            random_index=state.learns,
        )
    return None


def _is_learning(state: CampaignState, proposer: ProposerPlan) -> bool:
    return any(
        isinstance(task, LearnTask) and task.pool == proposer.name
        for task in state.outstanding.values()
    )


def _ask(plan: CampaignPlan, state: CampaignState) -> Asked | None:
    if state.empty_asks >= EMPTY_ASKS_BEFORE_END or not _is_hungry(plan, state):
        return None
    free = [p for p in plan.proposers if not _is_asked(state, p)]
    # One that is learning would answer late; the oracles must not wait for it if others can.
    # One that observes is not asked behind its lesson: if that fails, it starts anew, and what it
    # was told before is lost to an ask that brings only the latest news.
    idle = [p for p in free if not _is_learning(state, p)]
    free = idle or [p for p in free if not p.observes]
    if not free:
        return None
    proposer = _chosen(plan, state, free)
    rng = random_generator(plan.seed, "select", state.asks)
    island = int(rng.integers(plan.search.islands))
    exemplars = state.archive.draw(island, rng)
    return Asked(
        task=f"ask-{state.asks}",
        proposer=proposer.name,
        island=island,
        epoch=state.archive.islands[island].epoch,
        exemplars=tuple(member.candidate.id for member in exemplars),
        count=proposer.batch,
        random_index=state.asks,
    )


def _chosen(plan: CampaignPlan, state: CampaignState, free: Sequence[ProposerPlan]) -> ProposerPlan:
    """Return who is asked of those who can be."""
    if plan.search.proposer_choice == "shares":
        return min(free, key=lambda p: (state.asked[p.name] / p.share, p.name))
    name = state.bandit.choose(
        {p.name: p.share for p in free},
        plan.search.bandit.floor,
        random_generator(plan.seed, "choose", state.asks),
    )
    return next(p for p in free if p.name == name)


def _is_hungry(plan: CampaignPlan, state: CampaignState) -> bool:
    """Whether the costly part of the cascade will soon want more candidates than there are.

    What waits was proposed with the knowledge of its time, so as little as possible should wait:
    candidates are counted up to the first oracle that is not negligible, and compared with its
    waiting room. Oracles that cost nothing before it are no reason to propose ahead.
    """
    allowed = _budget_allows(plan, state, 0)
    if allowed < 1:
        return False
    coming, room = state.expected, 0.0
    for stage, oracle in enumerate(plan.oracles):
        coming += state.queue_length(stage)
        if oracle.metered:
            room = QUEUE_PER_WORKER * oracle.pool.workers * oracle.declaration.batch_size
            break
        coming += state.in_flight[oracle.name]
    else:
        first = plan.oracles[0]
        coming = state.expected + state.queue_length(0)
        room = capacity(first) * first.declaration.batch_size
    return coming < min(room, allowed)


def _is_asked(state: CampaignState, proposer: ProposerPlan) -> bool:
    return any(
        isinstance(task, ProposeTask) and task.pool == proposer.name
        for task in state.outstanding.values()
    )


def _end(plan: CampaignPlan, state: CampaignState) -> Finished | None:
    # A lesson that nobody will make use of is not waited for.
    if any(not isinstance(task, LearnTask) for task in state.outstanding.values()):
        return None
    if _budget_allows(plan, state, 0) < 1:
        return Finished(reason="budget")
    if state.empty_asks >= EMPTY_ASKS_BEFORE_END:
        return Finished(
            reason=f"exhausted: {state.empty_asks} asks in a row gave no new valid candidate"
        )
    return None


def conclusions(
    plan: CampaignPlan, state: CampaignState, task: Task, result: Result
) -> Iterator[Event]:
    """Yield the events that follow from a settled task.

    A generator: each event must be applied to ``state`` before the next one is drawn.
    """
    match task:
        case ProposeTask():
            yield _proposed(plan, state, task, result)
        case EvaluateTask():
            yield from _evaluated(plan, state, task, result)
        case LearnTask():
            yield _learned(task, result)


def _unexpected(task: Task, result: Result) -> Failure:
    if isinstance(result, Failure):
        return result
    return Failure(
        cause=FailureCause.CONTRACT,
        message=f"expected a result of '{task.kind}', got '{result.kind}'",
    )


def _proposed(
    plan: CampaignPlan, state: CampaignState, task: ProposeTask, result: Result
) -> Proposed:
    island, epoch = task.prompt.island, task.prompt.epoch
    if not isinstance(result, ProposeResult):
        return Proposed(
            task=task.id, proposer=task.pool, island=island, epoch=epoch,
            failure=_unexpected(task, result),
        )  # fmt: skip
    accepted: dict[str, AcceptedProposal] = {}
    rejected = dict(result.rejected)
    for screened in result.proposals:
        candidate = Candidate.of(plan.space, screened.canonical)
        if candidate.id in state.known or candidate.id in accepted:
            rejected["duplicate"] = rejected.get("duplicate", 0) + 1
            continue
        accepted[candidate.id] = AcceptedProposal(
            candidate=candidate,
            operator=screened.proposal.operator,
            parents=screened.proposal.parents,
            log_likelihood=screened.proposal.log_likelihood,
        )
    return Proposed(
        task=task.id,
        proposer=task.pool,
        island=island,
        epoch=epoch,
        model_version=result.model_version,
        accepted=tuple(accepted.values()),
        rejected=rejected,
    )


def _evaluated(
    plan: CampaignPlan, state: CampaignState, task: EvaluateTask, result: Result
) -> Iterator[Event]:
    outcomes: tuple[Outcome, ...]
    if isinstance(result, EvaluateResult) and len(result.outcomes) == len(task.candidates):
        outcomes = result.outcomes
    else:
        outcomes = (_unexpected(task, result),) * len(task.candidates)
    for candidate, outcome in zip(task.candidates, outcomes, strict=True):
        entry = state.active[candidate.id]
        yield Settled(
            task=task.id,
            oracle=task.pool,
            candidate=candidate.id,
            attempt=entry.attempt,
            outcome=outcome,
        )
        yield judge(plan, state, candidate.id, task.pool, outcome)


def judge(
    plan: CampaignPlan, state: CampaignState, candidate_id: str, oracle: str, outcome: Outcome
) -> Judged:
    """Return the verdict on a candidate whose latest evaluation is already in the state."""
    entry = state.active[candidate_id]
    if isinstance(outcome, Failure):
        retry = may_retry(outcome, entry.attempt)
        poison = (
            f"quarantined after {MAX_ATTEMPTS[outcome.cause]} tries, "
            if quarantines(outcome, entry.attempt)
            else ""
        )
        return Judged(
            candidate=candidate_id,
            oracle=oracle,
            verdict="retry" if retry else "failed",
            reason=f"{poison}{outcome.cause.value}: {outcome.message}",
        )
    judgement = plan.objective.judge(entry.measurements)
    if judgement.violated is not None:
        return Judged(
            candidate=candidate_id,
            oracle=oracle,
            verdict="infeasible",
            bound=judgement.bound,
            reason=judgement.violated,
        )
    if entry.stage + 1 == len(plan.oracles):
        return Judged(
            candidate=candidate_id,
            oracle=oracle,
            verdict="completed",
            bound=judgement.bound,
            score=judgement.bound,
        )
    uniform = float(random_generator(plan.seed, f"promote:{oracle}", entry.order).random())
    chance = state.chance(entry, judgement.bound)
    promoted, reason = state.promotion.promotes(judgement.bound, uniform, chance)
    return Judged(
        candidate=candidate_id,
        oracle=oracle,
        verdict="promoted" if promoted else "dropped",
        bound=judgement.bound,
        threshold=state.promotion.threshold(),
        reason=reason,
    )


def _learned(task: LearnTask, result: Result) -> Learned:
    if isinstance(result, LearnResult):
        return Learned(
            task=task.id, proposer=task.pool, report=result.report, checkpoint=task.checkpoint
        )
    return Learned(task=task.id, proposer=task.pool, failure=_unexpected(task, result))
