"""A training as it appears in MLflow: recipe, curves, model card, hash of the weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from heuresis_models.monitoring import Metrics
from heuresis_models.recipe import Recipe
from heuresis_models.training import EXTENT, FREE_TO_CHANGE

if TYPE_CHECKING:
    from heuresis.tracking.curves import CurveWriter, PlainRunSink

EXPERIMENT: Final = "trainings"
RUN_FILE: Final = "mlflow.json"
CARD_FILE: Final = "MODEL_CARD.md"
RECIPE_FILE: Final = "recipe.yaml"
RECORD_EVERY_S: Final = 2.0


class TrackedTraining:
    """Follows a training without ever blocking or failing it.

    A resumed training continues its run (its id is kept in the output folder).

    Args:
        recipe: its keys become the run's parameters.
        folder: the output folder.
        tracking_uri: MLflow store or server.
        clock: seconds since 1970.
    """

    def __init__(
        self, recipe: Recipe, folder: Path, tracking_uri: str, *, clock: Callable[[], float]
    ) -> None:
        from heuresis.tracking.curves import CurveWriter, PlainRunSink
        from heuresis.tracking.mlflow_tracker import MLflowSettings

        self._clock = clock
        self._recorded_s = 0.0
        self._last: tuple[int, float] | None = None
        self._file = folder / RUN_FILE
        self._uri = tracking_uri
        plan = recipe.model_dump(mode="json")
        where = {f"heuresis.{key}": str(plan.pop(key)) for key in FREE_TO_CHANGE}
        # Parameters of a run in MLflow cannot change; tags can.
        where |= {f"heuresis.{key}": str(plan["optimization"].pop(key)) for key in EXTENT}
        self._sink: PlainRunSink = PlainRunSink(
            MLflowSettings(
                tracking_uri=tracking_uri,
                experiment=EXPERIMENT,
                run_name=f"{recipe.name} seed {recipe.seed}",
                run_id=self._known_run(),
                tags={
                    "heuresis.training": recipe.name,
                    "heuresis.output": str(folder.resolve()),
                    **where,
                },
                spec=plan,
                artifacts=(folder / CARD_FILE, folder / RECIPE_FILE, folder / "metrics.jsonl"),
            ),
            on_run=self._remember,
        )
        self._writer: CurveWriter = CurveWriter(self._sink, started_at_s=clock())

    def _known_run(self) -> str | None:
        try:
            known = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(known, dict) or known.get("tracking_uri") != self._uri:
            return None
        return str(known.get("run_id"))

    def _remember(self, run_id: str) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"tracking_uri": self._uri, "run_id": run_id}, indent=1)
        self._file.write_text(text + "\n", encoding="utf-8")

    def note(self, metrics: Metrics) -> None:
        """Record the metrics of a step; those without an evaluation now and then."""
        now_s = self._clock()
        if metrics.heldout_loss is None and now_s - self._recorded_s < RECORD_EVERY_S:
            return
        self._recorded_s = now_s
        values = {
            "training/tokens": float(metrics.tokens),
            "training/progress": metrics.progress,
        }
        if metrics.training_loss is not None:
            values["training/loss"] = metrics.training_loss
        if self._last is not None and metrics.elapsed_s > self._last[1]:
            tokens, seconds = metrics.tokens - self._last[0], metrics.elapsed_s - self._last[1]
            values["training/tokens_per_s"] = tokens / seconds
        self._last = (metrics.tokens, metrics.elapsed_s)
        for name, loss in (metrics.heldout_loss or {}).items():
            values[f"heldout_loss/{name}"] = loss
        if metrics.valid_share is not None:
            values["molecules/valid_share"] = metrics.valid_share
        if metrics.unique_share is not None:
            values["molecules/unique_share"] = metrics.unique_share
        if metrics.heeded_nats is not None:
            values["molecules/heeded_nats"] = metrics.heeded_nats
        self._writer.record(values, step=metrics.steps, timestamp_ms=int(now_s * 1000))

    def finish(self, status: str, *, card: str = "", weights_hash: str = "") -> str | None:
        """Close the run; returns one sentence when MLflow does not have everything.

        Args:
            status: ``finished``, ``interrupted`` or ``failed``.
            card: the model card, shown on the run's page.
            weights_hash: SHA-256 of the weights, the ``model_version`` of candidates.
        """
        tags = {"mlflow.note.content": card, "heuresis.weights_sha256": weights_hash}
        self._sink.closing_tags = {key: value for key, value in tags.items() if value}
        self._writer.finish(status)
        if self._writer.problem is None:
            return None
        return (
            f"MLflow does not have everything: {self._writer.problem}. The same numbers are in"
            f" {self._file.parent / 'metrics.jsonl'}"
        )
