"""Connects a campaign with MLflow, now or later from the ledger."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from heuresis.campaign.build import versions
from heuresis.campaign.resolve import ResolvedCampaign
from heuresis.campaign.run_folder import RUNS, RunFolder
from heuresis.engine.plan import CampaignPlan
from heuresis.search.objective import Objective
from heuresis.tracking.mlflow_server import SQLITE, sqlite_uri

if TYPE_CHECKING:
    from heuresis.tracking.mlflow_tracker import MLflowTracker

ENVIRONMENT = "MLFLOW_TRACKING_URI"


def default_tracking_uri() -> str:
    """Return the store from the environment, or the SQLite file under ``runs/``."""
    return os.environ.get(ENVIRONMENT) or sqlite_uri(RUNS / "mlflow.sqlite")


def same_store(uri: str) -> str:
    """Return a tracking URI with an absolute path, so that it means the same from anywhere."""
    return sqlite_uri(Path(uri.removeprefix(SQLITE))) if uri.startswith(SQLITE) else uri


def mlflow_tracker(
    campaign: ResolvedCampaign, plan: CampaignPlan, folder: RunFolder, tracking_uri: str
) -> MLflowTracker:
    """Return a tracker for a run; it continues the run's earlier MLflow run in the same store."""
    from heuresis.tracking.mlflow_tracker import MLflowSettings, MLflowTracker

    facts = folder.read_facts()
    same = facts.get("tracking_uri") == tracking_uri
    space = campaign.space
    settings = MLflowSettings(
        tracking_uri=tracking_uri,
        experiment=plan.campaign,
        run_name=folder.path.name,
        run_id=facts.get("mlflow_run_id") if same else None,
        tags={
            "heuresis.campaign": plan.campaign,
            "heuresis.spec_hash": plan.spec_hash,
            "heuresis.seed": str(plan.seed),
            "heuresis.run_folder": str(folder.path),
            **{f"heuresis.version.{name}": text for name, text in versions(campaign).items()},
        },
        spec=campaign.document(),
        description=campaign.spec.question,
        artifacts=(folder.original, folder.resolved, folder.versions, folder.report),
        workers={oracle.name: oracle.pool.workers for oracle in plan.oracles},
        metered=[oracle.name for oracle in plan.oracles if oracle.metered] or None,
        ranked_by_front=plan.search.ranking == "pareto",
        republish=f"heuresis publish {folder.path}",
    )
    return MLflowTracker(
        settings,
        objective=Objective(plan.objective.terms, plan.objective.constraints),
        depict_png=getattr(space, "depict_png", None),
        diversity=getattr(space, "diversity", None),
        on_run=lambda run_id: folder.note_facts(mlflow_run_id=run_id, tracking_uri=tracking_uri),
    )
