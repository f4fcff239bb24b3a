"""The class of which Ray makes actors. It does not know Ray."""

from __future__ import annotations

import os
import socket

from pydantic import TypeAdapter

from heuresis.errors import PoolError
from heuresis.execution.guarded_process import thread_environment
from heuresis.execution.isolation import IsolatedWorker, open_worker
from heuresis.tasks import PoolSpec, Task

_TASK: TypeAdapter[Task] = TypeAdapter(Task)


class HeuresisWorker:
    """Hosts one worker of one pool in a process of its own; answers in texts, never exceptions."""

    def __init__(self, pool_json: str, name: str, plugins: str) -> None:
        self._name = name
        self._complaint = ""
        pool = PoolSpec.model_validate_json(pool_json)
        # Before any numerical library is imported: they read these once.
        os.environ.update(thread_environment(pool.threads))
        try:
            self._worker = open_worker(pool, plugins)
            if isinstance(self._worker, IsolatedWorker):
                self._worker.wait_until_ready()
        except PoolError as error:
            self._complaint = str(error)

    def __repr__(self) -> str:
        return self._name

    def ready(self) -> tuple[str, str]:
        """Return why the plug-in cannot start (empty: it can) and the host."""
        return self._complaint, socket.gethostname()

    def run(self, task_json: str) -> tuple[str, str]:
        """Run a task; return why the plug-in cannot start any more (empty: it can), the report."""
        try:
            return "", self._worker.run(_TASK.validate_json(task_json)).model_dump_json()
        except PoolError as error:
            return str(error), ""

    def close(self) -> None:
        """End the worker's processes in good order."""
        if not self._complaint:
            self._worker.close()
