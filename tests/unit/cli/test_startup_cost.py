"""``heuresis --help`` must be quick: it loads no physics, no torch, no Ray, no MLflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "ray", "mlflow", "rdkit", "openmm", "ase", "tblite", "scipy")
CODE = """
import json, sys
from heuresis.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert not end.code, end.code
finally:
    print(json.dumps([name for name in {heavy} if name in sys.modules]), file=sys.stderr)
"""


def loaded(*arguments: str, cwd: Path) -> tuple[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", CODE.replace("{heavy}", repr(HEAVY)), *arguments],
        capture_output=True, text=True, check=True, cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return done.stdout, json.loads(done.stderr.splitlines()[-1])


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]])
def test_help_is_light(arguments: list[str], tmp_path: Path) -> None:
    out, heavy = loaded(*arguments, cwd=tmp_path)
    assert heavy == []
    if arguments == ["--help"]:
        for command in ("run", "resume", "check", "train", "ui"):
            assert f"  {command} " in out


def test_the_catalogue_of_oracles_loads_no_physics(tmp_path: Path) -> None:
    out, heavy = loaded("oracles", cwd=tmp_path)
    assert "gap_eV" in out
    assert heavy == []


def test_a_broken_command_of_somebody_else_breaks_only_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from importlib.metadata import EntryPoint

    from heuresis.cli import main as module

    broken = EntryPoint("broken", "no_such_package.command:run", "heuresis.commands")
    monkeypatch.setattr(module, "_plug_ins", lambda: {"broken": broken})
    with pytest.raises(SystemExit) as ended:
        module.main(["--help"])
    assert not ended.value.code
    assert "cannot be loaded" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        module.main(["broken"])
    assert ended.value.code == 2
    assert "No module named 'no_such_package'" in capsys.readouterr().err
