"""A fork: a run of its own that begins with another run's history and goes its own way from there.

The shared entries are copied byte for byte, so their checksums are equal in both ledgers; a
`Forked` event says where they part and what was changed. The origin is only read.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from heuresis.campaign.artifacts import artifact_name, checkpoint_folder
from heuresis.campaign.changes import Change, changes, forbid
from heuresis.campaign.resolve import ResolvedCampaign
from heuresis.campaign.run_folder import (
    RunFolder,
    create_run,
    ledger_database,
    named,
    open_ledger,
    open_writer,
)
from heuresis.errors import LedgerError, RunError
from heuresis.events import BudgetExtended, Entry, Finished, Forked, Learned
from heuresis.ledger.boundary import Boundary
from heuresis.ledger.journal import JournalLedger
from heuresis.ledger.sqlite import SQLiteLedger, head_path, sync_folder
from heuresis.ledger.verification import copy_entries


@dataclass(frozen=True, kw_only=True)
class Fork:
    """What `fork_run` made."""

    folder: RunFolder
    shared: int
    """Entries that both runs share."""
    changed: tuple[Change, ...]


@dataclass
class _History:
    """What must be known of the shared entries before they are copied."""

    shared: int = 0
    checksum: str = ""
    recorded_at: float = 0.0
    finished: str | None = None
    """Why the origin had ended there; None: it had not."""


def fork_run(
    origin: RunFolder,
    campaign: ResolvedCampaign,
    *,
    now: float,
    run_dir: Path | None = None,
    at: int | None = None,
) -> Fork:
    """Make a new run that shares the history of another.

    Args:
        origin: the other run; it is only read.
        campaign: the settings of the fork, its budget included.
        now: Unix seconds.
        run_dir: where; default: beside the origin, numbered on.
        at: last entry to share; default: the last there is.

    Raises:
        RunError: a change does not fit the history, or there is no such place to fork at.
    """
    with closing(open_ledger(origin)) as source:
        try:
            kept = _kept_spec(source)
            found = changes(kept, campaign.document()) if kept is not None else []
            forbid(found, origin.path.name)
            if kept is None:
                _require_known(source, campaign, origin)
            history = _cut(source, origin, at)
            if history.finished is not None and not any(c.key.startswith("budget") for c in found):
                raise RunError(
                    f"{origin.path.name} is finished ({history.finished}), so a fork has nothing"
                    " left to do there: grant more with --budget evaluations=N, or leave it earlier"
                    " with --at ENTRY"
                )
            database = ledger_database(origin)
            folder = create_run(
                campaign,
                run_dir,
                runs=origin.path.parent,
                database=database[0] if database is not None else None,
            )
            try:
                _fill(source, folder, origin, campaign, history, tuple(found), now)
            except BaseException:
                shutil.rmtree(folder.path, ignore_errors=True)
                raise
        except LedgerError as error:
            raise RunError(named(str(error), origin)) from error
    return Fork(folder=folder, shared=history.shared, changed=tuple(found))


def _kept_spec(source: JournalLedger) -> dict[str, object] | None:
    began = source.of_kind("campaign_started", "forked")
    spec_hash = getattr(began[-1].event, "spec_hash", "") if began else ""
    return source.specs().get(spec_hash)


def _require_known(source: JournalLedger, campaign: ResolvedCampaign, origin: RunFolder) -> None:
    """A ledger of before schema 2 has no settings to compare with: only the same may go on."""
    began = source.of_kind("campaign_started", "forked")
    if began and getattr(began[-1].event, "spec_hash", "") != campaign.spec_hash:
        raise RunError(
            f"the ledger of {origin.path} does not hold its settings, so nobody can tell whether"
            " the changes fit; resume it once with its own settings, then fork it"
        )


def _cut(source: JournalLedger, origin: RunFolder, at: int | None) -> _History:
    """Read the history up to the cut, checking every entry."""
    if at is not None and not 1 <= at <= source.last_sequence:
        raise RunError(f"{origin.path} has entries 1 to {source.last_sequence}; got --at {at}")
    boundary, recorded_at, finished = Boundary(), 0.0, None
    for entry in source.read():
        boundary.apply(entry)
        if boundary.last == entry.sequence:
            recorded_at = entry.recorded_at
            finished = entry.event.reason if isinstance(entry.event, Finished) else None
        if entry.sequence == at:
            break
    if at is not None and boundary.last != at:
        raise RunError(
            f"entry {at} of {origin.path} stands in the middle of what followed from one task; the"
            f" place before it is --at {boundary.last}"
        )
    if boundary.last == 0:
        raise RunError(f"{origin.path} has no history to fork from; start a new run: heuresis run")
    return _History(boundary.last, source.checksum_of(boundary.last), recorded_at, finished)


def _fill(
    source: JournalLedger,
    folder: RunFolder,
    origin: RunFolder,
    campaign: ResolvedCampaign,
    history: _History,
    changed: tuple[Change, ...],
    now: float,
) -> None:
    if origin.original.is_file():
        shutil.copyfile(origin.original, folder.original)
    if folder.ledger_place.is_file():
        with closing(open_writer(folder)) as target:
            _write(source, target, folder, origin, campaign, history, changed, now)
        return
    # The ledger gets its name last: before that, the folder is no run.
    with tempfile.TemporaryDirectory(dir=folder.path, prefix=".fork-") as unfinished:
        path = Path(unfinished) / folder.ledger.name
        with closing(SQLiteLedger.open(path, create=True)) as target:
            _write(source, target, folder, origin, campaign, history, changed, now)
        for file in (head_path(path), path):
            file.replace(folder.path / file.name)
        sync_folder(folder.path)


def _write(
    source: JournalLedger,
    target: JournalLedger,
    folder: RunFolder,
    origin: RunFolder,
    campaign: ResolvedCampaign,
    history: _History,
    changed: tuple[Change, ...],
    now: float,
) -> None:
    learned: dict[str, str] = {}
    for entry in copy_entries(source, target, history.shared):
        if isinstance(entry.event, Learned) and entry.event.checkpoint is not None:
            learned[entry.event.proposer] = entry.event.checkpoint
    _copy_beside(source, target, history)
    _copy_checkpoints(source, target, origin, folder, learned)
    target.note_spec(campaign.spec_hash, campaign.document())
    forked = Forked(
        origin=origin.path.name,
        shared=history.shared,
        checksum=history.checksum,
        spec_hash=campaign.spec_hash,
        seed=campaign.spec.seed,
        changed={c.key: c.after for c in changed if c.where != "run"},
    )
    limits = campaign.spec.budget.model_dump(mode="json", exclude_none=True)
    first = history.shared + 1
    target.append(
        [
            Entry(sequence=first, event=forked, recorded_at=now),
            Entry(sequence=first + 1, event=BudgetExtended(budget=limits), recorded_at=now),
        ]
    )


def _copy_beside(source: JournalLedger, target: JournalLedger, history: _History) -> None:
    """Copy the sessions that made the shared history: what they spent counts here too."""
    for session in source.sessions():
        if session["started_at"] > history.recorded_at:
            continue
        seconds = min(session["seconds"], history.recorded_at - session["started_at"])
        number = target.begin_session(session["started_at"], session["details"])
        target.note_session(number, history.recorded_at, max(0.0, seconds), "forked")
    for spec_hash, document in source.specs().items():
        target.note_spec(spec_hash, document)


def _copy_checkpoints(
    source: JournalLedger,
    target: JournalLedger,
    origin: RunFolder,
    folder: RunFolder,
    learned: dict[str, str],
) -> None:
    noted = source.artifacts()
    for proposer, checkpoint in learned.items():
        path = checkpoint_folder(origin, checkpoint)
        if not path.is_dir():
            raise RunError(
                f"the learned state {path} of proposer '{proposer}' is missing; restore the folder"
            )
        shutil.copytree(path, checkpoint_folder(folder, checkpoint))
        name = artifact_name(checkpoint)
        if name in noted:
            target.note_artifact(name, noted[name])
