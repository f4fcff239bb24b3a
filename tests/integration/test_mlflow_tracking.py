"""A simulated campaign in a real MLflow: an SQLite store, and once a real server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from synthetic_ledger import synthetic_entries, synthetic_plan

from heuresis.events import Entry
from heuresis.report.projections import CampaignView
from heuresis.tracking.mlflow_server import server_command, sqlite_uri
from heuresis.tracking.mlflow_tracker import MLflowSettings, MLflowTracker
from heuresis.tracking.projection import Point, Sampler

ROOT = Path(__file__).parents[2]
WORKERS = {"descriptors": 1, "xtb": 2, "md": 2}
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
# MLflow's own dependencies deprecate each other; that is not what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow")


ENTRIES: list[Entry] = synthetic_entries(150)
VIEW = CampaignView().apply_all(ENTRIES)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with its schema, made once: it takes seconds."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    client(sqlite_uri(file)).search_experiments()
    return file


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(empty_store, tmp_path / "mlflow.db"))


def tracker(uri: str, **changes: Any) -> MLflowTracker:
    settings: dict[str, Any] = {
        "tracking_uri": uri,
        "experiment": "emitters",
        "run_name": "blue-emitters seed 7",
        "tags": {"campaign": "blue-emitters", "spec_hash": "5f2c"},
        "spec": {"seed": 7, "oracles": {"xtb": {"kind": "xtb", "timeout_s": 120.0}}},
        "description": "Rigid emitters?",
        "workers": WORKERS,
    }
    return MLflowTracker(
        MLflowSettings(**{**settings, **changes}),
        objective=synthetic_plan().objective,
        depict_png=lambda _: PNG,
        diversity=lambda texts: len(set(texts)) / len(texts),
        finish_timeout_s=90.0,
    )


def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def expected(key: str) -> list[tuple[int, float]]:
    sampler = Sampler(CampaignView(), WORKERS)
    points: list[Point] = [point for entry in ENTRIES for point in sampler.apply(entry)]
    return sorted({(p.step, p.value) for p in points if p.key == key})


def history(uri: str, run_id: str, key: str) -> list[tuple[int, float]]:
    return sorted((m.step, m.value) for m in client(uri).get_metric_history(run_id, key))


def finished_run(watched: MLflowTracker) -> str:
    assert watched.advice is None, watched.advice
    assert watched.run_id is not None
    return watched.run_id


def test_a_campaign_arrives_whole(store: Path, tmp_path: Path) -> None:
    uri = sqlite_uri(store)
    yaml, report = tmp_path / "campaign.yaml", tmp_path / "report.html"
    yaml.write_text("campaign: blue-emitters\n")
    seen: list[str] = []
    watched = tracker(uri, artifacts=[yaml, report])
    watched._run._on_run = seen.append
    for start in range(0, len(ENTRIES), 50):
        watched.record(ENTRIES[start : start + 50])
    report.write_text("<html></html>")  # written at the end of a campaign
    watched.finish("finished")
    run_id = finished_run(watched)
    assert seen == [run_id]

    run = client(uri).get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.info.end_time == int(ENTRIES[-1].recorded_at * 1000)
    assert run.data.params["oracles.xtb.timeout_s"] == "120.0"
    assert run.data.tags["campaign"] == "blue-emitters"
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith("Rigid emitters?\n\nThe best of ")
    assert VIEW.best is not None
    assert note.endswith(VIEW.best.candidate.text)
    assert run.data.metrics["best/score"] == VIEW.best_score
    assert run.data.metrics["best/top100_diversity"] == 1.0
    for key in ("best/score", "candidates/completed", "learning/language-model.loss"):
        assert history(uri, run_id, key) == expected(key)
        assert len(expected(key)) > 1

    experiment = client(uri).get_experiment_by_name("emitters")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    artifacts = tmp_path / "artifacts" / run_id / "artifacts"
    assert (artifacts / "campaign.yaml").exists()
    assert (artifacts / "report.html").exists()
    table = json.loads((artifacts / "ranked_candidates.json").read_text())
    row = dict(zip(table["columns"], table["data"][0], strict=True))
    assert row["score"] == pytest.approx(VIEW.best_score, rel=1e-3)
    assert (artifacts / row["structure"]["filepath"]).read_bytes() == PNG
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [
        {"path": "ranked_candidates.json", "type": "table"}
    ]


def test_a_resumed_campaign_continues_its_run_and_repeats_nothing(store: Path) -> None:
    uri = sqlite_uri(store)
    first = tracker(uri)
    first.record(ENTRIES[:400])
    first.finish("interrupted")
    run_id = finished_run(first)
    assert client(uri).get_run(run_id).info.status == "KILLED"

    client(uri).set_tag(run_id, "mlflow.note.content", "My own words")
    second = tracker(uri, run_id=run_id)
    second.replay(ENTRIES[:400])
    second.record(ENTRIES[400:])
    second.finish("finished")
    assert finished_run(second) == run_id
    third = tracker(uri, run_id=run_id)
    third.publish(ENTRIES, "finished")

    note = client(uri).get_run(run_id).data.tags["mlflow.note.content"]
    assert note == "My own words"
    assert client(uri).get_run(run_id).info.status == "FINISHED"
    for key in ("best/score", "candidates/completed", "failures/all"):
        assert history(uri, run_id, key) == expected(key)
    assert len(client(uri).search_runs([first.experiment_id])) == 1


def test_a_run_that_is_gone_is_written_anew(store: Path) -> None:
    uri = sqlite_uri(store)
    watched = tracker(uri, run_id="0" * 32, metered={"xtb", "md"})
    watched.publish(ENTRIES, "failed")
    run_id = finished_run(watched)
    assert run_id != "0" * 32
    run = client(uri).get_run(run_id)
    assert run.info.status == "FAILED"
    assert run.info.start_time == int(ENTRIES[0].recorded_at * 1000)
    steps = [step for step, _ in history(uri, run_id, "candidates/completed")]
    assert max(steps) == 150  # the evaluations that the budget counts


def test_a_deleted_experiment_is_one_clear_sentence(store: Path) -> None:
    uri = sqlite_uri(store)
    client(uri).delete_experiment(client(uri).create_experiment("emitters"))
    watched = tracker(uri)
    watched.record(ENTRIES)
    watched.finish("finished")
    assert watched.advice is not None
    assert "the experiment 'emitters' was deleted there" in watched.advice
    assert "heuresis publish RUN" in watched.advice


@pytest.fixture
def server(store: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = server_command(sqlite_uri(store), port=port)
    process = subprocess.Popen(
        command.argv,
        env={**command.environment, "PYTHONWARNINGS": "ignore"},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(f"{command.url}/health", timeout=5):
                    break
            except OSError:
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.2)
        yield command.url, process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


@pytest.mark.slow
def test_over_a_server_and_its_death(server: tuple[str, subprocess.Popen[bytes]]) -> None:
    url, process = server
    watched = tracker(url, table_rows=3)
    watched.record(ENTRIES[:400])
    deadline = time.monotonic() + 60
    while watched.status != "MLflow: up to date":
        assert time.monotonic() < deadline, watched.status
        time.sleep(0.1)
    run_id = watched.run_id

    # What a browser would load for the table, and what a page of another site would get.
    address = f"{url}/get-artifact?path=ranked_candidates.json&run_uuid={run_id}"
    with urllib.request.urlopen(address, timeout=10) as answer:
        assert json.load(answer)["data"]
    rebound = urllib.request.Request(f"{url}/health-check", headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(rebound, timeout=10)
    assert refused.value.code == 403
    refused.value.close()

    stop(process)
    began = time.perf_counter()
    watched.record(ENTRIES[400:])
    assert time.perf_counter() - began < 0.1
    watched.finish("finished")
    assert time.perf_counter() - began < 60
    assert watched.advice is not None
    assert "Nothing is lost" in watched.advice
