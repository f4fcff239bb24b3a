"""Where a ledger may be cut: a fold over entries that knows which places are whole.

What follows from one settled task is several entries: each candidate settles and is judged. They
are appended together, so a crash cannot part them; a cut between them would leave a candidate that
waits for a verdict for ever. Anywhere else the loop decides again what it had decided.
"""

from __future__ import annotations

from heuresis.events import Entry, Judged, Settled, Submitted


class Boundary:
    """Tells the last place at which a prefix of the ledger is a whole one.

    Attributes:
        last: sequence number after which the entries so far may be cut; 0: nothing yet.
    """

    def __init__(self) -> None:
        self.last = 0
        self._unsettled: dict[str, int] = {}
        """Task → its candidates that have not settled."""
        self._begun: str | None = None
        """The task that has settled in part."""
        self._unjudged: str | None = None

    def apply(self, entry: Entry) -> None:
        """Take note of the next entry."""
        match entry.event:
            case Submitted() as event:
                self._unsettled[event.task] = len(event.candidates)
            case Settled() as event:
                left = self._unsettled.pop(event.task, 1) - 1
                self._begun = event.task if left else None
                if left:
                    self._unsettled[event.task] = left
                self._unjudged = event.candidate
            case Judged() as event if event.candidate == self._unjudged:
                self._unjudged = None
            case _:
                pass
        if self._begun is None and self._unjudged is None:
            self.last = entry.sequence
