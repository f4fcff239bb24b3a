r"""What every ledger must do, as tests. Subclass `LedgerContract` and override ``case``.

Example::

    class TestMyLedger(LedgerContract):
        @pytest.fixture
        def case(self, tmp_path: Path) -> LedgerCase:
            path = tmp_path / "ledger"
            return LedgerCase(
                open=functools.partial(MyLedger.open, path),
                execute=functools.partial(run_statement, path),
                opening=f"import mine\nledger = mine.MyLedger.open({str(path)!r})",
            )
"""

# The names of the tests are the promises.
# ruff: noqa: D102, S608

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from heuresis.errors import CorruptLedgerError, LeaseLostError, LedgerError, LedgerInUseError
from heuresis.events import BudgetExtended, CampaignStarted, Entry, Finished
from heuresis.ledger.journal import JournalLedger
from heuresis.ledger.lease import LEASE_S
from heuresis.records import Timing

PATIENCE_S = 60.0
WAITS = "\nprint('open', flush=True)\nimport time\ntime.sleep(600)\n"
BATCH = 7
APPENDS = f"""
from heuresis.testing.ledger_contract import entry
first = ledger.last_sequence + 1
while True:
    ledger.append([entry(n) for n in range(first, first + {BATCH})])
    first += {BATCH}
    print(first - 1, flush=True)
"""
ELSEWHERE = """UPDATE lease SET holder = '{"id": "x", "host": "elsewhere", "pid": 7}'"""


@dataclass(frozen=True)
class LedgerCase:
    """One empty ledger of the kind under test."""

    open: Callable[..., JournalLedger]
    """Opens it; takes ``create``, ``read_only``, ``take_over``."""
    execute: Callable[[str], Any]
    """Runs one SQL statement on it, as somebody would who tampers with it."""
    opening: str
    """Python lines that create it and open it for writing as ``ledger``, in another process."""


def entry(sequence: int, reason: str = "budget", recorded_at: float = 0.0) -> Entry:
    """Return an entry that differs from all others."""
    return Entry(
        sequence=sequence,
        event=Finished(reason=f"{reason} {sequence}"),
        recorded_at=recorded_at,
        timing=Timing(submitted_at=1.0, started_at=2.0, ended_at=3.0, duration_s=recorded_at),
    )


@contextmanager
def writer_elsewhere(case: LedgerCase) -> Iterator[subprocess.Popen[str]]:
    """Hold the ledger open for writing in another process."""
    process = subprocess.Popen(
        [sys.executable, "-c", case.opening + WAITS], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
    finally:
        process.kill()
        process.communicate()


class LedgerContract:
    """Inherit, and override the fixture ``case``."""

    @pytest.fixture
    def case(self) -> LedgerCase:
        raise AssertionError("override the fixture 'case' to name your ledger")

    @pytest.fixture
    def ledger(self, case: LedgerCase) -> Iterator[JournalLedger]:
        """Five entries, open for writing."""
        ledger = case.open(create=True)
        ledger.append([entry(n) for n in range(1, 6)])
        yield ledger
        ledger.close()

    # -- the journal -----------------------------------------------------------------------------

    def test_what_was_appended_is_read_back_equal(self, case: LedgerCase) -> None:
        started = CampaignStarted(campaign="é", spec_hash="ab", seed=1, versions={"xtb": "xtb@1"})
        first = Entry(sequence=1, event=started, recorded_at=1795287111.5424843)
        second = Entry(sequence=2, event=BudgetExtended(budget={"evaluations": 9}), recorded_at=2.5)
        with closing(case.open(create=True)) as ledger:
            ledger.append([first])
            ledger.append([second])
        with closing(case.open(read_only=True)) as ledger:
            assert list(ledger.read()) == [first, second]
            assert list(ledger.read(after=1)) == [second]
            assert ledger.last_sequence == 2

    def test_reading_pages_through_many_entries(self, ledger: JournalLedger) -> None:
        ledger.append([entry(n) for n in range(6, 2501)])
        assert [e.sequence for e in ledger.read(after=10)] == list(range(11, 2501))

    def test_appending_again_is_idempotent_and_conflicts_are_refused(
        self, ledger: JournalLedger
    ) -> None:
        ledger.append([entry(4), entry(5), entry(6)])
        assert ledger.last_sequence == 6
        with pytest.raises(LedgerError, match="entry 3 is already written with another payload"):
            ledger.append([entry(3, reason="other")])
        with pytest.raises(LedgerError, match="expected entry 7, got 9"):
            ledger.append([entry(9)])
        assert [e.sequence for e in ledger.read()] == [1, 2, 3, 4, 5, 6]

    def test_all_of_an_append_is_written_or_nothing(
        self, ledger: JournalLedger, case: LedgerCase
    ) -> None:
        case.execute("INSERT INTO events VALUES (8, 'x', '{}', 'x', 0.0, NULL, 1)")
        with pytest.raises(LedgerError):
            ledger.append([entry(n) for n in range(6, 10)])
        case.execute("DELETE FROM events WHERE sequence = 8")
        assert ledger.last_sequence == 5
        ledger.append([entry(6)])
        assert [e.sequence for e in ledger.read()] == [1, 2, 3, 4, 5, 6]

    def test_equal_payloads_give_equal_checksums_whatever_the_clocks(
        self, ledger: JournalLedger, case: LedgerCase
    ) -> None:
        before = ledger.checksum
        ledger.close()
        case.execute("UPDATE events SET recorded_at = 77.0, timing = NULL")
        with closing(case.open(read_only=True)) as again:
            assert again.checksum == before
            assert {e.recorded_at for e in again.read()} == {77.0}

    @pytest.mark.parametrize(
        "damage",
        [
            "UPDATE events SET payload = replace(payload, 'budget 3', 'budget 4')"
            " WHERE sequence = 3",
            "DELETE FROM events WHERE sequence = 3",
            "UPDATE events SET checksum = '00' WHERE sequence = 3",
        ],
    )
    def test_a_changed_or_missing_entry_is_named(
        self, ledger: JournalLedger, case: LedgerCase, damage: str
    ) -> None:
        ledger.close()
        case.execute(damage)
        read: list[int] = []
        with (
            closing(case.open(read_only=True)) as damaged,
            pytest.raises(CorruptLedgerError, match="entry 3 is missing or was changed"),
        ):
            read.extend(e.sequence for e in damaged.read())

    def test_an_event_of_a_later_version_is_refused(
        self, ledger: JournalLedger, case: LedgerCase
    ) -> None:
        ledger.close()
        case.execute("UPDATE events SET version = 9 WHERE sequence = 4")
        with (
            closing(case.open(read_only=True)) as later,
            pytest.raises(LedgerError, match="entry 4 is an event of version 9, this Heuresis"),
        ):
            list(later.read())

    def test_a_read_only_ledger_cannot_be_written(
        self, ledger: JournalLedger, case: LedgerCase
    ) -> None:
        ledger.append([entry(6)])
        with closing(case.open(read_only=True)) as reader:
            assert len(list(reader.read())) == 6
            with pytest.raises(LedgerError):
                reader.append([entry(7)])

    def test_what_stands_beside_the_journal_is_kept(
        self, ledger: JournalLedger, case: LedgerCase
    ) -> None:
        number = ledger.begin_session(100.0, {"pid": 1})
        ledger.note_session(number, 107.0, 7.0, None)
        assert ledger.sessions()[0]["ending"] is None
        ledger.note_session(number, 109.0, 9.0, "finished")
        ledger.note_spec("aa", {"seed": 1})
        ledger.note_spec("aa", {"seed": 2})
        ledger.note_artifact("checkpoints/a", "1")
        ledger.note_artifact("checkpoints/a", "2")
        ledger.close()
        with closing(case.open(read_only=True)) as again:
            assert [(s["seconds"], s["ending"]) for s in again.sessions()] == [(9.0, "finished")]
            assert again.specs() == {"aa": {"seed": 1}}
            assert again.artifacts() == {"checkpoints/a": "2"}

    def test_killed_while_it_appends_nothing_acknowledged_is_lost_and_no_append_is_halved(
        self, case: LedgerCase
    ) -> None:
        acknowledged = 0
        for number in range(3):
            process = subprocess.Popen(
                [sys.executable, "-c", case.opening + APPENDS], stdout=subprocess.PIPE, text=True
            )
            assert process.stdout is not None
            for _ in range(1 + 5 * number):
                acknowledged = int(process.stdout.readline())
            time.sleep(0.003 * number)
            process.kill()
            rest, _ = process.communicate()
            acknowledged = max([acknowledged, *map(int, rest.split())])
            with closing(case.open(read_only=True)) as ledger:
                there = [e.sequence for e in ledger.read()]
            assert there == list(range(1, len(there) + 1))
            assert len(there) >= acknowledged
            assert len(there) % BATCH == 0
        assert acknowledged > 0

    # -- one writer ------------------------------------------------------------------------------

    def test_a_second_writer_is_told_who_writes_and_what_to_do(
        self, ledger: JournalLedger, case: LedgerCase
    ) -> None:
        with pytest.raises(LedgerInUseError, match=r"in use by process \d+ on .* since \d{4}-"):
            case.open()
        ledger.append([entry(6)])
        ledger.close()
        with closing(case.open()) as second:
            second.append([entry(7)])

    def test_a_writer_in_another_process_is_respected_and_once_killed_replaced_at_once(
        self, case: LedgerCase
    ) -> None:
        with writer_elsewhere(case) as process:
            with pytest.raises(LedgerInUseError, match=f"process {process.pid} on ") as refused:
                case.open()
            assert f"kill {process.pid}" in str(refused.value)
            process.kill()
            deadline = time.monotonic() + PATIENCE_S
            while True:  # the system needs a moment to end it; nobody has to reap it
                try:
                    ledger = case.open()
                    break
                except LedgerInUseError:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
            with closing(ledger):
                ledger.append([entry(1)])

    def test_who_lost_the_lease_writes_nothing_more(
        self, ledger: JournalLedger, case: LedgerCase
    ) -> None:
        with closing(case.open(take_over=True)) as second:
            with pytest.raises(LeaseLostError, match=r"was taken over by process .* since"):
                ledger.append([entry(6)])
            for write in (
                lambda: ledger.begin_session(1.0, {}),
                lambda: ledger.note_session(1, 1.0, 1.0, None),
                lambda: ledger.note_spec("a", {}),
                lambda: ledger.note_artifact("a", "b"),
                ledger.require_lease,
            ):
                with pytest.raises(LeaseLostError):
                    write()
            assert second.last_sequence == 5
            second.append([entry(6, reason="mine")])
            ledger.close()
            second.append([entry(7)])  # the loser's closing does not free the winner's lease
            assert second.lease().holder is not None
            assert second.sessions() == []

    def test_a_lease_from_another_host_is_respected_until_it_runs_out(
        self, ledger: JournalLedger, case: LedgerCase
    ) -> None:
        now = ledger.now()
        ledger.close()
        case.execute(ELSEWHERE)
        case.execute(f"UPDATE lease SET renewed_at = {now - LEASE_S / 2}")
        with pytest.raises(LedgerInUseError, match=r"process 7 on elsewhere .* take over now with"):
            case.open()
        case.execute(f"UPDATE lease SET renewed_at = {now - LEASE_S - 1}")
        case.open().close()

    @pytest.mark.parametrize("jump_s", [-7200.0, 7200.0])
    def test_a_jump_of_the_clock_never_lets_two_write(
        self, ledger: JournalLedger, case: LedgerCase, jump_s: float
    ) -> None:
        # To whoever comes from elsewhere the clock says that the lease has run out.
        before = case.execute("SELECT token FROM lease")
        case.execute(ELSEWHERE)
        case.execute(f"UPDATE lease SET renewed_at = renewed_at + {jump_s}")
        with closing(case.open()) as second:
            assert case.execute("SELECT token FROM lease") != before
            with pytest.raises(LeaseLostError):
                ledger.append([entry(6, reason="first")])
            second.append([entry(6, reason="second")])
            with pytest.raises(LeaseLostError):
                ledger.append([entry(6, reason="first")])
            assert [e.event for e in second.read(after=5)] == [Finished(reason="second 6")]

    def test_a_living_writer_renews_its_lease_and_notices_its_loss(
        self, ledger: JournalLedger, case: LedgerCase
    ) -> None:
        lost: list[str] = []
        case.execute("UPDATE lease SET renewed_at = 0.0")
        ledger.keep_lease(lambda: lost.append("lost"), interval_s=0.02)
        deadline = time.monotonic() + PATIENCE_S
        while ledger.lease().renewed_at == 0.0:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not lost
        with closing(case.open(take_over=True)):
            while not lost:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        assert lost == ["lost"]
