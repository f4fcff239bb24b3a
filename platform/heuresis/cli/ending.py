"""How a session ends on the screen: the ranked table and where to look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from heuresis.cli.output import as_typed
from heuresis.cli.tables import asks, failures, funnel, learning, objective_measures, ranking
from heuresis.cli.words import duration

if TYPE_CHECKING:
    from heuresis.campaign.session import Session
    from heuresis.engine.controller import RunEnd
    from heuresis.report.projections import CampaignView

SHOWN = 10


def fold(session: Session) -> CampaignView:
    """Read the run's whole ledger once more: what is shown is what is stored."""
    from heuresis.campaign.reporting import metered_oracles, ranked_objective, read_view

    campaign = session.campaign
    return read_view(
        session.folder,
        metered=metered_oracles(campaign),
        front_of=ranked_objective(campaign.spec),
    )


def ending_document(session: Session, end: RunEnd) -> dict[str, Any]:
    """Return how it ended, the summary and the best candidates, with stable keys."""
    from heuresis.report.summary import candidate_row, summary

    view = fold(session)
    return {
        "run": str(session.folder.path),
        "ending": end.kind,
        "reason": end.reason,
        "elapsed_s": session.elapsed_s,
        "summary": summary(view),
        "top": [candidate_row(r, session.plan.objective) for r in view.ranked(SHOWN)],
    }


def print_ending(screen: Console, session: Session, end: RunEnd) -> None:
    """Print the funnel, the ranked table, and where to look."""
    view = fold(session)
    screen.print()
    words = {
        "finished": f"[bold green]finished[/bold green] ({escape(end.reason)})",
        "interrupted": f"[bold yellow]interrupted[/bold yellow] ({escape(end.reason)})",
        "paused": f"[bold red]paused[/bold red]: {escape(end.reason)}",
    }
    screen.print(
        f"{words[end.kind]} after {duration(session.elapsed_s)}: {view.completed} candidates"
        f" completed of {view.accepted} new ones"
    )
    screen.print(funnel(view, [oracle.name for oracle in session.plan.oracles]))
    for line in failures(view):
        screen.print(f"failed   {line}", markup=False)
    for line in view.rungs.lines():
        screen.print(f"rung     {line}", markup=False)
    for line in asks(view):
        screen.print(f"asked    {line}", markup=False)
    for line in learning(view):
        screen.print(f"learned  {line}", markup=False)
    if view.top:
        measures = objective_measures(session.plan.objective)
        screen.print(ranking(view.ranked(SHOWN), measures, width=screen.width))
    else:
        screen.print("no candidate was completed, so there is no ranking", style="yellow")
    for name, text in where_to_look(session, end):
        screen.print(f"{name:9}", end="", style="dim")
        screen.print(as_typed(text), markup=False, soft_wrap=True)


def where_to_look(session: Session, end: RunEnd) -> list[tuple[str, str]]:
    """Return the addresses and commands that come next."""
    folder = session.folder
    rows = [("run", str(folder.path))]
    if folder.report.is_file():
        rows.append(("report", str(folder.report)))
    if session.mlflow is not None:
        advice = session.mlflow.advice
        rows += [("MLflow", advice)] if advice is not None else mlflow_advice(session)
    if end.kind == "finished":
        rows.append(("more", f"heuresis resume {folder.path} --budget evaluations=N"))
    else:
        rows.append(("resume", f"heuresis resume {folder.path}"))
    return rows


def ui_command(session: Session) -> str:
    """Say how to open MLflow: a command for a local store, the address of a server."""
    from heuresis.campaign.tracking import default_tracking_uri
    from heuresis.tracking.mlflow_server import store_folder

    uri = str(session.settings.tracking_uri)
    if store_folder(uri) is None:
        return uri
    return "heuresis ui" if uri == default_tracking_uri() else f"heuresis ui --tracking-uri {uri}"


def mlflow_advice(session: Session) -> list[tuple[str, str]]:
    """Say how to open the run in MLflow: the command, if one is needed, and the page."""
    from heuresis.tracking.mlflow_server import DEFAULT_PORT, store_folder, ui_url

    uri = str(session.settings.tracking_uri)
    local = store_folder(uri) is not None
    page = f"http://localhost:{DEFAULT_PORT}" if local else uri
    tracker = session.mlflow
    if tracker is not None and tracker.run_id is not None and tracker.experiment_id is not None:
        page = ui_url(page, tracker.experiment_id, tracker.run_id)
    return [("MLflow", ui_command(session)), ("", page)] if local else [("MLflow", page)]
