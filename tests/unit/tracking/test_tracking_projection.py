"""What MLflow is told: names it accepts, bounded curves, the same from the same ledger."""

from __future__ import annotations

import json
import re
import socket
from collections import Counter
from pathlib import Path

import pytest
from synthetic_ledger import synthetic_entries, synthetic_plan

from heuresis.errors import UserError
from heuresis.events import Entry, Settled
from heuresis.records import Evaluation, Measurement
from heuresis.report.projections import CampaignView
from heuresis.tracking import mlflow_server as server
from heuresis.tracking import projection
from heuresis.tracking.projection import Point, Sampler, metric_name, parameters, ranked_table

ENTRIES = synthetic_entries(240)
WORKERS = {"descriptors": 1, "xtb": 2, "md": 2}


def points(entries: list[Entry]) -> list[Point]:
    sampler = Sampler(CampaignView(), WORKERS)
    return [point for entry in entries for point in sampler.apply(entry)]


def test_curves_end_where_the_campaign_ended() -> None:
    view = CampaignView().apply_all(ENTRIES)
    latest = {point.key: point for point in points(ENTRIES)}
    assert latest["best/score"].value == view.best_score
    assert latest["best/top10_mean"].value == view.top10_mean
    assert latest["candidates/completed"].value == view.completed
    assert latest["candidates/proposed"].step == view.evaluations
    assert latest["failures/all"].value == view.failure_count
    assert latest["time/md_s"].value == view.stages["md"].busy_s
    assert latest["oracles/md.busy_share"].value == view.busy_share("md", 2)
    assert latest["learning/language-model.loss"].value == view.learning[-1].metrics["loss"]
    assert latest["best/score"].timestamp_ms == int(ENTRIES[-1].recorded_at * 1000)


def test_the_best_is_drawn_at_the_evaluation_that_found_it() -> None:
    view = CampaignView().apply_all(ENTRIES)
    first_seen: dict[float, int] = {}
    for point in points(ENTRIES):
        if point.key == "best/score":
            first_seen.setdefault(point.value, point.step)
    assert first_seen == {point.value: point.evaluations for point in view.best_curve}


def test_the_same_ledger_gives_the_same_points_however_it_is_read() -> None:
    again = Sampler(CampaignView(), WORKERS)
    pieces = [p for entry in ENTRIES[:100] for p in again.apply(entry)]
    pieces += [p for entry in ENTRIES for p in again.apply(entry)]  # the first 100 twice
    assert pieces == points(ENTRIES)


def test_long_campaigns_write_short_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "POINTS_PER_CURVE", 20)
    outcome = Evaluation(measurements={"value": Measurement(value=1.0, unit="1")})
    sampler = Sampler(CampaignView(), {})
    steps = []
    for sequence in range(1, 20_001):
        event = Settled(task=str(sequence), oracle="xtb", candidate="c", attempt=0, outcome=outcome)
        entry = Entry(sequence=sequence, event=event, recorded_at=0.0)
        steps += [p.step for p in sampler.apply(entry) if p.key == projection.IN_EVERY_SAMPLE]
    assert 100 < len(steps) < 20 * 9  # 20 (1 + ln(20000 / 20)) = 158
    assert steps[:20] == list(range(1, 21))


def test_names_are_accepted_by_mlflow() -> None:
    allowed = re.compile(r"[\w\-. :/]+", re.ASCII)
    assert metric_name("learning/lm.loss (nats) %") == "learning/lm.loss _nats_ _"
    assert metric_name("größe") == "gr__e"
    for point in points(ENTRIES):
        assert allowed.fullmatch(point.key), point.key


def test_a_spec_becomes_flat_parameters() -> None:
    flat = parameters(
        {
            "space": {"elements": ["C", "H"], "alerts": []},
            "proposers": [{"kind": "language-model"}, {"kind": "graph-moves"}],
            "seed": 7,
            "note": "x" * 1000,
            "nothing": None,
            "flag": True,
        }
    )
    assert flat == {
        "space.elements": "C, H",
        "space.alerts": "",
        "proposers.0.kind": "language-model",
        "proposers.1.kind": "graph-moves",
        "seed": "7",
        "note": "x" * 499 + "…",
        "flag": "true",
    }
    assert len(parameters({str(i): i for i in range(1000)})) == projection.PARAMETERS_MAX


def test_the_table_has_units_pictures_and_origin() -> None:
    view = CampaignView().apply_all(ENTRIES)
    best = view.best
    assert best is not None
    table = ranked_table(
        view,
        rows=10,
        objective=synthetic_plan().objective,
        pictures={best.candidate.id: "folder/best.png"},
    )
    json.dumps(table, allow_nan=False)
    assert len(table["data"]) == 10
    assert not [c for c, n in Counter(table["columns"]).items() if n > 1]
    assert all(len(row) == len(table["columns"]) for row in table["data"])
    row = dict(zip(table["columns"], table["data"][0], strict=True))
    assert row["rank"] == 1
    assert row["text"] == best.candidate.text
    assert row["structure"]["filepath"] == "folder/best.png"
    assert row["xtb.gap_eV"] == pytest.approx(best.measurements["xtb.gap_eV"].value, rel=1e-4)
    assert row["md.rmsf_angstrom"].endswith("± 0.02")
    assert 0 <= row["desirability: gap"] <= 1
    assert row["proposer"] == best.proposer
    assert row["id"] == best.candidate.id
    assert "structure" not in ranked_table(view, rows=1)["columns"]


def test_a_local_store_keeps_its_files_together(tmp_path: Path) -> None:
    uri = server.sqlite_uri(tmp_path / "mlflow.db")
    assert server.store_folder(uri) == tmp_path
    assert server.artifact_location(uri) == (tmp_path / "artifacts").as_uri()
    assert server.artifact_location("http://localhost:5000") is None


def test_the_server_listens_on_loopback_for_local_names_only(tmp_path: Path) -> None:
    command = server.server_command(
        server.sqlite_uri(tmp_path / "mlflow.db"), port=free_port(), environment={"A": "b"}
    )
    words = dict(zip(command.argv, command.argv[1:], strict=False))
    assert words["--host"] == "127.0.0.1"
    assert words["--workers"] == "1"
    assert all(
        name.split(":")[0] in ("localhost", "127.0.0.1")
        for name in words["--allowed-hosts"].split(",")
    )
    assert command.environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert command.environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert command.environment["A"] == "b"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_taken_port_is_one_clear_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        with pytest.raises(UserError, match=rf"cannot listen on 127.0.0.1:{port} .*--port"):
            server.server_command(server.sqlite_uri(tmp_path / "mlflow.db"), port=port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_that_is_not_ours_is_one_clear_sentence(host: str) -> None:
    with pytest.raises(UserError, match="cannot listen"):
        server.require_free_port(host, 5000)


def test_only_a_local_store_can_be_served() -> None:
    with pytest.raises(UserError, match="open it in a browser"):
        server.server_command("https://mlflow.example.org")


def test_links_open_the_classic_view() -> None:
    url = server.ui_url("http://localhost:5000/", "3", "ab c", page="model-metrics")
    assert url == (
        "http://localhost:5000/#/experiments/3/runs/ab%20c/model-metrics"
        "?workflowType=machine_learning"
    )
