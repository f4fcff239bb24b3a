"""What a tracking server is told about a campaign: metrics, parameters, one ranked table. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heuresis.events import Entry
from heuresis.records import Measurement
from heuresis.report.projections import CampaignView
from heuresis.search.objective import Objective

DIVERSITY = "best/top100_diversity"
IN_EVERY_SAMPLE = "candidates/proposed"
POINTS_PER_CURVE = 400
"""Curves are sampled at every evaluation at first, then at every 1/400 of what there is: a
campaign of 100,000 evaluations writes about 2,600 points per curve."""
PARAMETERS_MAX = 200
PARAMETER_CHARACTERS_MAX = 500
_NOT_IN_A_NAME = re.compile(r"[^\w\-. :/]", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Point:
    """One metric value at one step; ``step`` counts settled evaluations."""

    key: str
    value: float
    step: int
    timestamp_ms: int


def metric_name(text: str) -> str:
    """Return the text with what a metric name may not contain replaced by ``_``."""
    return _NOT_IN_A_NAME.sub("_", text)[:250] or "_"


def metrics(view: CampaignView, workers: Mapping[str, int]) -> dict[str, float]:
    """Return the current value of every curve.

    Args:
        view: the campaign so far.
        workers: oracle → number of workers, for the busy share of its slots.
    """
    # The page shows one section per prefix, in alphabetical order: what matters most comes first.
    found: dict[str, float | None] = {
        "best/score": view.best_score,
        "best/top10_mean": view.top10_mean if view.completed >= 10 else None,
        "best/hypervolume": view.front.curve[-1].value if view.front and view.front.curve else None,
        "candidates/proposed": view.proposed,
        "candidates/completed": view.completed,
        "candidates/valid_share": view.valid_share,
        "candidates/duplicate_share": view.duplicate_share,
        "failures/all": view.failure_count,
        "time/running_s": view.running_s,
    }
    for oracle, stage in view.stages.items():
        found[f"oracles/{oracle}.evaluated"] = stage.evaluated
        found[f"oracles/{oracle}.busy_share"] = view.busy_share(oracle, workers.get(oracle, 0))
        found[f"time/{oracle}_s"] = stage.busy_s
    for proposer, seconds in view.proposer_busy_s.items():
        found[f"time/{proposer}_s"] = seconds
    for pool, causes in view.failures.items():
        found[f"failures/{pool}"] = causes.total()
    return {
        metric_name(key): float(value)
        for key, value in found.items()
        if value is not None and math.isfinite(value)
    }


class Sampler:
    """Turns entries into points of curves: depends on the entries alone, not on when they come.

    So that a ledger published again gives the same points, and a server ignores them.
    """

    def __init__(self, view: CampaignView, workers: Mapping[str, int]) -> None:
        self.view = view
        self._workers = dict(workers)
        self._sampled_at = 0
        self._best: float | None = None
        self._learned = 0

    def apply(self, entry: Entry) -> list[Point]:
        """Fold one entry into the view; return the points that it adds."""
        view = self.view
        if entry.sequence <= view.sequence:
            return []
        view.apply(entry)
        points = list(self._learning_points(entry))
        due = view.evaluations - self._sampled_at >= max(1, view.evaluations // POINTS_PER_CURVE)
        if due or view.best_score != self._best or view.finished is not None:
            points += self._points(entry, metrics(view, self._workers))
            self._sampled_at, self._best = view.evaluations, view.best_score
        return points

    def _learning_points(self, entry: Entry) -> Iterator[Point]:
        for step in self.view.learning[self._learned :]:
            named = {f"learning/{step.proposer}.{k}": v for k, v in step.metrics.items()}
            named[f"learning/{step.proposer}.updates"] = step.updates
            yield from self._points(
                entry, {metric_name(k): v for k, v in named.items() if math.isfinite(v)}
            )
        self._learned = len(self.view.learning)

    def _points(self, entry: Entry, values: Mapping[str, float]) -> list[Point]:
        timestamp_ms = int(entry.recorded_at * 1000)
        return [
            Point(key=key, value=value, step=self.view.evaluations, timestamp_ms=timestamp_ms)
            for key, value in values.items()
        ]


def parameters(spec: Mapping[str, Any]) -> dict[str, str]:
    """Flatten a resolved spec into dotted parameters; long lists are cut, long texts shortened."""
    flat: dict[str, str] = {}
    for key, value in _flatten("", spec):
        if len(flat) == PARAMETERS_MAX:
            break
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        if len(text) > PARAMETER_CHARACTERS_MAX:
            text = text[: PARAMETER_CHARACTERS_MAX - 1] + "…"
        flat[metric_name(key)] = text
    return flat


def _flatten(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flatten(f"{prefix}.{key}" if prefix else str(key), inner)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if any(isinstance(item, Mapping | list | tuple) for item in value):
            for index, inner in enumerate(value):
                yield from _flatten(f"{prefix}.{index}", inner)
        else:
            yield prefix, ", ".join(str(item) for item in value)
    elif value is not None:
        yield prefix, value


def ranked_table(
    view: CampaignView,
    *,
    rows: int,
    objective: Objective | None = None,
    pictures: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the best candidates as the JSON that the tracking server shows as a table.

    Args:
        view: the campaign so far.
        rows: at most so many candidates.
        objective: adds one column per desirability.
        pictures: candidate id → artifact path of its picture; adds the column ``structure``.
    """
    shown = view.ranked(rows)
    units: dict[str, str] = {}
    for record in shown:
        for name, measurement in record.measurements.items():
            units.setdefault(name, measurement.unit)
    columns = ["rank", "score"]
    columns += ["structure"] if pictures is not None else []
    columns += ["text", *(_heading(name, unit) for name, unit in units.items())]
    columns += [f"desirability: {name}" for name in (objective.terms if objective else ())]
    columns += ["proposer", "operator", "model version", "parents", "island", "evaluation", "id"]
    data: list[list[Any]] = []
    for rank, record in enumerate(shown, 1):
        row: list[Any] = [rank, _short(record.score)]
        if pictures is not None:
            path = pictures.get(record.candidate.id)
            row.append(
                {"type": "image", "filepath": path, "compressed_filepath": path} if path else ""
            )
        row.append(record.candidate.text)
        for name in units:
            measured = record.measurements.get(name)
            row.append(None if measured is None else _measured(measured))
        if objective is not None:
            desirabilities = objective.judge(record.measurements).desirabilities
            row += [_short(desirabilities.get(name)) for name in objective.terms]
        row += [
            record.proposer,
            record.operator,
            record.model_version or "",
            " ".join(record.parent_texts),
            record.island,
            record.evaluations,
            record.candidate.id,
        ]
        data.append(row)
    return {"columns": columns, "data": data}


def _heading(name: str, unit: str) -> str:
    # `gap_eV` says its unit already.
    return name if unit == "1" or name.endswith(f"_{unit}") else f"{name} / {unit}"


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _measured(measurement: Measurement) -> float | str:
    if measurement.uncertainty is None:
        return float(f"{measurement.value:.5g}")
    return f"{measurement.value:.4g} ± {measurement.uncertainty:.2g}"
