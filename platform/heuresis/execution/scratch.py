"""Scratch folders: a new one for each call, removed after it, but not by those who wait for it.

Removing a folder can wait long for the file system: 7.7 ms on a busy machine's disk, with hardly
any processor time. A worker that waited for it would be idle for a thirteenth of a task of 100 ms.
So threads of its own remove what a call left.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

REMOVERS = 2
BACKLOG = 16
"""Folders that may wait to be removed before a worker waits too: they may be large."""


class Scratch:
    """Makes and removes the scratch folders of one worker.

    Args:
        root: folder to make them in; None: the system's place for temporary files.
    """

    def __init__(self, root: Path | None = None) -> None:
        self._root = root
        self._removers: ThreadPoolExecutor | None = None
        self._removing: deque[Future[None]] = deque()

    def make(self) -> Path:
        """Return a new, empty folder.

        Raises:
            OSError: the disk refuses.
        """
        if self._root is not None:
            # Campaigns outlive the patience of services that clean temporary folders.
            self._root.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="heuresis-", dir=self._root))

    def remove(self, folder: Path) -> None:
        """Have a folder removed; returns at once, unless many wait to be removed."""
        if self._removers is None:
            self._removers = ThreadPoolExecutor(REMOVERS, thread_name_prefix="scratch")
        while self._removing and (len(self._removing) >= BACKLOG or self._removing[0].done()):
            self._removing.popleft().result()
        try:
            removing = self._removers.submit(shutil.rmtree, folder, ignore_errors=True)
        except RuntimeError:  # no thread can be started: memory is short
            shutil.rmtree(folder, ignore_errors=True)
        else:
            self._removing.append(removing)

    def close(self) -> None:
        """Wait until all folders are removed; safe to call twice."""
        if self._removers is not None:
            self._removers.shutdown()
        self._removers = None
        self._removing.clear()
