"""What is special to the ledger in a file; what every ledger does stands in the contract."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from heuresis.errors import CorruptLedgerError, LedgerError
from heuresis.events import CampaignStarted, Finished
from heuresis.ledger import SQLiteLedger
from heuresis.ledger.schema import LEDGER_SCHEMA
from heuresis.ledger.sqlite import head_path
from heuresis.testing.ledger_contract import entry

ASSETS = Path(__file__).parent / "assets"
SCHEMA_1_HEAD = "69129fbb83ffa052f32d777e8c712e42508ce44841637b56361f61831dcabf9c"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def write(path: Path, count: int = 5) -> None:
    with closing(SQLiteLedger.open(path, create=True)) as ledger:
        ledger.append([entry(n) for n in range(1, count + 1)])


def execute(path: Path, *statements: str) -> list[Any]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements][-1]


def test_a_file_that_is_no_ledger_is_refused(path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger at"):
        SQLiteLedger.open(path)
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(LedgerError, match="cannot open the ledger"):
        SQLiteLedger.open(path)
    path.unlink()
    execute(path, "CREATE TABLE t (x)")
    with pytest.raises(LedgerError, match="not a Heuresis ledger"):
        SQLiteLedger.open(path, create=True)


def test_a_ledger_of_a_later_schema_is_refused_and_left_alone(path: Path) -> None:
    write(path)
    execute(path, "UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    for read_only in (True, False):
        with pytest.raises(LedgerError, match=r"schema 99; .* knows schemas 1 to \d+: upgrade"):
            SQLiteLedger.open(path, read_only=read_only)
    assert execute(path, "SELECT value FROM meta") == [("99",)]


@pytest.mark.parametrize(
    "crafted",
    [
        "CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM events WHERE sequence = 1; END",
        "CREATE VIEW evil AS SELECT 1",
        "CREATE TABLE more (x)",
    ],
)
def test_a_file_with_something_built_in_is_refused(path: Path, crafted: str) -> None:
    write(path)
    execute(path, crafted)
    with pytest.raises(CorruptLedgerError, match=r"which no ledger has: somebody changed"):
        SQLiteLedger.open(path)


def test_every_append_is_synced_to_the_disk(path: Path) -> None:
    with closing(SQLiteLedger.open(path, create=True)) as ledger:
        pragma = {name: ledger._query(f"PRAGMA {name}")[0][0] for name in ("journal_mode",
                  "synchronous", "trusted_schema", "cell_size_check")}  # fmt: skip
    assert pragma == {
        "journal_mode": "wal", "synchronous": 2, "trusted_schema": 0, "cell_size_check": 1,
    }  # fmt: skip


def test_a_full_disk_refuses_the_whole_append_and_later_takes_it(path: Path) -> None:
    with closing(SQLiteLedger.open(path, create=True)) as ledger:
        ledger.append([entry(n) for n in range(1, 6)])
        pages = ledger._query("PRAGMA page_count")[0][0]
        ledger._query(f"PRAGMA max_page_count = {pages + 1}")
        many = [entry(n, reason="x" * 500) for n in range(6, 106)]
        with pytest.raises(LedgerError, match="disk is full"):
            ledger.append(many)
        assert ledger.last_sequence == 5
        assert len(list(ledger.read())) == 5
        ledger._query("PRAGMA max_page_count = 100000")
        ledger.append(many)
        assert len(list(ledger.read())) == 105


def test_reading_needs_no_more_memory_for_a_longer_ledger(path: Path) -> None:
    peaks = []
    for count in (2000, 8000):
        write(path, count)
        with closing(SQLiteLedger.open(path, read_only=True)) as ledger:
            tracemalloc.start()
            assert sum(1 for _ in ledger.read()) == count
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


# -- the end -----------------------------------------------------------------------------------


def copy_while_written(path: Path, target: Path) -> None:
    """Copy the file of a ledger whose write-ahead log still holds what was appended last."""
    with closing(SQLiteLedger.open(path)) as ledger:
        ledger.append([entry(n) for n in range(ledger.last_sequence + 1, 10)])
        for file in path.parent.glob(f"{path.name}*"):
            shutil.copy(file, target.with_name(file.name.replace(path.name, target.name)))


def test_a_lost_write_ahead_log_is_noticed(path: Path) -> None:
    write(path)
    copy = path.with_name("copy.sqlite")
    copy_while_written(path, copy)
    copy.with_name("copy.sqlite-wal").unlink()
    for read_only in (True, False):
        with pytest.raises(CorruptLedgerError, match="ends at entry 5, but 9 had been written"):
            SQLiteLedger.open(copy, read_only=read_only)


def test_a_torn_write_ahead_log_loses_no_more_than_the_torn_append(path: Path) -> None:
    write(path)
    copy = path.with_name("copy.sqlite")
    copy_while_written(path, copy)
    log = copy.with_name("copy.sqlite-wal")
    log.write_bytes(log.read_bytes()[:-100])  # the last frame of the last append
    with pytest.raises(CorruptLedgerError, match="ends at entry 5, but 9 had been written"):
        SQLiteLedger.open(copy, read_only=True)
    with closing(SQLiteLedger.open(copy, read_only=True, check_end=False)) as ledger:
        assert [e.sequence for e in ledger.read()] == [1, 2, 3, 4, 5]


def test_an_older_copy_put_in_its_place_is_noticed(path: Path) -> None:
    write(path, 3)
    old = path.with_name("old")
    shutil.copy(path, old)
    write(path, 8)
    shutil.copy(old, path)
    with pytest.raises(CorruptLedgerError, match="ends at entry 3, but 8 had been written"):
        SQLiteLedger.open(path)


def test_another_history_put_in_its_place_is_noticed(path: Path) -> None:
    write(path, 5)
    other = path.with_name("other.sqlite")
    with closing(SQLiteLedger.open(other, create=True)) as ledger:
        ledger.append([entry(n, reason="other") for n in range(1, 9)])
    shutil.copy(other, path)
    with pytest.raises(CorruptLedgerError, match="entry 5 is not the one that was written here"):
        SQLiteLedger.open(path)


def test_a_missing_or_unreadable_note_of_the_end_is_no_damage(path: Path) -> None:
    write(path)
    for content in (b"", b"5 abc\n", b"\xff" * 20):
        head_path(path).write_bytes(content)
        SQLiteLedger.open(path, read_only=True).close()
    head_path(path).unlink()
    write(path, 6)
    assert head_path(path).read_text().split()[0] == "6"


# -- older schemas -----------------------------------------------------------------------------


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_there_is_an_old_file_for_every_schema_before_the_current_one() -> None:
    there = {int(file.stem.removeprefix("schema-")) for file in ASSETS.glob("schema-*.sqlite")}
    assert there == set(range(1, LEDGER_SCHEMA))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copy(ASSETS / "schema-1.sqlite", tmp_path / "ledger.sqlite"))


def test_an_old_file_is_read_without_being_changed(old: Path) -> None:
    with closing(SQLiteLedger.open(old, read_only=True)) as ledger:
        entries = list(ledger.read())
        assert (ledger.schema, ledger.checksum, len(entries)) == (1, SCHEMA_1_HEAD, 72)
        assert isinstance(entries[0].event, CampaignStarted)
        assert entries[-1].event == Finished(reason="budget")
        assert sum(e.timing is not None for e in entries) == 30
        assert [s["ending"] for s in ledger.sessions()] == ["finished", "finished"]
        assert ledger.lease().holder is None
        assert not ledger.specs()
        assert not ledger.artifacts()
    assert digest(old) == digest(ASSETS / "schema-1.sqlite")


def test_an_old_file_is_migrated_when_opened_for_writing_and_kept(old: Path) -> None:
    with closing(SQLiteLedger.open(old, read_only=True)) as ledger:
        before = list(ledger.read())
    with closing(SQLiteLedger.open(old)) as ledger:
        assert (ledger.schema, ledger.checksum) == (LEDGER_SCHEMA, SCHEMA_1_HEAD)
        assert list(ledger.read()) == before
        ledger.append([entry(73)])
        ledger.note_artifact("a", "b")
        assert len(ledger.sessions()) == 2
    kept = old.with_name("ledger.sqlite.schema-1")
    with closing(SQLiteLedger.open(kept, read_only=True)) as ledger:
        assert (ledger.schema, ledger.checksum) == (1, SCHEMA_1_HEAD)
        assert list(ledger.read()) == before
    with closing(SQLiteLedger.open(old)) as ledger:
        assert ledger.last_sequence == 73


def test_a_migration_that_fails_leaves_the_old_file(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> list[str]:
        return ["ALTER TABLE events ADD COLUMN version INTEGER", "CREATE TABLE nonsense"]

    with monkeypatch.context() as patched:
        patched.setattr("heuresis.ledger.sqlite.steps", broken)
        with pytest.raises(LedgerError, match="cannot open the ledger"):
            SQLiteLedger.open(old)
    with closing(SQLiteLedger.open(old, read_only=True)) as ledger:
        assert ledger.schema == 1
        assert len(list(ledger.read())) == 72
    SQLiteLedger.open(old).close()


def test_a_heuresis_of_before_the_migration_cannot_write_the_migrated_file(old: Path) -> None:
    SQLiteLedger.open(old).close()
    with pytest.raises(sqlite3.OperationalError, match="7 columns but 6 values"):
        execute(old, "INSERT INTO events VALUES (73, 'finished', '{}', '', 0.0, NULL)")
