"""Lets Ray's processes take minutes to come up, on a machine that is busy with other work.

Ray 2.60 gives a new node 15 s to hear from its agents, and 30 s to appear in its own books; then it
aborts. Both limits are fixed. A node that is told its agents' ports beforehand need not wait for
them, and its books can be asked again.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

START_LIMIT_S = 180.0
"""How long Ray's processes may take to come up."""
_AGENT_PORTS = (
    "metrics_agent_port",
    "metrics_export_port",
    "runtime_env_agent_port",
    "dashboard_agent_listen_port",
)
_TOLD_BY_FILE = "dashboard_agent_listen_port"
"""The one port that a node reads from a file only, which its agent writes when it is up."""


@contextlib.contextmanager
def patient_start(limit_s: float = START_LIMIT_S) -> Iterator[None]:
    """Start Ray nodes with patience inside this context.

    It reaches into Ray's private parts; where a Ray does not have them, Ray's own limits hold.
    """
    try:
        services: Any = import_module("ray._private.services")
        node_class: Any = import_module("ray._private.node").Node
        ask, start = services.get_node, node_class.start_raylet
    except (ImportError, AttributeError):
        yield
        return

    def get_node(*arguments: Any, **options: Any) -> Any:
        deadline = time.monotonic() + limit_s
        while True:
            try:
                return ask(*arguments, **options)
            except RuntimeError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.2)

    def start_raylet(node: Any, *arguments: Any, **options: Any) -> Any:
        with contextlib.suppress(AttributeError, OSError):
            _tell_ports(node)
        return start(node, *arguments, **options)

    services.get_node, node_class.start_raylet = get_node, start_raylet
    try:
        yield
    finally:
        services.get_node, node_class.start_raylet = ask, start


def _tell_ports(node: Any) -> None:
    parameters, folder, number = node._ray_params, node.get_session_dir_path(), node._node_id
    free = _free_ports(len(_AGENT_PORTS))
    for name, port in zip(_AGENT_PORTS, free, strict=True):
        setattr(parameters, name, port)
    file = Path(folder) / f"{_TOLD_BY_FILE}_{number}"
    file.write_text(str(getattr(parameters, _TOLD_BY_FILE)), encoding="ascii")


def _free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody listens on at the moment."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
