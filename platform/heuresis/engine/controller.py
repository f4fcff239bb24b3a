"""The loop: record what was decided, hand it out, wait, record what came back.

The controller wakes for three reasons: a slot is free, a result arrived, a stop was asked. It owns
no clock, no random generator and no knowledge of Ray. Everything it does is an event first; after
a crash, replaying the events puts it where it was, and what was in flight is handed out again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from heuresis.engine.decisions import capacity, conclusions, next_decision
from heuresis.engine.plan import CampaignPlan
from heuresis.engine.policies import CircuitBreaker
from heuresis.engine.state import CampaignState
from heuresis.errors import LedgerError, PoolBrokenError, PoolError
from heuresis.events import (
    Asked,
    BudgetExtended,
    CampaignStarted,
    Entry,
    Event,
    Finished,
    Forked,
    Learned,
    LearnRequested,
    Proposed,
    Settled,
    Submitted,
)
from heuresis.ports import Executor, Ledger, Tracker
from heuresis.records import Evaluation, Failure, Timing
from heuresis.tasks import ProposeTask, Settlement, Task

WAIT_s = 0.25
"""How long to wait for a result before looking whether a stop was asked."""
SETTLEMENTS_PER_APPEND = 64
REPLAY_BATCH = 1000


@dataclass(frozen=True, kw_only=True)
class RunEnd:
    """Why `Controller.run` returned."""

    kind: Literal["finished", "interrupted", "paused"]
    reason: str


class Controller:
    """Drives one campaign from its ledger. Use once: construct, `run`, discard."""

    def __init__(
        self,
        plan: CampaignPlan,
        ledger: Ledger,
        executor: Executor,
        trackers: Sequence[Tracker] = (),
        *,
        now: Callable[[], float],
        settle_limit_s: float = 30.0,
    ) -> None:
        self.plan = plan
        self.state = CampaignState(plan)
        self._ledger = ledger
        self._executor = executor
        self._trackers = tuple(trackers)
        self._now = now
        self._settle_limit_s = settle_limit_s
        self._sequence = 0
        self._breaker = CircuitBreaker(in_flight={o.name: capacity(o) for o in plan.oracles})
        self._proposers = frozenset(p.name for p in plan.proposers)
        self._told: dict[str, int] = {}
        """Observing pool → how much of the history its worker has been sent in this session."""
        self._stop = threading.Event()
        self._stop_now = threading.Event()
        self._stop_reason = ""
        self._stop_finishes = False
        self._concluded: list[tuple[Event, Timing | None]] = []
        """What came of settlements: in the state, not in the ledger yet."""
        self._paused: str | None = None
        """Why the campaign pauses itself, once it does."""

    def ask_stop(self, reason: str, *, at_once: bool = False, finish: bool = False) -> None:
        """Ask the loop to end; callable from any thread or a signal handler.

        What runs is given ``settle_limit_s`` to settle; ``at_once`` does not wait. What has not
        settled is handed out again by the next session. ``finish`` makes it the end of the
        campaign (the wall-time budget is spent), not an interruption.
        """
        self._stop_reason = self._stop_reason or reason
        self._stop_finishes = self._stop_finishes or finish
        self._stop.set()
        if at_once:
            self._stop_now.set()

    def replay(
        self,
        *,
        versions: dict[str, str] | None = None,
        seen: Callable[[Sequence[Entry]], None] | None = None,
    ) -> None:
        """Fold the ledger into the state; write the first event of a new ledger.

        Args:
            versions: what the first event says of versions.
            seen: is shown the entries in order, some at a time, so that one reading serves all.

        Raises:
            LedgerError: the ledger belongs to another campaign or spec.
        """
        spec_hash: str | None = None
        batch: list[Entry] = []
        for entry in self._ledger.read():
            if isinstance(entry.event, CampaignStarted | Forked):
                spec_hash = entry.event.spec_hash
            try:
                self.state.apply(entry.event)
            except LookupError:
                self._require_same_campaign(spec_hash)
                raise
            self._sequence = entry.sequence
            if seen is not None:
                batch.append(entry)
                if len(batch) == REPLAY_BATCH:
                    seen(batch)
                    batch = []
        if seen is not None and batch:
            seen(batch)
        self._require_same_campaign(spec_hash)
        if not self.state.started:
            started = CampaignStarted(
                campaign=self.plan.campaign,
                spec_hash=self.plan.spec_hash,
                seed=self.plan.seed,
                versions=versions or {},
            )
            self._record([(started, None)])

    def _require_same_campaign(self, spec_hash: str | None) -> None:
        if spec_hash is not None and spec_hash != self.plan.spec_hash:
            raise LedgerError(
                f"the ledger was written for spec {spec_hash[:12]},"
                f" this campaign has spec {self.plan.spec_hash[:12]}"
            )

    def extend_budget(self, event: BudgetExtended) -> None:
        """Record that a person granted more; call after `replay` and before `run`."""
        self._record([(event, None)])

    def run(self) -> RunEnd:
        """Turn the loop until the campaign ends or a stop is asked."""
        for task in list(self.state.outstanding.values()):
            self._executor.submit(self._with_news(task))
        waited_s = 0.0
        while True:
            if self.state.finished is not None:
                return RunEnd(kind="finished", reason=self.state.finished)
            tripped = self._breaker.tripped(self._proposers)
            if tripped is not None and not self._stop.is_set():
                self._pause(tripped)
            stopping = self._stop.is_set()
            if not stopping:
                self._hand_out_all()
                if self.state.finished is not None:
                    continue
            else:
                self._record_concluded()
            if stopping and (
                self._stop_now.is_set()
                or waited_s >= self._settle_limit_s
                or not self.state.outstanding
            ):
                if self._paused is not None:
                    return RunEnd(kind="paused", reason=self._paused)
                if self._stop_finishes:
                    self._record([(Finished(reason=self._stop_reason), None)])
                    continue
                return RunEnd(kind="interrupted", reason=self._stop_reason)
            settlement = self._next_settled(WAIT_s)
            if settlement is None:
                waited_s += WAIT_s if stopping else 0.0
                for tracker in self._trackers:
                    tracker.record(())  # nothing happened, but people may want to see why
                continue
            self._settle(settlement)

    def _next_settled(self, timeout_s: float) -> Settlement | None:
        try:
            return self._executor.next_settled(timeout_s)
        except PoolBrokenError as error:
            self._pause(str(error))
            return None

    def _pause(self, reason: str) -> None:
        """Hand out nothing more; what runs in sound pools may still settle."""
        if self._paused is None:
            self._paused = reason
            self.ask_stop(reason)

    def _hand_out_all(self) -> None:
        """Decide until there is nothing to decide; record it all; only then hand it out.

        In one piece with what was concluded before: a turn of the loop costs one sync to disk.
        """
        decided: list[tuple[Event, Timing | None]] = []
        tasks: list[Task] = []
        try:
            while (event := next_decision(self.plan, self.state)) is not None:
                self.state.apply(event)
                decided.append((event, None))
                if isinstance(event, Submitted | Asked | LearnRequested):
                    tasks.append(self.state.outstanding[event.task])
        except BaseException:
            self._record_concluded()  # what came back must not be lost with it
            raise
        self._record_concluded(decided)
        for task in tasks:
            self._executor.submit(self._with_news(task))

    def _with_news(self, task: Task) -> Task:
        """Attach to an ask what its pool has not been told: so an ask costs no more than its news.

        The task in the state, which a resumed session hands out again, stays without.
        """
        if not isinstance(task, ProposeTask) or not task.observed:
            return task
        told = self._told.get(task.pool, 0)
        self._told[task.pool] = task.observed
        news = tuple(self.state.history[told : task.observed])
        return task.model_copy(update={"news_from": told, "news": news})

    def _settle(self, first: Settlement) -> None:
        """Conclude from a settlement, and from those that are already waiting behind it."""
        settlement: Settlement | None = first
        taken = 0
        while settlement is not None:
            taken += 1
            task = self.state.outstanding.get(settlement.task)
            if task is not None:  # otherwise: settled already, or not ours
                for event in conclusions(self.plan, self.state, task, settlement.result):
                    self.state.apply(event)
                    self._watch(event)
                    timed = isinstance(event, Settled | Proposed | Learned)
                    candidate = event.candidate if isinstance(event, Settled) else None
                    timing = settlement.timing_of(candidate) if timed else None
                    self._concluded.append((event, timing))
            if taken == SETTLEMENTS_PER_APPEND:
                break  # and leave the others with the executor: what is taken must be concluded
            try:
                settlement = self._next_settled(0.0)
            except PoolError:
                self._record_concluded()  # what came before it must not be lost with it
                raise

    def _watch(self, event: Event) -> None:
        match event:
            case Settled(outcome=Evaluation()):
                self._breaker.success(event.oracle)
            case Settled(outcome=Failure() as failure):
                self._breaker.failure(event.oracle, failure, event.task)
            case Proposed() | Learned():
                if event.failure is None:
                    self._breaker.success(event.proposer)
                else:
                    self._breaker.failure(event.proposer, event.failure, event.task)
                    # Its worker may have started anew, knowing nothing.
                    self._told.pop(event.proposer, None)
            case _:
                pass

    def _record_concluded(self, decided: Sequence[tuple[Event, Timing | None]] = ()) -> None:
        """Record what was concluded, and what was decided after it."""
        concluded, self._concluded = self._concluded, []
        self._record([*concluded, *decided], applied=True)

    def _record(
        self, events: Sequence[tuple[Event, Timing | None]], *, applied: bool = False
    ) -> None:
        if not events:
            return
        entries = []
        for event, timing in events:
            self._sequence += 1
            entries.append(
                Entry(
                    sequence=self._sequence,
                    event=event,
                    recorded_at=self._now(),
                    timing=timing,
                )
            )
        self._ledger.append(entries)
        if not applied:
            self.state.apply_all(entry.event for entry in entries)
        for tracker in self._trackers:
            tracker.record(entries)
