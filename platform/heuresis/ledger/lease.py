"""Who may write a ledger: one process at a time, by a lease with a fencing token.

The fencing token rises by one whenever the lease is taken, and every transaction
that writes checks it. Whether a lease may be taken is judged by clocks and process lists, which can
be wrong; that only one of two writers gets on is decided by the token, which cannot.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from weakref import WeakValueDictionary

from heuresis.errors import LeaseLostError, LedgerError
from heuresis.records import Record

LEASE_S = 60.0
"""A lease that was not renewed for so long has run out."""
RENEW_S = 15.0
"""How often a living holder renews it."""
_HOLDERS: WeakValueDictionary[str, object] = WeakValueDictionary()
"""Id of a holder → the object of this process that writes under it."""


class Holder(Record):
    """A writer: which process, on which host, and what tells it from its namesakes."""

    id: str
    host: str
    pid: int
    process_started: str = ""
    """When the system started the process: another one may get the same number later."""
    boot: str = ""
    """Identity of the host's current boot and of its process namespace; empty: not known."""
    machine: str = ""
    """Identity of the machine, which outlives a boot; empty: not known."""

    @classmethod
    def of_this_process(cls, writer: object) -> Holder:
        """Return a new identity for ``writer``, an object of this process."""
        holder = cls(
            id=uuid.uuid4().hex,
            host=socket.gethostname(),
            pid=os.getpid(),
            process_started=_process_started(os.getpid()) or "",
            boot=_boot(),
            machine=_text(Path("/etc/machine-id")),
        )
        _HOLDERS[holder.id] = writer
        return holder


@dataclass(frozen=True)
class Lease:
    """What stands in the ledger: the fencing token, who has it and since when (Unix seconds)."""

    token: int
    holder: Holder | None = None
    taken_at: float = 0.0
    renewed_at: float = 0.0

    def words(self) -> str:
        """Say who holds it and since when; empty when nobody does."""
        if self.holder is None:
            return ""
        return f"process {self.holder.pid} on {self.holder.host} since {moment(self.taken_at)}"


def why_held(lease: Lease, me: Holder, now: float, *, lease_s: float = LEASE_S) -> str | None:
    """Return why a lease cannot be taken and what to do; None: it can.

    A process on this host is looked up: dead, the lease is free at once. One elsewhere cannot be
    looked up: its lease is free once it was not renewed for ``lease_s``. A renewal that lies in the
    future, beyond what clocks of two hosts may differ by, says that a clock jumped, and counts as
    run out too: the fencing token stops whoever was wronged.

    Args:
        lease: as it stands in the ledger.
        me: who wants it.
        now: time of the clock that wrote ``lease``, Unix seconds.
        lease_s: seconds without renewal after which it has run out.
    """
    holder = lease.holder
    if holder is None or holder.id == me.id:
        return None
    if holder.boot and holder.boot == me.boot:
        if not _lives(holder):
            return None
        return (
            "wait until it ends, or stop it (Ctrl-C there, or"
            f" 'kill {holder.pid}'): what runs is settled first"
        )
    if holder.host == me.host and holder.machine and holder.machine == me.machine:
        return None  # this machine has booted since
    left_s = lease.renewed_at + lease_s - now
    if not 0.0 < left_s <= 2 * lease_s:
        return None
    return (
        f"that host cannot be asked from here: if the process there is gone, its lease runs out in"
        f" {left_s:.0f} s; if you know that it is gone, take over now with --take-over"
    )


def moment(seconds: float) -> str:
    """Write a Unix time as local date and time."""
    return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%Y-%m-%d %H:%M:%S}"


class Heartbeat:
    """Renews a lease from a thread of its own, so that a slow oracle does not cost it.

    Args:
        renew: renews once; raises `LeaseLostError` when another process has the lease.
        lost: called once, from the thread, when it has.
        interval_s: seconds between renewals.
    """

    def __init__(
        self,
        renew: Callable[[], None],
        lost: Callable[[], None],
        *,
        interval_s: float = RENEW_S,
    ) -> None:
        self._renew = renew
        self._lost = lost
        self._interval_s = interval_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def start(self) -> None:
        """Begin to renew."""
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing; returns when the thread has ended."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(self._interval_s):
            try:
                self._renew()
            except LeaseLostError:
                self._lost()
                return
            except LedgerError:
                continue  # the database is busy or away: the next append will tell


def _lives(holder: Holder) -> bool:
    """Tell whether a process of this boot and namespace still runs."""
    if holder.pid == os.getpid() and holder.process_started == _process_started(holder.pid):
        return holder.id in _HOLDERS
    started = _process_started(holder.pid)
    if started is not None:
        return started == holder.process_started
    if Path("/proc/self/stat").exists():
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _process_started(pid: int) -> str | None:
    """Return when a process started (ticks since boot); None: it is gone, or this is not Linux."""
    text = _text(Path(f"/proc/{pid}/stat"))
    fields = text.rpartition(")")[2].split()  # the name before may hold anything
    if len(fields) < 20 or fields[0] in "ZX":  # a zombie only waits for its parent to look
        return None
    return fields[19]


def _boot() -> str:
    """Return the identity of this boot and process namespace; empty where it is not known."""
    boot = _text(Path("/proc/sys/kernel/random/boot_id"))
    try:
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}" if boot else ""
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
