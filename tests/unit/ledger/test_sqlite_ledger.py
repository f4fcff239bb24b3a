from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from heuresis.errors import CorruptLedgerError, LedgerError
from heuresis.events import BudgetExtended, CampaignStarted, Entry, Finished
from heuresis.ledger import SQLiteLedger
from heuresis.records import Timing


def entry(sequence: int, reason: str = "budget", recorded_at: float = 0.0) -> Entry:
    return Entry(
        sequence=sequence,
        event=Finished(reason=f"{reason} {sequence}"),
        recorded_at=recorded_at,
        timing=Timing(submitted_at=1.0, started_at=2.0, ended_at=3.0, duration_s=recorded_at),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def written(path: Path, count: int = 5) -> SQLiteLedger:
    ledger = SQLiteLedger.open(path, create=True)
    ledger.append([entry(n) for n in range(1, count + 1)])
    return ledger


def test_what_was_appended_is_read_back_equal(path: Path) -> None:
    started = CampaignStarted(campaign="é", spec_hash="ab", seed=1, versions={"xtb": "xtb@1"})
    first = Entry(sequence=1, event=started, recorded_at=1.5)
    second = Entry(sequence=2, event=BudgetExtended(budget={"evaluations": 9}), recorded_at=2.5)
    ledger = SQLiteLedger.open(path, create=True)
    ledger.append([first])
    ledger.append([second])
    ledger.close()
    reopened = SQLiteLedger.open(path)
    assert list(reopened.read()) == [first, second]
    assert list(reopened.read(after=1)) == [second]
    assert reopened.last_sequence == 2
    reopened.close()


def test_reading_pages_through_many_entries(path: Path) -> None:
    ledger = written(path, 2500)
    assert [e.sequence for e in ledger.read(after=10)] == list(range(11, 2501))
    ledger.close()


def test_clocks_are_outside_the_checksum(tmp_path: Path) -> None:
    heads = []
    for number in range(2):
        ledger = SQLiteLedger.open(tmp_path / f"{number}.sqlite", create=True)
        ledger.append([entry(1, recorded_at=float(number))])
        heads.append(ledger.checksum)
        ledger.close()
    assert heads[0] == heads[1]


def test_appending_again_is_idempotent_and_conflicts_are_refused(path: Path) -> None:
    ledger = written(path)
    ledger.append([entry(4), entry(5), entry(6)])
    assert ledger.last_sequence == 6
    with pytest.raises(LedgerError, match="entry 3 is already written with another payload"):
        ledger.append([entry(3, reason="other")])
    with pytest.raises(LedgerError, match="expected entry 7, got 9"):
        ledger.append([entry(9)])
    assert ledger.last_sequence == 6
    ledger.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE events SET payload = replace(payload, 'budget 3', 'budget 4') WHERE sequence = 3",
        "DELETE FROM events WHERE sequence = 3",
        "UPDATE events SET checksum = '00' WHERE sequence = 3",
    ],
)
def test_a_changed_or_missing_entry_is_named(path: Path, damage: str) -> None:
    written(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(damage)
    connection.close()
    ledger = SQLiteLedger.open(path)
    read: list[int] = []
    with pytest.raises(CorruptLedgerError, match="entry 3 is missing or was changed"):
        read.extend(e.sequence for e in ledger.read())
    ledger.close()


def test_a_file_that_is_no_ledger_is_refused(path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger at"):
        SQLiteLedger.open(path)
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(LedgerError, match="cannot open the ledger"):
        SQLiteLedger.open(path)
    path.unlink()
    sqlite3.connect(path).execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(LedgerError, match="not a Heuresis ledger"):
        SQLiteLedger.open(path)


def test_another_schema_version_is_refused(path: Path) -> None:
    written(path).close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    connection.commit()
    connection.close()
    with pytest.raises(LedgerError, match="has ledger schema 99"):
        SQLiteLedger.open(path)


def test_a_read_only_ledger_cannot_be_written(path: Path) -> None:
    written(path).close()
    ledger = SQLiteLedger.open(path, read_only=True)
    assert len(list(ledger.read())) == 5
    with pytest.raises(LedgerError, match="cannot append"):
        ledger.append([entry(6)])
    ledger.close()


def test_sessions_keep_the_running_time(path: Path) -> None:
    ledger = written(path)
    number = ledger.begin_session(100.0, {"pid": 1})
    ledger.note_session(number, 107.0, 7.0, None)
    assert ledger.sessions()[0]["ending"] is None
    ledger.note_session(number, 109.0, 9.0, "finished")
    assert [(s["seconds"], s["ending"]) for s in ledger.sessions()] == [(9.0, "finished")]
    ledger.close()
