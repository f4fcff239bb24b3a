"""``run``, ``resume`` and ``check``: the commands that take a campaign."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heuresis.cli.output import ENDINGS, complain, console, note, print_json

if TYPE_CHECKING:
    from heuresis.campaign.resolve import ResolvedCampaign
    from heuresis.campaign.run_folder import RunFolder
    from heuresis.campaign.session import SessionSettings


class ExecutorName(StrEnum):
    """Where the work runs."""

    RAY = "ray"
    LOCAL = "local"
    INLINE = "inline"


Campaign = Annotated[Path, typer.Argument(metavar="CAMPAIGN.yaml", help="Campaign file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Replace a value, e.g. budget.evaluations=50."),
]
Executor = Annotated[
    ExecutorName,
    typer.Option(
        help="Ray actors; threads and child processes of this one; or one task after the other."
    ),
]
RayAddress = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="A running Ray cluster; default: our own.")
]
TrackingURI = Annotated[
    str | None,
    typer.Option(metavar="URI", help="MLflow store or server; default: runs/mlflow.sqlite."),
]
NoMLflow = Annotated[bool, typer.Option("--no-mlflow", help="Keep nothing in MLflow.")]
Ledger = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="postgresql://user@host/db keeps the ledger; default: $HEURESIS_LEDGER, else a file.",
    ),
]
Measurements = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Share measurements with other campaigns; default: $HEURESIS_MEASUREMENTS; or none.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only the final table.")]


def run(
    campaign: Campaign,
    run_dir: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Default: runs/CAMPAIGN-N.")
    ] = None,
    executor: Executor = ExecutorName.RAY,
    ray_address: RayAddress = None,
    tracking_uri: TrackingURI = None,
    no_mlflow: NoMLflow = False,
    ledger: Ledger = None,
    measurements: Measurements = None,
    overrides: Overrides = None,
    seed: Annotated[int | None, typer.Option(help="Replace the campaign's seed.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run a campaign; Ctrl-C settles what runs and says how to resume."""
    from heuresis.campaign.measurements import shared_file
    from heuresis.campaign.resolve import load_campaign
    from heuresis.campaign.run_folder import create_run
    from heuresis.ledger.location import chosen_url

    database = chosen_url(ledger)
    changes = [*(overrides or []), *([f"seed={seed}"] if seed is not None else [])]
    resolved = load_campaign(campaign, changes)
    shared = shared_file(measurements)
    settings = _settings(executor, ray_address, tracking_uri, no_mlflow, measurements=shared)
    folder = create_run(resolved, run_dir, database=database)
    _session(resolved, folder, settings, as_json=as_json, quiet=quiet)


def resume(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Run folder, or its name in runs/.")],
    budget: Annotated[
        list[str] | None,
        typer.Option(metavar="LIMIT=VALUE", help="Grant more, e.g. evaluations=500."),
    ] = None,
    fork: Annotated[
        bool,
        typer.Option("--fork", help="Leave this run as it is; go on in a new one that shares it."),
    ] = False,
    at: Annotated[
        int | None, typer.Option(metavar="ENTRY", help="With --fork: last entry to share.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="With --fork: change a setting."),
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="With --fork: where the new run goes.")
    ] = None,
    take_over: Annotated[
        bool,
        typer.Option("--take-over", help="The process that holds the run is gone; I know it."),
    ] = False,
    executor: Annotated[
        ExecutorName | None, typer.Option(help="Default: as in the session before.")
    ] = None,
    ray_address: RayAddress = None,
    tracking_uri: TrackingURI = None,
    no_mlflow: NoMLflow = False,
    measurements: Measurements = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Continue a run that was interrupted, paused, or is granted more budget; or fork it."""
    from heuresis.campaign.measurements import shared_file
    from heuresis.campaign.resolve import load_campaign
    from heuresis.campaign.run_folder import find_run

    folder = find_run(run)
    facts = folder.read_facts()
    limits = [f"budget.{text}" for text in budget or []]
    resolved = load_campaign(folder.resolved, [*limits, *(overrides or [])])
    chosen = executor or ExecutorName(facts.get("executor", ExecutorName.RAY))
    if fork:
        folder = _fork(folder, resolved, run_dir, at)
    elif overrides or at is not None or run_dir is not None:
        _refuse_changes(folder, resolved, overrides)
    # What an earlier session did without MLflow, a later one does not start to publish.
    without = no_mlflow or (tracking_uri is None and bool(facts) and not facts.get("tracking_uri"))
    settings = _settings(
        chosen,
        ray_address,
        tracking_uri or facts.get("tracking_uri"),
        without,
        budget=resolved.spec.budget if budget and not fork else None,
        measurements=shared_file(measurements, earlier=facts),
        take_over=take_over,
    )
    _session(resolved, folder, settings, as_json=as_json, quiet=quiet)


def _fork(
    origin: RunFolder, campaign: ResolvedCampaign, run_dir: Path | None, at: int | None
) -> RunFolder:
    import time

    from heuresis.campaign.changes import listed
    from heuresis.campaign.forking import fork_run

    made = fork_run(origin, campaign, now=time.time(), run_dir=run_dir, at=at)
    changed = f", with {listed(made.changed)}" if made.changed else ", with the same settings"
    note(f"forked from {origin.path.name} after entry {made.shared}{changed}")
    return made.folder


def _refuse_changes(
    folder: RunFolder, campaign: ResolvedCampaign, overrides: list[str] | None
) -> None:
    """Explain what ``resume`` without ``--fork`` cannot do."""
    from heuresis.campaign.changes import changed_error
    from heuresis.campaign.resolve import load_campaign
    from heuresis.errors import UserError

    own = load_campaign(folder.resolved)
    if overrides and own.spec_hash != campaign.spec_hash:
        raise changed_error(folder, campaign, own.document())
    option = "--set" if overrides else "--at or --run-dir"
    raise UserError(f"{option} goes with --fork; the budget is changed with --budget LIMIT=VALUE")


def check(campaign: Campaign, overrides: Overrides = None, as_json: Json = False) -> None:
    """Validate a campaign file and show what it will do; runs nothing."""
    from heuresis.campaign.resolve import load_campaign
    from heuresis.cli.plan_tables import plan_document, print_plan

    resolved = load_campaign(campaign, overrides or [])
    if as_json:
        print_json(plan_document(resolved))
        return
    print_plan(console(), resolved)


def _settings(
    executor: ExecutorName,
    ray_address: str | None,
    tracking_uri: str | None,
    no_mlflow: bool,
    **changes: Any,
) -> SessionSettings:
    from heuresis.campaign.session import SessionSettings
    from heuresis.campaign.tracking import default_tracking_uri, same_store

    uri = None if no_mlflow else same_store(tracking_uri or default_tracking_uri())
    return SessionSettings(
        executor=executor.value,
        ray_address=ray_address,
        tracking_uri=uri,
        **changes,
    )


def _session(
    campaign: ResolvedCampaign,
    folder: RunFolder,
    settings: SessionSettings,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    from heuresis.campaign.reporting import metered_oracles
    from heuresis.campaign.session import Session
    from heuresis.cli.ending import ending_document, print_ending
    from heuresis.cli.live import LiveView, PlainView

    screen = console()
    metered = metered_oracles(campaign)
    watcher: LiveView | PlainView | None = None
    if not (as_json or quiet):
        watcher = (
            LiveView(screen, metered)
            if screen.is_terminal and sys.stdin.isatty()
            else PlainView(screen, metered)
        )
        screen.print(f"[bold]{campaign.spec.campaign}[/bold]  {folder.path}", soft_wrap=True)
        if campaign.spec.question:
            screen.print(campaign.spec.question, markup=False)
        where = {"ray": "Ray", "local": "workers on this machine"}.get(
            settings.executor, "workers in this process"
        )
        screen.print(f"starting {where} …", style="dim")
    say = watcher.say if watcher is not None else note
    session = Session(campaign, folder, settings, watchers=[watcher] if watcher else [], say=say)
    try:
        end = session.run()
    except BaseException:
        if folder.holds_a_run and session.number:
            complain(f"the run stopped; once the cause is gone: heuresis resume {folder.path}")
        raise
    finally:
        if watcher is not None:
            watcher.stop()
    try:
        if as_json:
            print_json(ending_document(session, end))
        else:
            print_ending(screen, session, end)
    except KeyboardInterrupt:  # an impatient second Ctrl-C: the one line that matters
        complain(f"stopped; continue with: heuresis resume {folder.path}")
        raise
    raise typer.Exit(ENDINGS[end.kind])
