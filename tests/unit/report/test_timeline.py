"""The utilisation of slots, on ledgers written by hand whose utilisation is known."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console
from synthetic_ledger import synthetic_entries

from heuresis.campaign.run_folder import RunFolder
from heuresis.cli.timeline import bar, print_timeline, read_timeline
from heuresis.events import Entry, Proposed, Settled, Submitted
from heuresis.ledger import SQLiteLedger
from heuresis.records import Evaluation, Timing
from heuresis.report.timeline import Timeline

START_s = 1_795_000_000.0


class Handmade:
    """A ledger of tasks that started and lasted as told."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def task(
        self,
        worker: str,
        start_s: float,
        seconds: float,
        *,
        candidates: int = 1,
        wall_s: float = -1,
    ) -> None:
        pool, task = worker.partition("[")[0], f"t{len(self.entries)}"
        names = tuple(f"{task}-{n}" for n in range(candidates))
        self._add(Submitted(task=task, oracle=pool, candidates=names, attempt=0, seed=0), None)
        started = START_s + start_s
        timing = Timing(
            submitted_at=started,
            started_at=started,
            ended_at=started + (seconds if wall_s < 0 else wall_s),
            duration_s=seconds,
            worker=worker,
            host="laptop",
        )
        for name in names:
            event = Settled(
                task=task, oracle=pool, candidate=name, attempt=0,
                outcome=Evaluation(measurements={}),
            )  # fmt: skip
            self._add(event, timing)

    def ask(self, start_s: float, seconds: float) -> None:
        started = START_s + start_s
        timing = Timing(
            submitted_at=started, started_at=started, ended_at=started + seconds,
            duration_s=seconds, worker="proposer:words", host="laptop",
        )  # fmt: skip
        self._add(Proposed(task="a", proposer="words", island=0, epoch=0), timing)

    def _add(self, event: Submitted | Settled | Proposed, timing: Timing | None) -> None:
        number = len(self.entries) + 1
        self.entries.append(Entry(sequence=number, event=event, recorded_at=START_s, timing=timing))


def session(start_s: float, seconds: float) -> dict[str, object]:
    return {"started_at": START_s + start_s, "seconds": seconds}


def shares(values: Sequence[float | None]) -> list[float | None]:
    return [None if v is None else round(v, 3) for v in values]


@pytest.fixture
def handmade() -> Handmade:
    """Ten seconds: one slot busy all the time, one half of it, one never, a proposer for one."""
    made = Handmade()
    for second in range(10):
        made.task("xtb[1]", second, 1.0, candidates=3)
    made.task("xtb[2]", 0.0, 5.0)
    made.ask(2.0, 1.0)
    return made


def test_known_utilisation_is_found(handmade: Handmade) -> None:
    timeline = Timeline([session(0.0, 10.0)], {"xtb": 3}).apply_all(handmade.entries)
    by_worker = {w: round(timeline.share(s), 9) for w, s in timeline.slots.items()}
    assert by_worker == {"xtb[1]": 1.0, "xtb[2]": 0.5, "xtb[3]": 0.0, "proposer:words": 0.1}
    assert timeline.pool_share("xtb") == pytest.approx(0.5)
    assert timeline.slots["xtb[1]"].tasks == 10, "candidates of one task count once"
    assert timeline.session_s == 10.0
    mean, bars = timeline.bars(10)
    assert shares(bars["xtb[1]"]) == [1.0] * 10
    assert shares(bars["xtb[2]"]) == [1.0] * 5 + [0.0] * 5
    assert shares(bars["xtb[3]"]) == [0.0] * 10
    assert shares(bars["proposer:words"]) == [0, 0, 1.0, 0, 0, 0, 0, 0, 0, 0]
    assert shares(mean) == [0.5, 0.5, 0.75, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25]


def test_time_without_a_session_is_neither_busy_nor_idle(handmade: Handmade) -> None:
    handmade.task("xtb[1]", 90.0, 10.0)
    timeline = Timeline([session(0.0, 10.0), session(90.0, 10.0)]).apply_all(handmade.entries)
    assert timeline.session_s == 20.0
    assert timeline.share(timeline.slots["xtb[1]"]) == pytest.approx(1.0)
    _, bars = timeline.bars(10)
    assert shares(bars["xtb[1]"]) == [1.0, *[None] * 8, 1.0]
    assert bar(bars["xtb[1]"]) == "█        █"


@pytest.mark.parametrize("scale", [1e-3, 1.0, 3600.0])
def test_bars_are_right_on_every_scale(scale: float) -> None:
    made = Handmade()
    for number in range(100):
        made.task("md[1]", number * scale, 0.25 * scale)
    timeline = Timeline([session(0.0, 100 * scale)]).apply_all(made.entries)
    assert timeline.share(timeline.slots["md[1]"]) == pytest.approx(0.25)
    _, bars = timeline.bars(4)
    assert [round(v or 0.0, 2) for v in bars["md[1]"]] == [0.25] * 4


def test_what_comes_before_the_first_task_seen_has_its_place() -> None:
    made = Handmade()
    made.task("xtb[1]", 50.0, 50.0)
    made.task("xtb[2]", 0.0, 50.0)
    timeline = Timeline().apply_all(made.entries)
    assert timeline.began_at is not None
    _, bars = timeline.bars(2)
    total = {worker: sum(slot.bins) for worker, slot in timeline.slots.items()}
    assert total == {"xtb[1]": pytest.approx(50.0), "xtb[2]": pytest.approx(50.0)}
    first, second = bars["xtb[1]"], bars["xtb[2]"]
    assert (first[1] or 0) > (first[0] or 0)
    assert (second[0] or 0) > (second[1] or 0)


def test_a_clock_that_jumps_does_not_make_a_slot_busier() -> None:
    made = Handmade()
    made.task("xtb[1]", 0.0, 5.0, wall_s=3605.0)
    made.task("xtb[1]", 5.0, 5.0)
    timeline = Timeline([session(0.0, 10.0)]).apply_all(made.entries)
    assert timeline.jumps == 1
    assert timeline.share(timeline.slots["xtb[1]"]) == pytest.approx(1.0)


def test_memory_does_not_grow_with_the_ledger() -> None:
    entries = synthetic_entries(400)
    timeline = Timeline().apply_all(entries)
    assert len(timeline.slots) == 10
    assert {len(slot.bins) for slot in timeline.slots.values()} == {1024}


def test_a_synthetic_campaign_agrees_with_its_own_sums() -> None:
    entries = synthetic_entries(200)
    timeline = Timeline().apply_all(entries)
    busy: dict[str, float] = {}
    for task, timing in {
        e.event.task: e.timing
        for e in entries
        if e.timing is not None and isinstance(e.event, Settled)
    }.items():
        assert task
        busy[timing.worker] = busy.get(timing.worker, 0.0) + timing.duration_s
    for worker, seconds in busy.items():
        slot = timeline.slots[worker]
        assert slot.busy_s == pytest.approx(seconds)
        assert sum(slot.bins) == pytest.approx(seconds, abs=1e-4)


def test_it_is_drawn_from_the_ledger_alone(handmade: Handmade, tmp_path: Path) -> None:
    with closing(SQLiteLedger.open(tmp_path / "ledger.sqlite", create=True)) as ledger:
        ledger.append(handmade.entries)
        number = ledger.begin_session(START_s, {})
        ledger.note_session(number, START_s + 10.0, 10.0, "finished")
        ledger.note_spec("ab", {"oracles": {"xtb": {"workers": 3}}})
    out = io.StringIO()
    print_timeline(Console(file=out, width=76), read_timeline(RunFolder(tmp_path)))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert "10 s; busy share of sessions" in lines[0]
    drawn = {line.split("│")[0].strip(): line.split("│") for line in lines[1:]}
    assert set(drawn["xtb[1]"][1]) == {"█"}
    assert set(drawn["xtb[3]"][1]) == {"·"}
    assert drawn["xtb[2]"][1][:17] == "█" * 17
    assert drawn["xtb[2]"][2].split() == ["50%", "1", "tasks"]
    assert drawn["xtb"][2].split() == ["50%", "mean", "of", "3"]
    assert drawn["proposer:words"][2].split() == ["10%", "1", "tasks"]


def test_nothing_has_run_yet(tmp_path: Path) -> None:
    SQLiteLedger.open(tmp_path / "ledger.sqlite", create=True).close()
    out = io.StringIO()
    print_timeline(Console(file=out, width=76), read_timeline(RunFolder(tmp_path)))
    assert out.getvalue() == "nothing has run yet\n"
