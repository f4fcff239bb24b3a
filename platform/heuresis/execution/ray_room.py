"""Is there room on the cluster for one more actor? Asked when one is late to start."""

from __future__ import annotations

import time

import ray
from ray.exceptions import RayError

ASK_EVERY_S = 5.0


class Room:
    """What a cluster has free, asked no more often than every few seconds."""

    def __init__(self) -> None:
        self._asked = -ASK_EVERY_S
        self._total = 0.0
        self._free = 0.0

    def lacks(self, workers: int, threads: int) -> str:
        """Say what so many workers wait for; empty if there is room for one of them.

        Args:
            workers: that have not started.
            threads: processors that each asks for.
        """
        now = time.monotonic()
        if now - self._asked >= ASK_EVERY_S:
            self._asked = now
            try:
                self._total = ray.cluster_resources().get("CPU", 0.0)
                self._free = ray.available_resources().get("CPU", 0.0)
            except RayError:
                return ""  # a cluster that does not answer is told of elsewhere
        if self._free >= threads:
            return ""
        wait, each = ("worker waits", "it") if workers == 1 else ("workers wait", "each")
        processors = "processor" if threads == 1 else "processors"
        return (
            f"{workers} {wait} for room on the cluster: {each} needs {threads} {processors}, and"
            f" {self._free:g} of its {self._total:g} are free"
        )
