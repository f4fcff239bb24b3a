"""A ledger that dies at an append of your choice, as a process would that is killed there."""

from __future__ import annotations

from collections.abc import Sequence

from heuresis.events import Entry
from heuresis.ledger import SQLiteLedger


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours may catch it."""


class MortalLedger(SQLiteLedger):
    """Dies before or after one of its appends. Set the class attributes before a run."""

    appends_left = 10**9
    after_writing = False

    def append(self, entries: Sequence[Entry]) -> None:
        type(self).appends_left -= 1
        if self.appends_left == 0 and not self.after_writing:
            raise Killed
        super().append(entries)
        if self.appends_left == 0:
            raise Killed
