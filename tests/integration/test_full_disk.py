"""The disk is full: nothing that was acknowledged is lost, one sentence says so, resume goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from toy_runs import RUN, heuresis, settled, write_toy

from heuresis.ledger.sqlite import SQLiteLedger


def head(run: Path) -> str:
    with closing(SQLiteLedger.open(run / "ledger.sqlite", read_only=True)) as ledger:
        return ledger.checksum


def test_a_run_that_fills_the_disk_stops_with_a_sentence_and_ends_as_it_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    toy = write_toy(tmp_path, monkeypatch)
    assert heuresis("run", toy, *RUN, "-q", "--run-dir", "whole") == 0
    with closing(SQLiteLedger.open(Path("whole/ledger.sqlite"), read_only=True)) as ledger:
        room = int(0.7 * ledger._query("PRAGMA page_count")[0][0])
    opened = SQLiteLedger.open

    def small(*arguments: Any, **options: Any) -> SQLiteLedger:
        ledger = opened(*arguments, **options)
        if not options.get("read_only"):
            ledger._query(f"PRAGMA max_page_count = {room}")
        return ledger

    with monkeypatch.context() as patched:
        patched.setattr(SQLiteLedger, "open", small)
        assert heuresis("run", toy, *RUN, "-q", "--run-dir", "full") == 1
        said = capsys.readouterr().err
        assert "disk is full" in said
        assert "heuresis resume full" in said.replace(str(tmp_path) + "/", "")
        assert "Traceback" not in said
        before = settled(Path("full"))
        assert before
        assert heuresis("resume", "full", "-q") == 1, "still full"
        assert settled(Path("full"))[: len(before)] == before
    assert heuresis("verify", "full") == 0
    assert heuresis("resume", "full", "-q") == 0
    assert head(Path("full")) == head(Path("whole"))


CAMPAIGN = """
campaign: full
space: {kind: molecule, heavy_atoms: [5, 30]}
oracles:
  descriptors: {kind: rdkit-descriptors}
objectives:
  drug-like: {measure: descriptors.qed, above: 0.8, softness: 0.3}
proposers:
  - {kind: graph-moves, batch: 8}
budget: {evaluations: 300}
seed: 11
"""
ON_A_SMALL_DISK = """
mount -t tmpfs -o size=1m none "$DISK"
heuresis() { "$PYTHON" -m heuresis.cli.main "$@" --executor inline --no-mlflow --quiet; }
heuresis run "$FILE" --run-dir "$DISK/run" 2> "$SAID"
echo $?
mount -o remount,size=64m "$DISK"
"$PYTHON" -m heuresis.cli.main verify "$DISK/run" > /dev/null
echo $?
heuresis resume "$DISK/run" > /dev/null
echo $?
cp -r "$DISK/run" "$KEPT"
"""


@pytest.mark.slow
def test_a_real_small_disk_runs_full_and_is_made_larger(tmp_path: Path) -> None:
    if (
        shutil.which("unshare") is None
        or subprocess.run(
            ["unshare", "-m", "mount", "-t", "tmpfs", "none", str(tmp_path)], capture_output=True
        ).returncode
    ):
        pytest.skip("this user may not mount a small disk")
    file, disk, said = tmp_path / "campaign.yaml", tmp_path / "disk", tmp_path / "said"
    file.write_text(CAMPAIGN)
    disk.mkdir()
    places = {"DISK": disk, "SAID": said, "FILE": file, "KEPT": tmp_path / "kept"}
    environment = {**os.environ, "PYTHON": sys.executable, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", ON_A_SMALL_DISK],
        env={**environment, **{name: str(place) for name, place in places.items()}},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.stdout.split() == ["1", "0", "0"], done.stdout + done.stderr + said.read_text()
    assert "disk is full" in said.read_text()
    assert "Traceback" not in said.read_text()
    assert heuresis("run", file, *RUN, "-q", "--run-dir", tmp_path / "whole") == 0
    assert head(tmp_path / "kept") == head(tmp_path / "whole")
