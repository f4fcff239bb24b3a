"""The MLflow adapter, and the only file that imports mlflow.

One experiment per family of campaigns, one run per campaign: parameters, curves over evaluations,
one ranked table with pictures, files. A resumed campaign continues its run; points that MLflow has
already are not written twice, so `BackgroundTracker.publish` may be repeated at will.
"""

from __future__ import annotations

import getpass
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heuresis.errors import UserError
from heuresis.records import canonical_json
from heuresis.report.page import answer
from heuresis.report.projections import CampaignView
from heuresis.search.objective import Objective
from heuresis.tracking.background import BackgroundTracker
from heuresis.tracking.mlflow_server import artifact_location, store_folder
from heuresis.tracking.projection import (
    DIVERSITY,
    IN_EVERY_SAMPLE,
    Point,
    parameters,
    ranked_table,
)

TABLE_FILE = "ranked_candidates.json"
PICTURE_FOLDER = "table_images/ranked_candidates"
RUN_STATUS = {
    "finished": "FINISHED",
    "interrupted": "KILLED",
    "paused": "KILLED",
    "failed": "FAILED",
}
_NOTE = "mlflow.note.content"
_PARAMETERS_PER_REQUEST = 100
_TAG_CHARACTERS_MAX = 5000
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # We retry ourselves; MLflow's own policy would hold the writer for many minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
}


@dataclass(frozen=True, kw_only=True)
class MLflowSettings:
    """Where and as what a campaign appears in MLflow."""

    tracking_uri: str
    experiment: str
    run_name: str
    run_id: str | None = None
    """Continue this run (a resumed campaign); a run that is gone is replaced by a new one."""
    tags: Mapping[str, str] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    """The resolved spec; becomes the run's parameters."""
    description: str = ""
    """Markdown on the run's page: the question. The answer is added at the end, unless a person
    has rewritten it."""
    artifacts: Sequence[Path] = ()
    """Files to keep with the run; sent at the start if they exist, and again when they changed."""
    workers: Mapping[str, int] = field(default_factory=dict)
    """Oracle → number of workers, for the busy share of its slots."""
    metered: Collection[str] | None = None
    """Oracles whose evaluations are the steps of the curves; None: all of them."""
    ranked_by_front: bool = False
    """By Pareto front, whose hypervolume becomes a curve, instead of by score."""
    table_rows: int = 50
    republish: str = "heuresis publish RUN"
    """The command that writes the ledger again, for the closing sentence."""


class MLflowTracker(BackgroundTracker):
    """A `heuresis.ports.Tracker` that writes to MLflow from one background thread.

    Args:
        settings: where and what.
        objective: adds desirabilities to the table.
        depict_png: a picture of a canonical text, PNG; called in the writer thread.
        diversity: internal diversity in [0, 1] of texts, over the 100 best; a curve of its own.
        on_run: called with the run id as soon as the run exists, so that it can be kept for a
            resume; in the writer thread.
        finish_timeout_s: how long `finish` waits for MLflow.
        monotonic: clock for intervals and back-off, in seconds.
    """

    def __init__(
        self,
        settings: MLflowSettings,
        *,
        objective: Objective | None = None,
        depict_png: Callable[[str], bytes] | None = None,
        diversity: Callable[[Sequence[str]], float] | None = None,
        on_run: Callable[[str], None] | None = None,
        finish_timeout_s: float = 45.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = MLflowSink(
            settings,
            objective=objective,
            depict_png=depict_png,
            diversity=diversity,
            on_run=on_run,
        )
        super().__init__(
            self._run,
            workers=settings.workers,
            metered=settings.metered,
            front_of=objective if settings.ranked_by_front else None,
            republish=settings.republish,
            finish_timeout_s=finish_timeout_s,
            monotonic=monotonic,
        )

    @property
    def run_id(self) -> str | None:
        """Id of the run, once it exists."""
        return self._run.run_id

    @property
    def experiment_id(self) -> str | None:
        """Id of the experiment, once it is known."""
        return self._run.experiment_id


class MLflowSink:
    """One MLflow run. Arguments as of `MLflowTracker`; methods raise MLflow's errors."""

    name = "MLflow"

    def __init__(
        self,
        settings: MLflowSettings,
        *,
        objective: Objective | None = None,
        depict_png: Callable[[str], bytes] | None = None,
        diversity: Callable[[Sequence[str]], float] | None = None,
        on_run: Callable[[str], None] | None = None,
    ) -> None:
        self._settings = settings
        self._objective = objective
        self._depict_png = depict_png
        self._diversity = diversity
        self._on_run = on_run
        self.run_id: str | None = None
        self.experiment_id: str | None = None
        self._client: Any = None
        self._ready = False
        self._published = -1
        """MLflow may lack points of this step and later ones; it has all earlier ones."""
        self._table = ""
        self._pictures: set[str] = set()
        self._files: dict[Path, tuple[int, int]] = {}

    # -- Sink ------------------------------------------------------------------------------------

    def open(self, view: CampaignView) -> None:
        """Import mlflow, create the schema of a new store, create the run or find it again."""
        if self._ready:
            return
        if self._client is None:
            self._client = _client(self._settings.tracking_uri)
        if self.run_id is None and not self._continue_run():
            self._create_run(view)
        if self._published < 0:
            self._log_parameters()
        self._ready = True

    def write(self, points: Sequence[Point]) -> None:
        """Write points, leaving out the steps that a resumed run has already."""
        from mlflow.entities import Metric

        fresh = [
            Metric(point.key, point.value, point.timestamp_ms, point.step)
            for point in points
            if point.step >= self._published
        ]
        if fresh:
            self._client.log_batch(self.run_id, metrics=fresh)

    def refresh(self, view: CampaignView) -> None:
        """Rewrite the ranked table, send changed files, measure diversity."""
        for file in self._settings.artifacts:
            self._log_if_changed(file)
        if not view.top:
            return
        table = ranked_table(
            view,
            rows=self._settings.table_rows,
            objective=self._objective,
            pictures=self._log_pictures(view) if self._depict_png is not None else None,
        )
        self._log_table(canonical_json(table))
        if self._diversity is not None and len(view.top) > 1 and view.last_at is not None:
            value = float(self._diversity([record.candidate.text for record in view.top[:100]]))
            self.write(
                [
                    Point(
                        key=DIVERSITY,
                        value=value,
                        step=view.evaluations,
                        timestamp_ms=int(view.last_at * 1000),
                    )
                ]
            )

    def close(self, view: CampaignView, status: str) -> None:
        """Add the answer to the description and close the run; a resume sets it running again."""
        if self._settings.description:
            self._log_answer(view)
        self._client.set_terminated(
            self.run_id,
            status=RUN_STATUS.get(status, "FAILED"),
            end_time=_milliseconds(view.last_at),
        )

    def _log_answer(self, view: CampaignView) -> None:
        tags = self._client.get_run(self.run_id).data.tags
        question = self._settings.description[:_TAG_CHARACTERS_MAX]
        if not tags.get(_NOTE, "").startswith(question):
            return  # a person's words: not ours to change
        text = f"{question}\n\n{answer(view, self._objective)}"
        if view.best is not None:
            text += f"\n\n    {view.best.candidate.text}"
        self._client.set_tag(self.run_id, _NOTE, text)

    # -- runs ------------------------------------------------------------------------------------

    def _continue_run(self) -> bool:
        from mlflow.exceptions import MlflowException

        wanted = self._settings.run_id
        if wanted is None:
            return False
        try:
            run = self._client.get_run(wanted)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        if run.info.lifecycle_stage != "active":
            return False
        self._client.update_run(wanted, status="RUNNING")
        history = self._client.get_metric_history(wanted, IN_EVERY_SAMPLE)
        self._published = max((metric.step for metric in history), default=-1)
        self._opened_run(wanted, run.info.experiment_id)
        return True

    def _create_run(self, view: CampaignView) -> None:
        settings = self._settings
        experiment_id = self._experiment()
        tags = {
            "mlflow.source.name": "heuresis",
            "mlflow.source.type": "LOCAL",
            "mlflow.user": _user(),
            **settings.tags,
        }
        if settings.description:
            tags[_NOTE] = settings.description
        run = self._client.create_run(
            experiment_id,
            run_name=settings.run_name,
            start_time=_milliseconds(view.started_at),
            tags={key: value[:_TAG_CHARACTERS_MAX] for key, value in tags.items()},
        )
        self._opened_run(run.info.run_id, experiment_id)

    def _opened_run(self, run_id: str, experiment_id: str) -> None:
        self.run_id, self.experiment_id = run_id, experiment_id
        if self._on_run is not None:
            self._on_run(run_id)

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        name = self._settings.experiment
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                created = self._client.create_experiment(
                    name,
                    artifact_location=artifact_location(self._settings.tracking_uri),
                    # Else traces flip the page into the view for chat applications.
                    tags={"mlflow.experimentKind": "custom_model_development"},
                )
            except MlflowException:  # another campaign may have been faster
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
            else:
                return str(created)
        if found.lifecycle_stage != "active":
            raise UserError(
                f"the experiment '{name}' was deleted there; restore it,"
                " or choose another experiment name"
            )
        return str(found.experiment_id)

    def _log_parameters(self) -> None:
        from mlflow.entities import Param

        given = [Param(key, value) for key, value in parameters(self._settings.spec).items()]
        for start in range(0, len(given), _PARAMETERS_PER_REQUEST):
            self._client.log_batch(
                self.run_id, params=given[start : start + _PARAMETERS_PER_REQUEST]
            )

    # -- files -----------------------------------------------------------------------------------

    def _log_table(self, text: str) -> None:
        """Rewrite the table; MLflow's own ``log_table`` appends, and its tag overflows."""
        if text == self._table:
            return
        self._log_bytes(TABLE_FILE, text.encode())
        if not self._table:
            listing = canonical_json([{"path": TABLE_FILE, "type": "table"}])
            self._client.set_tag(self.run_id, "mlflow.loggedArtifacts", listing)
        self._table = text

    def _log_pictures(self, view: CampaignView) -> dict[str, str]:
        assert self._depict_png is not None
        pictures: dict[str, str] = {}
        for record in view.ranked(self._settings.table_rows):
            candidate = record.candidate
            path = f"{PICTURE_FOLDER}/{candidate.id}.png"
            if path not in self._pictures:
                try:
                    picture = self._depict_png(candidate.text)
                except Exception as error:  # a picture is a courtesy, the row is what counts
                    logging.getLogger(__name__).debug("no picture of %s: %s", candidate.id, error)
                    continue
                self._log_bytes(path, picture)
                self._pictures.add(path)
            pictures[candidate.id] = path
        return pictures

    def _log_if_changed(self, file: Path) -> None:
        if not file.is_file():
            return
        stat = file.stat()
        version = (stat.st_mtime_ns, stat.st_size)
        if self._files.get(file) != version:
            self._client.log_artifact(self.run_id, str(file))
            self._files[file] = version

    def _log_bytes(self, path: str, data: bytes) -> None:
        folder, _, name = path.rpartition("/")
        with tempfile.TemporaryDirectory(prefix="heuresis-") as scratch:
            file = Path(scratch) / name
            file.write_bytes(data)
            self._client.log_artifact(self.run_id, str(file), folder or None)


def _client(tracking_uri: str) -> Any:
    """Return a client; a new SQLite store gets its schema here, which takes seconds."""
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    folder = store_folder(tracking_uri)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    # MLflow uses what its own dependencies deprecate; a program that turns warnings into errors
    # must not lose its tracking to that.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"mlflow\.")
    from mlflow import MlflowClient

    # Schema creation logs each of its migrations.
    for name in ("alembic", "mlflow.store", "mlflow.tracking"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=tracking_uri)


def _milliseconds(time_s: float | None) -> int | None:
    return None if time_s is None else int(time_s * 1000)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without an entry for this user
        return "unknown"
