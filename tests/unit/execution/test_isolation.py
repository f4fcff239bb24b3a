"""The child process of an isolated oracle: nothing gets out, nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from heuresis.errors import PoolError
from heuresis.execution.guarded_process import child_environment
from heuresis.execution.isolation import IsolatedWorker, longest_run_s
from heuresis.records import Evaluation
from heuresis.tasks import EvaluateResult
from heuresis.testing.executor_contract import await_end, evaluate, oracle_pool
from heuresis.testing.fakes import PLUGINS, process_lives

ORPHAN = f"""
from heuresis.execution.isolation import IsolatedWorker
from heuresis.testing.executor_contract import evaluate, oracle_pool
worker = IsolatedWorker(oracle_pool(timeout_s=None), plugins="{PLUGINS}")
print(worker.process_id, flush=True)
import sys
worker.run(evaluate("a", "hang-with-helper:" + sys.argv[1]))
"""


def test_environment_has_no_secrets_and_bounded_threads() -> None:
    given = {
        "HOME": "/home/me",
        "OMP_NUM_THREADS": "64",
        "AWS_SECRET_ACCESS_KEY": "x",
        "GITHUB_TOKEN": "x",
        "db_password": "x",
        "OPENAI_API_KEY": "x",
        "HEURESIS_LEDGER": "postgresql://me:x-42@host/db",
        "PROXY": "http://proxy:8080/path:with@signs",
    }
    kept = child_environment(given, threads=2)
    assert "HEURESIS_LEDGER" not in kept, "a URL may hold a password"
    assert "PROXY" in kept
    assert kept["HOME"] == "/home/me"
    assert kept["OMP_NUM_THREADS"] == kept["OPENMM_CPU_THREADS"] == "2"
    assert not [name for name, value in kept.items() if value == "x"]


def test_messages_may_be_larger_than_any_pipe() -> None:
    worker = IsolatedWorker(oracle_pool(timeout_s=30.0), plugins=PLUGINS)
    texts = [f"noise#{number}{'x' * 900}" for number in range(2)]
    texts += [f"{number:04d}{'x' * 900}" for number in range(1500)]
    try:
        result = worker.run(evaluate("a", *texts)).result
    finally:
        worker.close()
    assert isinstance(result, EvaluateResult)
    assert len(result.outcomes) == len(texts)
    assert all(isinstance(outcome, Evaluation) for outcome in result.outcomes)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_the_executor(tmp_path: Path, number: int) -> None:
    note = tmp_path / "helper"
    executor = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, str(note)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    with executor:
        assert executor.stdout is not None
        guardian = int(executor.stdout.readline())
        deadline = time.monotonic() + 20.0
        while not (note.exists() and note.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        helper = int(note.read_text())
        assert process_lives(helper)
        executor.send_signal(number)
    await_end(guardian)
    await_end(helper)
    assert [path.name for path in tmp_path.iterdir()] == ["helper"], "no scratch is left"


def test_an_interrupted_call_does_not_answer_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = IsolatedWorker(oracle_pool(timeout_s=30.0), plugins=PLUGINS)
    worker.wait_until_ready()
    before = worker.process_id

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            worker.run(evaluate("a", "sleep:5"))
        result = worker.run(evaluate("b", "xyz")).result
        assert isinstance(result, EvaluateResult)
        outcome = result.outcomes[0]
        assert isinstance(outcome, Evaluation)
        assert outcome.measurements["length"].value == 3
        assert worker.process_id != before
    finally:
        signal.signal(signal.SIGALRM, previous)
        worker.close()
    assert worker.process_id is None


def test_no_room_for_a_process_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(PoolError, match=r"pool 'measured' cannot start:.*No such file"):
        IsolatedWorker(oracle_pool(), plugins=PLUGINS)


def test_longest_run_covers_a_second_round_for_batches() -> None:
    assert longest_run_s(10.0, 1) > 10.0
    assert longest_run_s(10.0, 4) - longest_run_s(0.0, 4) == pytest.approx(80.0)
