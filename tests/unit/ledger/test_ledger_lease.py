"""Whether a lease can be taken, judged without any ledger."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from heuresis.ledger.lease import LEASE_S, Holder, Lease, why_held

NOW = 1_795_000_000.0


class Writer:
    """Stands for a ledger object."""


def held(holder: Holder, renewed_at: float = NOW) -> Lease:
    return Lease(token=3, holder=holder, taken_at=NOW - 100, renewed_at=renewed_at)


@pytest.fixture
def me() -> Holder:
    return Holder.of_this_process(Writer())


def test_a_free_lease_can_be_taken(me: Holder) -> None:
    assert why_held(Lease(token=0), me, NOW) is None


def test_another_object_of_this_process_holds_it_while_it_lives(me: Holder) -> None:
    writer = Writer()
    holder = Holder.of_this_process(writer)
    assert why_held(held(holder), me, NOW) is not None
    del writer
    assert why_held(held(holder), me, NOW) is None


def test_a_process_is_dead_when_its_number_was_given_to_another(me: Holder) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        stat = Path(f"/proc/{child.pid}/stat").read_text()
        started = stat.rpartition(")")[2].split()[19]
        theirs = me.model_copy(update={"id": "b", "pid": child.pid, "process_started": started})
        assert f"kill {child.pid}" in (why_held(held(theirs), me, NOW) or "")
        earlier = theirs.model_copy(update={"process_started": str(int(started) - 1)})
        assert why_held(held(earlier), me, NOW) is None
    finally:
        child.communicate(b"\n")
    assert why_held(held(theirs), me, NOW) is None, "the process has ended"


def test_a_machine_that_has_booted_since_holds_nothing() -> None:
    me = Holder(id="a", host="here", pid=os.getpid(), boot="2/pid:[1]", machine="m")
    before = Holder(id="b", host="here", pid=1, boot="1/pid:[1]", machine="m")
    assert why_held(held(before), me, NOW) is None
    # Containers of one image share the machine's id, but are not called the same.
    container = before.model_copy(update={"host": "there"})
    assert why_held(held(container), me, NOW) is not None


@pytest.mark.parametrize(
    ("renewed_s_ago", "can_be_taken"),
    [(0.0, False), (LEASE_S - 1, False), (LEASE_S, True), (-LEASE_S / 2, False), (-7200.0, True)],
)
def test_elsewhere_only_time_tells(me: Holder, renewed_s_ago: float, can_be_taken: bool) -> None:
    theirs = Holder(id="b", host="elsewhere", pid=7)
    why = why_held(held(theirs, NOW - renewed_s_ago), me, NOW)
    assert (why is None) is can_be_taken
    if why is not None:
        assert "--take-over" in why
