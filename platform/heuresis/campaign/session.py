"""One session of a campaign: take the lease, replay the ledger, turn the loop, end it well.

``run`` and ``resume`` are the same thing here: an empty ledger replays to the beginning.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os import getpid
from pathlib import Path
from typing import Any, Literal, Protocol

from heuresis.campaign.artifacts import CheckpointDigests, check_checkpoints
from heuresis.campaign.build import build_plan, environment, versions
from heuresis.campaign.changes import changed_error
from heuresis.campaign.interruption import Interruption
from heuresis.campaign.reporting import metered_oracles, write_campaign_report
from heuresis.campaign.resolve import ResolvedCampaign, budget_document
from heuresis.campaign.run_folder import (
    RunFolder,
    named,
    open_writer,
    resolved_yaml,
    write_durably,
)
from heuresis.campaign.tracking import mlflow_tracker
from heuresis.engine.budget import Budget, budget_words
from heuresis.engine.controller import Controller, RunEnd
from heuresis.engine.plan import CampaignPlan
from heuresis.engine.state import CampaignState
from heuresis.errors import HeuresisError, LeaseLostError, LedgerError, RunError
from heuresis.events import BudgetExtended, Entry
from heuresis.execution.sharing import SharingExecutor
from heuresis.ledger.journal import JournalLedger
from heuresis.ports import Executor, Tracker
from heuresis.tasks import PoolSpec

CLOCK_INTERVAL_S = 2.0
"""How often the running time is noted in the ledger: what kill -9 may lose of it."""


@dataclass(frozen=True, kw_only=True)
class SessionSettings:
    """How a session runs; nothing here changes what a campaign finds with the same ledger."""

    executor: Literal["ray", "local", "inline"] = "ray"
    ray_address: str | None = None
    tracking_uri: str | None = None
    """MLflow store or server; None: no MLflow."""
    settle_limit_s: float = 30.0
    """How long running work may settle after a stop was asked."""
    budget: Budget | None = None
    """Replaces the limits that were granted so far, recorded as an event."""
    measurements: Path | None = None
    """File through which campaigns share measurements; None: everything is measured."""
    take_over: bool = False
    """Take the ledger's lease from a process of another host that is known to be gone."""


class Watcher(Tracker, Protocol):
    """A tracker that also sees the session, e.g. the live view of the terminal."""

    def attach(self, session: Session) -> None:
        """Called once, when the ledger is replayed and the workers start."""
        ...


class Session:
    """Runs one campaign in its folder. Use once: construct, `run`, discard.

    Args:
        campaign: what to run.
        folder: where; an existing ledger is continued.
        settings: how.
        watchers: who wants to see it.
        say: called with one line for the user when something unusual happens.
    """

    def __init__(
        self,
        campaign: ResolvedCampaign,
        folder: RunFolder,
        settings: SessionSettings,
        *,
        watchers: Sequence[Watcher] = (),
        say: Callable[[str], None] = print,
    ) -> None:
        self.campaign = campaign
        self.folder = folder
        self.settings = settings
        self.plan: CampaignPlan = build_plan(campaign, checkpoints=folder.checkpoints)
        self.budget: Budget = self.plan.budget
        """The limits in force: the file's, or those that were granted later."""
        self.executor: Executor = make_executor(settings, campaign, folder)
        if settings.measurements is not None:
            self.executor = SharingExecutor(
                self.executor,
                settings.measurements,
                {oracle.name: oracle.declaration for oracle in campaign.oracles},
                run=folder.path.name,
                in_order=settings.executor == "inline",
                say=say,
            )
        self.mlflow: Any | None = None
        """The `MLflowTracker`, if there is one."""
        self.number = 0
        self._watchers = tuple(watchers)
        self._say = say
        self._previous_s = 0.0
        self._began: float | None = None

    @property
    def elapsed_s(self) -> float:
        """Running time of the campaign over all sessions, seconds."""
        return self._previous_s + (time.monotonic() - self._began if self._began else 0.0)

    @property
    def dashboard(self) -> str | None:
        """One line that says where Ray's dashboard is; None without one."""
        advice: str | None = getattr(self.executor, "dashboard_advice", None)
        return advice

    def run(self) -> RunEnd:
        """Run until the campaign ends, pauses itself, or is interrupted.

        Raises:
            UserError: the run folder is in use, finished or damaged; workers cannot start.
        """
        with Interruption(self._say) as interruption:
            ledger = open_writer(self.folder, take_over=self.settings.take_over)
            try:
                return self._run(ledger, interruption)
            except LedgerError as error:
                raise type(error)(named(str(error), self.folder)) from error
            except HeuresisError:
                raise
            except Exception as error:
                self.folder.traceback.write_text(traceback.format_exc(), encoding="utf-8")
                error.heuresis_traceback = self.folder.traceback  # type: ignore[attr-defined]
                raise
            finally:
                ledger.close()

    def _run(self, ledger: JournalLedger, interruption: Interruption) -> RunEnd:
        self._require_same(ledger)
        self._previous_s = sum(float(row["seconds"]) for row in ledger.sessions())
        self.folder.versions.write_text(
            json.dumps(environment(self.campaign), indent=2) + "\n", encoding="utf-8"
        )
        if self.settings.tracking_uri is not None:
            self.mlflow = mlflow_tracker(
                self.campaign, self.plan, self.folder, self.settings.tracking_uri
            )
        trackers: list[Tracker] = [
            _Clock(ledger, self),
            CheckpointDigests(self.folder, ledger),
            *self._watchers,
        ]
        if self.mlflow is not None:
            trackers.append(self.mlflow)
        controller = Controller(
            self.plan,
            ledger,
            self.executor,
            trackers,
            now=time.time,
            settle_limit_s=self.settings.settle_limit_s,
        )
        controller.replay(versions=versions(self.campaign), seen=self._show_past)
        ledger.note_spec(self.plan.spec_hash, self.campaign.document())
        self._extend(controller)
        status = "failed"
        try:
            end = self._turn(ledger, controller, interruption)
            if end.kind == "interrupted":
                ledger.require_lease()
            status = end.kind
            return end
        except KeyboardInterrupt:
            status = "interrupted"
            return RunEnd(kind="interrupted", reason="stopped at once")
        except LeaseLostError:
            trackers = [t for t in trackers if t is not self.mlflow]  # the run goes on elsewhere
            raise
        finally:
            interruption.ending()
            self.executor.close()
            if status != "failed":
                self._report(status)
            for tracker in trackers:
                tracker.finish(status)

    def _show_past(self, entries: Sequence[Entry]) -> None:
        if self.mlflow is not None:
            self.mlflow.replay(entries)
        for watcher in self._watchers:
            watcher.record(entries)

    def _report(self, status: str) -> None:
        """Write the report; a run is not lost because its picture cannot be drawn."""
        try:
            write_campaign_report(self.campaign, self.folder, status=status)
        except HeuresisError as error:
            self._say(str(error))

    def _require_same(self, ledger: JournalLedger) -> None:
        """Make sure that this is the campaign of the ledger; the ledger's budget is the one."""
        began = ledger.of_kind("campaign_started", "forked")
        if not began:
            return
        spec_hash = getattr(began[-1].event, "spec_hash", "")
        kept = ledger.specs().get(spec_hash)
        if spec_hash != self.plan.spec_hash:
            raise changed_error(self.folder, self.campaign, kept)
        limits = [e.event.budget for e in ledger.of_kind("budget_extended")]  # type: ignore[union-attr]
        granted = limits[-1] if limits else kept["budget"] if kept is not None else None
        if granted is None:
            return
        budget = Budget.model_validate(granted)
        if self.settings.budget is None and budget != self.campaign.spec.budget:
            self._say(
                f"the budget in {self.folder.resolved.name} is not the one that was granted; the"
                f" ledger's counts: {budget_words(budget)}. To change it: --budget"
            )
        self.campaign = self.campaign.with_budget(budget)
        self.plan = replace(self.plan, budget=budget)

    def _extend(self, controller: Controller) -> None:
        granted = self.settings.budget
        if granted is not None:
            self._require_room(granted, controller.state)
            before = controller.state.budget
            controller.extend_budget(
                BudgetExtended(budget=granted.model_dump(mode="json", exclude_none=True))
            )
            self._say(f"budget: {budget_words(before)} → {budget_words(granted)}")
            self.campaign = self.campaign.with_budget(granted)
            write_durably(self.folder.resolved, resolved_yaml(self.campaign))
        self.budget = controller.state.budget
        if controller.state.finished is not None:
            raise RunError(
                f"{self.folder.path.name} is finished ({controller.state.finished}); look at it"
                f" with: heuresis top {self.folder.path}; or grant more:"
                f" heuresis resume {self.folder.path} --budget evaluations=N"
            )
        limit_s = self.budget.wall_time
        if limit_s is not None and self._previous_s >= limit_s:
            raise RunError(
                f"{self.folder.path.name} has used its wall time ({limit_s:g} s); grant more:"
                f" heuresis resume {self.folder.path} --budget 'wall_time={2 * limit_s:g} s'"
            )

    def _require_room(self, granted: Budget, state: CampaignState) -> None:
        """Refuse limits that are spent already; a person who grants them has miscounted."""
        spent = {"candidates": state.admitted}
        limits: dict[str, int | None] = {"candidates": granted.candidates}
        if isinstance(granted.evaluations, int):
            spent["evaluations"] = state.spent_metered()
            limits["evaluations"] = granted.evaluations
        for name, limit in limits.items():
            if limit is not None and limit <= spent[name]:
                raise RunError(
                    f"{spent[name]} {name} of {self.folder.path.name} are spent already, so"
                    f" {name}={limit} leaves nothing to do; limits count from the beginning of the"
                    f" run: grant more than {spent[name]}"
                )

    def _turn(
        self, ledger: JournalLedger, controller: Controller, interruption: Interruption
    ) -> RunEnd:
        self._began = time.monotonic()
        self.number = ledger.begin_session(
            time.time(),
            {"executor": self.settings.executor, "host": socket.gethostname(), "pid": getpid()},
        )
        ledger.keep_lease(
            lambda: controller.ask_stop("another process took the ledger over", at_once=True)
        )
        self.executor.start(self._pools(controller.state.checkpoints, ledger))
        if self.mlflow is not None:
            self.mlflow.start()
        self._note_facts()
        for watcher in self._watchers:
            watcher.attach(self)
        interruption.tell(controller.ask_stop)
        over = threading.Event()
        watchdog = threading.Thread(
            target=self._watch_wall_time,
            args=(controller, over, interruption),
            name="wall-time",
            daemon=True,
        )
        watchdog.start()
        try:
            return controller.run()
        finally:
            over.set()
            watchdog.join()

    def _watch_wall_time(
        self, controller: Controller, over: threading.Event, interruption: Interruption
    ) -> None:
        limit_s = self.budget.wall_time
        if limit_s is None:
            return
        expired = not over.wait(max(0.0, limit_s - self.elapsed_s))
        if expired and not interruption.asked:  # who was stopped by a person is not finished
            controller.ask_stop("budget: wall time", finish=True)

    def _pools(self, checkpoints: dict[str, str], ledger: JournalLedger) -> list[PoolSpec]:
        learned = check_checkpoints(self.folder, checkpoints, ledger)
        return [
            pool.model_copy(update={"checkpoint": str(learned[pool.name])})
            if pool.name in learned
            else pool
            for pool in self.plan.pools
        ]

    def _note_facts(self) -> None:
        self.folder.note_facts(
            campaign=self.plan.campaign,
            spec_hash=self.plan.spec_hash,
            executor=self.settings.executor,
            ray_dashboard=getattr(self.executor, "dashboard_url", None),
            tracking_uri=self.settings.tracking_uri,
            measurements=str(self.settings.measurements) if self.settings.measurements else None,
            budget=budget_document(self.budget),
            metered=metered_oracles(self.campaign),
            process=getpid(),
            host=socket.gethostname(),
        )


class _Clock:
    """Notes the running time in the ledger, from the loop's own thread, as SQLite wants it."""

    def __init__(self, ledger: JournalLedger, session: Session) -> None:
        self._ledger = ledger
        self._session = session
        self._noted = 0.0

    def record(self, entries: Sequence[Entry]) -> None:  # noqa: ARG002 - any entry is a tick
        now = time.monotonic()
        if self._session.number and now - self._noted >= CLOCK_INTERVAL_S:
            self._noted = now
            self._note(None)

    def finish(self, status: str) -> None:
        if self._session.number:
            with contextlib.suppress(LedgerError):  # the journal is whole; only this is not noted
                self._note(status)

    def _note(self, ending: str | None) -> None:
        seconds = self._session.elapsed_s - self._session._previous_s
        self._ledger.note_session(self._session.number, time.time(), seconds, ending)


def make_executor(
    settings: SessionSettings, campaign: ResolvedCampaign, folder: RunFolder
) -> Executor:
    """Return the executor that the settings ask for; nothing is started yet."""
    if settings.executor == "inline":
        from heuresis.execution.inline import InlineExecutor

        return InlineExecutor(plugins=campaign.plugins.loader)
    if settings.executor == "local":
        from heuresis.execution.local import LocalExecutor

        return LocalExecutor(plugins=campaign.plugins.loader)
    from heuresis.execution.ray_pool import RayExecutor

    return RayExecutor(
        settings.ray_address,
        namespace=f"heuresis-{_plain(folder.path)}",
        plugins=campaign.plugins.loader,
    )


def _plain(path: Path) -> str:
    return "".join(c if c.isalnum() or c == "-" else "-" for c in path.name)
