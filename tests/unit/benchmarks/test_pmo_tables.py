"""Tables and learning curves of the PMO benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.pmo.plot import POINTS, draw, thinned
from benchmarks.pmo.readings import Readings
from benchmarks.pmo.runs import Summary
from benchmarks.pmo.table import Configured, Result, comparison, own_table, spread


def result(task: str, seed: int, auc: float, processor_s: float | None = 20.0) -> Result:
    summary = Summary(
        configuration="moves", identity="0", task=task, seed=seed, calls=10_000, budget=10_000,
        finished="budget", wall_s=50.0, processor_s=processor_s,
        plugin_s={"propose": 10.0, "learn": 0.0, "measure": 4.0}, proposed=10_000, rejected={},
        operators={}, versions={},
    )  # fmt: skip
    readings = Readings(
        auc=auc, auc_at_1000=auc / 2, auc_filtered=auc / 3, auc_diverse=auc / 4,
        auc_filtered_diverse=auc / 5, final_best=0.9, final_top10=0.8, final_inside=0.5,
        final_similarity=0.6, calls=10_000, failed=0, filtered_by="this and that",
    )  # fmt: skip
    return Result(summary, readings)


MOVES = Configured(
    "moves",
    "a",
    (
        result("zaleplon_mpo", 1, 0.5),
        result("zaleplon_mpo", 2, 0.6),
        result("qed", 1, 0.9),
        result("qed", 2, 0.94),
        result("qed", 3, 0.92),
    ),
)


def test_sums_are_over_the_means_of_the_tasks_that_were_run() -> None:
    lines = own_table(MOVES).splitlines()
    [zaleplon] = [line for line in lines if line.startswith("| zaleplon_mpo")]
    assert zaleplon.startswith("| zaleplon_mpo | 2 | 0.550 ± 0.071 | 0.275 ± 0.035 |")
    [total] = [line for line in lines if "sum of 2" in line]
    # .55 + .92; the spread is that of seeds 1 and 2, which both tasks have: 1.40 and 1.54.
    assert "| **1.470** ± 0.099 |" in total
    assert MOVES.sums_by_seed(lambda r: r.auc) == [pytest.approx(1.4), pytest.approx(1.54)]
    text = own_table(MOVES)
    assert "Class a: prior knowledge from ZINC250k alone" in text
    assert "Filtered: this and that." in text
    assert "Processor milliseconds per call: 2.00, of which propose 1.00" in text
    assert "engine, ledger and report 0.60" in text


def test_killed_sessions_leave_no_processor_time() -> None:
    one = Configured("one", "a", (result("qed", 1, 0.9, processor_s=None),))
    assert "Processor seconds are not known" in own_table(one)


def test_published_columns_stand_beside_on_the_same_tasks() -> None:
    other = Configured("other", "b", (result("zaleplon_mpo", 1, 0.3), result("median1", 1, 0.2)))
    text = comparison([MOVES, other], 10_000)
    assert "1 of PMO's 23 tasks" in text  # what they have in common
    [row] = [line for line in text.splitlines() if line.startswith("| zaleplon_mpo")]
    assert row.startswith("| zaleplon_mpo | **0.550** | **0.300** | 0.533 |")
    assert row.endswith("| 0.552 Genetic GFN |")
    assert "| moves (a) | other (b) | REINVENT (a) |" in text
    assert "f-RAG" not in text.splitlines()[2], "prescreened methods are no columns"
    assert "Not comparable (class p" in text
    alone = comparison([MOVES], 10_000)
    [total] = [line for line in alone.splitlines() if "sum of 2" in line]
    assert total.startswith("| **sum of 2** | **1.470** | 1.474 |")  # REINVENT .941 + .533


def test_the_lottery_is_counted_with_and_without() -> None:
    luck = Configured("luck", "a", (result("valsartan_smarts", 1, 0.9), result("qed", 1, 0.94)))
    lines = comparison([luck], 10_000).splitlines()
    [with_it] = [line for line in lines if "sum of 2" in line]
    [without] = [line for line in lines if "without valsartan_smarts" in line]
    assert with_it.startswith("| **sum of 2** | **1.840** | 1.123 |")
    assert without.startswith("| **without valsartan_smarts** | **0.940** | 0.941 |")
    assert "without" not in comparison([MOVES], 10_000).split("Classes")[0]


def test_other_budgets_and_other_tasks_do_not_compare() -> None:
    assert "do not compare" in comparison([MOVES], 1000)
    elsewhere = Configured("elsewhere", "a", (result("median2", 1, 0.3),))
    assert "no task in common" in comparison([MOVES, elsewhere], 10_000)
    assert spread([]) == "–"
    assert spread([0.5]) == "0.500"


def test_curves_end_where_the_run_ends_and_are_held_to_the_budget(tmp_path: Path) -> None:
    scores = [i / 10_000 for i in range(5_000)]
    calls, means = thinned(scores, 10_000)
    assert len(calls) <= POINTS + 2
    assert calls[-2:] == [5_000, 10_000]
    assert means[-1] == means[-2] == pytest.approx(0.49945)
    assert thinned([0.5], 10_000) == ([1, 10_000], [0.5, 0.5])
    assert thinned([], 10_000) == ([], [])
    figure = tmp_path / "new" / "curves.png"
    draw({"moves": {"qed": [scores, scores[:50]]}, "other": {"median1": [scores]}}, 10_000, figure)
    assert figure.read_bytes().startswith(b"\x89PNG")
