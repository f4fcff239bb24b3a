"""Scratch folders are new for each call and gone in the end, without anybody waiting for it."""

import shutil
import threading
import time
from pathlib import Path

import pytest

from heuresis.execution.scratch import BACKLOG, Scratch


def test_folders_are_new_empty_and_gone_in_the_end(tmp_path: Path) -> None:
    made = Scratch(tmp_path / "root")
    seen = set()
    for _ in range(3):
        folder = made.make()
        assert list(folder.iterdir()) == []
        seen.add(folder)
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er" / "file").write_text("x")
        made.remove(folder)
    made.close()
    made.close()
    assert len(seen) == 3
    assert list((tmp_path / "root").iterdir()) == []


def test_nobody_waits_for_a_slow_disk_until_too_much_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = threading.Event()
    remove = shutil.rmtree

    def slowly(folder: Path, *, ignore_errors: bool) -> None:
        may_go_on.wait(10.0)
        remove(folder, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", slowly)
    made = Scratch(tmp_path)
    for _ in range(BACKLOG):
        made.remove(made.make())
    assert len(list(tmp_path.iterdir())) == BACKLOG
    threading.Timer(0.2, may_go_on.set).start()
    began = time.monotonic()
    made.remove(made.make())
    assert time.monotonic() - began > 0.1, "it waited: large folders must not pile up"
    made.close()
    assert list(tmp_path.iterdir()) == []
