"""Every command of every tutorial runs, in order, as it stands on the page."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).parents[2] / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r"^```(yaml|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SAVED = re.compile(r"Save this as `([\w.-]+)`:\s*$")


def test_there_are_tutorials() -> None:
    assert TUTORIALS


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_tutorial(page: Path, tmp_path: Path) -> None:
    text = page.read_text()
    commands = 0
    for block in BLOCK.finditer(text):
        if block[1] == "yaml":
            name = SAVED.search(text[: block.start()].rstrip())
            assert name, f"{page.name}: a YAML block does not say under which name to save it"
            (tmp_path / name[1]).write_text(block[2])
            continue
        for line in block[2].splitlines():
            assert line.startswith("$ heuresis "), f"{page.name}: not a heuresis command: {line}"
            done = subprocess.run(
                [sys.executable, "-m", "heuresis.cli.main", *shlex.split(line)[2:]],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            assert done.stdout.strip(), f"{line} printed nothing"
            commands += 1
    assert commands >= 5
