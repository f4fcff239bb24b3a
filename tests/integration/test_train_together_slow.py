"""Two processes train one model through Ray Train, as a user starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file
from training_toys import many_molecules, tiny_recipe

from heuresis_models.recipe import Recipe

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "heuresis_models.command"]
LIMIT_S = 900.0


def _recipe(checkpoint_minutes: float = 3.0) -> Recipe:
    return tiny_recipe(total_tokens=12_000, evaluations=3, checkpoint_minutes=checkpoint_minutes)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "some.smi").write_text("\n".join(many_molecules()) + "\n")
    return folder


def _start(data: Path, recipe: Recipe, output: Path, *more: str) -> subprocess.Popen[str]:
    path = output.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    return subprocess.Popen(
        [*COMMAND, str(path), "--data", str(data), "--output", str(output), *more],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def _run(data: Path, recipe: Recipe, output: Path, *more: str) -> list[dict[str, Any]]:
    process = _start(data, recipe, output, *more)
    _, told = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, told
    return _metrics(output)


def _metrics(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("alone") / "model"
    _run(data, _recipe(), output)
    return output


def _same(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    assert [line["steps"] for line in first] == [line["steps"] for line in second]
    for one, other in zip(first, second, strict=True):
        # Sums in another order; Muon rounds to 16 bits on the way.
        assert one["training_loss"] == pytest.approx(other["training_loss"], abs=5e-3)
        assert one["heldout_loss"] == pytest.approx(other["heldout_loss"], abs=5e-3)
        assert one["tokens"] == other["tokens"]


def _close(first: Path, second: Path) -> None:
    """Weights moved much farther from their start than the two are apart."""
    one, other = load_file(first / "model.safetensors"), load_file(second / "model.safetensors")
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].shape == other[name].shape
        assert float((one[name] - other[name]).norm()) < 0.1 * float(one[name].norm()) + 1e-3


def test_two_workers_train_the_same_model_as_one(alone: Path, data: Path, tmp_path: Path) -> None:
    together = tmp_path / "together"
    lines = _run(data, _recipe(), together, "--workers", "2")
    _same(_metrics(alone), lines)
    _close(alone, together)
    names = {path.name for path in together.iterdir()}
    assert names >= {"model.safetensors", "MODEL_CARD.md", "config.json", "checkpoint"}
    assert "workers" not in names, "Ray Train's own files are gone"


def test_a_dead_worker_ends_the_training_and_another_number_continues_it(
    alone: Path, data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "broken"
    recipe = _recipe(checkpoint_minutes=0.0005)
    process = _start(data, recipe, output, "--workers", "2")
    _wait_for_steps(output, 3, process)
    victims = _workers_of(process.pid)
    assert len(victims) == 2, victims
    inside, beyond = _listeners(process.pid)
    assert inside > 5
    assert beyond == 0, "somebody listens beyond the loopback interface"
    os.kill(victims[-1], signal.SIGKILL)
    _, told = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 2, told
    assert "error: worker 1 died" in told or "error: worker 0 died" in told
    assert "the same command continues from the last checkpoint" in told
    assert "Traceback" not in told
    assert not _workers_of(process.pid)

    _run(data, recipe, output)  # alone
    assert _metrics(output)[-1]["tokens"] == _metrics(alone)[-1]["tokens"]
    assert _metrics(output)[-1]["heldout_loss"] == pytest.approx(
        _metrics(alone)[-1]["heldout_loss"], abs=5e-3
    )
    _close(alone, output)


def test_a_training_begun_alone_is_continued_by_two_after_ctrl_c(
    alone: Path, data: Path, tmp_path: Path
) -> None:
    output = tmp_path / "grown"
    process = _start(data, _recipe(checkpoint_minutes=0.0005), output)
    _wait_for_steps(output, 3, process)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130, told
    steps = _steps(output)
    assert 3 <= steps < _metrics(alone)[-1]["steps"]

    process = _start(data, _recipe(checkpoint_minutes=0.0005), output, "--workers", "2")
    _wait_for_steps(output, steps + 2, process)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130, told
    assert "the same command continues" in told
    assert _steps(output) > steps

    _run(data, _recipe(), output)
    _close(alone, output)


def _steps(output: Path) -> int:
    try:
        return int(json.loads((output / "checkpoint" / "state.json").read_text())["steps"])
    except (OSError, ValueError):  # between two renames
        return 0


def _wait_for_steps(output: Path, steps: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while _steps(output) < steps:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _workers_of(session: int) -> list[int]:
    """Return the processes of Ray Train's workers in a session of processes."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "cmdline").read_bytes().decode(errors="replace")
            if os.getsid(int(folder.name)) == session and "ray::" in name and "Worker" in name:
                found.append(int(folder.name))
        except OSError:
            continue
    return sorted(found)


def _listeners(session: int) -> tuple[int, int]:
    """Count the listening sockets of a session of processes: (on loopback, on anything else)."""
    ours = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == session:
                ours |= {str(handle.readlink())[8:-1] for handle in (folder / "fd").iterdir()}
        except OSError:
            continue
    counts = [0, 0]
    for table, loopback in (("tcp", "0100007F"), ("tcp6", "0000000000000000FFFF00000100007F")):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in ours:
                counts[not fields[1].startswith(loopback)] += 1
    return counts[0], counts[1]
