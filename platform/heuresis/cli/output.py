"""What all commands share: consoles, JSON, exit codes, the two ways a run is shown."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any, Final

from rich.console import Console

OK = 0
FAILED = 1
USER_ERROR = 2
PAUSED = 3
INTERRUPTED = 130
ENDINGS = {"finished": OK, "paused": PAUSED, "interrupted": INTERRUPTED}


_COMMAND: Final = re.compile(r"(?<![\w/])heuresis(?= (?:run|resume|ui|show|top|verify|recover)\b)")


def as_typed(text: str) -> str:
    """Return a text with its commands as they can be typed in the shell that started this one.

    Without an activated environment ``heuresis`` is not found there, ``.venv/bin/heuresis`` is.
    """
    name = _own_name()
    return text if name == "heuresis" else _COMMAND.sub(lambda _: name, text)


def _own_name() -> str:
    typed = Path(sys.argv[0])
    if typed.name != "heuresis" or not typed.is_file():
        return "heuresis"  # python -m, a test
    found = shutil.which("heuresis")
    if found is not None and typed.samefile(found):
        return "heuresis"
    near = os.path.relpath(typed)
    name = str(typed.absolute()) if near.startswith(os.pardir) else near
    return f"'{name}'" if " " in name else name


def console() -> Console:
    """Return the console for results: standard output, no colours when it is no terminal."""
    return Console(highlight=False, soft_wrap=False)


def complain(message: str) -> None:
    """Print an error for people to standard error; each line stays one line."""
    errors = Console(stderr=True, highlight=False)
    errors.print("error:", style="bold red", end=" ")
    errors.print(as_typed(message), markup=False, soft_wrap=True)


def note(message: str) -> None:
    """Print a remark to standard error, so that standard output stays what was asked for."""
    Console(stderr=True, highlight=False).print(message, markup=False, soft_wrap=True, style="dim")


def print_json(value: Any) -> None:
    """Print a value as JSON to standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
