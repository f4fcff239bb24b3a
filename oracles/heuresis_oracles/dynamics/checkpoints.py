"""A long run in pieces: what is sampled so far, and the state to go on from, in one file.

The state is OpenMM's own checkpoint: positions, velocities and random numbers, so that a run that
goes on gives the frames that it would have given without a break, bit for bit on the same machine
with the same OpenMM. A file that does not fit is not used.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from heuresis.records import content_id


class Progress(NamedTuple):
    """Where a run stands."""

    frames_angstrom: np.ndarray
    """Shape (frames so far, atoms, 3)."""
    kinetic_kJ_per_mol: np.ndarray
    """Shape (frames so far,)."""
    drift: float
    """What the check of energy conservation gave, before sampling."""
    state: bytes
    """OpenMM's checkpoint."""


def checkpoint_of(folder: str | None, *parts: str) -> Checkpoint | None:
    """Return the checkpoint of the run that these texts name; None: progress is not saved.

    Args:
        folder: where to, or None.
        parts: all that decides the run: candidate, settings, version, seed.
    """
    return None if folder is None else Checkpoint(Path(folder), content_id(*parts))


class Checkpoint:
    """One file in a folder that outlives the task.

    Args:
        folder: made when missing.
        key: says which run this is: candidate, settings, seed and versions.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._file = folder / f"{key}.npz"

    def save(self, progress: Progress) -> None:
        """Replace what was saved before, in one step."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_name(f"{self._file.stem}.{os.getpid()}.draft")
        with draft.open("wb") as stream:
            np.savez(
                stream,
                frames_angstrom=progress.frames_angstrom,
                kinetic_kJ_per_mol=progress.kinetic_kJ_per_mol,
                drift=np.array(progress.drift),
                state=np.frombuffer(progress.state, dtype=np.uint8),
            )
        draft.replace(self._file)

    def load(self) -> Progress | None:
        """Return what was saved last, or None when there is nothing that can be read."""
        try:
            with np.load(self._file, allow_pickle=False) as found:
                return Progress(
                    found["frames_angstrom"],
                    found["kinetic_kJ_per_mol"],
                    float(found["drift"]),
                    found["state"].tobytes(),
                )
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return None

    def remove(self) -> None:
        """Forget the run: it is done."""
        self._file.unlink(missing_ok=True)
