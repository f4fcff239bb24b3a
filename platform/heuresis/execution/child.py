"""The process in which an isolated oracle runs: ``python -m heuresis.execution.child``.

There are two processes. The *guardian* is a bare interpreter that only waits; the *worker*, forked
from it before anything heavy is imported, hosts the oracle. The guardian exists so that nothing
survives: when the worker ends, or when the lifeline (a pipe whose other end only the executor
holds) closes because the executor was killed, it kills the worker's process group and everything
that descends from it, removes the scratch space and ends the way the worker ended. It needs no
cooperation from a native code that hangs with the interpreter lock held.

Executor and worker speak over one socket. Each message is eight bytes of length (big endian) and
that many bytes of JSON. The socket is neither standard output nor standard error, so whatever
native codes print cannot corrupt it. The executor sends the `PoolSpec`, the worker answers with
nothing (ready) or with why it cannot start; then it answers each task with a `Report`.

Linux only: it relies on ``prctl``, ``pidfd`` and ``/proc``.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import faulthandler
import os
import resource
import select
import shutil
import signal
import socket
import struct
import sys
from pathlib import Path

LENGTH = struct.Struct(">Q")
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_MORE_KILLABLE = "800"
"""Out-of-memory score (−1000 to 1000): the kernel should pick the oracle, never the campaign."""


def main() -> None:
    """Start guardian and worker from the command line that `IsolatedWorker` writes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--lifeline", type=int, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--plugins", required=True)
    parser.add_argument("--memory-limit-bytes", type=int, default=0)
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    guardian = os.getpid()
    worker = os.fork()
    if worker == 0:
        os.close(arguments.lifeline)
        _become_worker(guardian, arguments.memory_limit_bytes)
        _serve(arguments.channel, arguments.plugins, arguments.scratch)
        os._exit(0)
    os.close(arguments.channel)
    _guard(worker, arguments.lifeline, arguments.scratch)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value}) failed")


def _guard(worker: int, lifeline: int, scratch: Path) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.setpgid(worker, worker)
    watched = os.pidfd_open(worker)
    # The guardian must not die of a signal meant for its worker.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    select.select([watched, lifeline], [], [])
    # The worker is not reaped yet, so its group id cannot have passed to somebody else.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker, signal.SIGKILL)
    _, status = os.waitpid(worker, 0)
    _kill_descendants()
    shutil.rmtree(scratch, ignore_errors=True)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        _die_of(-code)
    os._exit(code)


def _die_of(number: int) -> None:
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _kill_descendants() -> None:
    """Kill what left the process group: as subreaper we have inherited it."""
    me = os.getpid()
    while True:
        children = Path(f"/proc/{me}/task/{me}/children").read_text().split()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _become_worker(guardian: int, memory_limit_bytes: int) -> None:
    with contextlib.suppress(PermissionError):
        os.setpgid(0, 0)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guardian:
        os._exit(1)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_MORE_KILLABLE)
    if memory_limit_bytes:
        # RLIMIT_DATA counts private writable memory. RLIMIT_AS would count the address space, of
        # which torch, OpenMM and every thread's allocator reserve gigabytes that they never use.
        resource.setrlimit(resource.RLIMIT_DATA, (memory_limit_bytes, memory_limit_bytes))
    faulthandler.enable()


def _serve(channel: int, plugins: str, scratch: Path) -> None:
    """Answer tasks until the executor closes the channel."""
    # Late: the guardian must stay a bare interpreter.
    from heuresis.errors import PoolError
    from heuresis.execution.worker import WorkerHost
    from heuresis.tasks import EvaluateTask, PoolSpec

    os.set_inheritable(channel, False)
    connection = socket.socket(fileno=channel)
    pool = PoolSpec.model_validate_json(_receive(connection))
    try:
        host = WorkerHost(pool, plugins=plugins, scratch_root=scratch, enter_workdir=True)
    except PoolError as error:
        _send(connection, str(error).encode())
        return
    _send(connection, b"")
    while request := _receive(connection):
        report = host.run(EvaluateTask.model_validate_json(request))
        sys.stdout.flush()
        sys.stderr.flush()
        _send(connection, report.model_dump_json().encode())


def _send(connection: socket.socket, message: bytes) -> None:
    connection.sendall(LENGTH.pack(len(message)) + message)


def _receive(connection: socket.socket) -> bytes:
    """Return the next message; empty when the executor has closed the channel."""
    header = _exactly(connection, LENGTH.size)
    return _exactly(connection, LENGTH.unpack(header)[0]) if header else b""


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            return b""
        data += piece
    return bytes(data)


if __name__ == "__main__":
    main()
