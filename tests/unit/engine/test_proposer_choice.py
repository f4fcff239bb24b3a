"""Whom the engine asks: by shares, or by a bandit whose counts are a fold over the events."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from engine_toys import ToyExecutor, ledger_path, plan
from mortal_ledger import Killed, MortalLedger

from heuresis.engine.controller import Controller
from heuresis.engine.plan import CampaignPlan
from heuresis.engine.state import CampaignState
from heuresis.events import Asked, Entry, Judged, Proposed
from heuresis.ledger import SQLiteLedger
from heuresis.randomness import random_generator
from heuresis.records import Proposal
from heuresis.tasks import ProposeResult, ProposeTask, Result, ScreenedProposal, Task


class UnequalProposers(ToyExecutor):
    """``walker`` proposes numbers that score high, ``learner`` numbers that score low."""

    def result(self, task: Task) -> Result:
        if not isinstance(task, ProposeTask):
            return super().result(task)
        rng = random_generator(*task.random_key)
        # The last digits of a number are what the oracles measure.
        low, high = (60, 100) if task.pool == "walker" else (0, 40)
        texts = [
            str(1000 * int(rng.integers(1, 9999)) + int(rng.integers(low, high)))
            for _ in range(task.count)
        ]
        return ProposeResult(
            proposals=tuple(
                ScreenedProposal(canonical=t, proposal=Proposal(text=t, operator="draw"))
                for t in texts
            )
        )


class SilentLearner(UnequalProposers):
    """``learner`` has nothing new to say."""

    def result(self, task: Task) -> Result:
        if isinstance(task, ProposeTask) and task.pool == "learner":
            return ProposeResult(proposals=(), rejected={"duplicate": task.count})
        return super().result(task)


def campaign(choice: str, evaluations: int = 100, **bandit: Any) -> CampaignPlan:
    settings = {"top": 10, "window": 100, "floor": 0.1, **bandit}
    search = {"islands": 2, "proposer_choice": choice, "bandit": settings}
    return plan(search=search, budget={"evaluations": evaluations}, learn_every=None)


def run(
    folder: Path,
    made: CampaignPlan,
    executor: ToyExecutor,
    ledger_type: type[SQLiteLedger] = SQLiteLedger,
) -> list[Entry]:
    folder.mkdir(exist_ok=True)
    ledger = ledger_type.open(ledger_path(folder), create=True)
    controller = Controller(made, ledger, executor, now=lambda: 0.0)
    try:
        controller.replay()
        controller.run()
        return list(ledger.read())
    finally:
        ledger.close()


def asked(entries: list[Entry]) -> Counter[str]:
    return Counter(e.event.proposer for e in entries if isinstance(e.event, Asked))


def test_the_bandit_turns_to_who_gives_the_best(tmp_path: Path) -> None:
    by_success = asked(run(tmp_path / "bandit", campaign("bandit"), UnequalProposers()))
    by_share = asked(run(tmp_path / "shares", campaign("shares"), UnequalProposers()))
    assert by_share["walker"] < by_share["learner"], "its share is half"
    assert by_success["walker"] > 2 * by_success["learner"]
    assert by_success["learner"] >= 2, "the floor"


def test_who_only_repeats_itself_is_not_asked_for_ever(tmp_path: Path) -> None:
    by_success = asked(run(tmp_path, campaign("bandit", floor=0.0), SilentLearner()))
    assert by_success["learner"] < 0.4 * by_success.total()


def test_shares_know_nothing_of_the_bandit(tmp_path: Path) -> None:
    orders = []
    for name, changes in (("a", {}), ("b", {"top": 3, "window": 10, "floor": 0.9})):
        made = campaign("shares", evaluations=40, **changes)
        entries = run(tmp_path / name, made, UnequalProposers())
        orders.append([e.event for e in entries])
    assert orders[0] == orders[1]


def test_counts_are_a_fold_over_the_events(tmp_path: Path) -> None:
    made = campaign("bandit", evaluations=80)
    entries = run(tmp_path, made, UnequalProposers())
    state = CampaignState(made)
    state.apply_all(e.event for e in entries)
    outcomes: list[tuple[str, bool]] = []
    who: dict[str, str] = {}
    best: list[float] = []
    for event in (e.event for e in entries):
        if isinstance(event, Proposed):
            who.update((a.candidate.id, event.proposer) for a in event.accepted)
        if not isinstance(event, Judged) or event.verdict in ("promoted", "retry"):
            continue
        if event.score is None:
            outcomes.append((who[event.candidate], False))
            continue
        if len(best) >= 10:
            outcomes.append((who[event.candidate], event.score > best[9]))
        best = sorted([*best, event.score], reverse=True)
    expected = Counter(outcomes[-100:])
    for name in ("learner", "walker"):
        assert state.bandit.successes(name) == expected[name, True]
        assert state.bandit.failures(name) == expected[name, False]
    assert expected["walker", True] > 5
    assert expected["learner", False] > 5


@pytest.mark.parametrize("at", [9, 33])
def test_a_bandit_resumes_exactly(tmp_path: Path, at: int) -> None:
    made = campaign("bandit", evaluations=30)
    whole = run(tmp_path / "whole", made, UnequalProposers())
    MortalLedger.appends_left, MortalLedger.after_writing = at, True
    with pytest.raises(Killed):
        run(tmp_path / "part", made, UnequalProposers(), MortalLedger)
    resumed = run(tmp_path / "part", made, UnequalProposers())
    assert [e.event for e in resumed] == [e.event for e in whole]
