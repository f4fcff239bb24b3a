"""How ``heuresis ui`` opens MLflow: the command, its environment, links. Does not import mlflow."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from heuresis.errors import UserError

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 5000
SQLITE = "sqlite:///"


@dataclass(frozen=True, kw_only=True)
class ServerCommand:
    """What to hand to `subprocess.Popen` (with ``start_new_session=True``, to stop its workers)."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    url: str


def sqlite_uri(file: Path) -> str:
    """Return the tracking URI of an SQLite store."""
    return f"{SQLITE}{file.resolve()}"


def store_folder(tracking_uri: str) -> Path | None:
    """Return the folder of an SQLite store; None for a server."""
    if not tracking_uri.startswith(SQLITE):
        return None
    return Path(tracking_uri.removeprefix(SQLITE)).resolve().parent


def artifact_location(tracking_uri: str) -> str | None:
    """Return where artifacts of a local store go: next to it. None: the server decides."""
    folder = store_folder(tracking_uri)
    return None if folder is None else (folder / "artifacts").as_uri()


def require_free_port(host: str, port: int) -> None:
    """Check that a server can listen there.

    Raises:
        UserError: the port is taken, not allowed, or the host is not one of this machine.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As the server does: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise UserError(
                f"cannot listen on {host}:{port} ({error}); choose another port with"
                f" --port, e.g. --port {port + 1 if 0 < port < 65535 else DEFAULT_PORT}"
            ) from error


def server_command(
    tracking_uri: str,
    *,
    host: str = LOOPBACK,
    port: int = DEFAULT_PORT,
    environment: Mapping[str, str] | None = None,
) -> ServerCommand:
    """Return the command that serves an SQLite store on this machine.

    One worker and no job runner: it starts in seconds and needs a third of the memory.

    Args:
        tracking_uri: ``sqlite:///…`` of the store.
        host: address to listen on; only requests for it and for localhost are answered.
        port: TCP port.
        environment: what to add to; None: this process's environment.

    Raises:
        UserError: not an SQLite store, or the port is taken.
    """
    folder = store_folder(tracking_uri)
    if folder is None:
        raise UserError(
            f"expected a local store '{SQLITE}…', got '{tracking_uri}';"
            " a tracking server shows its pages itself: open it in a browser"
        )
    require_free_port(host, port)
    hosts = sorted({f"{name}:{port}" for name in (host, "localhost", LOOPBACK)})
    argv = (
        sys.executable, "-m", "mlflow", "server",
        "--backend-store-uri", tracking_uri,
        "--artifacts-destination", (folder / "artifacts").as_uri(),
        "--host", host,
        "--port", str(port),
        "--workers", "1",
        "--allowed-hosts", ",".join(hosts),
        "--uvicorn-opts", "--log-level warning",
    )  # fmt: skip
    return ServerCommand(
        argv=argv,
        environment={
            **(os.environ if environment is None else environment),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
        },
        url=f"http://{'localhost' if host == LOOPBACK else host}:{port}",
    )


def ui_url(server: str, experiment_id: str, run_id: str, *, page: str = "") -> str:
    """Return the address of a run's page on a server.

    Args:
        server: ``http://host:port``.
        experiment_id: id of the run's experiment.
        run_id: id of the run.
        page: empty for the overview; ``model-metrics``, ``artifacts`` or
            ``artifacts/ranked_candidates.json`` for what it says.
    """
    address = f"{server.rstrip('/')}/#/experiments/{quote(experiment_id)}/runs/{quote(run_id)}"
    # Without the query the page may open in the view for chat applications.
    return f"{address}{f'/{page}' if page else ''}?workflowType=machine_learning"
