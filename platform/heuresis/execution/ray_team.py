"""Workers that do one job together, started and watched by Ray Train.

Ray Train places the workers (on this machine or on a cluster, one GPU each if asked), starts them
all or none, and ends all when one dies. What they do, and how they exchange numbers, is up to the
function that they run: this module knows no torch. On this machine the workers meet through a file
and stay on the loopback interface.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.collective
from ray.exceptions import RayError
from ray.train import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from ray.util import get_node_ip_address

from heuresis.errors import HeuresisError, UserError
from heuresis.execution import ray_settings
from heuresis.execution.membership import Membership
from heuresis.execution.ray_session import RaySession

POLL_S = 0.3
START_LIMIT_S = 600
_ENVIRONMENT = {
    # Importing torch can take a minute on a busy machine.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(START_LIMIT_S),
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
}


class TeamError(HeuresisError):
    """A worker of a team died or failed; the others were ended."""


def run_team(
    function: str,
    job: str,
    *,
    workers: int,
    scratch: Path,
    gpus: bool = False,
    address: str | None = None,
    on_message: Callable[[str], None] = lambda _: None,
    stop_asked: Callable[[], bool] = lambda: False,
    worker_logs: bool = False,
) -> None:
    """Run one function in several workers at once, to the end.

    Args:
        function: ``package.module:name``; called in each worker with the job and a `Membership`.
        job: what to do; the same text for all.
        workers: how many.
        scratch: folder that all workers see; Ray Train keeps its own files in it while it runs.
        gpus: give each worker one GPU; else one core.
        address: a running Ray cluster; None: a session on this machine.
        on_message: called in this thread with what a worker tells.
        stop_asked: asked a few times a second; True is passed on to the workers.
        worker_logs: print what the workers print (for debugging).

    Raises:
        UserError: there is no such cluster, or no room in it; or a worker raised one.
        TeamError: a worker died or failed.
    """
    os.environ.update({key: os.environ.get(key, value) for key, value in _ENVIRONMENT.items()})
    if not worker_logs:
        logging.getLogger("ray.train").setLevel(logging.ERROR)
    session = RaySession(address, dashboard=False, cpus=workers + 1, worker_logs=worker_logs)
    session.start()
    scratch = scratch.resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    line: Any = None
    try:
        _check_room(workers, gpus)
        line = ray.remote(_Line).options(num_cpus=0).remote()
        trainer = DataParallelTrainer(
            _work,
            train_loop_config={
                "function": function,
                "job": job,
                "line": line,
                "meeting": (scratch / "meeting").as_uri() if address is None else None,
            },
            scaling_config=ScalingConfig(
                num_workers=workers,
                use_gpu=gpus,
                resources_per_worker={"GPU": 1} if gpus else {"CPU": 1},
            ),
            run_config=RunConfig(
                name="team",
                storage_path=str(scratch),
                failure_config=FailureConfig(max_failures=0),
                logging_config=LoggingConfig(log_level="INFO" if worker_logs else "ERROR"),
            ),
        )
        error = _watch(trainer, line, on_message, stop_asked)
        if error is not None:
            raise error
    finally:
        if line is not None:
            ray.kill(line)
        session.close()
        shutil.rmtree(scratch, ignore_errors=True)


def _check_room(workers: int, gpus: bool) -> None:
    kind = "GPU" if gpus else "CPU"
    there = int(ray.cluster_resources().get(kind, 0))
    if there < workers:
        raise UserError(
            f"{workers} workers need {workers} {kind}s, Ray has {there}; ask for fewer --workers,"
            " or join a cluster that has them with --address"
        )


def _watch(
    trainer: DataParallelTrainer,
    line: Any,
    on_message: Callable[[str], None],
    stop_asked: Callable[[], bool],
) -> Exception | None:
    """Pass messages on until the workers have ended; return what went wrong."""
    errors: list[Exception] = []

    def fit() -> None:
        try:
            trainer.fit()
        except Exception as error:
            errors.append(_told(error))

    # In a thread of its own: in the main one Ray Train would take over Ctrl-C.
    thread = threading.Thread(target=fit, name="ray-train", daemon=True)
    thread.start()
    passed_on = False
    while True:
        over = not thread.is_alive()
        for text in ray.get(line.take.remote()):
            on_message(text)
        if over:
            return errors[0] if errors else None
        if stop_asked() and not passed_on:
            ray.get(line.ask_to_stop.remote())
            passed_on = True
        thread.join(POLL_S)


def _told(error: Exception) -> Exception:
    """Return the one error that says most: a user's mistake, then a death, then any other."""
    failures: dict[int, Exception] = getattr(error, "worker_failures", {})
    ranked = sorted(failures.items(), key=lambda item: _weight(item[1]))
    if not ranked:
        return TeamError(f"the workers could not work together: {_last_line(error)}")
    rank, cause = ranked[0]
    original = _original(cause)
    if isinstance(original, UserError):
        return original
    if isinstance(original, RayError):
        return TeamError(f"worker {rank} died: {ray_settings.why_it_died(original)}")
    return TeamError(f"worker {rank} failed: {type(original).__name__}: {_last_line(original)}")


def _weight(error: Exception) -> int:
    original = _original(error)
    return 0 if isinstance(original, UserError) else 1 if isinstance(original, RayError) else 2


def _original(error: Exception) -> Exception:
    """Return what was raised in the worker, or by Ray at its death, out of Ray Train's wrapping."""
    for name in ("health_check_failure", "_base_exc", "__cause__"):
        inner = getattr(error, name, None)
        if isinstance(inner, Exception):
            return inner
    return error


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__


# --- in the workers' processes -------------------------------------------------------------------


class _Line:
    """Carries texts from the workers to the starter, and its wish to stop to them."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._stop = False

    def tell(self, text: str) -> None:
        self._texts.append(text)

    def take(self) -> list[str]:
        texts, self._texts = self._texts, []
        return texts

    def ask_to_stop(self) -> None:
        self._stop = True

    def stopping(self) -> bool:
        return self._stop


class _StopSign:
    """Knows whether stop was asked, without ever waiting for the answer."""

    def __init__(self, line: Any) -> None:
        self._line = line
        self._question = line.stopping.remote()
        self._next_s = 0.0
        self._stop = False

    def __call__(self) -> bool:
        if not self._stop and time.monotonic() >= self._next_s:
            answered, _ = ray.wait([self._question], timeout=0)
            if answered:
                self._stop = bool(ray.get(self._question))
                self._question = self._line.stopping.remote()
                self._next_s = time.monotonic() + POLL_S
        return self._stop


def _work(config: dict[str, Any]) -> None:
    context = ray.train.get_context()
    rank, line = context.get_world_rank(), config["line"]
    meeting = config["meeting"]
    alone_here = meeting is not None
    if meeting is None:
        address = _free_address() if rank == 0 else None
        meeting = ray.train.collective.broadcast_from_rank_zero(address)
    module, _, name = config["function"].partition(":")
    getattr(import_module(module), name)(
        config["job"],
        Membership(
            rank=rank,
            size=context.get_world_size(),
            meeting=meeting,
            interface="lo" if alone_here else None,
            tell=line.tell.remote,
            stop_asked=_StopSign(line),
        ),
    )


def _free_address() -> str:
    host = get_node_ip_address()
    with socket.socket() as probe:
        probe.bind((host, 0))
        return f"tcp://{host}:{probe.getsockname()[1]}"
