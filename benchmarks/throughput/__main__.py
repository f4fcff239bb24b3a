"""Command line: ``python -m benchmarks.throughput slots | archive | ledger | page``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.throughput import archive, ledger, slots
from benchmarks.throughput.tables import PAGE, RESULTS, write_page

PICTURE = PAGE.parent / "images" / "throughput.svg"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="slots | archive | ledger | page")
    for module, name, text in (
        (slots, "slots", "how busy slots are kept, and by whom"),
        (archive, "archive", "what an evaluation costs as the archive grows"),
        (ledger, "ledger", "appending, resuming, memory"),
    ):
        one = commands.add_parser(name, help=text)
        module.add_arguments(one)
        one.add_argument("--quick", action="store_true", help="seconds, for tests: no figures")
        one.add_argument(
            "--output", type=Path, default=RESULTS, metavar="FOLDER", help="for the JSON file"
        )
        one.set_defaults(run=module.run)
    page = commands.add_parser("page", help="put kept results into docs/benchmarks.md, and draw")
    page.add_argument("--output", type=Path, default=RESULTS, metavar="FOLDER")
    page.set_defaults(run=_page)
    options = parser.parse_args(arguments)
    options.run(options)


def _page(options: argparse.Namespace) -> None:
    write_page(options.output)
    marks = json.loads((options.output / "archive.json").read_text(encoding="utf-8"))["marks"]
    archive.draw(marks, PICTURE)


if __name__ == "__main__":
    main()
