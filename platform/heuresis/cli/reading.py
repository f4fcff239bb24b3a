"""``show``, ``top``, ``report``, ``publish`` and ``ui``: the commands that look at runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from heuresis.cli.output import console, note, print_json

if TYPE_CHECKING:
    from heuresis.campaign.run_folder import RunFolder
    from heuresis.campaign.spec import CampaignSpec
    from heuresis.cli.history import History
    from heuresis.events import Entry
    from heuresis.report.projections import CampaignView
    from heuresis.search.objective import Objective

Run = Annotated[str, typer.Argument(metavar="RUN", help="Run folder, or its name in runs/.")]
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


def show(
    run: Run,
    candidate: Annotated[
        str | None, typer.Argument(metavar="[CANDIDATE]", help="Its text, or digits of its id.")
    ] = None,
    timeline: Annotated[
        bool, typer.Option("--timeline", help="Draw which slot was busy when.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Summarise a run; or tell everything about one candidate; or draw its timeline."""
    from heuresis.campaign.run_folder import find_run

    folder = find_run(run)
    if timeline:
        _show_timeline(folder, as_json)
        return
    if candidate is not None:
        _show_candidate(folder, candidate, as_json)
        return
    from heuresis.report.summary import summary

    view = _view(folder)
    if as_json:
        print_json({"run": str(folder.path), **summary(view)})
        return
    _print_summary(folder, view)


def top(
    run: Run,
    count: Annotated[int, typer.Option("--number", "-n", min=1, help="How many.")] = 20,
    as_json: Json = False,
) -> None:
    """Print the ranked candidates of a run."""
    from heuresis.campaign.run_folder import find_run
    from heuresis.cli.tables import objective_measures, ranking
    from heuresis.report.summary import candidate_row

    folder = find_run(run)
    view = _view(folder, keep=count)
    objective = _objective(folder)
    if as_json:
        print_json([candidate_row(record, objective) for record in view.ranked(count)])
        return
    screen = console()
    if not view.top:
        screen.print("no candidate is completed yet")
        return
    screen.print(ranking(view.ranked(count), objective_measures(objective), width=screen.width))


def report(
    run: Run,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: report.html in the run folder.")
    ] = None,
    control: Annotated[
        str | None, typer.Option(metavar="RUN", help="A run of the control arm, for the chart.")
    ] = None,
) -> None:
    """Write the run's report: one HTML file that needs nothing else."""
    from heuresis.campaign.reporting import report_run
    from heuresis.campaign.run_folder import find_run

    arm = find_run(control) if control is not None else None
    typer.echo(str(report_run(find_run(run), output=output, control=arm)))


def publish(
    run: Run,
    tracking_uri: Annotated[
        str | None, typer.Option(metavar="URI", help="MLflow store or server.")
    ] = None,
) -> None:
    """Write a run to MLflow from its ledger; what MLflow has already is not written twice."""
    from heuresis.campaign.build import build_plan
    from heuresis.campaign.resolve import load_campaign
    from heuresis.campaign.run_folder import find_run, open_ledger
    from heuresis.campaign.tracking import default_tracking_uri, mlflow_tracker, same_store

    folder = find_run(run)
    campaign = load_campaign(folder.resolved)
    facts = folder.read_facts()
    uri = same_store(tracking_uri or facts.get("tracking_uri") or default_tracking_uri())
    tracker = mlflow_tracker(campaign, build_plan(campaign), folder, uri)
    ledger = open_ledger(folder)
    try:
        finished = _view(folder).finished is not None
        tracker.publish(ledger.read(), "finished" if finished else "interrupted")
    finally:
        ledger.close()
    note(f"published as MLflow run {tracker.run_id} in {uri}")


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port on this machine.")] = 5000,
    tracking_uri: Annotated[
        str | None, typer.Option(metavar="URI", help="Default: runs/mlflow.sqlite.")
    ] = None,
) -> None:
    """Open MLflow on this machine (loopback only), until Ctrl-C."""
    import subprocess

    from heuresis.campaign.tracking import default_tracking_uri, same_store
    from heuresis.errors import UserError
    from heuresis.tracking.mlflow_server import server_command, store_folder

    uri = same_store(tracking_uri or default_tracking_uri())
    folder = store_folder(uri)
    if folder is not None and not folder.is_dir():
        raise UserError(
            f"there is no MLflow store at {uri}; run a campaign first, here or with --tracking-uri"
        )
    command = server_command(uri, port=port)
    note(f"MLflow: {command.url}   (it takes some seconds; Ctrl-C ends it)")
    # A session of its own, so that all its workers can be stopped together.
    server = subprocess.Popen(command.argv, env=command.environment, start_new_session=True)
    code = _wait_and_stop(server)
    if code:
        raise UserError(f"MLflow's server ended with code {code}; what it said stands above")


def _wait_and_stop(server: Any) -> int:
    import os
    import signal

    def terminate(*_: Any) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, terminate)
    try:
        return int(server.wait())
    except KeyboardInterrupt:
        return 0
    finally:
        signal.signal(signal.SIGTERM, previous)
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=15)


def _entries(folder: RunFolder) -> list[Entry]:
    from heuresis.campaign.run_folder import open_ledger

    ledger = open_ledger(folder)
    try:
        return list(ledger.read())
    finally:
        ledger.close()


def _view(folder: RunFolder, keep: int = 100) -> CampaignView:
    from heuresis.campaign.reporting import ranked_objective, read_view
    from heuresis.errors import SpecError

    try:
        front_of = ranked_objective(_spec(folder))
    except SpecError:  # written by another version: its ledger still tells all but the front
        front_of = None
    return read_view(
        folder,
        keep=keep,
        metered=folder.read_facts().get("metered"),
        front_of=front_of,
    )


def _spec(folder: RunFolder) -> CampaignSpec:
    from heuresis.campaign.loading import load_document, load_spec

    return load_spec(load_document(folder.resolved))


def _objective(folder: RunFolder) -> Objective:
    from heuresis.search.objective import Objective

    spec = _spec(folder)
    return Objective(spec.objectives, spec.constraints)


def _print_summary(folder: RunFolder, view: CampaignView) -> None:
    from heuresis.cli.tables import asks, failures, funnel, learning
    from heuresis.cli.words import duration, number
    from heuresis.report.rows import shared_lines

    screen = console()
    started = view.started
    state = f"finished ({view.finished})" if view.finished else "not finished"
    name = started.campaign if started else "empty"
    screen.print(f"[bold]{name}[/bold]  {state}  ", end="", soft_wrap=True)
    screen.print(str(folder.path), style="dim", soft_wrap=True, markup=False)
    if view.forked is not None:
        screen.print(
            f"forked from {view.forked.origin} after entry {view.forked.shared}", markup=False
        )
    if view.best is not None:
        screen.print(
            f"best {number(view.best_score or 0.0, 3)}  {view.best.candidate.text}", markup=False
        )
    top10 = f", mean of the ten best {number(view.top10_mean, 3)}" if view.top10_mean else ""
    screen.print(
        f"{view.evaluations} evaluations, {view.completed} completed in"
        f" {duration(view.running_s)}{top10}"
    )
    if view.front is not None:
        screen.print(
            f"{view.front.size} on the Pareto front, hypervolume"
            f" {number(view.front.hypervolume, 3)}"
        )
    screen.print(funnel(view, list(view.stages)))
    reasons = ", ".join(f"{count} {reason}" for reason, count in view.rejected.most_common(6))
    lines = [("rejected", [reasons] if reasons else []), ("failed", failures(view))]
    lines += [("shared", shared_lines(view.stages)), ("rung", view.rungs.lines())]
    for title, texts in [*lines, ("asked", asks(view)), ("learned", learning(view, 5))]:
        for text in texts:
            screen.print(f"{title:9} {text}", markup=False)
    for (pool, cause), examples in view.failure_examples.items():
        latest = examples[-1]
        screen.print(
            f"e.g.      {pool}, {cause.value}: {latest.failure.message}"
            + (f"  ({latest.text})" if latest.text else ""),
            markup=False,
            style="dim",
        )


def _show_timeline(folder: RunFolder, as_json: bool) -> None:
    from heuresis.cli.timeline import print_timeline, read_timeline

    found = read_timeline(folder)
    if as_json:
        print_json({"run": str(folder.path), **found.document()})
        return
    print_timeline(console(), found)


def _show_candidate(folder: RunFolder, wanted: str, as_json: bool) -> None:
    from heuresis.cli.history import find_candidate, history

    entries = _entries(folder)
    found = history(entries, find_candidate(entries, wanted, _canonical(folder, wanted)))
    if as_json:
        print_json(found.document())
        return
    _print_history(found)


def _canonical(folder: RunFolder, text: str) -> str | None:
    """Return the canonical form of a text, if the run's space takes it."""
    from heuresis.campaign.resolve import load_campaign
    from heuresis.errors import HeuresisError

    try:
        canonical: str = load_campaign(folder.resolved).space.canonical(text)
    except HeuresisError:
        return None
    return canonical


def _print_history(found: History) -> None:
    from heuresis.cli.words import duration, measured, number
    from heuresis.records import Measurement

    screen = console()
    origin = found.origin
    screen.print(found.candidate.text, style="bold", markup=False)
    when = datetime.fromtimestamp(origin["proposed_at"], UTC).astimezone()
    version = f" with {origin['model_version']}" if origin["model_version"] else ""
    rows = [
        ("id", found.candidate.id),
        ("proposed", f"{origin['proposer']}/{origin['operator']}{version}, {when:%Y-%m-%d %H:%M}"),
        ("island", f"{origin['island']}, epoch {origin['epoch']}"),
    ]
    rows += [("parent", f"{p['text']}  {p['id']}".strip()) for p in found.parents]
    for evaluation in found.evaluations:
        took = f"{duration(evaluation['seconds'])}" if evaluation["seconds"] is not None else "?"
        place = f"{evaluation['worker']}, {took}"
        if (origin_run := evaluation["origin"]) is not None:
            measured_at = datetime.fromtimestamp(origin_run["measured_at"], UTC).astimezone()
            place = (
                f"measured by {origin_run['run']}, {measured_at:%Y-%m-%d %H:%M},"
                f" {duration(origin_run['duration_s'])}"
            )
        if evaluation["kind"] == "failure":
            text = f"failed ({evaluation['cause']}): {evaluation['message']}  [{place}]"
            rows.append((evaluation["oracle"], text))
            continue
        values = [
            f"{name} {measured(Measurement(**value), unit=True)}"
            for name, value in evaluation["measurements"].items()
        ]
        rows.append((evaluation["oracle"], f"{', '.join(values)}  [{place}]"))
        if evaluation["checks"]:
            rows.append(("", f"passed: {', '.join(evaluation['checks'])}"))
    for verdict in found.verdicts:
        score = verdict["score"] if verdict["score"] is not None else verdict["bound"]
        shown = "" if score is None else f", {number(score, 3)}"
        why = f" ({verdict['reason']})" if verdict["reason"] else ""
        rows.append(("verdict", f"{verdict['verdict']} after {verdict['oracle']}{shown}{why}"))
    for name, text in rows:
        screen.print(f"{name:12} ", end="", style="dim")
        screen.print(text, markup=False, soft_wrap=True)
