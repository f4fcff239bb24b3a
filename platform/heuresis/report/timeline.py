"""Who worked when: the utilisation of every slot, from the ledger alone.

Each record carries two clocks: when (`started_at`, Unix seconds of the worker's host) and how long
(`duration_s`, monotonic). Where a bar begins is told by the first, how long it is by the second, so
a clock that jumps moves a bar but never makes a slot look busier than it was.

The fold keeps a fixed number of bins; when time outgrows them they are joined in pairs. Its memory
does not grow with the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from heuresis.events import Entry, Learned, Proposed, Settled
from heuresis.records import Timing

BINS = 1024
"""Bins kept per slot; even, and more than any terminal is wide."""
FIRST_WIDTH_S = 0.01
CLOCKS_MAY_DIFFER_S = 2.0
"""Both clocks of one task may differ by so much, and a tenth of it, before it is a jump."""


@dataclass(kw_only=True)
class SlotUse:
    """What one worker did."""

    pool: str
    worker: str
    host: str = ""
    tasks: int = 0
    busy_s: float = 0.0
    first_at: float | None = None
    """When its first task started, Unix seconds."""
    last_at: float | None = None
    """When its last task ended."""
    bins: list[float] = field(default_factory=lambda: [0.0] * BINS)
    """Busy seconds in each bin."""


class Timeline:
    """A fold over ledger entries.

    Args:
        sessions: of the ledger, see `JournalLedger.sessions`: when there was somebody to work.
        workers: pool → its workers, so that one that never worked is shown too.
    """

    def __init__(
        self,
        sessions: Sequence[Mapping[str, Any]] = (),
        workers: Mapping[str, int] | None = None,
    ) -> None:
        self.width_s = FIRST_WIDTH_S
        """Seconds per bin."""
        self.began_at: float | None = None
        """Unix seconds of the first bin's beginning."""
        self.ended_at = 0.0
        self.slots: dict[str, SlotUse] = {}
        """By worker."""
        self.jumps = 0
        """Tasks whose two clocks disagree: a clock was set while they ran."""
        self._timed: str | None = None
        self._spans = [_span(session) for session in sessions]
        for start, end in self._spans:
            self._extend(start, end)
        for pool, count in (workers or {}).items():
            for number in range(1, count + 1):
                self._slot(pool, f"{pool}[{number}]")

    def apply_all(self, entries: Iterable[Entry]) -> Timeline:
        """Apply entries in order; returns self."""
        for entry in entries:
            self.apply(entry)
        return self

    def apply(self, entry: Entry) -> None:
        """Take note of the next entry."""
        event = entry.event
        if entry.timing is None or not isinstance(event, Settled | Proposed | Learned):
            return
        if entry.timing.origin is not None:
            return  # nobody worked: another run had measured it
        if isinstance(event, Settled):
            # Candidates of one task settle one after another and share its clocks.
            if event.task == self._timed:
                return
            self._timed = event.task
        pool = event.oracle if isinstance(event, Settled) else event.proposer
        self._add(pool, entry.timing)

    def _add(self, pool: str, timing: Timing) -> None:
        start, end = timing.started_at, timing.started_at + timing.duration_s
        elapsed_s = timing.ended_at - timing.started_at
        if abs(elapsed_s - timing.duration_s) > CLOCKS_MAY_DIFFER_S + 0.1 * timing.duration_s:
            self.jumps += 1
        self._extend(start, end)
        slot = self._slot(pool, timing.worker or pool)
        slot.host = timing.host
        slot.tasks += 1
        slot.busy_s += timing.duration_s
        slot.first_at = start if slot.first_at is None else min(slot.first_at, start)
        slot.last_at = end if slot.last_at is None else max(slot.last_at, end)
        for number, seconds in self._parts(start, end):
            slot.bins[number] += seconds

    def _slot(self, pool: str, worker: str) -> SlotUse:
        return self.slots.setdefault(worker, SlotUse(pool=pool, worker=worker))

    def _extend(self, start: float, end: float) -> None:
        if self.began_at is None:
            self.began_at, self.ended_at = start, end
        while start < self.began_at:  # another host's clock, or a session before the first task
            self._double(later=False)
        while end > self.began_at + BINS * self.width_s:
            self._double(later=True)
        self.ended_at = max(self.ended_at, end)

    def _double(self, *, later: bool) -> None:
        """Join bins in pairs; the freed half lies behind them, or before them."""
        assert self.began_at is not None
        free = [0.0] * (BINS // 2)
        for slot in self.slots.values():
            joined = [a + b for a, b in zip(slot.bins[::2], slot.bins[1::2], strict=True)]
            slot.bins = joined + free if later else free + joined
        if not later:
            self.began_at -= BINS * self.width_s
        self.width_s *= 2

    def _parts(self, start: float, end: float) -> list[tuple[int, float]]:
        """Return (bin, seconds in it) of a time span."""
        assert self.began_at is not None
        first = int((start - self.began_at) / self.width_s)
        last = int((end - self.began_at) / self.width_s)
        parts = []
        for number in range(max(0, first), min(BINS - 1, last) + 1):
            left = self.began_at + number * self.width_s
            seconds = min(end, left + self.width_s) - max(start, left)
            if seconds > 0.0:
                parts.append((number, seconds))
        return parts

    # -- reading -------------------------------------------------------------------------------

    @property
    def session_s(self) -> float:
        """Seconds in which a session ran; without sessions, from the first task to the last."""
        return sum(end - start for start, end in self._all_spans())

    def _all_spans(self) -> list[tuple[float, float]]:
        if self._spans:
            return self._spans
        return [(self.began_at, self.ended_at)] if self.began_at is not None else []

    def share(self, slot: SlotUse) -> float:
        """Share of all sessions' time that a slot was busy, 0 to 1."""
        return slot.busy_s / self.session_s if self.session_s > 0.0 else 0.0

    def pool_share(self, pool: str) -> float:
        """Mean of `share` over a pool's slots."""
        slots = [slot for slot in self.slots.values() if slot.pool == pool]
        return sum(map(self.share, slots)) / len(slots) if slots else 0.0

    def bars(self, columns: int) -> tuple[list[float | None], dict[str, list[float | None]]]:
        """Return busy shares over time in so many columns, for the pools and for each worker.

        Returns:
            Mean over all slots, and by worker; each value in [0, 1], None where no session ran.
        """
        whole = self._resampled(self._running(), columns)
        by_worker = {
            worker: [
                min(1.0, busy / there) if there > self.width_s else None
                for busy, there in zip(self._resampled(slot.bins, columns), whole, strict=True)
            ]
            for worker, slot in self.slots.items()
        }
        mean: list[float | None] = []
        for column in range(columns):
            values = [v for shares in by_worker.values() if (v := shares[column]) is not None]
            mean.append(sum(values) / len(values) if values else None)
        return mean, by_worker

    def _running(self) -> list[float]:
        """Return the seconds of each bin in which a session ran."""
        running = [0.0] * BINS
        for start, end in self._all_spans():
            for number, seconds in self._parts(start, end):
                running[number] += seconds
        return [min(seconds, self.width_s) for seconds in running]

    def _resampled(self, bins: Sequence[float], columns: int) -> list[float]:
        """Spread bins over columns that cover the time from the first beginning to the end."""
        if self.began_at is None:
            return [0.0] * columns
        column_s = max((self.ended_at - self.began_at) / columns, 1e-9)
        found = [0.0] * columns
        for number, seconds in enumerate(bins):
            if seconds <= 0.0:
                continue
            left, right = number * self.width_s, (number + 1) * self.width_s
            column = int(left / column_s)
            while column < columns and column * column_s < right:
                low, high = column * column_s, (column + 1) * column_s
                overlap = min(right, high) - max(left, low)
                found[column] += seconds * max(0.0, overlap) / self.width_s
                column += 1
        return found

    def document(self) -> dict[str, Any]:
        """Return it as plain values with stable keys."""
        pools = dict.fromkeys(slot.pool for slot in self.slots.values())
        return {
            "began_at": self.began_at,
            "ended_at": self.ended_at if self.began_at is not None else None,
            "session_s": self.session_s,
            "clock_jumps": self.jumps,
            "pools": {pool: {"busy_share": self.pool_share(pool)} for pool in pools},
            "workers": [
                {
                    "pool": slot.pool,
                    "worker": slot.worker,
                    "host": slot.host,
                    "tasks": slot.tasks,
                    "busy_s": slot.busy_s,
                    "busy_share": self.share(slot),
                    "first_at": slot.first_at,
                    "last_at": slot.last_at,
                }
                for slot in self.slots.values()
            ],
        }


def _span(session: Mapping[str, Any]) -> tuple[float, float]:
    """Return when a session ran; one that was killed ran as long as was noted last."""
    start = float(session["started_at"])
    return start, start + float(session["seconds"])
