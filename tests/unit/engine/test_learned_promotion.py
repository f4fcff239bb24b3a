"""Learned promotion in the loop: dear evaluations go where they pay, and a resume is exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from engine_toys import ToyExecutor, ledger_path, plan
from mortal_ledger import Killed, MortalLedger

from heuresis.engine.controller import Controller
from heuresis.events import Entry, Judged, Submitted
from heuresis.ledger import SQLiteLedger
from heuresis.records import Evaluation, Failure, FailureCause, Measurement, Outcome
from heuresis.report.projections import CampaignView
from heuresis.tasks import EvaluateTask


class TellingExecutor(ToyExecutor):
    """What the cheap oracle measures says what the dear one will, in a way no bound can know."""

    def outcome(self, task: EvaluateTask, number: int) -> Outcome:
        cheap = 60 + number % 40
        if task.pool == "cheap":
            return Evaluation(measurements={"value": Measurement(value=float(cheap), unit="1")})
        if cheap > 92:
            return Failure(cause=FailureCause.IMPLAUSIBLE, message="too large")
        value = 90.0 - 4.0 * abs(cheap - 80) + number % 7
        return Evaluation(measurements={"value": Measurement(value=value, unit="1")})


def run(
    folder: Path, rule: str, ledger_type: type[SQLiteLedger] = SQLiteLedger, **settings: Any
) -> list[Entry]:
    made = plan(
        search={"islands": 1, "promotion": {"rule": rule, "quantile": 0.75, **settings}},
        budget={"evaluations": 150},
    )
    folder.mkdir(exist_ok=True)
    ledger = ledger_type.open(ledger_path(folder), create=True)
    controller = Controller(made, ledger, TellingExecutor(), now=lambda: 0.0)
    try:
        controller.replay()
        controller.run()
        return list(ledger.read())
    finally:
        ledger.close()


def late_scores(entries: list[Entry]) -> list[float]:
    """Scores of what was completed after the first third; failures count as nothing."""
    judged = [
        e.event for e in entries if isinstance(e.event, Judged) and e.event.oracle == "costly"
    ]
    final = [j for j in judged if j.verdict in ("completed", "failed")]
    return [j.score or 0.0 for j in final[len(final) // 3 :]]


def test_dear_evaluations_go_where_they_pay(tmp_path: Path) -> None:
    by_bound = late_scores(run(tmp_path / "bound", "bound"))
    learned = late_scores(run(tmp_path / "learned", "learned"))
    assert sum(learned) / len(learned) > sum(by_bound) / len(by_bound) + 0.1
    assert learned.count(0.0) / len(learned) < by_bound.count(0.0) / len(by_bound)


def test_the_random_share_tells_what_the_rule_would_miss(tmp_path: Path) -> None:
    entries = run(tmp_path, "learned", random_share=0.3)
    reasons = [e.event.reason for e in entries if isinstance(e.event, Judged)]
    assert reasons.count("random share") >= 5
    view = CampaignView().apply_all(entries)
    agreement = view.rungs.agreements["cheap"]
    assert agreement.at_random >= 5
    assert agreement.at_random_above < agreement.at_random
    assert agreement.pairs > 30
    assert agreement.correlation is not None
    assert -1.0 <= agreement.correlation <= 1.0
    assert view.rungs.lines() == [f"cheap: {agreement.words()}"]
    assert "went on by chance beat the threshold" in agreement.words()


@pytest.mark.parametrize("at", [60, 171])
def test_it_resumes_exactly(tmp_path: Path, at: int) -> None:
    whole = run(tmp_path / "whole", "learned")
    MortalLedger.appends_left, MortalLedger.after_writing = at, True
    with pytest.raises(Killed):
        run(tmp_path / "part", "learned", MortalLedger)
    resumed = run(tmp_path / "part", "learned")
    assert [e.event for e in resumed] == [e.event for e in whole]


def test_the_likeliest_are_measured_first(tmp_path: Path) -> None:
    entries = run(tmp_path, "learned", warm_up=30)
    promoted = {
        e.event.candidate: e.event
        for e in entries
        if isinstance(e.event, Judged) and e.event.verdict == "promoted"
    }
    submitted = [e.event for e in entries if isinstance(e.event, Submitted)]
    dear = [s.candidates[0] for s in submitted if s.oracle == "costly"]
    assert set(dear) <= promoted.keys()
