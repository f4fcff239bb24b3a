"""A `CampaignView` as plain JSON-able values, for ``--json``, MLflow tables and scripts."""

from __future__ import annotations

from typing import Any

from heuresis.report.projections import CampaignView
from heuresis.report.rows import CandidateRecord
from heuresis.search.objective import Objective


def candidate_row(record: CandidateRecord, objective: Objective | None = None) -> dict[str, Any]:
    """Return one candidate with everything that is known of it.

    Args:
        record: a row of `CampaignView.top`.
        objective: adds ``desirabilities``, each in [0, 1].
    """
    row: dict[str, Any] = {
        "id": record.candidate.id,
        "text": record.candidate.text,
        "score": record.score,
        "measurements": {
            name: {
                "value": measurement.value,
                "unit": measurement.unit,
                "uncertainty": measurement.uncertainty,
            }
            for name, measurement in record.measurements.items()
        },
        "checks": {oracle: list(checks) for oracle, checks in record.checks.items()},
        "seconds": dict(record.seconds),
        "proposer": record.proposer,
        "operator": record.operator,
        "parents": list(record.parents),
        "parent_texts": list(record.parent_texts),
        "island": record.island,
        "epoch": record.epoch,
        "model_version": record.model_version,
        "log_likelihood": record.log_likelihood,
        "evaluations": record.evaluations,
        "proposed_sequence": record.proposed_sequence,
        "completed_sequence": record.completed_sequence,
    }
    if objective is not None:
        row["desirabilities"] = objective.judge(record.measurements).desirabilities
    return row


def summary(view: CampaignView) -> dict[str, Any]:
    """Return the state of a campaign: counts, funnel, failures, spend, best; no candidate table."""
    best = view.best
    return {
        "campaign": view.started.campaign if view.started else None,
        "spec_hash": view.started.spec_hash if view.started else None,
        "seed": view.started.seed if view.started else None,
        "forked_from": (
            {"run": view.forked.origin, "shared_entries": view.forked.shared}
            if view.forked is not None
            else None
        ),
        "finished": view.finished,
        "running_s": view.running_s,
        "evaluations": view.evaluations,
        "completed": view.completed,
        "in_progress": view.in_progress,
        "best_score": view.best_score,
        "best_text": best.candidate.text if best else None,
        "top10_mean": view.top10_mean,
        "front_size": view.front.size if view.front else None,
        "hypervolume": view.front.hypervolume if view.front else None,
        "asks": dict(view.asked.total.most_common()),
        "proposed": view.proposed,
        "accepted": view.accepted,
        "rejected": dict(view.rejected.most_common()),
        "valid_share": view.valid_share,
        "duplicate_share": view.duplicate_share,
        "stages": {
            oracle: {
                "submitted": stage.submitted,
                "settled": stage.settled,
                "evaluated": stage.evaluated,
                "in_flight": stage.in_flight,
                "busy_s": stage.busy_s,
                "shared": stage.shared,
                "saved_core_s": stage.saved_core_s,
                "verdicts": dict(stage.verdicts),
                "quarantined": stage.quarantined,
            }
            for oracle, stage in view.stages.items()
        },
        "failures": {
            pool: {cause.value: count for cause, count in counter.most_common()}
            for pool, counter in view.failures.items()
        },
        "proposer_busy_s": dict(view.proposer_busy_s),
        "learning_busy_s": dict(view.learning_busy_s),
        "learning_steps": len(view.learning),
        "island_resets": len(view.resets),
        "first_completed_s": view.first_completed_s,
    }
