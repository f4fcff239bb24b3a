"""The ``heuresis`` command. Imports nothing heavy: each command imports what it needs.

Exit codes: 0 ok, 1 the campaign failed, 2 the user can fix it, 3 paused, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from heuresis import __version__
from heuresis.cli import catalogue, mending, reading, running
from heuresis.cli.output import FAILED, INTERRUPTED, USER_ERROR, complain

_GROUP = "heuresis.commands"


def _plug_ins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=_GROUP)}


class _Commands(TyperGroup):
    """Our commands, and those that installed packages add; a broken one does not break ours."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *(n for n in _plug_ins() if n not in self.commands)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands and cmd_name in _plug_ins():
            point = _plug_ins()[cmd_name]
            one = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            one.command(name=cmd_name)(_loaded(point))
            return typer.main.get_command(one)
        return super().get_command(ctx, cmd_name)


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"

        def broken() -> None:
            complain(f"the command '{point.name}' ({point.value}) cannot be loaded: {reason}")
            raise typer.Exit(USER_ERROR)

        broken.__doc__ = f"(cannot be loaded: {reason})"
        return broken


app = typer.Typer(
    cls=_Commands,
    name="heuresis",
    help="Closed-loop discovery: a model proposes, physics scores, the loop learns.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    """Closed-loop discovery: a model proposes, physics scores, the loop learns."""
    if version:
        typer.echo(f"heuresis {__version__}")
        raise typer.Exit


for _name, _function in (
    ("run", running.run),
    ("resume", running.resume),
    ("check", running.check),
    ("show", reading.show),
    ("top", reading.top),
    ("report", reading.report),
    ("publish", reading.publish),
    ("verify", mending.verify),
    ("recover", mending.recover),
    ("ui", reading.ui),
    ("oracles", catalogue.oracles),
    ("proposers", catalogue.proposers),
    ("spaces", catalogue.spaces),
    ("schema", catalogue.schema),
):
    app.command(_name)(_function)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; always leaves through `SystemExit`."""
    try:
        _run(arguments)
    except SystemExit as leaving:
        session = sys.modules.get("heuresis.execution.ray_session")
        if session is not None and session.abandoned:
            # All is said and written. Ray would wait for the lost cluster, then end us its way.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(leaving.code if isinstance(leaving.code, int) else FAILED)
        raise


def _run(arguments: list[str] | None) -> None:
    from heuresis.errors import HeuresisError, UserError

    try:
        app(args=arguments, prog_name="heuresis")
    except UserError as error:
        complain(str(error))
        raise SystemExit(USER_ERROR) from None
    except KeyboardInterrupt:
        complain("interrupted")
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        # The reader (head, less) has gone; nothing is wrong. Do not flush into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(FAILED) from None
    except HeuresisError as error:
        complain(str(error))
        raise SystemExit(FAILED) from None
    except Exception as error:
        complain(
            f"unexpected {type(error).__name__}: {error}; this is a defect of Heuresis or of a"
            f" plug-in; the details are in {_keep_traceback(error)}"
        )
        raise SystemExit(FAILED) from None


def _keep_traceback(error: Exception) -> Path:
    kept = getattr(error, "heuresis_traceback", None)  # a session has written it already
    if isinstance(kept, Path):
        return kept
    handle, name = tempfile.mkstemp(prefix="heuresis-error-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write("".join(traceback.format_exception(error)))
    return Path(name)


if __name__ == "__main__":
    main()
