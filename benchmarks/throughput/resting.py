"""What the plain pools do. By itself, so that their processes start with nothing else to import."""

from __future__ import annotations

import time


def rest(seconds: float) -> None:
    """Be a slot that sleeps."""
    if seconds:
        time.sleep(seconds)


class Rester:
    """An actor that sleeps."""

    def rest(self, seconds: float) -> None:
        rest(seconds)
