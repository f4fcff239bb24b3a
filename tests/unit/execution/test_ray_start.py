"""When Ray does not start, the user reads why and what to do, whatever Ray raised."""

from __future__ import annotations

import socket

import pytest

ray = pytest.importorskip("ray")

from heuresis.errors import UserError  # noqa: E402
from heuresis.execution.ray_session import ASK_EVERY_S, LOST_AFTER_S, RaySession  # noqa: E402


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


def test_a_silent_head_is_lost_after_a_while_and_one_that_comes_back_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr("heuresis.execution.ray_session.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(
        "heuresis.execution.ray_session.time.sleep", lambda s: clock.__setitem__(0, clock[0] + s)
    )
    session = RaySession()
    assert not session.is_lost(), "it was never there"
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        session._head = f"127.0.0.1:{listening.getsockname()[1]}"
        clock[0] += 100.0
        assert session.await_answer()
        assert not session.is_lost()
    answering = False
    monkeypatch.setattr("heuresis.execution.ray_settings.answers", lambda _: answering)
    clock[0] += 1000.0
    assert not session.is_lost(), "the first time that nobody answers is no loss"
    clock[0] += LOST_AFTER_S - 1.0
    assert not session.is_lost()
    answering = True
    clock[0] += 100.0
    assert not session.is_lost()
    answering = False
    began = clock[0]
    assert not session.await_answer()
    assert LOST_AFTER_S <= clock[0] - began <= LOST_AFTER_S + 2 * ASK_EVERY_S
