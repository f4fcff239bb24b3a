"""What a worker of a team is told by whoever started it. Knows neither Ray nor torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Membership:
    """The place of one worker among those that do one job together."""

    rank: int
    """0 to ``size`` - 1; the worker of rank 0 leads."""
    size: int
    meeting: str
    """Where the workers find each other: ``file:///…`` on one machine, ``tcp://host:port`` on
    several (the ``init_method`` of `torch.distributed`)."""
    interface: str | None
    """Network interface that the workers must stay on; None: any."""
    tell: Callable[[str], None]
    """Sends a text to whoever started the team; returns at once."""
    stop_asked: Callable[[], bool]
    """Whether the team should finish what it does and end; returns at once."""
