"""Damage of all kinds is found, named, and mended up to the last good place."""

from __future__ import annotations

import itertools
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from synthetic_ledger import synthetic_entries

from heuresis.errors import LedgerError, LedgerInUseError
from heuresis.events import Entry, Judged, Settled
from heuresis.ledger import SQLiteLedger
from heuresis.ledger.boundary import Boundary
from heuresis.ledger.sqlite import head_path
from heuresis.ledger.verification import recover_sqlite, verify_sqlite

PAGE = 4096


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    return synthetic_entries(60)


@pytest.fixture
def path(tmp_path: Path, entries: list[Entry]) -> Path:
    path = tmp_path / "ledger.sqlite"
    with closing(SQLiteLedger.open(path, create=True)) as ledger:
        for start in range(0, len(entries), 50):
            ledger.append(entries[start : start + 50])
        number = ledger.begin_session(1.0, {"pid": 1})
        ledger.note_session(number, 9.0, 8.0, None)
        ledger.note_spec("ab", {"seed": 7})
        ledger.note_artifact("checkpoints/a", "12")
    return path


def test_a_whole_ledger_is_found_good_and_left_alone(path: Path, entries: list[Entry]) -> None:
    before = path.read_bytes()
    findings = verify_sqlite(path)
    assert findings.is_good, findings.problems
    assert findings.entries == len(entries)
    assert findings.kinds["settled"] == sum(isinstance(e.event, Settled) for e in entries)
    assert recover_sqlite(path) is None
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*damaged*"))


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


def mended(path: Path, entries: list[Entry]) -> int:
    """Recover, and check all that must hold afterwards; return how many entries are kept."""
    damaged = path.read_bytes()
    done = recover_sqlite(path)
    assert done is not None
    assert Path(done.damaged).read_bytes() == damaged, "the damaged file was changed"
    assert done.problems
    assert verify_sqlite(path).is_good
    with closing(SQLiteLedger.open(path)) as ledger:
        kept = list(ledger.read())
        assert kept == entries[: done.kept]
        ledger.append(entries[done.kept :])
        assert ledger.last_sequence == len(entries), "it cannot be continued"
    return done.kept


@pytest.mark.parametrize("statement", [
    "UPDATE events SET payload = '{}' WHERE sequence = 101",
    "UPDATE events SET payload = CAST(x'ff00' AS TEXT) WHERE sequence = 101",
    "UPDATE events SET timing = 'x' WHERE sequence = (SELECT MIN(sequence) FROM events"
    " WHERE sequence > 100 AND timing IS NOT NULL)",
    "DELETE FROM events WHERE sequence = 101",
    "DELETE FROM events WHERE sequence > 100",
])  # fmt: skip
def test_a_damaged_entry_is_named_and_all_before_it_is_kept(
    path: Path, entries: list[Entry], statement: str
) -> None:
    execute(path, statement)
    findings = verify_sqlite(path)
    assert not findings.is_good
    assert 100 <= findings.entries < 110
    assert findings.cut == findings.document()["recover_to"]
    kept = mended(path, entries)
    assert 80 <= kept <= findings.entries


def test_sessions_specs_and_artifacts_outlive_a_recovery(path: Path) -> None:
    execute(path, "DELETE FROM events WHERE sequence = 101")
    recover_sqlite(path)
    with closing(SQLiteLedger.open(path, read_only=True)) as ledger:
        assert [s["seconds"] for s in ledger.sessions()] == [8.0]
        assert ledger.specs() == {"ab": {"seed": 7}}
        assert ledger.artifacts() == {"checkpoints/a": "12"}


def test_every_cut_that_is_offered_is_a_whole_place(entries: list[Entry]) -> None:
    boundary, offered = Boundary(), set()
    for entry in entries:
        boundary.apply(entry)
        offered.add(boundary.last)
    for before, after in itertools.pairwise(entries):
        if isinstance(before.event, Settled):
            assert before.sequence not in offered, "a verdict would be missing"
            assert isinstance(after.event, Judged)
    batches = [
        before.sequence + 1
        for before, after in zip(entries, entries[2:], strict=False)
        if isinstance(before.event, Settled)
        and isinstance(after.event, Settled)
        and before.event.task == after.event.task
    ]
    assert len(batches) > 10
    assert not offered & set(batches), "half a batch would be missing"
    assert len(offered) > len(entries) / 4


@pytest.mark.parametrize("seed", range(12))
def test_a_file_with_overwritten_bytes_is_never_taken_for_good_with_another_content(
    path: Path, entries: list[Entry], seed: int
) -> None:
    rng = random.Random(seed)
    data = bytearray(path.read_bytes())
    start = rng.randrange(PAGE, len(data) - 600)
    data[start : start + 600] = rng.randbytes(600)
    path.write_bytes(data)
    findings = verify_sqlite(path)
    if findings.is_good:  # it hit free space, or clocks
        with closing(SQLiteLedger.open(path, read_only=True)) as ledger:
            assert [e.event for e in ledger.read()] == [e.event for e in entries]
        return
    if findings.schema is None or findings.cut == 0:
        with pytest.raises(LedgerError, match="nothing can be recovered"):
            recover_sqlite(path)
        assert path.read_bytes() == bytes(data)
        return
    try:
        done = recover_sqlite(path)
    except LedgerError:
        assert path.read_bytes() == bytes(data)
        return
    assert done is not None
    with closing(SQLiteLedger.open(path, read_only=True)) as ledger:
        assert [e.event for e in ledger.read()] == [e.event for e in entries[: done.kept]]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_mended_or_refused_but_never_half_read(
    path: Path, entries: list[Entry], share: float
) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    findings = verify_sqlite(path)
    assert not findings.is_good
    if findings.cut == 0:
        with pytest.raises(LedgerError, match="nothing can be recovered"):
            recover_sqlite(path)
    else:
        mended(path, entries)


def test_what_a_living_process_writes_is_not_mended(path: Path) -> None:
    with closing(SQLiteLedger.open(path)):
        execute(path, "UPDATE events SET payload = '{}' WHERE sequence = 101")
        with pytest.raises(LedgerInUseError, match=r"in use by process \d+"):
            recover_sqlite(path)
    assert not list(path.parent.glob("*damaged*"))


def test_damaged_files_are_numbered(path: Path) -> None:
    for number in (1, 2):
        execute(path, f"DELETE FROM events WHERE sequence = {200 - 50 * number}")
        done = recover_sqlite(path)
        assert done is not None
        assert Path(done.damaged).name == f"ledger.sqlite.damaged-{number}"


def test_a_recovery_that_died_half_way_is_taken_up_with_the_log(
    path: Path, entries: list[Entry]
) -> None:
    # A log with the last entries, as it is while a process writes.
    copy = path.with_name("copy.sqlite")
    extra = [e.model_copy(update={"sequence": len(entries) + 1}) for e in entries[-1:]]
    with closing(SQLiteLedger.open(path)) as ledger:
        ledger.append(extra)
        for file in path.parent.glob(f"{path.name}*"):
            shutil.copy(file, copy.with_name(file.name.replace(path.name, copy.name)))
    log, head = copy.with_name("copy.sqlite-wal"), head_path(copy)
    log.replace(copy.with_name("copy.sqlite.damaged-1-wal"))
    head.replace(copy.with_name("copy.sqlite.damaged-1.head"))
    execute(copy, "SELECT 1")
    assert recover_sqlite(copy) is None, "with its log it is whole"
    assert verify_sqlite(copy).entries == len(entries) + 1
