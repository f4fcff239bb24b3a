"""A tracker that never blocks or fails the loop: a queue, one writer thread, batches, retries.

The loop hands over entries and goes on; everything that can be slow or fail happens in the writer,
through a `Sink`. What the sink does not take is not lost: the ledger has it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from heuresis.errors import UserError
from heuresis.events import Entry
from heuresis.report.projections import CampaignView
from heuresis.search.objective import Objective
from heuresis.tracking.projection import Point, Sampler

QUEUE_MAX_ENTRIES = 50_000
"""What may wait while the sink does not answer; beyond it this session's projection is given up."""
BATCH_POINTS = 1000
FLUSH_INTERVAL_s = 1.5
REFRESH_INTERVAL_s = 30.0
BACKOFF_s = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
CLOSING_ATTEMPTS = 4
CLOSING_PAUSE_s = 1.0


class Sink(Protocol):
    """Where a projection goes. All methods run in the writer thread and may raise anything."""

    name: str

    def open(self, view: CampaignView) -> None:
        """Connect and make ready; called before each batch, so it returns at once when done."""
        ...

    def write(self, points: Sequence[Point]) -> None:
        """Write points; the same points may come again after an error."""
        ...

    def refresh(self, view: CampaignView) -> None:
        """Rewrite what is not a curve: tables, files."""
        ...

    def close(self, view: CampaignView, status: str) -> None:
        """Close the run: finished, interrupted, paused or failed."""
        ...


class BackgroundTracker:
    """A `heuresis.ports.Tracker` over a `Sink`.

    Args:
        sink: where it goes.
        workers: oracle → number of workers, for the busy share of its slots.
        metered: oracles whose evaluations are the steps of the curves; None: all of them.
        front_of: objective of a campaign that is ranked by Pareto front; None: by score.
        republish: the command that writes the ledger again, for the closing sentence.
        finish_timeout_s: how long `finish` waits for the sink.
        monotonic: clock for intervals and back-off, in seconds.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        workers: Mapping[str, int],
        metered: Collection[str] | None = None,
        front_of: Objective | None = None,
        republish: str,
        finish_timeout_s: float = 45.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink = sink
        self._republish = republish
        self._finish_timeout_s = finish_timeout_s
        self._monotonic = monotonic
        self._wake = threading.Condition()
        self._queue: deque[Entry] = deque()
        self._gave_up: str | None = None
        self._ending: str | None = None
        self._thread: threading.Thread | None = None
        # From here on: the writer thread only (and `replay`, before it starts).
        self._sampler = Sampler(CampaignView(metered=metered, front_of=front_of), workers)
        self._pending: deque[Point] = deque()
        self._failed_attempts = 0
        self._error: str | None = None
        self._reached = self._closed = False

    def start(self) -> None:
        """Start the writer early, so that the run's address is known soon; not required."""
        if self._thread is None:
            name = f"{self._sink.name}-writer"
            self._thread = threading.Thread(target=self._main, name=name, daemon=True)
            self._thread.start()

    def replay(self, entries: Iterable[Entry]) -> None:
        """Take note of a resumed campaign's ledger; call before `start` and `record`."""
        if self._thread is not None:
            raise RuntimeError("replay() comes before start() and record()")
        for entry in entries:
            self._pending += self._sampler.apply(entry)

    def record(self, entries: Sequence[Entry]) -> None:
        """Queue entries for the writer; returns at once, never raises for the sink's sake."""
        with self._wake:
            if self._gave_up is not None:
                return
            self._queue.extend(entries)
            if len(self._queue) > QUEUE_MAX_ENTRIES:
                self._gave_up = f"more than {QUEUE_MAX_ENTRIES:,} entries waited"
                self._queue.clear()
        self.start()

    def finish(self, status: str) -> None:
        """Flush and close, in bounded time; afterwards `advice` says what is missing, if anything.

        Args:
            status: ``finished``, ``interrupted``, ``paused`` or ``failed``.
        """
        self.start()
        with self._wake:
            self._ending = status
            self._wake.notify()
        assert self._thread is not None
        self._thread.join(self._finish_timeout_s)

    def publish(self, entries: Iterable[Entry], status: str) -> None:
        """Write a whole ledger and wait until the sink has it all.

        Raises:
            UserError: the sink did not take everything.
        """
        self.replay(entries)
        self.finish(status)
        if self.problem is not None:
            raise UserError(f"{self._sink.name} does not have everything: {self.problem}")

    @property
    def problem(self) -> str | None:
        """What the sink does not have yet and why, in one phrase; None when all is well."""
        if self._gave_up is not None:
            return self._gave_up + (f"; last error: {self._error}" if self._error else "")
        if self._error is not None:
            return f"{self._error}; {len(self._pending):,} points wait"
        if self._ending is not None and not self._closed:
            return f"it was not ready within {self._finish_timeout_s:g} s"
        return None

    @property
    def advice(self) -> str | None:
        """The closing sentence after `finish`; None when the sink has everything."""
        if self.problem is None:
            return None
        return (
            f"{self._sink.name} does not have everything: {self.problem}."
            f" Nothing is lost: '{self._republish}' writes it again from the ledger."
        )

    @property
    def status(self) -> str:
        """State of the projection in a few words, for a live view."""
        if self.problem is not None:
            return f"{self._sink.name}: {self.problem}; the campaign goes on"
        return f"{self._sink.name}: {'up to date' if self._reached else 'starting'}"

    # -- the writer thread -----------------------------------------------------------------------

    def _main(self) -> None:
        try:
            self._loop()
        except Exception as error:  # a defect of ours must not end the campaign either
            self._gave_up = f"the writer stopped ({_sentence(error)})"

    def _loop(self) -> None:
        next_attempt = next_refresh = 0.0
        started = False
        while True:
            ending = self._collect(wait=started)
            started = True
            now = self._monotonic()
            if ending is None and now < next_attempt:
                continue
            refresh = ending is not None or now >= next_refresh
            if self._attempt(ending, refresh=refresh):
                if ending is not None:
                    return
                if refresh:
                    next_refresh = self._monotonic() + REFRESH_INTERVAL_s
            elif ending is None:
                pause_s = BACKOFF_s[min(self._failed_attempts, len(BACKOFF_s)) - 1]
                next_attempt = self._monotonic() + pause_s
            elif self._failed_attempts >= CLOSING_ATTEMPTS:
                return
            else:
                time.sleep(CLOSING_PAUSE_s)

    def _collect(self, *, wait: bool) -> str | None:
        """Wait for the interval or the end; fold what is queued; return how it ends, if it does."""
        with self._wake:
            if self._ending is None and wait:
                self._wake.wait(FLUSH_INTERVAL_s)
            entries = list(self._queue)
            self._queue.clear()
            ending = self._ending
        for entry in entries:
            self._pending += self._sampler.apply(entry)
        return ending

    def _attempt(self, ending: str | None, *, refresh: bool) -> bool:
        try:
            self._sink.open(self._sampler.view)
            while self._pending:
                batch = [self._pending[i] for i in range(min(BATCH_POINTS, len(self._pending)))]
                self._sink.write(batch)
                for _ in batch:
                    self._pending.popleft()
            if refresh:
                self._sink.refresh(self._sampler.view)
            if ending is not None:
                self._sink.close(self._sampler.view, ending)
                self._closed = True
        except Exception as error:  # tracking must never end a campaign
            self._failed_attempts += 1
            self._error = _sentence(error)
            return False
        self._failed_attempts = 0
        self._error = None
        self._reached = True
        return True


def _sentence(error: Exception) -> str:
    """Return the cause of an error in one short line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
