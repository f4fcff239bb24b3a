"""Where results go: JSON files, and the tables of docs/benchmarks.md between their marks."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

RESULTS = Path(__file__).with_name("results")
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def table(heads: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows) + "\n"


def machine() -> dict[str, Any]:
    """Say what this was measured on, and how busy it was with other work."""
    return {
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


BEFORE = machine()


def circumstances(result: dict[str, Any]) -> str:
    """Return one line on the machine that a result was measured on."""
    found = result["machine"]
    return (
        f"{found['when']}, {found['cores']} cores, load {found['load_before']} before the command"
        f" began and {found['load_after']} at its end."
    )


def save(name: str, result: dict[str, Any], markdown: str, folder: Path) -> None:
    """Keep a table, with what it was made from, as ``folder/name.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    found = BEFORE | {"load_after": round(os.getloadavg()[0], 1)}
    result = {"machine": found, **result, "markdown": markdown}
    (folder / f"{name}.json").write_text(
        json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def print_kept(name: str, folder: Path) -> None:
    """Print a kept table."""
    result = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    print(f"{circumstances(result)}\n\n{result['markdown']}", flush=True)


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error; yields what is told how much is done."""
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=Console(stderr=True), refresh_per_second=2,
    )  # fmt: skip
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def fill_page(page: str, results: dict[str, dict[str, Any]]) -> str:
    """Return a page with each ``<!-- NAME -->`` … ``<!-- /NAME -->`` filled with that result.

    Raises:
        ValueError: a result has no place on the page.
    """
    for name, result in results.items():
        mark = re.escape(name)
        pattern = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", re.DOTALL)
        if not pattern.search(page):
            raise ValueError(f"the page has no place for '{name}': <!-- {name} --> is missing")
        text = f"Measured {circumstances(result)}\n\n{result['markdown']}"
        page = pattern.sub(lambda found, text=text: f"{found[1]}{text}{found[2]}", page)  # type: ignore[misc]
    return page


def write_page(folder: Path, page: Path = PAGE) -> None:
    """Put all kept results into the page."""
    results = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    }
    page.write_text(fill_page(page.read_text(encoding="utf-8"), results), encoding="utf-8")
