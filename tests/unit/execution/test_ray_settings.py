"""What is set up around Ray, without Ray."""

import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from heuresis.execution import ray_settings


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    # Recorded so that monkeypatch restores whatever the code under test sets.
    for name in (*ray_settings._QUIET, ray_settings._LOOPBACK_SWITCH, "RAY_AUTH_MODE"):
        monkeypatch.setenv(name, "before")
    monkeypatch.setenv("RAY_kill_child_processes_on_worker_exit", "before")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_token_is_made_for_this_user_alone(home: Path) -> None:
    ray_settings.prepare_local_session()
    path = home / ".ray" / "auth_token"
    token = path.read_text()
    assert len(token) >= 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["auth_token"]
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert token not in ray_settings.token_advice()
    assert ray_settings.token_advice().endswith("ray get-auth-token")


def test_an_existing_token_is_kept_and_closed_to_others(home: Path) -> None:
    path = home / ".ray" / "auth_token"
    path.parent.mkdir()
    path.write_text("mine")
    path.chmod(0o644)
    ray_settings.prepare_local_session()
    assert path.read_text() == "mine"
    assert path.stat().st_mode & 0o777 == 0o600


def test_without_a_home_the_session_has_a_token_of_its_own(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".ray").write_text("a file where the folder should be")
    monkeypatch.setattr(tempfile, "tempdir", str(home))
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "restored afterwards")
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH")
    ray_settings.prepare_local_session()
    path = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    assert path.stat().st_mode & 0o777 == 0o600
    assert str(path) in ray_settings.token_advice()


def test_a_stated_mode_cannot_switch_the_token_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ray_settings.prepare_local_session()
    assert "RAY_AUTH_MODE" not in os.environ, "Ray then chooses the token for a local session"
    assert not ray_settings.session_asks_for_token()


def test_dead_addresses_and_taken_ports_are_refused_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} for the dashboard: Address already"):
            ray_settings.check_port(port)
        ray_settings.prepare_connection(f"127.0.0.1:{port}")
    ray_settings.check_port(port)
    with pytest.raises(OSError, match="refused"):
        ray_settings.prepare_connection(f"127.0.0.1:{port}")
    with pytest.raises(ConnectionError, match="expected host:port or auto"):
        ray_settings.prepare_connection("ray://head:10001")


def test_the_object_store_fits_into_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    for free, expected in ((2**40, 200 * 2**20), (100 * 2**20, 90 * 2**20), (0, 80 * 2**20)):
        answer = type(usage)(usage.total, usage.used, free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, answer=answer: answer)
        assert ray_settings.object_store_bytes() == expected


def test_the_reason_of_a_death_is_found_on_the_page() -> None:
    page = (
        "The actor died unexpectedly before finishing this task.\n\tclass_name: Worker\n"
        "The actor is dead. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker exits."
        " Some common causes include: (1) many, (2) more."
    )
    assert ray_settings.why_it_died(RuntimeError(page)) == "Worker exits."
    assert ray_settings.why_it_died(RuntimeError("one\nlast line")) == "last line"
    assert ray_settings.why_it_died(RuntimeError()) == "RuntimeError"
