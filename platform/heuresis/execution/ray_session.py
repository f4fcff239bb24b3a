"""One Ray session: our own on this machine, or a cluster's. Used by campaigns and by trainings.

An own session listens on loopback only and asks for a token (`ray_settings`).
"""

from __future__ import annotations

import contextlib
import logging
import time
from importlib import import_module
from typing import Any

import ray

from heuresis.errors import HeuresisError, UserError
from heuresis.execution import ray_settings
from heuresis.execution.ray_patience import patient_start

LOST_AFTER_S = 25.0
"""A cluster whose head has not answered for so long is given up. After 60 s Ray ends our process,
without a word of what to do."""
ASK_EVERY_S = 5.0
abandoned = False
"""Whether this process has let go of a lost cluster; then Ray will not let it end in good order."""


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
        self._head = ""
        self._asked_at = 0.0
        self._silent_since: float | None = None
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
            self._head = ray.get_runtime_context().gcs_address
            return
        quiet: dict[str, Any] = {
            "log_to_driver": self._worker_logs,
            "logging_level": logging.INFO if self._worker_logs else logging.ERROR,
        }
        try:
            with ray_settings.own_signal_handlers():
                if self._address is None:
                    with patient_start():
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
        self._head = ray.get_runtime_context().gcs_address
        if not self._worker_logs:
            # Deaths of workers are ours to report; Ray would print a page for each on stdout.
            ray._private.worker._worker_logs_enabled = False

    def is_lost(self) -> bool:
        """Tell whether the cluster's head has been silent for too long; cheap to ask often."""
        now = time.monotonic()
        if self._head and now - self._asked_at >= ASK_EVERY_S:
            self._asked_at = now
            if ray_settings.answers(self._head):
                self._silent_since = None
            elif self._silent_since is None:
                self._silent_since = now
        return self._silent_since is not None and now - self._silent_since >= LOST_AFTER_S

    def await_answer(self) -> bool:
        """Wait until the head answers, return False when it is lost.

        Before anything that Ray asks its head for: it would wait until it ends our process.
        """
        while not ray_settings.answers(self._head):
            if self.is_lost():
                return False
            time.sleep(0.5)
        return True

    def abandon(self) -> None:
        """Let go of a lost cluster without asking it for anything."""
        global abandoned
        self._is_own = False
        abandoned = True

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
