"""One Ray session: our own on this machine, or a cluster's. Used by campaigns and by trainings.

An own session listens on loopback only and asks for a token (`ray_settings`).
"""

from __future__ import annotations

import contextlib
import logging
from importlib import import_module
from typing import Any

import ray

from heuresis.errors import HeuresisError, UserError
from heuresis.execution import ray_settings


class RaySession:
    """Connects this process to Ray.

    Args:
        address: address of a running cluster; None: a session of our own on this machine.
        dashboard: serve Ray's dashboard (own sessions only).
        dashboard_port: port for it; None: 8265, or the next free one.
        worker_logs: print what Ray's processes print (for debugging).
        cpus: cores that an own session hands out; None: those of the machine.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        dashboard: bool = True,
        dashboard_port: int | None = None,
        worker_logs: bool = False,
        cpus: int | None = None,
    ) -> None:
        self._address = address
        self._dashboard = dashboard
        self._dashboard_port = dashboard_port
        self._worker_logs = worker_logs
        self._cpus = cpus
        self._is_own = False
        self.dashboard_url: str | None = None
        """Address of the dashboard, None without one."""

    @property
    def dashboard_advice(self) -> str | None:
        """One line for the user: where the dashboard is and how to get in; None without one."""
        if self.dashboard_url is None:
            return None
        moved = ""
        usual = self._dashboard_port or ray_settings.DASHBOARD_PORT
        if self._is_own and not self.dashboard_url.endswith(f":{usual}"):
            moved = f" (port {usual} was taken)"
        return f"{self.dashboard_url}{moved}; {ray_settings.token_advice()}"

    def start(self) -> None:
        """Connect, unless this process is connected already.

        Raises:
            UserError: no cluster answers, or Ray cannot start here.
        """
        if ray.is_initialized():
            return
        quiet: dict[str, Any] = {
            "log_to_driver": self._worker_logs,
            "logging_level": logging.INFO if self._worker_logs else logging.ERROR,
        }
        try:
            with ray_settings.own_signal_handlers():
                if self._address is None:
                    self._start_own(quiet)
                else:
                    ray_settings.prepare_connection(self._address)
                    _use_token_if_there_is_one()
                    context = ray.init(address=self._address, **quiet)
                    self.dashboard_url = ray_settings.web_address(context.dashboard_url)
        except HeuresisError:
            raise
        except Exception as error:
            # Anything: what does not come up in time, Ray says by a bare Exception.
            raise UserError(self._why_not(error)) from error
        if not self._worker_logs:
            # Deaths of workers are ours to report; Ray would print a page for each on stdout.
            ray._private.worker._worker_logs_enabled = False

    def _why_not(self, error: Exception) -> str:
        where = f"at '{self._address}'" if self._address else "on this machine"
        first_line = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        advice = "check address, port and token, or work without Ray"
        if "timed out" in first_line:
            advice = (
                "a machine that is too busy does not bring Ray up in time: try again when it is"
                " less so, or work without Ray"
            )
        return f"no Ray session {where}: {first_line}; {advice} (heuresis run --executor inline)"

    def _start_own(self, quiet: dict[str, Any]) -> None:
        ray_settings.check_port(self._dashboard_port if self._dashboard else None)
        ray_settings.prepare_local_session()
        # Ray has read this setting of ours already, when it was imported.
        ray._private.ray_constants.ENABLE_RAY_CLUSTER = False
        context = ray.init(
            address="local",
            num_cpus=self._cpus,
            # None: with it, but a dashboard that does not come up must not stop a campaign.
            include_dashboard=None if self._dashboard else False,
            dashboard_host=ray_settings.LOOPBACK,
            dashboard_port=self._dashboard_port,
            object_store_memory=ray_settings.object_store_bytes(),
            _node_ip_address=ray_settings.LOOPBACK,
            _temp_dir=ray_settings.session_folder(),
            **quiet,
        )
        self._is_own = True
        if not ray_settings.session_asks_for_token():
            ray.shutdown()
            raise RuntimeError("Ray started without asking for a token, so it was stopped")
        self.dashboard_url = (
            ray_settings.web_address(context.dashboard_url) if self._dashboard else None
        )

    def close(self) -> None:
        """End the session if it is our own. Safe to call twice."""
        if self._is_own and ray.is_initialized():
            ray.shutdown()
            ray_settings.forget_local_session()
            ray._private.ray_constants.ENABLE_RAY_CLUSTER = True
        self._is_own = False


def _use_token_if_there_is_one() -> None:
    """Do for a cluster at a given address what Ray does by itself for one that it finds."""
    with contextlib.suppress(ImportError, AttributeError):
        setup = import_module("ray._private.authentication.authentication_token_setup")
        setup.logger.setLevel(logging.ERROR)  # it would announce what the user has asked for
        setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
