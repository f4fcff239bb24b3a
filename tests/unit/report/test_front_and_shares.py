"""What people see of a Pareto ranking, and of who was asked."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from synthetic_ledger import synthetic_entries, synthetic_plan

from heuresis.cli.tables import asks
from heuresis.report.page import ReportContext, render_report
from heuresis.report.projections import CampaignView
from heuresis.report.shares import BLOCKS, AskHistory
from heuresis.report.summary import summary
from heuresis.search.pareto import hypervolume
from heuresis.tracking.projection import Sampler, metrics, ranked_table

OBJECTIVE = synthetic_plan().objective
ENTRIES = synthetic_entries(160)
WHOLE = CampaignView(keep=10_000).apply_all(ENTRIES)
VIEW = CampaignView(front_of=OBJECTIVE).apply_all(ENTRIES)


def point(record: object) -> tuple[float, ...]:
    measurements = record.measurements  # type: ignore[attr-defined]
    return tuple(OBJECTIVE.judge(measurements).desirabilities.values())


def test_the_front_is_what_no_completed_candidate_beats() -> None:
    assert VIEW.front is not None
    points = {record.candidate.id: point(record) for record in WHOLE.top}
    expected = {
        one
        for one, values in points.items()
        if not any(
            all(a >= b for a, b in zip(other, values, strict=True)) and other != values
            for other in points.values()
        )
    }
    found = [record.candidate.id for record in VIEW.front.records]
    assert {points[i] for i in found} == {points[i] for i in expected}
    assert 3 <= len(found) < len(points)
    assert VIEW.front.hypervolume == pytest.approx(hypervolume(np.array(list(points.values()))))


def test_the_hypervolume_never_falls_and_has_not_too_many_points() -> None:
    assert VIEW.front is not None
    curve = VIEW.front.curve
    assert all(a.value <= b.value + 1e-12 for a, b in itertools.pairwise(curve))
    assert curve[0].completed == 1
    assert 40 < len(curve) <= VIEW.completed
    assert summary(VIEW)["hypervolume"] == VIEW.front.hypervolume
    assert metrics(VIEW, {})["best/hypervolume"] == pytest.approx(curve[-1].value)


def test_a_ranking_starts_with_the_front_and_repeats_nobody() -> None:
    assert VIEW.front is not None
    shown = VIEW.ranked(30)
    size = VIEW.front.size
    assert shown[:size] == VIEW.front.records
    assert len({record.candidate.id for record in shown}) == 30
    scores = [record.score or 0.0 for record in shown[size:]]
    assert scores == sorted(scores, reverse=True)
    assert VIEW.best is shown[0], "the best score is on the front"
    table = ranked_table(VIEW, rows=5)
    assert [row[-1] for row in table["data"]] == [record.candidate.id for record in shown[:5]]


def test_a_campaign_ranked_by_score_shows_no_front() -> None:
    view = CampaignView().apply_all(ENTRIES)
    assert view.front is None
    assert view.ranked(7) == view.top[:7]
    assert summary(view)["hypervolume"] is None
    assert "best/hypervolume" not in metrics(view, {})
    assert "hypervolume" not in render_report(view, ReportContext(question=""))


def test_the_report_draws_the_front() -> None:
    assert VIEW.front is not None
    page = render_report(VIEW, ReportContext(question="", objective=OBJECTIVE))
    assert f"hypervolume of {VIEW.front.size} on the front" in page
    assert 'class="front"' in page
    assert f"The first {VIEW.front.size} are the Pareto front" in page


def test_the_tracker_writes_the_same_points_again() -> None:
    points = []
    for _ in range(2):
        sampler = Sampler(CampaignView(front_of=OBJECTIVE), {})
        points.append([p for entry in ENTRIES for p in sampler.apply(entry)])
    assert points[0] == points[1]
    assert sum(p.key == "best/hypervolume" for p in points[0]) > 20


def test_asks_are_counted_by_proposer() -> None:
    total = VIEW.asked.total
    assert total.keys() == {"language-model", "graph-moves"}
    assert summary(VIEW)["asks"] == dict(total)
    lines = asks(VIEW)
    assert lines[0].startswith("language-model: ")
    assert "% of the asks |" in lines[0]
    assert "Share of the asks" in render_report(VIEW, ReportContext(question=""))


def test_blocks_of_asks_stay_few_and_add_up() -> None:
    history = AskHistory()
    for number in range(1000):
        history.add("late" if number >= 500 else "early")
    assert len(history.blocks) <= BLOCKS
    assert sum(block.total() for block in history.blocks) == 1000
    assert {block.total() for block in history.blocks[:-1]} == {history.block_size}
    assert history.share("late") == 0.5
    assert history.shares("early")[0] == 1.0
    assert history.shares("late")[-1] == 1.0
    line = history.sparkline("late")
    assert len(line) == len(history.blocks)
    assert line[0] == " "
    assert line[-1] == "█"


def test_nothing_is_said_when_there_is_no_choice() -> None:
    view = CampaignView()
    view.asked.add("only")
    assert asks(view) == []
    assert AskHistory().share("nobody") == 0.0
