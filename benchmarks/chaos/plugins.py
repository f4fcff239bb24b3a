"""An oracle that sleeps, misbehaves at random, and writes down every call.

What it does to a candidate is a hash of the candidate, the seed of the attempt and its settings, so
a retry can end otherwise; a small share of the candidates is poison: every attempt kills the
process. The log is one file for all workers: each line is one ``write`` in append mode, so the
lines of processes that die at any moment are whole or absent.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heuresis.errors import CalculationError
from heuresis.ports import PluginConfig
from heuresis.records import (
    Candidate,
    CostClass,
    Evaluation,
    Measurement,
    OracleDeclaration,
    Outcome,
    OutputDeclaration,
)
from heuresis.testing.fakes import TEXT_SPACE

CHAOS_ORACLE = "benchmarks.chaos.plugins:ChaosOracle"
POISON_SHARE = 0.005
FAULTS_IN_CHILD = ("raise", "nan", "wrong candidate", "segfault", "memory", "full disk", "hang")
FAULTS_IN_ACTOR = ("raise", "nan", "wrong candidate", "segfault")
HOG_BYTES = 2**30
"""More than the memory limit of the campaign's file."""


class ChaosOracle:
    """Measures the length of a text, if nothing comes in between."""

    class Config(PluginConfig):
        """How long, how often something goes wrong, and where calls are written down."""

        log: str
        name: str
        call_s: float = 0.2
        fault_share: float = 0.1
        isolated: bool = True
        batch_size: int = 1
        negligible: bool = False

    def __init__(self, config: Config) -> None:
        self._config = config

    @classmethod
    def declare(cls, config: Config) -> OracleDeclaration:
        """Declare one output, ``length`` in characters."""
        return OracleDeclaration(
            kind=CHAOS_ORACLE,
            version="1",
            spaces=(TEXT_SPACE,),
            outputs={"length": OutputDeclaration(unit="1", description="characters")},
            cost_class=CostClass.NEGLIGIBLE if config.negligible else CostClass.SECONDS,
            isolated=config.isolated,
            batch_size=config.batch_size,
            timeout_s=2.0,
            reference="none",
        )

    def evaluate(
        self, candidates: Sequence[Candidate], *, seed: int, workdir: Path
    ) -> list[Outcome]:
        """Sleep and measure one after the other, with the fault that fate has for each."""
        return [self._one(candidate, seed, workdir) for candidate in candidates]

    def _one(self, candidate: Candidate, seed: int, workdir: Path) -> Outcome:
        fault = self.fate(candidate, seed)
        self._note("began", candidate, seed, fault)
        time.sleep(self._config.call_s)
        measured = Evaluation(
            measurements={"length": Measurement(value=float(len(candidate.text)), unit="1")},
            candidate_id="another" if fault == "wrong candidate" else candidate.id,
        )
        if fault is not None and fault != "wrong candidate":
            self._misbehave(fault, workdir)
        self._note("ended", candidate, seed, fault)
        return measured

    def fate(self, candidate: Candidate, seed: int) -> str | None:
        """Return what goes wrong with a candidate in the attempt with this seed."""
        if _uniform("poison", self._config.name, candidate.id) < POISON_SHARE:
            return "poison"
        draw = _uniform("fault", self._config.name, candidate.id, str(seed))
        if draw >= self._config.fault_share:
            return None
        faults = FAULTS_IN_CHILD if self._config.isolated else FAULTS_IN_ACTOR
        return faults[int(draw / self._config.fault_share * len(faults))]

    def _misbehave(self, fault: str, workdir: Path) -> None:
        match fault:
            case "raise":
                raise CalculationError("no convergence")
            case "nan":
                Measurement(value=float("nan"), unit="1")
            case "segfault" | "poison":
                ctypes.string_at(0)
            case "memory":
                bytearray(HOG_BYTES)
            case "full disk":
                (workdir / "much").write_bytes(b"x" * 100_000)
                with Path("/dev/full").open("w") as file:
                    file.write("x" * 100_000)
            case "hang":
                ctypes.PyDLL(None).sleep(3600)

    def _note(self, what: str, candidate: Candidate, seed: int, fault: str | None) -> None:
        line: dict[str, Any] = {
            "what": what,
            "oracle": self._config.name,
            "candidate": candidate.id,
            "seed": seed,
            "fault": fault,
            "process": os.getpid(),
            "at": time.time(),
        }
        handle = os.open(self._config.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, (json.dumps(line) + "\n").encode())
        finally:
            os.close(handle)


def _uniform(*parts: str) -> float:
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
