"""A plain MLflow run: curves, parameters, files. For what is no campaign, such as a training.

Like `BackgroundTracker`, it never blocks or fails the work that it follows: points wait in a queue,
one writer thread hands them to the sink, and what the sink refuses is tried again until the end.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from heuresis.report.projections import CampaignView
from heuresis.tracking.background import (
    BATCH_POINTS,
    CLOSING_ATTEMPTS,
    QUEUE_MAX_ENTRIES,
    BACKOFF_s,
    CLOSING_PAUSE_s,
    FLUSH_INTERVAL_s,
    REFRESH_INTERVAL_s,
    Sink,
)
from heuresis.tracking.mlflow_tracker import MLflowSettings, MLflowSink
from heuresis.tracking.projection import Point, metric_name

_TAG_CHARACTERS_MAX = 5000


class PlainRunSink(MLflowSink):
    """An MLflow run without a campaign. Arguments as of `MLflowSink`."""

    def __init__(
        self, settings: MLflowSettings, *, on_run: Callable[[str], None] | None = None
    ) -> None:
        super().__init__(settings, on_run=on_run)
        self.closing_tags: Mapping[str, str] = {}
        """Set when the run is closed; ``mlflow.note.content`` is the text on its page."""

    def close(self, view: CampaignView, status: str) -> None:
        """Set what is known only at the end, and close the run."""
        for key, value in self.closing_tags.items():
            self._client.set_tag(self.run_id, key, value[:_TAG_CHARACTERS_MAX])
        super().close(view, status)


class CurveWriter:
    """Writes curves in the background.

    Args:
        sink: where they go.
        started_at_s: when the work began, in seconds since 1970.
        finish_timeout_s: how long `finish` waits for the sink.
        monotonic: clock for intervals and back-off, in seconds.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        started_at_s: float,
        finish_timeout_s: float = 45.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink = sink
        self._finish_timeout_s = finish_timeout_s
        self._monotonic = monotonic
        self._wake = threading.Condition()
        self._queue: deque[Point] = deque()
        self._ending: str | None = None
        self._dropped = 0
        self._error: str | None = None
        self._closed = False
        # A sink asks it for what a campaign has; there is none.
        self._view = CampaignView()
        self._view.started_at = started_at_s
        name = f"{sink.name}-curves"
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)
        self._thread.start()

    def record(self, values: Mapping[str, float], *, step: int, timestamp_ms: int) -> None:
        """Queue one value for each curve; values that are not finite are left out."""
        points = [
            Point(key=metric_name(key), value=float(value), step=step, timestamp_ms=timestamp_ms)
            for key, value in values.items()
            if math.isfinite(value)
        ]
        with self._wake:
            room = QUEUE_MAX_ENTRIES - len(self._queue)
            self._queue.extend(points[:room])
            self._dropped += max(0, len(points) - room)

    def finish(self, status: str) -> None:
        """Flush and close, in bounded time; afterwards `problem` says what is missing, if anything.

        Args:
            status: ``finished``, ``interrupted`` or ``failed``.
        """
        with self._wake:
            self._ending = status
            self._wake.notify()
        self._thread.join(self._finish_timeout_s)

    @property
    def problem(self) -> str | None:
        """What the sink does not have and why, in one phrase; None when all is well."""
        if self._error is not None:
            return f"{self._error}; {len(self._queue):,} points wait"
        if self._dropped:
            return f"{self._dropped:,} points were dropped while it did not answer"
        if self._ending is not None and not self._closed:
            return f"it was not ready within {self._finish_timeout_s:g} s"
        return None

    # -- the writer thread ------------------------------------------------------------------------

    def _loop(self) -> None:
        next_attempt = next_refresh = 0.0
        failed = 0
        while True:
            with self._wake:
                if self._ending is None:
                    self._wake.wait(FLUSH_INTERVAL_s)
                ending = self._ending
            now = self._monotonic()
            if ending is None and now < next_attempt:
                continue
            try:
                self._attempt(ending, refresh=ending is not None or now >= next_refresh)
            except Exception as error:  # tracking must never end a training
                failed += 1
                lines = str(error).strip().splitlines()
                self._error = f"{type(error).__name__}: {lines[0][:200] if lines else ''}"
                if ending is None:
                    pause_s = BACKOFF_s[min(failed, len(BACKOFF_s)) - 1]
                    next_attempt = self._monotonic() + pause_s
                elif failed >= CLOSING_ATTEMPTS:
                    return
                else:
                    time.sleep(CLOSING_PAUSE_s)
                continue
            failed, self._error = 0, None
            if now >= next_refresh:
                next_refresh = now + REFRESH_INTERVAL_s
            if ending is not None:
                self._closed = True
                return

    def _attempt(self, ending: str | None, *, refresh: bool) -> None:
        self._sink.open(self._view)
        while batch := [self._queue[i] for i in range(min(BATCH_POINTS, len(self._queue)))]:
            self._sink.write(batch)
            with self._wake:
                for _ in batch:
                    self._queue.popleft()
        if refresh:
            self._sink.refresh(self._view)
        if ending is not None:
            self._sink.close(self._view, ending)
