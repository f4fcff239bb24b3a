"""``verify`` and ``recover``: is a run's ledger whole, and back to its last good entry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from heuresis.cli.output import FAILED, as_typed, console, print_json

if TYPE_CHECKING:
    from heuresis.ledger.verification import Findings

Run = Annotated[str, typer.Argument(metavar="RUN", help="Run folder, or its name in runs/.")]
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


def verify(run: Run, as_json: Json = False) -> None:
    """Check a run's ledger and learned states from end to end; changes nothing."""
    from heuresis.campaign.checking import verify_run
    from heuresis.campaign.run_folder import find_run

    folder = find_run(run)
    findings = verify_run(folder)
    if as_json:
        print_json(findings.document())
    else:
        _print_findings(findings, str(folder.path))
    if not findings.is_good:
        raise typer.Exit(FAILED)


def recover(run: Run) -> None:
    """Go back to the last good entry of a damaged ledger; the damaged file is kept."""
    from heuresis.campaign.checking import recover_run
    from heuresis.campaign.run_folder import find_run, named

    folder = find_run(run)
    done = recover_run(folder)
    screen = console()
    if done is None:
        screen.print(f"the ledger of {folder.path} is whole; nothing was changed", soft_wrap=True)
        return
    for problem in done.problems:
        screen.print(f"damage   {named(problem, folder)}", markup=False, soft_wrap=True)
    lost = "" if done.written is None else f" of {done.written} that had been written"
    screen.print(f"kept     entries 1 to {done.kept}{lost}", soft_wrap=True)
    if done.good > done.kept:
        screen.print(
            f"         {done.good - done.kept} readable entries after them were the middle of what"
            " followed from one task; that task is done again",
            soft_wrap=True,
        )
    screen.print(f"aside    {done.damaged}", markup=False, soft_wrap=True)
    screen.print(as_typed(f"go on    heuresis resume {folder.path}"), markup=False, soft_wrap=True)


def _print_findings(findings: Findings, run: str) -> None:
    screen = console()
    state = "[bold green]good[/bold green]" if findings.is_good else "[bold red]damaged[/bold red]"
    screen.print(f"{state}  {findings.place}", soft_wrap=True)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(findings.kinds.items()))
    rows = [
        ("entries", f"{findings.entries} good" + (f": {kinds}" if kinds else "")),
        ("head", findings.checksum or "–"),
        ("schema", f"{findings.schema or '?'}, events of version {findings.events_version}"),
        ("writer", findings.writer or "nobody"),
    ]
    rows += [("damage", problem) for problem in findings.problems]
    if not findings.is_good and findings.cut:
        rows.append(("advice", f"heuresis recover {run}  goes back to entry {findings.cut}"))
    for name, text in rows:
        screen.print(f"{name:8} ", end="", style="dim")
        screen.print(as_typed(text), markup=False, soft_wrap=True)
