"""When Ray does not start, the user reads why and what to do, whatever Ray raised."""

from __future__ import annotations

import pytest

ray = pytest.importorskip("ray")

from heuresis.errors import UserError  # noqa: E402
from heuresis.execution.ray_session import RaySession  # noqa: E402


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (Exception("The current node timed out during startup.\nMore."), "too busy"),
        (ValueError("bad address"), "check address, port and token"),
        (RuntimeError(""), "RuntimeError"),
    ],
)
def test_a_failed_start_is_one_sentence(
    raised: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise raised

    monkeypatch.setattr(ray, "init", fail)
    monkeypatch.setattr("heuresis.execution.ray_settings.prepare_connection", lambda _: None)
    with pytest.raises(UserError, match=words) as caught:
        RaySession(address="127.0.0.1:1").start()
    assert "\n" not in str(caught.value)
    assert "at '127.0.0.1:1'" in str(caught.value)
    assert caught.value.__cause__ is raised


def test_a_message_of_ours_is_not_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise UserError("port 8265 is taken")

    monkeypatch.setattr("heuresis.execution.ray_settings.check_port", refuse)
    with pytest.raises(UserError, match=r"^port 8265 is taken$"):
        RaySession().start()
