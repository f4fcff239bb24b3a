"""Oracle ``command``: a program of yours measures; JSON over standard input and output.

The exchange is described in `heuresis_oracles.external.exchange`. The program runs without a shell,
in the scratch folder of the call, with a minimal environment; its process group ends with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from pydantic import Field

from heuresis.errors import UserError
from heuresis.records import Candidate, Failure, FailureCause, OracleDeclaration, Outcome
from heuresis_oracles.external.exchange import (
    LARGEST_ANSWER_BYTES,
    ExternalConfig,
    declaration,
    request,
    understood,
)
from heuresis_oracles.external.permissions import permitted_program

_SHARE_OF_DEADLINE = 0.95
"""Ends before the platform's own limit does, which would cost the whole worker."""
_LONGEST_DETAIL = 4000


class Command:
    """Numbers from a program of yours: JSON on standard input and output."""

    class Config(ExternalConfig):
        """Which program, and what it gives."""

        command: tuple[str, ...] = Field(
            min_length=1,
            description="name of the program, in a folder that HEURESIS_PROGRAMS allows, and its"
            " arguments",
            examples=[("measure.py",)],
        )
        environment: tuple[str, ...] = Field(
            (), description="names of environment variables that it gets besides PATH and the like"
        )
        threads: int = Field(1, ge=1, description="told to it as OMP_NUM_THREADS")

    @classmethod
    def declare(cls, config: Config) -> OracleDeclaration:
        """Say what is measured, as the settings say."""
        return declaration("command", config, f"1+{config.command[0]}-{config.version}")

    @classmethod
    def check_space(cls, config: Config, space: Any) -> None:  # noqa: ARG003 - contract
        """Refuse a program that this machine does not allow.

        Raises:
            UserError: says what to do.
        """
        permitted_program(config.command[0])

    def __init__(self, config: Config) -> None:
        self.config = config
        self._program = permitted_program(config.command[0])
        missing = [name for name in config.environment if name not in os.environ]
        if missing:
            raise UserError(f"environment: {', '.join(missing)} is not set here")

    def evaluate(
        self, candidates: Sequence[Candidate], *, seed: int, workdir: Path
    ) -> list[Outcome]:
        """Ask the program about each candidate, in order.

        If it breaks on several together they are asked about one by one, so that it costs one.
        """
        if not candidates:
            return []
        answer = self._answer(candidates, seed, workdir)
        if isinstance(answer, bytes):
            return understood(answer, len(candidates), self.config)
        if len(candidates) == 1:
            return [answer]
        return [self.evaluate([one], seed=seed, workdir=workdir)[0] for one in candidates]

    def _answer(self, candidates: Sequence[Candidate], seed: int, workdir: Path) -> bytes | Failure:
        """Return what the program wrote, or how it failed."""
        limit_s = self.config.timeout_s * len(candidates) * _SHARE_OF_DEADLINE
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                process = subprocess.Popen(
                    [str(self._program), *self.config.command[1:]],
                    stdin=subprocess.PIPE,
                    stdout=out,
                    stderr=err,
                    cwd=workdir,
                    env=self._environment(workdir),
                    start_new_session=True,
                )
            except OSError as error:
                return Failure(
                    cause=FailureCause.SETUP,
                    message=f"{self._program.name} does not start: {error.strerror or error}",
                )
            try:
                process.communicate(request(candidates, seed, self.config), timeout=limit_s)
            except subprocess.TimeoutExpired:
                return Failure(
                    cause=FailureCause.TIMEOUT,
                    message=f"{self._program.name} took longer than {limit_s:g} s",
                )
            finally:
                _end(process)
            return self._read(process.returncode, out, err)

    def _read(self, status: int, out: IO[bytes], err: IO[bytes]) -> bytes | Failure:
        name = self._program.name
        detail = _tail(err) or None
        if status < 0:
            return Failure(
                cause=FailureCause.CRASH,
                message=f"{name} died of signal {signal.Signals(-status).name}",
                detail=detail,
            )
        if status > 0:
            last = (detail or "").rstrip().rpartition("\n")[2]
            return Failure(
                cause=FailureCause.CALCULATION,
                message=f"{name} ended with exit status {status}" + (f": {last}" if last else ""),
                detail=detail,
            )
        if out.seek(0, os.SEEK_END) > LARGEST_ANSWER_BYTES:
            return Failure(
                cause=FailureCause.CONTRACT,
                message=f"{name} wrote more than {LARGEST_ANSWER_BYTES} bytes",
            )
        out.seek(0)
        return out.read()

    def _environment(self, workdir: Path) -> dict[str, str]:
        """Return all that the program gets of the environment: enough to find interpreters."""
        passed = {name: os.environ[name] for name in self.config.environment}
        return {
            "PATH": os.pathsep.join(
                [str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]
            ),
            "HOME": str(workdir),
            "TMPDIR": str(workdir),
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": str(self.config.threads),
            "PYTHONHASHSEED": "0",
            **passed,
        }


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and whatever it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _tail(stream: IO[bytes]) -> str:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _LONGEST_DETAIL))
    return stream.read().decode(errors="replace").strip()
