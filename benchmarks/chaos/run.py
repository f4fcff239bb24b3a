"""One campaign under fire: killed, resumed, granted more, until all faults have happened."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos.call_log import CallReport, injected_faults, read_calls
from benchmarks.chaos.cluster import ROOT, LocalCluster
from benchmarks.chaos.ledger_checks import (
    Snapshot,
    Verdict,
    check_ledger,
    last_sequence,
    snapshot,
)
from benchmarks.chaos.monkey import Monkey, planned
from benchmarks.chaos.plugins import CHAOS_ORACLE

from heuresis.ledger.sqlite import SQLiteLedger
from heuresis.testing.fakes import OBSERVING_PROPOSER, TEXT_SPACE

CALL_s = {"quick": 0.02, "slow": 0.15}
ENTRIES_BETWEEN_KILLS = 6
"""The campaign must write so much before the next kill: what never gets on is told, not killed."""
STANDSTILL_LIMIT_s = 600.0
FINISHED, PAUSED = 0, 3


def campaign_text(log: Path, *, workers: int, evaluations: int, seed: int) -> str:
    """Return the campaign file."""
    return f"""\
campaign: chaos
question: Does anything get lost?
space: {{kind: "{TEXT_SPACE}"}}
oracles:
  quick:
    {{kind: "{CHAOS_ORACLE}", name: quick, isolated: false, negligible: true, batch_size: 4,
     call_s: {CALL_s["quick"]}, fault_share: 0.02, log: "{log}", timeout_s: 5}}
  slow:
    {{kind: "{CHAOS_ORACLE}", name: slow, call_s: {CALL_s["slow"]}, fault_share: 0.1,
     log: "{log}", timeout_s: 5, workers: {workers}, memory_limit_MiB: 512}}
objectives:
  size: {{measure: slow.length, target: 15, tolerance: 5}}
proposers:
  - {{kind: "{OBSERVING_PROPOSER}", name: words, learn_every: 40, batch: 8}}
search: {{islands: 2, reset_every: 100, promotion: {{random_share: 1.0}}}}
budget: {{evaluations: {evaluations}}}
seed: {seed}
"""


@dataclass(frozen=True, kw_only=True)
class ChaosReport:
    """What was done to a campaign, and what became of it."""

    kills: Counter[str]
    sessions: int
    pauses: int
    wall_s: float
    verdict: Verdict
    calls: CallReport

    @property
    def faults(self) -> int:
        """Kills, and faults inside oracles."""
        return self.kills.total() + self.calls.faults.total()


class ChaosRun:
    """Runs it. Use once: construct, `run`, discard.

    Args:
        folder: an empty one; holds campaign, run folder, logs.
        faults: at least so many.
        seed: of the campaign and of the kills.
        nodes: of the cluster, besides its head.
        workers: of the costly oracle.
        evaluations: granted at a time; more is granted until all faults have happened.
        minutes: after so long nothing more is killed and granted, done or not; None: no limit.
        say: called with a line now and then.
    """

    def __init__(
        self,
        folder: Path,
        *,
        faults: int,
        seed: int,
        nodes: int = 2,
        workers: int = 3,
        evaluations: int = 100,
        minutes: float | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self._folder = folder
        self._faults = faults
        self._nodes = nodes
        self._step = self._limit = evaluations
        self._limit_s = None if minutes is None else 60.0 * minutes
        self._say = say
        self._rng = random.Random(seed)
        self._log = folder / "calls.jsonl"
        self._run = folder / "run"
        self._ledger = self._run / "ledger.sqlite"
        self._snapshots: list[Snapshot] = []
        self._pauses = 0
        self._began = time.monotonic()
        self._campaign = folder / "campaign.yaml"
        self._campaign.write_text(
            campaign_text(self._log, workers=workers, evaluations=evaluations, seed=seed)
        )

    def run(self) -> ChaosReport:
        """Start a cluster, run the campaign to its end in spite of everything, judge it."""
        self._cluster = LocalCluster(self._folder, self._nodes)
        try:
            self._say(f"{self._clock()} a cluster of {self._nodes + 1} nodes is up")
            self._began = time.monotonic()
            monkey = Monkey(self._cluster, planned(self._faults), self._rng)
            self._campaign_under_fire(monkey)
            wall_s = time.monotonic() - self._began
        finally:
            self._cluster.close()
        with closing(SQLiteLedger.open(self._ledger, read_only=True)) as ledger:
            sessions = len(ledger.sessions())
        return ChaosReport(
            kills=monkey.done,
            sessions=sessions,
            pauses=self._pauses,
            wall_s=wall_s,
            verdict=check_ledger(self._ledger, self._snapshots, metered="slow", limit=self._step),
            calls=read_calls(self._log, self._ledger, CALL_s),
        )

    def _campaign_under_fire(self, monkey: Monkey) -> None:
        code = None
        while True:
            if self._cluster.process.poll() is not None:
                self._cluster.close()
                self._cluster = LocalCluster(self._folder, self._nodes)
                monkey.move_to(self._cluster)
                self._say(f"{self._clock()} another cluster is up")
            driver = self._start_driver(more=code == FINISHED)
            try:
                self._disturb(driver, monkey, hasty=code == -signal.SIGKILL)
                code = driver.wait()
            finally:
                if driver.poll() is None:
                    driver.kill()
                    driver.wait()
            if code == FINISHED:
                if self._done(monkey) >= self._faults and not monkey.left.total():
                    return
                if self._time_is_up():
                    return
            elif code == PAUSED:
                self._pauses += 1
                self._say(f"{self._clock()} {self._last_words('paused')}")
            elif code != -signal.SIGKILL:
                raise RuntimeError(f"a session ended with code {code}:\n{self._last_words()}")

    def _last_words(self, about: str = "") -> str:
        """Return what the session said at its end, or the line about something."""
        text = self._session_log.read_text(errors="replace")
        lines = [line for line in text.splitlines() if about and line.startswith(about)]
        return lines[-1] if lines else text[-3000:]

    def _start_driver(self, *, more: bool) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "benchmarks.chaos.driver"]
        if self._ledger.exists() and last_sequence(self._ledger):
            command += ["resume", str(self._run)]
        else:
            command += ["run", str(self._campaign), "--run-dir", str(self._run)]
        if more:
            self._limit += self._step
            command += ["--budget", f"evaluations={self._limit}"]
        command += ["--ray-address", self._cluster.address, "--no-mlflow", "--quiet"]
        with self._session_log.open("wb") as log:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._cluster.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def _session_log(self) -> Path:
        return self._folder / "session.log"

    def _disturb(self, driver: subprocess.Popen[bytes], monkey: Monkey, *, hasty: bool) -> None:
        """Kill something whenever the campaign has got on a bit, until the driver is gone."""
        soon_s = monkey.strikes_again_in_s() if hasty and not self._time_is_up() else None
        if soon_s is not None:
            time.sleep(soon_s)
            if driver.poll() is not None:
                return
            self._kill_driver(driver)
            monkey.note("driver")
            self._say(f"{self._clock()} killed driver {soon_s:.1f} s after its start")
            return
        reached, moved_at = last_sequence(self._ledger), time.monotonic()
        while driver.poll() is None:
            time.sleep(self._rng.uniform(0.3, 1.0))
            sequence = last_sequence(self._ledger)
            if sequence < reached + ENTRIES_BETWEEN_KILLS:
                if time.monotonic() - moved_at > STANDSTILL_LIMIT_s:
                    raise RuntimeError(
                        f"the campaign has not got on for {STANDSTILL_LIMIT_s:g} s after"
                        f" {dict(monkey.done)}:\n{self._last_words()}"
                    )
                continue
            reached, moved_at = sequence, time.monotonic()
            if self._time_is_up():
                continue
            kind = monkey.strike(lambda: self._kill_driver(driver))
            if kind is not None:
                self._say(
                    f"{self._clock()} entry {sequence}: killed {kind};"
                    f" {self._done(monkey)} of {self._faults} faults"
                )

    def _kill_driver(self, driver: subprocess.Popen[bytes]) -> None:
        self._snapshots.append(snapshot(self._ledger))
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()

    def _time_is_up(self) -> bool:
        return self._limit_s is not None and time.monotonic() - self._began > self._limit_s

    def _done(self, monkey: Monkey) -> int:
        return monkey.done.total() + injected_faults(self._log).total()

    def _clock(self) -> str:
        return f"{time.monotonic() - self._began:6.0f} s"
