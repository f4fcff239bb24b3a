"""The folder of one run: ledger, specs, checkpoints. Who holds the ledger's lease works in it."""

from __future__ import annotations

import json
import os
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from heuresis.campaign.resolve import ResolvedCampaign
from heuresis.campaign.yaml_tree import write_yaml
from heuresis.errors import LedgerError, RunError
from heuresis.ledger.journal import JournalLedger
from heuresis.ledger.location import LedgerURL, parse_url, require_run_id, with_password
from heuresis.ledger.sqlite import SQLiteLedger, sync_folder

RUNS = Path("runs")
_ATTEMPTS = 1000
_NOTING = threading.Lock()


class _Facts(BaseModel):
    """What is read back of `RunFolder.facts`; the rest is for people."""

    model_config = ConfigDict(extra="allow")

    executor: Literal["ray", "local", "inline"] | None = None
    tracking_uri: str | None = None
    measurements: str | None = None
    mlflow_run_id: str | None = Field(None, pattern=r"^[0-9a-f]{32}$")
    metered: list[str] | None = None
    host: str | None = None


class _Place(BaseModel):
    """What stands in `RunFolder.ledger_place`."""

    model_config = ConfigDict(extra="forbid")

    url: str
    run: str


@dataclass(frozen=True)
class RunFolder:
    """Names of what is in a run's folder."""

    path: Path

    @property
    def ledger(self) -> Path:
        """The append-only journal."""
        return self.path / "ledger.sqlite"

    @property
    def ledger_place(self) -> Path:
        """Says in which database the journal is, if it is in none of this folder's files."""
        return self.path / "ledger.json"

    @property
    def holds_a_run(self) -> bool:
        """Whether there is a journal, here or in a database."""
        return self.ledger.is_file() or self.ledger_place.is_file()

    @property
    def original(self) -> Path:
        """The campaign file as the user wrote it."""
        return self.path / "campaign.yaml"

    @property
    def resolved(self) -> Path:
        """The campaign with every default and override filled in."""
        return self.path / "resolved.yaml"

    @property
    def checkpoints(self) -> Path:
        """Learned states of proposers."""
        return self.path / "checkpoints"

    @property
    def report(self) -> Path:
        """The self-contained HTML report."""
        return self.path / "report.html"

    @property
    def versions(self) -> Path:
        """What the latest session ran with: Heuresis, oracles, Python and packages."""
        return self.path / "versions.json"

    @property
    def facts(self) -> Path:
        """Addresses and ids of the latest session, see `read_facts`."""
        return self.path / "run.json"

    @property
    def traceback(self) -> Path:
        """Where the stack trace of an unexpected error goes."""
        return self.path / "error.txt"

    def read_facts(self) -> dict[str, Any]:
        """Return what earlier sessions noted, an empty mapping if there is nothing readable.

        Raises:
            RunError: somebody changed it into what no session writes.
        """
        try:
            facts = json.loads(self.facts.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        try:
            _Facts.model_validate(facts, strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"])) or "the whole"
            raise RunError(
                f"{self.facts}: {key} is not what a session writes ({first['msg']}); delete the"
                " file: all that counts is in the ledger"
            ) from error
        return dict(facts)

    def note_facts(self, **facts: Any) -> None:
        """Add facts for people and for the next session; replaces the file in one step."""
        with _NOTING:  # the MLflow writer notes its run id from its own thread
            text = json.dumps({**self.read_facts(), **facts}, indent=2, sort_keys=True)
            temporary = self.facts.with_suffix(".tmp")
            temporary.write_text(text + "\n", encoding="utf-8")
            temporary.replace(self.facts)


def create_run(
    campaign: ResolvedCampaign,
    run_dir: Path | None = None,
    *,
    runs: Path = RUNS,
    database: LedgerURL | None = None,
) -> RunFolder:
    """Make the folder of a new run, ``runs/<campaign>-<n>`` or ``run_dir``, and fill in the specs.

    Args:
        campaign: what will run.
        run_dir: where; default: the next free number under ``runs``.
        runs: where runs are by default.
        database: keeps the ledger; None: a file in the folder.

    Raises:
        RunError: it cannot be written, or already holds a run.
    """
    folder = RunFolder((run_dir or _next_free(runs, campaign.spec.campaign)).absolute())
    if folder.holds_a_run:
        raise RunError(
            f"{folder.path} already holds a run; continue it with: heuresis resume {folder.path}"
        )
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        if campaign.file is not None:
            folder.original.write_bytes(campaign.file.read_bytes())
        write_durably(folder.resolved, resolved_yaml(campaign))
        folder.checkpoints.mkdir(exist_ok=True)
        if database is not None:
            place = _Place(url=database.shown, run=new_run_id(campaign.spec.campaign))
            write_durably(folder.ledger_place, place.model_dump_json() + "\n")
    except OSError as error:
        raise RunError(
            f"cannot write the run folder {folder.path}: {error.strerror};"
            " choose another with --run-dir"
        ) from error
    return folder


def write_durably(file: Path, text: str) -> None:
    """Replace a file in one step that survives the death of the machine."""
    temporary = file.with_name(f".{file.name}.tmp")
    with temporary.open("w", encoding="utf-8") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    temporary.replace(file)
    sync_folder(file.parent)


def resolved_yaml(campaign: ResolvedCampaign) -> str:
    """Return the resolved campaign as YAML that can be run again."""
    text = write_yaml(campaign.document())
    return f"# Every default filled in. Spec hash: {campaign.spec_hash}\n{text}"


def _next_free(runs: Path, campaign: str) -> Path:
    for number in range(1, _ATTEMPTS):
        path = runs / f"{campaign}-{number}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            if runs.exists() and not runs.is_dir():
                raise RunError(
                    f"cannot write run folders: {runs.absolute()} is a file; choose with --run-dir"
                ) from None
            continue
        except OSError as error:
            raise RunError(
                f"cannot write the run folder {path.absolute()}: {error.strerror};"
                " choose another with --run-dir"
            ) from error
        return path
    raise RunError(f"{runs} holds {_ATTEMPTS} runs of '{campaign}'; choose a folder with --run-dir")


def find_run(name: str, *, runs: Path = RUNS) -> RunFolder:
    """Return an existing run by its path, or by its name under ``runs/``.

    Raises:
        RunError: there is none; lists the runs that are there.
    """
    places = [Path(name)]
    if Path(name).name == name and name not in ("", ".", ".."):  # a name leads nowhere else
        places.append(runs / name)
    for path in places:
        if RunFolder(path).holds_a_run:
            return RunFolder(path.absolute())
    folders = sorted(runs.iterdir()) if runs.is_dir() else []
    there = [path.name for path in folders if RunFolder(path).holds_a_run]
    known = f"runs here: {', '.join(there[-8:])}" if there else "there are no runs here yet"
    raise RunError(f"no run at '{name}' (a folder with a ledger); {known}")


def open_ledger(folder: RunFolder) -> JournalLedger:
    """Open a run's ledger for reading.

    Raises:
        RunError: it is missing or cannot be opened.
    """
    return _open(folder, read_only=True, take_over=False)


def open_writer(folder: RunFolder, *, take_over: bool = False) -> JournalLedger:
    """Open a run's ledger for writing; this process works in the run until it is closed.

    Raises:
        RunError: another process works in it, or it cannot be opened.
    """
    return _open(folder, read_only=False, take_over=take_over)


def _open(folder: RunFolder, *, read_only: bool, take_over: bool) -> JournalLedger:
    place = ledger_database(folder)
    create = not read_only
    ledger: JournalLedger
    try:
        if place is None:
            ledger = SQLiteLedger.open(
                folder.ledger, create=create, read_only=read_only, take_over=take_over
            )
        else:
            from heuresis.ledger.postgresql import PostgreSQLLedger

            ledger = PostgreSQLLedger.open(
                *place, create=create, read_only=read_only, take_over=take_over
            )
    except LedgerError as error:
        raise RunError(named(str(error), folder)) from error
    ledger.run = str(folder.path)
    return ledger


def ledger_database(folder: RunFolder) -> tuple[LedgerURL, str] | None:
    """Return the database and the name in it of a run's ledger; None: it is a file.

    Raises:
        RunError: what says so was changed.
    """
    try:
        text = folder.ledger_place.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"cannot read {folder.ledger_place}: {error.strerror}") from error
    try:
        place = _Place.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise RunError(
            f"{folder.ledger_place} does not say where the ledger is: {error.errors()[0]['msg']}"
        ) from error
    url = parse_url(place.url, str(folder.ledger_place))
    return with_password(url), require_run_id(place.run)


def new_run_id(campaign: str) -> str:
    """Return a name for a run in a database, where runs of many folders and hosts meet."""
    return f"{campaign[:40].rstrip('-')}-{uuid.uuid4().hex[:8]}"


def named(message: str, folder: RunFolder) -> str:
    """Put the run into the commands that a message of its ledger advises."""
    return message.replace(" RUN", f" {folder.path}")
