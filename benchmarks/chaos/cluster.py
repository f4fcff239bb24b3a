"""A Ray cluster of several nodes on this machine, in a process of its own that outlives drivers.

Run by `LocalCluster`: it obeys one command per line (``add``, ``remove N``, ``end``) and answers
each with one line of JSON. A node is removed as a power failure would: with SIGKILL.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

from heuresis.execution.ray_patience import patient_start

ROOT = Path(__file__).parents[2]
START_LIMIT_s = 300.0
NODE_CORES = 4
TEND_s = 2.0
OBJECT_STORE_BYTES = 80 * 2**20
SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Else Ray kills the guardian of an oracle before that has cleaned up after its actor.
    "RAY_kill_child_processes_on_worker_exit": "false",
    # On few cores a worker for every core of every node would start, to be used by nobody.
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_worker_prestart": "0",
    # Workers are not to starve behind what serves them.
    "RAY_worker_niceness": "0",
    # A busy machine is slow, not dead.
    "RAY_NUM_REDIS_GET_RETRIES": "120",
    "RAY_agent_register_timeout_ms": "200000",
    "RAY_worker_register_timeout_seconds": "200",
}


class LocalCluster:
    """Starts and commands the process; ends it, and only what it started.

    Args:
        folder: for the token and the log.
        nodes: besides the head, which runs no actors.
    """

    def __init__(self, folder: Path, nodes: int) -> None:
        self.nodes = nodes
        token = folder / "ray-token"
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
        self.environment = {
            **os.environ,
            **SETTINGS,
            "RAY_AUTH_TOKEN_PATH": str(token),
            "PYTHONPATH": os.pathsep.join([str(ROOT), *_given_paths()]),
            "OMP_NUM_THREADS": "1",
        }
        self._log = (folder / "cluster.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.chaos.cluster", str(nodes)],
            env=self.environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,
        )
        try:
            self.address: str = self._answer()["address"]
        except BaseException:
            self.close()
            raise

    def add_node(self) -> None:
        """Add a node; returns when the cluster knows it."""
        self._command("add")
        self.nodes += 1

    def remove_node(self, number: int) -> None:
        """Kill all processes of a node; ``number`` counts those that live, oldest first."""
        self._command(f"remove {number}")
        self.nodes -= 1

    def _command(self, text: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], START_LIMIT_s)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            raise RuntimeError(f"the cluster gave no answer; see {self._log.name}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self) -> None:
        """End all processes of all nodes, the head's too, as a power failure would."""
        for process in (*descendants(self.process.pid), self.process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """End all nodes, then the process; what does not obey is killed with its descendants."""
        if self.process.poll() is None:
            with contextlib.suppress(Exception):
                self._command("end")
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
        for pipe in (self.process.stdin, self.process.stdout, self._log):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _given_paths() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def descendants(process: int) -> list[int]:
    """Return the processes that descend from one, parents first."""
    found, todo = [], [process]
    while todo:
        parent = todo.pop()
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                children = [int(n) for n in (thread / "children").read_text().split()]
                found += children
                todo += children
    return found


def main() -> None:
    """Serve commands from standard input until ``end`` or until nobody is there."""
    # Ray's own words go to the log; standard output is for answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with patient_start(START_LIMIT_s):
        _serve(int(sys.argv[1]), answers)


def _serve(workers: int, answers: TextIO) -> None:
    from ray.cluster_utils import Cluster

    def node() -> dict[str, Any]:
        return {
            "num_cpus": NODE_CORES,
            "object_store_memory": OBJECT_STORE_BYTES,
            "include_log_monitor": False,
            "wait": False,
        }

    def add() -> Any:
        added = cluster.add_node(**node())
        cluster._wait_for_node(added, START_LIMIT_s)
        return added

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    cluster = Cluster(
        initialize_head=True,
        head_node_args={**node(), "num_cpus": 0, "include_dashboard": False},
    )
    nodes = [add() for _ in range(workers)]
    answer(address=cluster.address)
    over, turn = threading.Event(), threading.Lock()

    def tend() -> None:
        """Replace nodes that end by themselves: several on one machine race for its ports."""
        while not over.wait(TEND_s):
            with turn:
                for place, one in enumerate(nodes):
                    if not one.remaining_processes_alive():
                        print("a node ended by itself; another one takes its place", flush=True)
                        cluster.remove_node(one, allow_graceful=False)
                        nodes[place] = add()

    tender = threading.Thread(target=tend, name="tender", daemon=True)
    tender.start()
    try:
        for line in sys.stdin:
            command, *arguments = line.split()
            with turn:
                if command == "add":
                    nodes.append(add())
                elif command == "remove":
                    cluster.remove_node(nodes.pop(int(arguments[0])), allow_graceful=False)
                else:
                    break
            answer(nodes=len(nodes))
    finally:
        over.set()
        tender.join()
        cluster.shutdown()
    answer(ended=True)


if __name__ == "__main__":
    main()
