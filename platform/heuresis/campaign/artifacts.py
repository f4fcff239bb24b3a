"""Learned states of a run: their digests are kept in the ledger, and checked before they are read.

A tampered or half-copied checkpoint is an error with a name, never something that is loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from heuresis.campaign.run_folder import RunFolder
from heuresis.errors import CorruptLedgerError, RunError
from heuresis.events import Entry, Learned
from heuresis.ledger.journal import JournalLedger

_CHUNK_BYTES = 1 << 20


def folder_digest(folder: Path) -> str:
    """Return SHA-256 over the names and contents of all files of a folder, in order of name.

    Raises:
        RunError: it holds a link, which would let it reach outside.
    """
    whole = hashlib.sha256()
    for file in [folder, *sorted(folder.rglob("*"))]:
        if file.is_symlink():
            raise RunError(f"{file} is a link; learned states hold plain files only")
        if file.is_dir():
            continue
        one = hashlib.sha256()
        with file.open("rb") as opened:
            while chunk := opened.read(_CHUNK_BYTES):
                one.update(chunk)
        whole.update(f"{file.relative_to(folder).as_posix()}\0{one.hexdigest()}\n".encode())
    return whole.hexdigest()


def checkpoint_folder(folder: RunFolder, checkpoint: str) -> Path:
    """Return where a learned state lies.

    Raises:
        CorruptLedgerError: its name leads out of the run's folder.
    """
    if checkpoint in ("", ".", "..") or Path(checkpoint).name != checkpoint:
        raise CorruptLedgerError(
            f"{folder.path}: the ledger names a learned state '{checkpoint}', expected one plain"
            " folder name: somebody changed it"
        )
    return folder.checkpoints / checkpoint


def check_checkpoints(
    folder: RunFolder, checkpoints: Mapping[str, str], ledger: JournalLedger
) -> dict[str, Path]:
    """Return where the learned state of each proposer lies, and that it is the one that was saved.

    Args:
        folder: the run.
        checkpoints: proposer → name of its learned state.
        ledger: open for writing; a digest that it does not have yet is noted now.

    Raises:
        RunError: one is missing or was changed.
    """
    noted = ledger.artifacts()
    found = {}
    for proposer, checkpoint in checkpoints.items():
        path = checkpoint_folder(folder, checkpoint)
        if not path.is_dir():
            raise RunError(
                f"the learned state {path} of proposer '{proposer}' is missing;"
                " restore the folder: without it the campaign would not continue but restart"
            )
        digest, name = folder_digest(path), artifact_name(checkpoint)
        if noted.get(name, digest) != digest:
            raise RunError(
                f"the learned state {path} of proposer '{proposer}' is not the one that was saved"
                " (its digest differs from the ledger's): restore the folder"
            )
        if name not in noted:
            ledger.note_artifact(name, digest)
        found[proposer] = path
    return found


def artifact_name(checkpoint: str) -> str:
    """Return what a ledger calls a learned state."""
    return f"checkpoints/{checkpoint}"


class CheckpointDigests:
    """A tracker that notes the digest of each learned state, from the loop's own thread."""

    def __init__(self, folder: RunFolder, ledger: JournalLedger) -> None:
        self._folder = folder
        self._ledger = ledger

    def record(self, entries: Sequence[Entry]) -> None:
        """Note what was learned in these entries."""
        for entry in entries:
            if isinstance(entry.event, Learned) and entry.event.checkpoint is not None:
                path = checkpoint_folder(self._folder, entry.event.checkpoint)
                if path.is_dir():
                    name = artifact_name(entry.event.checkpoint)
                    self._ledger.note_artifact(name, folder_digest(path))

    def finish(self, status: str) -> None:
        """Do nothing: every digest is noted at once."""
