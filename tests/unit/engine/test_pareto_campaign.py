"""A campaign that is ranked by dominance: its front, its constraints, its resume."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine_toys import ToyExecutor, ledger_path, plan
from mortal_ledger import Killed, MortalLedger

from heuresis.engine.controller import Controller
from heuresis.engine.plan import CampaignPlan
from heuresis.engine.state import CampaignState
from heuresis.events import Entry, IslandsReset, Judged
from heuresis.ledger import SQLiteLedger


def campaign(evaluations: int = 60) -> CampaignPlan:
    return plan(
        search={
            "islands": 2,
            "reset_every": 12,
            "island_capacity": 10,
            "ranking": "pareto",
            "proposer_choice": "bandit",
            "promotion": {"quantile": 0.0},
        },
        constraints={"small": {"measure": "costly.value", "max": 80}},
        budget={"evaluations": evaluations},
    )


def run(
    folder: Path, made: CampaignPlan, ledger_type: type[SQLiteLedger] = SQLiteLedger
) -> tuple[CampaignState, list[Entry]]:
    folder.mkdir(exist_ok=True)
    ledger = ledger_type.open(ledger_path(folder), create=True)
    controller = Controller(made, ledger, ToyExecutor(), now=lambda: 0.0)
    try:
        controller.replay()
        controller.run()
        return controller.state, list(ledger.read())
    finally:
        ledger.close()


def test_the_front_is_that_of_the_feasible_completed_candidates(tmp_path: Path) -> None:
    made = campaign()
    state, entries = run(tmp_path, made)
    judged = [e.event for e in entries if isinstance(e.event, Judged)]
    verdicts = {j.candidate: j.verdict for j in judged}
    assert "infeasible" in verdicts.values()
    front = state.archive.front
    assert len(front.items) >= 3
    assert {verdicts[m.candidate.id] for m in front.items} == {"completed"}
    for member in front.items:
        number = int(member.candidate.text)
        assert number // 10 % 100 <= 80, "infeasible"
    best = max(j.score for j in judged if j.score is not None)
    assert best in {m.score for m in front.items}, "the best score is never dominated"
    assert best**2 <= front.hypervolume() <= 1.0
    assert any(isinstance(e.event, IslandsReset) for e in entries)
    assert state.bandit.successes("learner") + state.bandit.successes("walker") >= 3


@pytest.mark.parametrize("at", [14, 41])
def test_it_resumes_exactly(tmp_path: Path, at: int) -> None:
    made = campaign(evaluations=30)
    _, whole = run(tmp_path / "whole", made)
    MortalLedger.appends_left, MortalLedger.after_writing = at, True
    with pytest.raises(Killed):
        run(tmp_path / "part", made, MortalLedger)
    _, resumed = run(tmp_path / "part", made)
    assert [e.event for e in resumed] == [e.event for e in whole]
