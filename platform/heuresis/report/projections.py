"""From ledger entries to what people look at: one incremental fold, shared by all views.

`CampaignView.apply` takes one entry at a time, costs O(1) amortised, and keeps only what tables and
curves need. The live terminal, MLflow, the HTML report and ``heuresis top`` all read the same
numbers because they read this.
"""

from __future__ import annotations

import bisect
from collections import Counter, deque
from collections.abc import Collection, Iterable

from heuresis.events import (
    AcceptedProposal,
    BudgetExtended,
    CampaignStarted,
    Entry,
    Finished,
    Forked,
    IslandsReset,
    Judged,
    Learned,
    Proposed,
    Settled,
    Submitted,
)
from heuresis.records import Evaluation, Failure, FailureCause, Timing
from heuresis.report.front import FrontView
from heuresis.report.rows import (
    CandidateRecord,
    CurvePoint,
    FailureExample,
    LearningStep,
    StageCounts,
    Tally,
)
from heuresis.report.rungs import Rungs
from heuresis.report.shares import AskHistory
from heuresis.search.objective import Objective

SHARE_WINDOW = 256
"""Validity and duplicate shares are taken over the last so many proposals (at least one ask)."""
EXAMPLES_PER_CAUSE = 3
SCATTER_LIMIT = 2000
"""Completed candidates kept for the scatter under the convergence curve; then every other goes."""
SESSION_GAP_s = 2.0
"""A pause longer than this may be the time between two sessions, see `CampaignView.running_s`."""


class CampaignView:
    """A fold over ledger entries.

    Args:
        keep: how many of the best completed candidates to keep with all they carry.
        metered: oracles whose settlements advance the evaluations axis; None: all of them.
        front_of: objective of a campaign that is ranked by Pareto front; None: by score.
    """

    def __init__(
        self,
        *,
        keep: int = 100,
        metered: Collection[str] | None = None,
        front_of: Objective | None = None,
    ) -> None:
        self._keep = keep
        self._metered = None if metered is None else frozenset(metered)
        self.started: CampaignStarted | None = None
        self.finished: str | None = None
        """Reason of the last `Finished`; None while it runs, was interrupted, or was extended."""
        self.forked: Forked | None = None
        """Where this run left the history of another; the latest fork, if there were several."""
        self.sequence = 0
        self.evaluations = 0
        """Settled evaluations, failures included, of the metered oracles: the x axis."""
        self.completed = 0
        self.asked = AskHistory()
        """`asks`, by proposer."""
        self.accepted = 0
        self.rejected: Counter[str] = Counter()
        self.stages: dict[str, StageCounts] = {}
        """By oracle, in the order in which they were first used: the cascade."""
        self.failures: dict[str, Counter[FailureCause]] = {}
        """By oracle or proposer; retried attempts count too."""
        self.failure_examples: dict[tuple[str, FailureCause], deque[FailureExample]] = {}
        self.top: list[CandidateRecord] = []
        """The best completed candidates by score, best first; ties in order of completion."""
        self.front = FrontView(front_of) if front_of is not None else None
        """The non-dominated candidates; None in a campaign that is ranked by score."""
        self.sources: dict[tuple[str, str], Tally] = {}
        """(proposer, operator) → how its candidates fared."""
        self.model_versions: dict[tuple[str, str], Tally] = {}
        """(proposer, model version) → how its candidates fared."""
        self.learning: list[LearningStep] = []
        self.resets: list[tuple[int, IslandsReset]] = []
        """(evaluations, reset)."""
        self.proposer_busy_s: dict[str, float] = {}
        self.learning_busy_s: dict[str, float] = {}
        self.best_curve: list[CurvePoint] = []
        self.top10_curve: list[CurvePoint] = []
        self.scatter: list[CurvePoint] = []
        self.started_at: float | None = None
        self.last_at: float | None = None
        self.running_s = 0.0
        """Wall time while a session ran: pauses between sessions are left out."""
        self.first_completed_s: float | None = None
        """Running seconds until the first candidate was completed."""
        self._scatter_stride = 1
        self._open: dict[str, CandidateRecord] = {}
        self.rungs = Rungs()
        self._texts: dict[str, str] = {}
        self._crashed: str | None = None
        """The candidate that settled last, if it killed its worker; its verdict comes next."""
        self._timed_task: dict[str, str] = {}
        self._shares: deque[tuple[int, int, int]] = deque()
        self._share_totals = [0, 0, 0]

    # -- reading -------------------------------------------------------------------------------

    @property
    def asks(self) -> int:
        """Answered asks, failed ones too."""
        return self.asked.total.total()

    @property
    def proposed(self) -> int:
        """Texts that proposers gave: accepted, duplicate and rejected."""
        return self.accepted + self.rejected.total()

    @property
    def duplicates(self) -> int:
        """Valid texts that this campaign already knew."""
        return self.rejected["duplicate"]

    @property
    def best(self) -> CandidateRecord | None:
        """The best completed candidate."""
        return self.top[0] if self.top else None

    @property
    def best_score(self) -> float | None:
        """Score of the best completed candidate."""
        return self.top[0].score if self.top else None

    @property
    def top10_mean(self) -> float | None:
        """Mean score of the ten best (of all, when fewer are completed)."""
        scores = [record.score for record in self.top[:10] if record.score is not None]
        return sum(scores) / len(scores) if scores else None

    def ranked(self, count: int) -> list[CandidateRecord]:
        """Return the best completed candidates: the whole front first, if there is one."""
        if self.front is None:
            return self.top[:count]
        found = self.front.records
        known = {record.candidate.id for record in found}
        return [*found, *(r for r in self.top if r.candidate.id not in known)][:count]

    @property
    def valid_share(self) -> float | None:
        """Share of recent proposals that the design space accepts, duplicates included."""
        accepted, duplicate, invalid = self._share_totals
        total = accepted + duplicate + invalid
        return (accepted + duplicate) / total if total else None

    @property
    def duplicate_share(self) -> float | None:
        """Share of recent valid proposals that the campaign already knew."""
        accepted, duplicate, _ = self._share_totals
        return duplicate / (accepted + duplicate) if accepted + duplicate else None

    @property
    def failure_count(self) -> int:
        """Failed attempts of oracles, proposers and learning steps."""
        return sum(counter.total() for counter in self.failures.values())

    @property
    def in_progress(self) -> int:
        """Candidates accepted and without a final verdict."""
        return len(self._open)

    def verdicts(self) -> Counter[str]:
        """Final verdicts over all oracles, plus ``promoted`` and ``retry`` steps."""
        return sum((stage.verdicts for stage in self.stages.values()), Counter())

    def busy_share(self, oracle: str, workers: int) -> float | None:
        """Share of slot time that workers spent in the oracle: busy / (workers × running time)."""
        if oracle not in self.stages or self.running_s <= 0.0 or workers < 1:
            return None
        return self.stages[oracle].busy_s / (workers * self.running_s)

    # -- folding -------------------------------------------------------------------------------

    def apply_all(self, entries: Iterable[Entry]) -> CampaignView:
        """Apply entries in order; returns self."""
        for entry in entries:
            self.apply(entry)
        return self

    def apply(self, entry: Entry) -> None:
        """Take note of one entry. Entries already seen (by sequence number) are ignored."""
        if entry.sequence <= self.sequence:
            return
        self.sequence = entry.sequence
        self._advance_clock(entry)
        match entry.event:
            case CampaignStarted() as event:
                self.started = event
            case Proposed() as event:
                self._proposed(event, entry)
            case Submitted() as event:
                self._stage(event.oracle).submitted += len(event.candidates)
            case Settled() as event:
                self._settled(event, entry.timing)
            case Judged() as event:
                self._judged(event)
            case Learned() as event:
                self._learned(event, entry.timing)
            case IslandsReset() as event:
                self.resets.append((self.evaluations, event))
            case BudgetExtended():
                self.finished = None
            case Forked() as event:
                self.finished = None
                self.forked = event
            case Finished() as event:
                self.finished = event.reason
            case _:  # requests: what matters is what came of them
                pass

    def _advance_clock(self, entry: Entry) -> None:
        if self.last_at is None:
            self.started_at = self.last_at = entry.recorded_at
            return
        gap = max(0.0, entry.recorded_at - self.last_at)
        if gap > SESSION_GAP_s and self.sequence > 2:
            # A running loop decides right after something settled, and what settles was handed out
            # before the previous entry. So whatever lies before the hand-out (or the whole gap,
            # when it ends with a decision) is time in which no session ran.
            idle = gap if entry.timing is None else entry.timing.submitted_at - self.last_at
            gap -= min(gap, max(0.0, idle))
        self.running_s += gap
        self.last_at = max(self.last_at, entry.recorded_at)

    def _stage(self, oracle: str) -> StageCounts:
        return self.stages.setdefault(oracle, StageCounts())

    def _proposed(self, event: Proposed, entry: Entry) -> None:
        self.asked.add(event.proposer)
        _add(self.proposer_busy_s, event.proposer, entry.timing)
        if event.failure is not None:
            self._failed(event.proposer, None, event.failure)
            return
        self.accepted += len(event.accepted)
        self.rejected.update(event.rejected)
        for accepted in event.accepted:
            self._open[accepted.candidate.id] = self._record_of(accepted, event)
            self.sources.setdefault((event.proposer, accepted.operator), Tally()).accepted += 1
        if event.model_version is not None and event.accepted:
            tally = self.model_versions.setdefault((event.proposer, event.model_version), Tally())
            tally.accepted += len(event.accepted)
        self._note_shares(event)

    def _record_of(self, accepted: AcceptedProposal, event: Proposed) -> CandidateRecord:
        return CandidateRecord(
            candidate=accepted.candidate,
            proposer=event.proposer,
            operator=accepted.operator,
            parents=accepted.parents,
            parent_texts=tuple(self._texts[i] for i in accepted.parents if i in self._texts),
            island=event.island,
            epoch=event.epoch,
            model_version=event.model_version,
            log_likelihood=accepted.log_likelihood,
            proposed_sequence=self.sequence,
        )

    def _note_shares(self, event: Proposed) -> None:
        duplicate = event.rejected.get("duplicate", 0)
        newest = (len(event.accepted), duplicate, sum(event.rejected.values()) - duplicate)
        self._shares.append(newest)
        self._share_totals = [a + b for a, b in zip(self._share_totals, newest, strict=True)]
        while len(self._shares) > 1:
            if sum(self._share_totals) - sum(self._shares[0]) < SHARE_WINDOW:
                break
            oldest = self._shares.popleft()
            self._share_totals = [a - b for a, b in zip(self._share_totals, oldest, strict=True)]

    def _settled(self, event: Settled, timing: Timing | None) -> None:
        stage = self._stage(event.oracle)
        stage.settled += 1
        if self._metered is None or event.oracle in self._metered:
            self.evaluations += 1
        if timing is not None and timing.origin is not None:
            stage.shared += 1
            stage.saved_core_s += timing.origin.cpu_s or timing.origin.duration_s
        # Candidates of one task settle one after another and share its clocks: count them once.
        elif timing is not None and self._timed_task.get(event.oracle) != event.task:
            self._timed_task[event.oracle] = event.task
            stage.busy_s += timing.duration_s
        record = self._open.get(event.candidate)
        self._crashed = None
        if isinstance(event.outcome, Evaluation):
            stage.evaluated += 1
            if record is None:
                return
            for name, measurement in event.outcome.measurements.items():
                record.measurements[f"{event.oracle}.{name}"] = measurement
            record.checks[event.oracle] = event.outcome.checks
            if timing is not None:
                record.seconds[event.oracle] = timing.duration_s
        else:
            text = record.candidate.text if record is not None else None
            self._failed(event.oracle, text, event.outcome)
            if event.outcome.cause is FailureCause.CRASH:
                self._crashed = event.candidate

    def _failed(self, pool: str, text: str | None, failure: Failure) -> None:
        self.failures.setdefault(pool, Counter())[failure.cause] += 1
        examples = self.failure_examples.setdefault(
            (pool, failure.cause), deque(maxlen=EXAMPLES_PER_CAUSE)
        )
        examples.append(FailureExample(text=text, failure=failure))

    def _judged(self, event: Judged) -> None:
        stage = self._stage(event.oracle)
        stage.verdicts[event.verdict] += 1
        if event.verdict == "failed" and self._crashed == event.candidate:
            stage.quarantined += 1
        self.rungs.judged(event)
        if event.verdict in ("promoted", "retry"):
            return
        record = self._open.pop(event.candidate, None)
        if record is None:
            return
        if event.verdict in ("completed", "dropped"):  # only these can become parents
            self._texts[event.candidate] = record.candidate.text
        if event.verdict == "completed" and event.score is not None:
            self._completed(record, event.score)

    def _completed(self, record: CandidateRecord, score: float) -> None:
        self.completed += 1
        if self.first_completed_s is None:
            self.first_completed_s = self.running_s
        record.score = score
        record.completed_sequence = self.sequence
        record.evaluations = self.evaluations
        self.sources.setdefault((record.proposer, record.operator), Tally()).add_score(score)
        if record.model_version is not None:
            key = (record.proposer, record.model_version)
            self.model_versions.setdefault(key, Tally()).add_score(score)
        if self.completed % self._scatter_stride == 0:
            self.scatter.append(self._point(score))
            if len(self.scatter) > SCATTER_LIMIT:
                self.scatter = self.scatter[1::2]
                self._scatter_stride *= 2
        if self.front is not None:
            self.front.add(record, evaluations=self.evaluations, completed=self.completed)
        place = bisect.bisect_right(self.top, -score, key=lambda r: -(r.score or 0.0))
        if place >= self._keep:
            return
        self.top.insert(place, record)
        del self.top[self._keep :]
        if place == 0:
            self.best_curve.append(self._point(score))
        if place < 10 and self.completed >= 10:
            self.top10_curve.append(self._point(self.top10_mean or 0.0))

    def _point(self, value: float) -> CurvePoint:
        return CurvePoint(evaluations=self.evaluations, completed=self.completed, value=value)

    def _learned(self, event: Learned, timing: Timing | None) -> None:
        _add(self.learning_busy_s, event.proposer, timing)
        if event.failure is not None:
            self._failed(event.proposer, None, event.failure)
        report = event.report
        self.learning.append(
            LearningStep(
                sequence=self.sequence,
                evaluations=self.evaluations,
                proposer=event.proposer,
                model_version=report.model_version if report else None,
                updates=report.updates if report else 0,
                metrics=dict(report.metrics) if report else {},
                checkpoint=event.checkpoint,
                duration_s=timing.duration_s if timing else None,
                failure=event.failure,
            )
        )


def _add(busy_s: dict[str, float], pool: str, timing: Timing | None) -> None:
    if timing is not None:
        busy_s[pool] = busy_s.get(pool, 0.0) + timing.duration_s
