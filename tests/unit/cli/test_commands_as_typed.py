"""Commands in messages are those that the user's shell would find."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from heuresis.cli.output import as_typed

MESSAGE = "stopped; continue with: heuresis resume runs/a"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an executable that runs this process, in an environment that is not activated."""
    command = tmp_path / "env" / "bin" / "heuresis"
    command.parent.mkdir(parents=True)
    command.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(command), "run", "x.yaml"])
    monkeypatch.setenv("PATH", os.devnull)
    return command


def test_without_an_activated_environment_the_path_is_named(installed: Path) -> None:
    assert as_typed(MESSAGE) == "stopped; continue with: env/bin/heuresis resume runs/a"
    assert as_typed("heuresis ui") == "env/bin/heuresis ui"
    assert as_typed("with: heuresis top a; or") == "with: env/bin/heuresis top a; or"


def test_from_elsewhere_the_path_is_whole(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert as_typed("heuresis ui") == f"{installed} ui"


def test_an_activated_environment_has_the_short_name(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(installed.parent))
    assert as_typed(MESSAGE) == MESSAGE


def test_another_installation_on_the_path_is_not_meant(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other" / "heuresis"
    other.parent.mkdir()
    other.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(other.parent))
    assert as_typed("heuresis ui") == "env/bin/heuresis ui"


def test_a_folder_of_that_name_and_prose_stay(installed: Path) -> None:
    for text in ("/home/ada/heuresis run 2/ledger.sqlite", "heuresis is a word", "heuresisrun x"):
        assert as_typed(text) == text
