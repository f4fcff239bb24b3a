"""A node of Ray is told its ports and asked again; Ray itself is as before afterwards."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from heuresis.execution.ray_patience import patient_start

services = import_module("ray._private.services")
node_class = import_module("ray._private.node").Node


def test_books_are_asked_again_until_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def get_node(address: str, number: str) -> dict[str, str]:
        asked.append(number)
        if len(asked) < 3:
            raise RuntimeError("not registered yet")
        return {"node": number}

    monkeypatch.setattr(services, "get_node", get_node)
    with patient_start(30.0):
        assert services.get_node("host:1", "n") == {"node": "n"}
    assert asked == ["n", "n", "n"]
    assert services.get_node is get_node
    asked.clear()
    with patient_start(0.0), pytest.raises(RuntimeError, match="not registered"):
        services.get_node("host:1", "n")


def test_a_node_is_told_ports_of_its_own_before_it_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[dict[str, Any]] = []

    def start_raylet(node: Any, *_: Any) -> None:
        told.append(dict(vars(node._ray_params)))

    monkeypatch.setattr(node_class, "start_raylet", start_raylet)
    names = ("metrics_agent_port", "metrics_export_port", "runtime_env_agent_port")
    node = SimpleNamespace(
        _ray_params=SimpleNamespace(**dict.fromkeys(names, 0), dashboard_agent_listen_port=52365),
        _node_id="abc",
        get_session_dir_path=lambda: str(tmp_path),
        start_raylet=None,
    )
    with patient_start():
        node_class.start_raylet(node, "stdout")
    ports = list(told[0].values())
    assert len(set(ports)) == 4
    assert all(1024 <= port <= 65535 for port in ports)
    written = (tmp_path / "dashboard_agent_listen_port_abc").read_text()
    assert int(written) == told[0]["dashboard_agent_listen_port"]
    assert node_class.start_raylet is start_raylet
    with patient_start():  # a Ray whose nodes look otherwise starts as it always did
        node_class.start_raylet(SimpleNamespace(_ray_params=SimpleNamespace()))
    assert told[1] == {}
