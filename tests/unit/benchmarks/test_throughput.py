"""The arithmetic of the throughput benchmark, and each of its commands once, quickly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.throughput.archive import Mark, draw, sizes_up_to, slope, slopes
from benchmarks.throughput.processes import Watch, family, memory_MiB
from benchmarks.throughput.sides import closed_loop, useful_share
from benchmarks.throughput.slots import number_of_tasks
from benchmarks.throughput.tables import fill_page, table

ROOT = Path(__file__).parents[3]


def mark(settled: int, evaluations: int, processor_ms: float, memory: float) -> Mark:
    return Mark(
        settled=settled,
        evaluations=evaluations,
        wall_s=1.0,
        processor_s=processor_ms * evaluations / 1000,
        memory_MiB=memory,
    )


def test_a_slot_that_sleeps_as_told_is_busy_and_one_that_wakes_late_is_not() -> None:
    assert useful_share(640, 0.1, 64, 1.0) == pytest.approx(1.0)
    assert useful_share(640, 0.1, 64, 1.25) == pytest.approx(0.8)


def test_every_slot_gets_as_many_tasks_as_the_others() -> None:
    assert number_of_tasks(64, 0.1, 15.0, quick=False) == 64 * 150
    assert number_of_tasks(64, 1.0, 0.5, quick=False) % 64 == 0
    assert number_of_tasks(64, 0.0, 15.0, quick=False) > 1000


def test_a_slope_is_that_of_the_line_whatever_the_weights() -> None:
    assert slope([1, 2, 4], [10, 12, 16], [1, 1, 1]) == pytest.approx(2.0)
    assert slope([1, 2, 4], [10, 12, 16], [5, 1, 9]) == pytest.approx(2.0)
    assert slope([0, 1, 2], [0, 1, 50], [1, 1, 0]) == pytest.approx(1.0)


def test_growth_per_million_candidates_is_found_again() -> None:
    # 0.1 ms and 5 µs more per million, in the middle of each stretch; 100 bytes per candidate.
    marks, before = [], 0
    for settled in (100_000, 400_000, 1_000_000):
        middle = (settled + before) / 2
        marks.append(
            mark(settled, settled - before, 0.1 + 5e-9 * middle, 60 + 100 * settled / 2**20)
        )
        before = settled
    microseconds, size = slopes(marks)
    assert microseconds == pytest.approx(5.0)
    assert size == pytest.approx(100.0)


def test_sizes_end_with_the_largest() -> None:
    assert sizes_up_to(12_000) == [1000, 2000, 5000, 10_000, 12_000]
    assert sizes_up_to(500) == [500]


def test_a_closed_loop_keeps_two_tasks_per_slot_in_flight() -> None:
    given: list[int] = [0]
    told: list[int] = []
    in_flight: list[int] = []

    def submit() -> None:
        given[0] += 1

    def come() -> None:
        in_flight.append(given[0] - len(in_flight))

    closed_loop(submit, come, 3, 10, told.append)
    assert given == [10]
    assert max(in_flight) == 6
    assert in_flight[:4] == [6, 6, 6, 6]
    assert told == list(range(1, 11))


def test_processes_of_ours_are_counted_and_others_are_not() -> None:
    watch = Watch()
    busy = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in family(os.getpid())
        assert 0.2 < watch.others_s < 2.0
        assert watch.own_s < watch.wall_s + 0.1
        child.communicate(b"\n")
    assert memory_MiB() <= memory_MiB(field="VmHWM")


def test_a_page_is_filled_between_the_marks_and_nowhere_else() -> None:
    page = "before\n<!-- one -->\nold\n<!-- /one -->\nafter <!-- two -->\n<!-- /two -->\n"
    circumstances = {"when": "then", "cores": 2, "load_before": 0.1, "load_after": 1.5}
    filled = fill_page(page, {"one": {"machine": circumstances, "markdown": "| new |\n"}})
    assert filled.startswith("before\n<!-- one -->\nMeasured then, 2 cores, load 0.1")
    assert "old" not in filled
    assert "| new |\n<!-- /one -->\nafter <!-- two -->\n<!-- /two -->\n" in filled
    with pytest.raises(ValueError, match="no place for 'three'"):
        fill_page(page, {"three": {"machine": circumstances, "markdown": ""}})


def test_a_table_has_as_many_columns_as_heads() -> None:
    assert table(["a", "b"], [[1, "x"]]) == "| a | b |\n| --- | --- |\n| 1 | x |\n"


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    marks = [mark(1000, 1000, 0.1, 60.0), mark(2000, 1000, 0.1, 61.0)]
    for name in ("a.svg", "b.svg"):
        draw([one.model_dump() for one in marks], tmp_path / name)
    first = (tmp_path / "a.svg").read_text()
    assert "candidates in the archive" in first
    assert first == (tmp_path / "b.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["slots", "--seconds", "0.05", "--sides", "local"], "slots-0.05s"),
        (["archive"], "archive"),
        (["ledger"], "ledger"),
    ],
)
def test_each_command_runs(tmp_path: Path, arguments: list[str], name: str) -> None:
    command = [sys.executable, "-m", "benchmarks.throughput", *arguments, "--quick"]
    began = time.monotonic()
    done = subprocess.run(
        [*command, "--output", str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / f"{name}.json").read_text())
    assert result["markdown"] in done.stdout
    assert result["machine"]["cores"] >= 1
    if name == "archive":
        assert [one["settled"] >= 1000 for one in result["marks"]] == [True, True]
        assert all(0.0 < one["processor_s"] < time.monotonic() - began for one in result["marks"])
    if name == "ledger":
        readings = result["readings"]["500"]
        assert {one["events"] for one in readings.values()} == {readings["read"]["events"]}
        assert len(result["append"]["SQLite"]) == 4
    if name.startswith("slots"):
        (row,) = result["rows"]
        assert row["tasks"] == 80
        assert 0.0 < 80 * 0.05 / (4 * row["wall_s"]) <= row["ledger_share"] <= 1.0
