"""Kills processes of a running campaign at random: oracles, actors, nodes, the driver."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.chaos.cluster import LocalCluster, descendants

SHARES = {
    "oracle process": 0.20,
    "guardian": 0.05,
    "actor": 0.17,
    "node": 0.04,
    "driver": 0.055,
    "whole cluster": 0.005,
}
"""Kills by kind, as shares of all faults; the oracles themselves do the rest."""
HASTY_SHARE = 0.3
"""How often a driver that was just started again is killed before it has done anything."""
HASTE_s = 20.0
_NO_ACTORS = ("IDLE", "DashboardAgent", "RuntimeEnvAgent")


def planned(faults: int) -> Counter[str]:
    """Return how many kills of each kind belong to so many faults."""
    return Counter({kind: max(1, round(share * faults)) for kind, share in SHARES.items()})


class Monkey:
    """Carries out planned kills, in random order.

    Args:
        cluster: whose processes and nodes may be killed, and nobody else's.
        plan: how many kills of each kind.
        rng: who and when.
    """

    def __init__(self, cluster: LocalCluster, plan: Mapping[str, int], rng: random.Random) -> None:
        self._cluster = cluster
        self._rng = rng
        self.left = Counter(plan)
        self.done: Counter[str] = Counter()
        self._repair: threading.Thread | None = None

    def move_to(self, cluster: LocalCluster) -> None:
        """Go on with another cluster; the one before is dead."""
        self._cluster = cluster
        self._repair = None

    def strikes_again_in_s(self) -> float | None:
        """Decide about a driver that was just started after a kill: kill it, and when, or not."""
        if self.left["driver"] < 1 or self._rng.random() >= HASTY_SHARE:
            return None
        return self._rng.uniform(0.0, HASTE_s)

    def note(self, kind: str) -> None:
        """Count a kill that somebody else has done."""
        self.left[kind] -= 1
        self.done[kind] += 1

    def strike(self, kill_driver: Callable[[], None]) -> str | None:
        """Do one of the kills that are left; return its kind, None if there was nothing to kill."""
        if self._cluster.process.poll() is not None:
            return None  # the driver has to find that out, and to say so
        kinds = [kind for kind, count in self.left.items() if count > 0]
        if self._repair is not None and self._repair.is_alive() and len(kinds) > 1:
            kinds = [kind for kind in kinds if kind != "node"]
        if not kinds:
            return None
        kind = self._rng.choices(kinds, [self.left[kind] for kind in kinds])[0]
        if kind == "driver":
            kill_driver()
        elif kind == "node":
            self._kill_node()
        elif kind == "whole cluster":
            self.wait_for_repair()
            self._cluster.kill()
        elif not self._kill_one(kind):
            return None
        self.note(kind)
        return kind

    def _kill_one(self, kind: str) -> bool:
        found = victims(self._cluster.process.pid)[kind]
        if not found:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._rng.choice(found), signal.SIGKILL)
        return True

    def _kill_node(self) -> None:
        """Kill a node; another one comes up meanwhile."""
        self.wait_for_repair()
        self._cluster.remove_node(self._rng.randrange(self._cluster.nodes))
        self._repair = threading.Thread(target=self._cluster.add_node, name="repair", daemon=True)
        self._repair.start()

    def wait_for_repair(self) -> None:
        """Return when all nodes are there."""
        if self._repair is not None:
            self._repair.join()


def victims(cluster: int) -> dict[str, list[int]]:
    """Return the processes of a cluster that host a campaign's workers, by kind."""
    found: dict[str, list[int]] = {"oracle process": [], "guardian": [], "actor": []}
    for process in descendants(cluster):
        try:
            words = Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ").strip()
            parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended while we looked
        if "heuresis.execution.child" in words:
            kind = "oracle process" if parent in found["guardian"] else "guardian"
            found[kind].append(process)
        elif words.startswith("ray::") and not any(name in words for name in _NO_ACTORS):
            found["actor"].append(process)
    return found
