"""The writer thread: never in the way, loses nothing silently, ends in bounded time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest
from synthetic_ledger import synthetic_entries

from heuresis.errors import UserError
from heuresis.events import Entry
from heuresis.report.projections import CampaignView
from heuresis.tracking import background
from heuresis.tracking.background import BackgroundTracker
from heuresis.tracking.projection import Point, Sampler

ENTRIES = synthetic_entries(120)


class MemorySink:
    """Keeps what it gets; fails or hangs on command."""

    name = "Sink"

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.batches = 0
        self.status: str | None = None
        self.refreshed = 0
        self.failures_left = 0
        self.gate = threading.Event()
        self.gate.set()

    def _answer(self) -> None:
        self.gate.wait(10)
        if self.failures_left:
            self.failures_left -= 1
            raise ConnectionError("connection refused\nand a long story")

    def open(self, view: CampaignView) -> None:
        self._answer()

    def write(self, points: Sequence[Point]) -> None:
        self._answer()
        self.batches += 1
        self.points += points

    def refresh(self, view: CampaignView) -> None:
        self.refreshed += 1

    def close(self, view: CampaignView, status: str) -> None:
        self.status = status


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "FLUSH_INTERVAL_s", 0.02)
    monkeypatch.setattr(background, "CLOSING_PAUSE_s", 0.01)
    monkeypatch.setattr(background, "BACKOFF_s", (0.03, 0.05))


def tracker(sink: MemorySink, *, finish_timeout_s: float = 10.0) -> BackgroundTracker:
    return BackgroundTracker(
        sink, workers={"xtb": 2}, republish="publish it", finish_timeout_s=finish_timeout_s
    )


def expected_points(entries: Sequence[Entry] = ENTRIES) -> list[Point]:
    sampler = Sampler(CampaignView(), {"xtb": 2})
    return [point for entry in entries for point in sampler.apply(entry)]


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def test_all_points_arrive_once_in_order_in_batches() -> None:
    sink = MemorySink()
    watched = tracker(sink)
    for start in range(0, len(ENTRIES), 7):
        watched.record(ENTRIES[start : start + 7])
    watched.finish("finished")
    assert sink.points == expected_points()
    assert sink.batches < 40
    assert sink.status == "finished"
    assert sink.refreshed >= 1
    assert watched.problem is None
    assert watched.advice is None
    assert watched.status == "Sink: up to date"


def test_record_returns_at_once_while_the_sink_hangs() -> None:
    sink = MemorySink()
    sink.gate.clear()
    watched = tracker(sink)
    began = time.perf_counter()
    for entry in ENTRIES:
        watched.record([entry])
    assert time.perf_counter() - began < 0.5
    assert sink.points == []
    sink.gate.set()
    watched.finish("finished")
    assert sink.points == expected_points()


def test_an_outage_is_retried_and_shown_meanwhile() -> None:
    sink = MemorySink()
    sink.failures_left = 3
    watched = tracker(sink)
    watched.record(ENTRIES[:200])
    until(lambda: watched.problem)
    assert "ConnectionError: connection refused" in watched.status
    assert "the campaign goes on" in watched.status
    assert "\n" not in watched.status
    until(lambda: sink.points)
    until(lambda: watched.problem is None)
    watched.record(ENTRIES[200:])
    watched.finish("interrupted")
    assert sink.points == expected_points()
    assert sink.status == "interrupted"


def test_a_dead_sink_costs_one_sentence_and_little_time() -> None:
    sink = MemorySink()
    sink.failures_left = 10**6
    watched = tracker(sink)
    watched.record(ENTRIES)
    began = time.perf_counter()
    watched.finish("finished")
    assert time.perf_counter() - began < 3.0
    assert watched.advice is not None
    assert watched.advice.startswith("Sink does not have everything: ConnectionError")
    assert "'publish it'" in watched.advice
    assert sink.status is None


def test_a_hanging_sink_does_not_hold_the_end() -> None:
    sink = MemorySink()
    sink.gate.clear()
    watched = tracker(sink, finish_timeout_s=0.2)
    watched.record(ENTRIES)
    began = time.perf_counter()
    watched.finish("finished")
    assert time.perf_counter() - began < 2.0
    assert watched.problem == "it was not ready within 0.2 s"
    sink.gate.set()


def test_a_full_queue_is_given_up_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "QUEUE_MAX_ENTRIES", 50)
    sink = MemorySink()
    sink.gate.clear()
    watched = tracker(sink)
    watched.start()
    until(lambda: watched._thread is not None and watched._thread.is_alive())
    for entry in ENTRIES:
        watched.record([entry])
    sink.gate.set()
    watched.finish("finished")
    assert watched.advice is not None
    assert "more than 50 entries waited" in watched.advice


def test_a_resumed_campaign_replays_then_goes_on() -> None:
    sink = MemorySink()
    watched = tracker(sink)
    watched.replay(ENTRIES[:300])
    watched.record(ENTRIES[300:])
    watched.finish("finished")
    assert sink.points == expected_points()
    with pytest.raises(RuntimeError, match="before"):
        watched.replay(ENTRIES)


def test_publishing_says_when_it_could_not() -> None:
    good = MemorySink()
    tracker(good).publish(iter(ENTRIES), "finished")
    assert good.points == expected_points()
    bad = MemorySink()
    bad.failures_left = 10**6
    with pytest.raises(UserError, match=r"Sink does not have everything: ConnectionError"):
        tracker(bad).publish(ENTRIES, "finished")


def test_a_defect_of_the_projection_does_not_end_the_campaign(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(self: Sampler, entry: Entry) -> list[Point]:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(Sampler, "apply", broken)
    watched = tracker(MemorySink())
    watched.record(ENTRIES)
    watched.finish("finished")
    assert watched.problem == "the writer stopped (ZeroDivisionError: oops)"
