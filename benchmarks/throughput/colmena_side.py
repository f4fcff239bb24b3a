"""The same sleeping tasks through Colmena: a thinker's loop, pipe queues, a local task server.

Run by an interpreter that has Colmena (``pip install colmena`` in a virtual environment of its
own): ``python colmena_side.py SLOTS SECONDS COUNT``. Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from processes import Watch, proportional_MiB


def rest(seconds: float, number: int) -> int:
    """Be a slot that sleeps."""
    if seconds:
        time.sleep(seconds)
    return number


def closed_loop(queues: Any, seconds: float, count: int, in_flight: int) -> None:
    """Keep so many tasks in flight until so many have come back."""
    given = came = 0
    while came < count:
        while given < min(count, came + in_flight):
            queues.send_inputs(seconds, given, method="rest")
            given += 1
        result = queues.get_result()
        assert result.success, result.failure_info
        came += 1


def main() -> None:
    from colmena.queue import PipeQueues
    from colmena.task_server.local import LocalTaskServer

    slots, seconds, count = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    began = time.perf_counter()
    queues = PipeQueues()
    server = LocalTaskServer(queues, [rest], threads=False, num_workers=slots)
    server.start()
    closed_loop(queues, 0.2, 2 * slots, 2 * slots)  # every process has started
    started_s = time.perf_counter() - began
    watch = Watch()
    closed_loop(queues, seconds, count, 2 * slots)
    print(
        json.dumps(
            {
                "started_s": started_s,
                "wall_s": watch.wall_s,
                "own_s": watch.own_s,
                "others_s": watch.others_s,
                "memory_MiB": proportional_MiB(os.getpid()),
            }
        )
    )
    queues.send_kill_signal()
    server.join()


if __name__ == "__main__":
    main()
