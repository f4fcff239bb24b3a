"""The fold behind every view, checked against the engine's own state and against hand counts."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from synthetic_ledger import START_s, synthetic_entries, synthetic_plan

from heuresis.engine.state import CampaignState
from heuresis.events import (
    AcceptedProposal,
    BudgetExtended,
    CampaignStarted,
    Entry,
    Event,
    Finished,
    Judged,
    Learned,
    Proposed,
    Settled,
    Submitted,
)
from heuresis.records import Candidate, Evaluation, Failure, FailureCause, Measurement, Timing
from heuresis.report import projections
from heuresis.report.projections import CampaignView
from heuresis.report.summary import candidate_row, summary

ENTRIES = synthetic_entries(evaluations=240)
A, B = Candidate.of("molecule", "CC"), Candidate.of("molecule", "CCC")


def timing(submitted_at: float, duration_s: float = 1.0) -> Timing:
    return Timing(
        submitted_at=submitted_at,
        started_at=submitted_at,
        ended_at=submitted_at + duration_s,
        duration_s=duration_s,
    )


class Writer:
    """Writes entries by hand."""

    def __init__(self) -> None:
        self.view = CampaignView()
        self.sequence = 0

    def add(self, event: Event, at: float = 0.0, timing: Timing | None = None) -> CampaignView:
        self.sequence += 1
        self.view.apply(Entry(sequence=self.sequence, event=event, recorded_at=at, timing=timing))
        return self.view


def settled(task: str, candidate: Candidate, value: float = 1.0) -> Settled:
    return Settled(
        task=task,
        oracle="xtb",
        candidate=candidate.id,
        attempt=0,
        outcome=Evaluation(measurements={"gap_eV": Measurement(value=value, unit="eV")}),
    )


def proposed(*candidates: Candidate, parents: tuple[str, ...] = (), **changes: object) -> Proposed:
    return Proposed.model_validate(
        {
            "task": "ask-0",
            "proposer": "walker",
            "island": 0,
            "epoch": 0,
            "accepted": [
                AcceptedProposal(candidate=c, operator="mutate", parents=parents)
                for c in candidates
            ],
            **changes,
        }
    )


def completed(candidate: Candidate, score: float) -> Judged:
    return Judged(candidate=candidate.id, oracle="xtb", verdict="completed", score=score)


def test_it_agrees_with_the_engine_on_what_both_know() -> None:
    state = CampaignState(synthetic_plan(240))
    state.apply_all(entry.event for entry in ENTRIES)
    view = CampaignView().apply_all(ENTRIES)
    assert view.accepted == len(state.known)
    assert view.completed == state.promotion.completed > 40
    assert view.in_progress == len(state.active)
    assert {o: s.submitted for o, s in view.stages.items()} == state.spent
    assert [s.in_flight for s in view.stages.values()] == [0, 0, 0]
    assert view.asks == state.asks
    assert len(view.learning) == state.learns > 0
    assert len(view.resets) == state.resets > 0
    assert view.finished == state.finished == "budget"
    assert list(view.stages) == ["descriptors", "xtb", "md"]


def test_counts_by_hand_over_the_same_events() -> None:
    view = CampaignView().apply_all(ENTRIES)
    outcomes = [e.event for e in ENTRIES if isinstance(e.event, Settled)]
    failed = Counter(
        (e.oracle, e.outcome.cause) for e in outcomes if isinstance(e.outcome, Failure)
    )
    assert view.evaluations == len(outcomes)
    seen = {
        (pool, cause): n for pool, causes in view.failures.items() for cause, n in causes.items()
    }
    assert seen == failed
    assert view.failure_count == sum(failed.values()) > 5
    scores = sorted(
        (
            e.event.score
            for e in ENTRIES
            if isinstance(e.event, Judged) and e.event.score is not None
        ),
        reverse=True,
    )
    assert [record.score for record in view.top] == scores[:100]
    assert view.best_score == scores[0]
    assert view.top10_mean == pytest.approx(sum(scores[:10]) / 10)
    verdicts = Counter(e.event.verdict for e in ENTRIES if isinstance(e.event, Judged))
    assert view.verdicts() == verdicts


def test_the_best_candidate_can_answer_for_itself() -> None:
    view = CampaignView().apply_all(ENTRIES)
    best = view.best
    assert best is not None
    assert set(best.measurements) == {
        "descriptors.sa_score",
        "descriptors.molecular_weight",
        "xtb.gap_eV",
        "xtb.dipole_debye",
        "md.rmsf_angstrom",
    }
    assert best.measurements["md.rmsf_angstrom"].uncertainty == 0.02
    assert best.checks["xtb"] == ("converged", "same_connectivity")
    assert best.seconds["md"] == 6.0
    assert ENTRIES[best.proposed_sequence - 1].event.kind == "proposed"
    assert best.completed_sequence is not None
    assert ENTRIES[best.completed_sequence - 1].event.kind == "judged"
    child = next(record for record in view.top if record.parents)
    assert len(child.parent_texts) == len(child.parents)
    row = candidate_row(best, synthetic_plan().objective)
    score = 1.0
    for desirability in row["desirabilities"].values():
        score *= desirability ** (1 / 3)
    assert score == pytest.approx(best.score)


def test_folding_in_pieces_and_twice_gives_the_same() -> None:
    whole = CampaignView().apply_all(ENTRIES)
    pieces = CampaignView().apply_all(ENTRIES[:300])
    pieces.apply_all(ENTRIES)  # the first 300 again, as after a re-read of the ledger
    assert summary(pieces) == summary(whole)
    assert pieces.best_curve == whole.best_curve
    json.dumps(summary(whole), allow_nan=False)


def test_curves_only_rise_where_they_must() -> None:
    view = CampaignView().apply_all(ENTRIES)
    for curve in (view.best_curve, view.top10_curve):
        values = [point.value for point in curve]
        assert len(values) > 3
        assert values == sorted(values)
        steps = [point.evaluations for point in curve]
        assert steps == sorted(steps)
    assert len(view.scatter) == view.completed


def test_metered_oracles_set_the_axis() -> None:
    view = CampaignView(metered={"xtb", "md"}).apply_all(ENTRIES)
    assert view.evaluations == 240


def test_only_the_best_are_kept() -> None:
    view = CampaignView(keep=5).apply_all(ENTRIES)
    assert [r.score for r in view.top] == [
        r.score for r in CampaignView().apply_all(ENTRIES).top[:5]
    ]


def test_ties_rank_in_order_of_completion() -> None:
    writer = Writer()
    writer.add(proposed(A, B))
    writer.add(completed(B, 0.5))
    view = writer.add(completed(A, 0.5))
    assert [record.candidate for record in view.top] == [B, A]


def test_a_batch_is_charged_once() -> None:
    writer = Writer()
    writer.add(proposed(A, B))
    writer.add(Submitted(task="t", oracle="xtb", candidates=(A.id, B.id), attempt=0, seed=1))
    writer.add(settled("t", A), 5.0, timing(0.0, 4.0))
    view = writer.add(settled("t", B), 5.0, timing(0.0, 4.0))
    assert view.stages["xtb"].busy_s == 4.0
    assert view.busy_share("xtb", workers=2) == pytest.approx(4.0 / (2 * 5.0))
    assert view.busy_share("xtb", workers=0) is None
    assert view.busy_share("unknown", workers=1) is None


def test_time_between_sessions_is_not_running_time() -> None:
    writer = Writer()
    writer.add(CampaignStarted(campaign="c", spec_hash="0", seed=1, versions={}), 100.0)
    writer.add(Submitted(task="s", oracle="xtb", candidates=(A.id,), attempt=0, seed=1), 104.0)
    writer.add(settled("s", A), 110.0, timing(104.0))  # 10 s of the first session
    # A night later: the second session hands the task out at 5000 and it takes 8 s.
    writer.add(settled("t", B), 5008.0, timing(5000.0))
    view = writer.add(Finished(reason="budget"), 9000.0)  # a third session decides at once
    assert view.running_s == pytest.approx(10.0 + 8.0)


def test_a_long_calculation_is_running_time() -> None:
    writer = Writer()
    writer.add(CampaignStarted(campaign="c", spec_hash="0", seed=1, versions={}), 0.0)
    writer.add(Submitted(task="s", oracle="xtb", candidates=(A.id,), attempt=0, seed=1), 0.0)
    view = writer.add(settled("s", A), 3600.0, timing(0.001, 3600.0))
    assert view.running_s == pytest.approx(3600.0, abs=0.01)


def test_failures_of_proposers_and_learning_count_and_show() -> None:
    writer = Writer()
    lost = Failure(cause=FailureCause.LOST, message="the worker vanished")
    writer.add(proposed(failure=lost))
    view = writer.add(Learned(task="l", proposer="walker", failure=lost))
    assert view.failures == {"walker": Counter({FailureCause.LOST: 2})}
    assert view.failure_examples["walker", FailureCause.LOST][0].failure == lost
    assert view.learning[0].failure == lost
    assert view.valid_share is None
    assert view.duplicate_share is None


def test_shares_look_at_recent_proposals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projections, "SHARE_WINDOW", 4)
    writer = Writer()
    writer.add(proposed(A, rejected={"syntax": 9}))
    assert writer.view.valid_share == pytest.approx(0.1)
    view = writer.add(proposed(B, rejected={"duplicate": 3}))
    assert view.valid_share == 1.0  # the bad ask slid out of the window
    assert view.duplicate_share == 0.75
    assert view.proposed == 14


def test_an_extended_budget_reopens_the_campaign() -> None:
    writer = Writer()
    writer.add(Finished(reason="budget"))
    view = writer.add(BudgetExtended(budget={"evaluations": 9}))
    assert view.finished is None


def test_the_scatter_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projections, "SCATTER_LIMIT", 50)
    writer = Writer()
    for i in range(1000):
        candidate = Candidate.of("molecule", str(i))
        writer.add(proposed(candidate))
        writer.add(completed(candidate, i / 1000))
    assert 20 <= len(writer.view.scatter) <= 50
    strides = {
        b.completed - a.completed
        for a, b in zip(writer.view.scatter, writer.view.scatter[1:], strict=False)
    }
    assert len(strides) == 1  # still evenly spread over the campaign


def test_the_virtual_clock_of_the_generator() -> None:
    view = CampaignView().apply_all(ENTRIES)
    assert view.started_at == START_s
    assert view.last_at is not None
    assert view.running_s == pytest.approx(view.last_at - START_s)
    share = view.busy_share("md", workers=2)
    assert share is not None
    assert 0.8 < share <= 1.0
