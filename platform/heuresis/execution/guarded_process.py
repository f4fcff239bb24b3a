"""A started process of an isolated oracle and the lines to it; the other end is `child`."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from heuresis.execution.child import LENGTH
from heuresis.tasks import PoolSpec

MEMORY_SHARE = 0.8
"""Share of the machine's memory that one worker may use when its pool states no limit."""
_SECRET_WORDS = ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "KEY")
_URL_WITH_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OPENMM_CPU_THREADS",
)
_OUTPUT_KEPT = 16_384
KILL_GRACE_S = 10.0


def thread_environment(threads: int) -> dict[str, str]:
    """Return the variables that bound the threads of numerical libraries, for a new process."""
    return dict.fromkeys(_THREAD_VARIABLES, str(threads))


def child_environment(environment: Mapping[str, str], threads: int) -> dict[str, str]:
    """Return the environment of an oracle's process: no secrets, bounded threads."""
    kept = {
        name: value
        for name, value in environment.items()
        if not any(word in name.upper() for word in _SECRET_WORDS)
        and not _URL_WITH_PASSWORD.search(value)
    }
    return kept | thread_environment(threads)


class Died(Exception):  # noqa: N818 - an event, turned into a value at once
    """The process ended by itself."""


class Overdue(Exception):  # noqa: N818 - likewise
    """The deadline passed."""


class GuardedProcess:
    """One started process (see `heuresis.execution.child`) and the two lines to it.

    It answers messages one by one. `exchange` is for one thread; another one may `announce` what
    comes after: that message then lies in the channel, and the process begins with it the moment
    it has answered the one before, whether or not anybody has read that answer.
    """

    def __init__(self, pool: PoolSpec, plugins: str) -> None:
        self.is_ready = False
        self.scratch = Path(tempfile.mkdtemp(prefix="heuresis-"))
        limit = (pool.memory_limit_MiB or 0) * 2**20 or int(MEMORY_SHARE * _machine_memory_bytes())
        self._channel, theirs = socket.socketpair()
        lifeline_theirs, lifeline = os.pipe()
        self._lifeline = [lifeline]
        """Empty once it is cut: two threads may want to, and a number is soon another file's."""
        output, output_theirs = os.pipe()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-P",  # the current folder is no place to import from
                "-m",
                "heuresis.execution.child",
                f"--channel={theirs.fileno()}",
                f"--lifeline={lifeline_theirs}",
                f"--scratch={self.scratch}",
                f"--plugins={plugins}",
                f"--memory-limit-bytes={limit}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=output_theirs,
            stderr=output_theirs,
            env=child_environment(os.environ, pool.threads),
            pass_fds=(theirs.fileno(), lifeline_theirs),
            start_new_session=True,  # Ctrl-C in the terminal is for the campaign, which settles
        )
        theirs.close()
        os.close(lifeline_theirs)
        os.close(output_theirs)
        self._output = output
        self._tail = bytearray()
        self._received = bytearray()
        self._outgoing = bytearray()
        self._sending = threading.Lock()
        """Guards what goes out."""
        self._announced: str | None = None
        self._ahead = b""
        """The announced message until it is sent."""
        self._takes_more = False
        self._channel.setblocking(False)
        os.set_blocking(self._output, False)

    def is_alive(self) -> bool:
        """Tell whether an idle process still holds its end of the channel, or has answered."""
        if self._received:
            return True
        try:
            return bool(self._channel.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except ConnectionError:
            return False

    def announce(self, key: str, message: bytes) -> None:
        """Send a message ahead of its `exchange`, from any thread, without waiting for anything.

        It goes out behind the message that is exchanged now, if that one takes more, or else with
        its own exchange. It may be lost with the process: `exchange` on another one sends it again.

        Raises:
            ValueError: another message is announced (a defect of the caller).
        """
        with self._sending:
            if self._announced is not None:
                raise ValueError(f"'{self._announced}' is announced, '{key}' must wait")
            self._announced, self._ahead = key, _framed(message)
            if self._takes_more:
                self._send_ahead()
                with contextlib.suppress(OSError):  # who reads the channel learns that it is dead
                    self._send()

    def _send_ahead(self) -> None:
        self._outgoing += self._ahead
        self._ahead = b""

    def exchange(
        self,
        message: bytes,
        limit_s: float | None,
        *,
        key: str | None = None,
        begun: Callable[[], None] | None = None,
    ) -> bytes:
        """Send a message, return the answer; keep draining what the process prints.

        Args:
            message: not empty. It is not sent again if it was announced under ``key``.
            limit_s: seconds for the answer, counted from this call; None: no limit.
            key: as in `announce`; None: the message was not announced.
            begun: from when it is called, what is announced goes out behind this message; None:
                what is announced waits for its own exchange.

        Raises:
            Overdue: no answer in time.
            Died: the process closed the channel.
            ValueError: another message went out ahead of this one (a defect of the caller).
        """
        deadline = None if limit_s is None else time.monotonic() + limit_s
        with self._sending:
            if key is not None and key == self._announced:
                self._announced = None
                self._send_ahead()
            elif self._announced is not None and not self._ahead:
                raise ValueError(f"'{self._announced}' went out before '{key}'")
            else:
                self._tail.clear()
                self._outgoing += _framed(message)
            self._takes_more = begun is not None
        if begun is not None:
            begun()
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ | selectors.EVENT_WRITE)
            selector.register(self._output, selectors.EVENT_READ)
            while (answer := self._answer()) is None:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise Overdue
                for line, events in selector.select(left):
                    if line.fd == self._output:
                        if not self._drain():
                            selector.unregister(self._output)
                        continue
                    try:
                        if events & selectors.EVENT_WRITE:
                            with self._sending:
                                if self._send():
                                    selector.modify(self._channel, selectors.EVENT_READ)
                        if events & selectors.EVENT_READ:
                            piece = self._channel.recv(2**16)
                            if not piece:
                                raise Died
                            self._received += piece
                    except ConnectionError:
                        raise Died from None
        with self._sending:
            self._takes_more = False
        self._drain()
        self._tail.clear()  # what it prints from now on belongs to the next message
        return answer

    def _send(self) -> bool:
        """Send what the channel takes; True when nothing is left. Only under the lock."""
        with contextlib.suppress(BlockingIOError):
            while self._outgoing:
                del self._outgoing[: self._channel.send(self._outgoing)]
        return not self._outgoing

    def _answer(self) -> bytes | None:
        """Take the first whole answer out of what has come."""
        if len(self._received) < LENGTH.size:
            return None
        end = LENGTH.size + LENGTH.unpack_from(self._received)[0]
        if len(self._received) < end:
            return None
        answer = bytes(self._received[LENGTH.size : end])
        del self._received[:end]
        return answer

    def _drain(self) -> bool:
        """Read what was printed, keep the end of it; False once nobody can print any more."""
        try:
            piece = os.read(self._output, 2**16)
        except BlockingIOError:
            return True
        self._tail += piece
        del self._tail[:-_OUTPUT_KEPT]
        return bool(piece)

    def output(self) -> str:
        """Return the end of what the process printed since the last message."""
        return self._tail.decode(errors="replace")

    def cut_lifeline(self) -> None:
        """Have the guardian kill everything; from any thread."""
        with contextlib.suppress(IndexError):
            os.close(self._lifeline.pop())

    def close(self) -> int:
        """Kill everything, return how the process ended (negative: minus the signal)."""
        with self._sending:
            self._takes_more = False
            self._channel.close()
        self.cut_lifeline()
        try:
            self.process.wait(KILL_GRACE_S)
        except subprocess.TimeoutExpired:
            # The guardian waits for a worker that even SIGKILL does not end (stuck in the kernel).
            self.process.kill()
            self.process.wait()
        while True:
            try:
                piece = os.read(self._output, 2**16)
            except BlockingIOError:
                break
            if not piece:
                break
            self._tail += piece
        del self._tail[:-_OUTPUT_KEPT]
        os.close(self._output)
        shutil.rmtree(self.scratch, ignore_errors=True)
        return self.process.returncode


def _framed(message: bytes) -> bytes:
    return LENGTH.pack(len(message)) + message


def _machine_memory_bytes() -> int:
    """Return the memory this process may use: the container's limit or the machine's."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit_file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            return min(machine, int(Path(limit_file).read_text()))
    return machine
