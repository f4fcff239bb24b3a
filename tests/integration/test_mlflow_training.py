"""A training in a real MLflow: an SQLite store, a real server, and one that is not there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from training_toys import many_molecules, tiny_recipe
from typer.testing import CliRunner

from heuresis.tracking.mlflow_server import server_command, sqlite_uri
from heuresis_models.checkpoint import load_model, tensors_hash
from heuresis_models.command import train

# MLflow's own dependencies deprecate each other; that is not what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow")


def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with its schema, made once: it takes seconds."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    client(sqlite_uri(file)).search_experiments()
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    recipe = tiny_recipe(total_tokens=2_000, evaluations=1, evaluation_documents=4)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    (tmp_path / "some.smi").write_text("\n".join(many_molecules()) + "\n")
    return tmp_path


def run(folder: Path, *arguments: object) -> str:
    app = typer.Typer()
    app.command()(train)
    given = [str(folder / "tiny.yaml"), *map(str, arguments)]
    result = CliRunner().invoke(app, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_training_arrives_whole_and_a_continued_one_stays_one_run(
    folder: Path, empty_store: Path
) -> None:
    uri = sqlite_uri(Path(shutil.copy(empty_store, folder / "mlflow.db")))
    output = folder / "out"
    told = run(folder, "--output", output, "--tracking-uri", uri)
    assert "MLflow does not have" not in told
    known = json.loads((output / "mlflow.json").read_text())
    mlflow_run = client(uri).get_run(known["run_id"])
    assert mlflow_run.info.status == "FINISHED"
    assert mlflow_run.info.run_name == "tiny seed 3"
    parameters = mlflow_run.data.params
    assert parameters["model.width"] == "32"
    # How long it trains may change when it is continued: a tag, for parameters cannot.
    assert mlflow_run.data.tags["heuresis.total_tokens"] == "2000"
    assert "optimization.total_tokens" not in parameters
    assert parameters["sources.0.files"] == "some.smi"

    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    history = client(uri).get_metric_history(known["run_id"], "heldout_loss/molecules")
    assert [(m.step, m.value) for m in sorted(history, key=lambda m: m.step)] == [
        (line["steps"], line["heldout_loss"]["molecules"]) for line in lines
    ]
    assert mlflow_run.data.metrics["molecules/valid_share"] == lines[-1]["valid_share"]
    assert mlflow_run.data.metrics["training/tokens_per_s"] > 0
    weights = tensors_hash(load_model(output).model.state_dict())
    assert mlflow_run.data.tags["heuresis.weights_sha256"] == weights
    assert mlflow_run.data.tags["mlflow.note.content"].startswith("# tiny")
    artifacts = folder / "artifacts" / known["run_id"] / "artifacts"
    assert (artifacts / "MODEL_CARD.md").read_text() == (output / "MODEL_CARD.md").read_text()
    assert yaml.safe_load((artifacts / "recipe.yaml").read_text())["seed"] == 3

    # The same command again, on another number of threads: the run goes on, nothing is new.
    recipe = yaml.safe_load((folder / "tiny.yaml").read_text())
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**recipe, "threads": 2}))
    told = run(folder, "--output", output, "--tracking-uri", uri)
    assert "MLflow does not have" not in told
    runs = client(uri).search_runs([mlflow_run.info.experiment_id])
    assert [one.info.run_id for one in runs] == [known["run_id"]]
    assert runs[0].info.status == "FINISHED"


def test_a_server_that_is_not_there_changes_nothing_but_a_sentence(folder: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    run(folder, "--output", folder / "plain")
    told = run(folder, "--output", folder / "out", "--tracking-uri", f"http://127.0.0.1:{port}")
    assert "MLflow does not have everything" in told
    assert "metrics.jsonl" in told
    hashes = {
        tensors_hash(load_model(folder / name).model.state_dict()) for name in ("plain", "out")
    }
    assert len(hashes) == 1


@pytest.fixture
def server(folder: Path, empty_store: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uri = sqlite_uri(Path(shutil.copy(empty_store, folder / "served.db")))
    command = server_command(uri, port=port)
    process = subprocess.Popen(
        command.argv, env=command.environment, start_new_session=True, cwd=folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{command.url}/health", timeout=2).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.3)
        yield command.url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


@pytest.mark.slow
def test_over_a_real_server(folder: Path, server: str) -> None:
    told = run(folder, "--output", folder / "out", "--tracking-uri", server)
    assert "MLflow does not have" not in told
    run_id = json.loads((folder / "out" / "mlflow.json").read_text())["run_id"]
    found = client(server).get_run(run_id)
    assert found.info.status == "FINISHED"
    assert found.data.metrics["training/progress"] == 1.0
    names = {one.path for one in client(server).list_artifacts(run_id)}
    assert names == {"MODEL_CARD.md", "recipe.yaml", "metrics.jsonl"}
