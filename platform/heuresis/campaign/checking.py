"""Verification and recovery of a run: its ledger, and the learned states that the ledger names."""

from __future__ import annotations

from contextlib import closing

from heuresis.campaign.artifacts import artifact_name, checkpoint_folder, folder_digest
from heuresis.campaign.run_folder import RunFolder, ledger_database, named, open_ledger, open_writer
from heuresis.errors import HeuresisError, LedgerError, RunError
from heuresis.events import Learned
from heuresis.ledger.verification import (
    Findings,
    Recovery,
    recover_entries,
    recover_sqlite,
    verify_entries,
    verify_sqlite,
)


def verify_run(folder: RunFolder) -> Findings:
    """Check a run's ledger, then that the latest learned states are those that were saved."""
    if ledger_database(folder) is None:
        findings = verify_sqlite(folder.ledger)
    else:
        with closing(open_ledger(folder)) as ledger:
            findings = verify_entries(ledger, Findings(place=ledger.place))
    findings.problems = [named(problem, folder) for problem in findings.problems]
    if findings.is_good:
        findings.problems += _checkpoint_problems(folder)
    return findings


def _checkpoint_problems(folder: RunFolder) -> list[str]:
    problems = []
    with closing(open_ledger(folder)) as ledger:
        noted = ledger.artifacts()
        learned = {
            entry.event.proposer: entry.event.checkpoint
            for entry in ledger.of_kind("learned")
            if isinstance(entry.event, Learned) and entry.event.checkpoint is not None
        }
    for proposer, checkpoint in learned.items():
        try:
            path = checkpoint_folder(folder, checkpoint)
            name = artifact_name(checkpoint)
            if not path.is_dir():
                problems.append(f"the learned state {path} of proposer '{proposer}' is missing")
            elif name in noted and folder_digest(path) != noted[name]:
                problems.append(f"the learned state {path} is not the one that was saved")
        except (HeuresisError, OSError) as error:
            problems.append(str(error))
    return problems


def recover_run(folder: RunFolder) -> Recovery | None:
    """Bring a damaged ledger back to its last good entry; None: it is whole.

    Raises:
        RunError: a process writes it, or nothing of it can be read.
    """
    try:
        if ledger_database(folder) is None:
            return recover_sqlite(folder.ledger)
        with closing(open_writer(folder)) as ledger:
            return recover_entries(ledger, ledger.put_aside)
    except LedgerError as error:
        raise RunError(named(str(error), folder)) from error
