"""What all commands share: consoles, JSON, exit codes, the two ways a run is shown."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console

OK = 0
FAILED = 1
USER_ERROR = 2
PAUSED = 3
INTERRUPTED = 130
ENDINGS = {"finished": OK, "paused": PAUSED, "interrupted": INTERRUPTED}


def console() -> Console:
    """Return the console for results: standard output, no colours when it is no terminal."""
    return Console(highlight=False, soft_wrap=False)


def complain(message: str) -> None:
    """Print an error for people to standard error; each line stays one line."""
    errors = Console(stderr=True, highlight=False)
    errors.print("error:", style="bold red", end=" ")
    errors.print(message, markup=False, soft_wrap=True)


def note(message: str) -> None:
    """Print a remark to standard error, so that standard output stays what was asked for."""
    Console(stderr=True, highlight=False).print(message, markup=False, soft_wrap=True, style="dim")


def print_json(value: Any) -> None:
    """Print a value as JSON to standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
