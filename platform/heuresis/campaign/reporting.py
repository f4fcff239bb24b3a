"""Writes a run's report from what stands in its folder: the ledger and the resolved campaign."""

from __future__ import annotations

from pathlib import Path

from heuresis.campaign.build import versions
from heuresis.campaign.resolve import ResolvedCampaign, budget_document, load_campaign
from heuresis.campaign.run_folder import RunFolder, open_ledger
from heuresis.campaign.spec import CampaignSpec
from heuresis.errors import RunError
from heuresis.events import BudgetExtended
from heuresis.report.page import ReportContext, write_report
from heuresis.report.projections import CampaignView
from heuresis.search.objective import Objective


def read_view(
    folder: RunFolder,
    *,
    keep: int = 100,
    metered: list[str] | None = None,
    front_of: Objective | None = None,
) -> CampaignView:
    """Fold a run's whole ledger into what people look at.

    Args:
        folder: the run.
        keep: how many of the best candidates to keep.
        metered: oracles whose evaluations count as spent; None: all.
        front_of: see `ranked_objective`.
    """
    ledger = open_ledger(folder)
    try:
        return CampaignView(keep=keep, metered=metered, front_of=front_of).apply_all(ledger.read())
    finally:
        ledger.close()


def metered_oracles(campaign: ResolvedCampaign) -> list[str] | None:
    """Return the oracles that an integer budget counts; None: all of them."""
    return [
        oracle.name
        for oracle in campaign.oracles
        if oracle.declaration.cost_class.value != "negligible"
    ] or None


def ranked_objective(spec: CampaignSpec) -> Objective | None:
    """Return the objective whose Pareto front a campaign is ranked by; None: ranked by score."""
    if spec.search.ranking == "score":
        return None
    return Objective(spec.objectives, spec.constraints)


def report_run(
    folder: RunFolder,
    *,
    output: Path | None = None,
    status: str | None = None,
    control: RunFolder | None = None,
) -> Path:
    """Write the report of a run; returns its path.

    Args:
        folder: the run.
        output: where; default ``report.html`` in the run's folder.
        status: how the run stands; default: finished or interrupted, as the ledger says.
        control: a run of the control arm, drawn into the convergence chart.

    Raises:
        RunError: the file cannot be written.
    """
    campaign = load_campaign(folder.resolved)
    return write_campaign_report(campaign, folder, output=output, status=status, control=control)


def write_campaign_report(
    campaign: ResolvedCampaign,
    folder: RunFolder,
    *,
    output: Path | None = None,
    status: str | None = None,
    control: RunFolder | None = None,
) -> Path:
    """Write the report of a campaign that is loaded already; see `report_run`."""
    metered = metered_oracles(campaign)
    front_of = ranked_objective(campaign.spec)
    view = read_view(folder, metered=metered, front_of=front_of)
    file = output or folder.report
    context = ReportContext(
        question=campaign.spec.question,
        status=status or ("finished" if view.finished is not None else "interrupted"),
        objective=Objective(campaign.spec.objectives, campaign.spec.constraints),
        depict=campaign.space.depict,
        workers={oracle.name: oracle.section.workers for oracle in campaign.oracles},
        budget=_budget(campaign, folder),
        campaign_yaml=_text(folder.original) or _text(folder.resolved),
        commands=(
            ("run it again", f"heuresis run {folder.resolved}"),
            ("grant more and go on", f"heuresis resume {folder.path} --budget evaluations=N"),
            ("everything about one candidate", f"heuresis show {folder.path} CANDIDATE"),
        ),
        provenance={
            **versions(campaign),
            "spec hash": campaign.spec_hash,
            **_origin(view),
            "run folder": str(folder.path),
            "host": str(folder.read_facts().get("host", "")),
        },
        control=(
            read_view(control, metered=metered, front_of=front_of) if control is not None else None
        ),
        control_name=control.path.name if control is not None else "control arm",
    )
    try:
        write_report(file, view, context)
    except OSError as error:
        raise RunError(f"cannot write the report {file}: {error.strerror}") from error
    return file


def _origin(view: CampaignView) -> dict[str, str]:
    """Return where a fork came from; nothing for other runs."""
    if view.forked is None:
        return {}
    return {"forked from": f"{view.forked.origin} after entry {view.forked.shared}"}


def _budget(campaign: ResolvedCampaign, folder: RunFolder) -> dict[str, str]:
    """Return the limits in force: the latest that were granted, else the campaign's."""
    limits = budget_document(campaign.spec.budget)
    ledger = open_ledger(folder)
    try:
        for entry in ledger.of_kind("budget_extended"):
            if isinstance(entry.event, BudgetExtended):
                limits = entry.event.budget
    finally:
        ledger.close()
    return {
        name.replace("_", " "): f"{value:g} s" if name == "wall_time" and isinstance(value, float)
        else str(value)
        for name, value in limits.items()
    }  # fmt: skip


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
