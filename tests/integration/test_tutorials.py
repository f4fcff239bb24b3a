"""Every command of every tutorial runs, in order, as it stands on the page."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).parents[2] / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r"^```(yaml|python|toml|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SAVED = re.compile(r"[Ss]ave\s+this\s+as\s+`([\w.-]+)`[^`]*:\s*$")
PROGRAMS = {
    "heuresis": [sys.executable, "-m", "heuresis.cli.main"],
    "python": [sys.executable],
    "chmod": ["chmod"],
}
"""What a tutorial may run, and what stands for it here."""


def test_there_are_tutorials() -> None:
    assert TUTORIALS


def command_of(line: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return the arguments of a line such as ``$ NAME=$PWD heuresis run …``, and its variables."""
    prompt, *words = shlex.split(line.replace("$PWD", str(folder)))
    assert prompt == "$", line
    environment = dict(os.environ)
    while re.match(r"[A-Z_]+=", words[0]):
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    assert words[0] in PROGRAMS, f"not a command of a tutorial: {line}"
    return [*PROGRAMS[words[0]], *words[1:]], environment


@pytest.mark.timeout(900)  # many processes, each of which imports the world
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_tutorial(page: Path, tmp_path: Path) -> None:
    text = page.read_text()
    commands = 0
    for block in BLOCK.finditer(text):
        if block[1] != "console":
            name = SAVED.search(text[: block.start()].rstrip())
            assert name, f"{page.name}: a {block[1]} block does not say under which name to save it"
            (tmp_path / name[1]).write_text(block[2])
            if block[1] == "toml":
                require_entry_points(block[2], tmp_path)
            continue
        for line in block[2].splitlines():
            command, environment = command_of(line, tmp_path)
            done = subprocess.run(
                command,
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            assert done.stdout.strip() or command[0] == "chmod", f"{line} printed nothing"
            commands += 1
    assert commands >= 5


def require_entry_points(project: str, folder: Path) -> None:
    """Each entry point names a class in a file that the tutorial has saved."""
    groups = tomllib.loads(project)["project"]["entry-points"]
    for target in (target for group in groups.values() for target in group.values()):
        module, _, name = target.partition(":")
        assert f"class {name}:" in (folder / f"{module}.py").read_text()
