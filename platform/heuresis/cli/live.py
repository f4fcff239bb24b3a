"""What a person sees while a campaign runs: a live page on a terminal, lines elsewhere.

Both are watchers: they are handed ledger entries and fold them into the same `CampaignView` that
MLflow and the report use.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from heuresis.cli.ending import ui_command
from heuresis.cli.tables import failures, funnel, learning, objective_measures, without_unit
from heuresis.cli.words import duration, measured, number, unit_word
from heuresis.report.projections import CampaignView

if TYPE_CHECKING:
    from heuresis.campaign.session import Session
    from heuresis.events import Entry
    from heuresis.records import Measurement

LINE_INTERVAL_S = 10.0
REFRESH_PER_S = 4
USE_INTERVAL_S = 0.5
LABEL = 11
"""Width of the labels on the left, characters."""


class _View:
    """Folds entries under a lock, because the live page is drawn by a thread of its own."""

    def __init__(self, console: Console, metered: Collection[str] | None = None) -> None:
        self.console = console
        self.view = CampaignView(metered=metered)
        self.session: Session | None = None
        self.lock = threading.Lock()
        self.slots: dict[str, str] = {}
        self.held_up: list[str] = []
        """What pools wait for that cannot start."""
        self._looked = 0.0

    def record(self, entries: Sequence[Entry]) -> None:
        with self.lock:
            self.view.apply_all(entries)
            self._look_at_slots()

    def _look_at_slots(self) -> None:
        """Note how busy each pool is; here, because executors belong to the loop's thread."""
        now = time.monotonic()
        if self.session is None or now - self._looked < USE_INTERVAL_S:
            return
        self._looked = now
        utilisation = getattr(self.session.executor, "utilisation", None)
        uses = utilisation() if utilisation is not None else ()
        for use in uses:
            state = f"{use.running}/{use.workers}" if use.ready else "starting"
            self.slots[use.pool] = state
        self.held_up = [f"{use.pool}: {use.held_up}" for use in uses if use.held_up]

    def attach(self, session: Session) -> None:
        """Take note of the session that starts."""
        self.session = session

    def best_line(self) -> Text:
        """Describe the best candidate so far with its values."""
        best = self.view.best
        if best is None:
            return Text("no candidate completed yet", style="dim")
        text = Text.assemble(
            (f"{number(best.score or 0.0, 3)}  ", "bold green"), best.candidate.text
        )
        measures = objective_measures(self.session.plan.objective) if self.session else []
        values = [
            _named(name, best.measurements[name]) for name in measures if name in best.measurements
        ]
        text.append(f"\n{'   '.join(values)}", style="dim")
        return text


class LiveView(_View):
    """A page that redraws itself."""

    def __init__(self, console: Console, metered: Collection[str] | None = None) -> None:
        super().__init__(console, metered)
        self._live: Live | None = None
        self._message = ""

    def attach(self, session: Session) -> None:
        """Start to draw."""
        super().attach(session)
        if session.dashboard is not None:
            self.console.print(f"Ray     {escape(session.dashboard)}", style="dim", soft_wrap=True)
        if session.mlflow is not None:
            self.console.print(f"MLflow  {ui_command(session)}", style="dim", soft_wrap=True)
        self._live = Live(
            console=self.console,
            refresh_per_second=REFRESH_PER_S,
            get_renderable=self._page,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def finish(self, status: str) -> None:  # noqa: ARG002 - the ending is printed elsewhere
        """Stop drawing."""
        self.stop()

    def stop(self) -> None:
        """Remove the page from the screen; safe to call twice."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, message: str) -> None:
        """Show a line at the end of the page, or print it when there is no page."""
        self._message = message
        if self._live is None:
            self.console.print(message, style="yellow", markup=False)

    def _page(self) -> RenderableType:
        session = self.session
        if session is None:
            return Text("")
        with self.lock:
            oracles = [oracle.name for oracle in session.plan.oracles]
            parts: list[RenderableType] = [
                self._best_grid(),
                funnel(self.view, oracles, self.slots or None),
                self._budget(session),
            ]
            proposing = [
                f"{p.name} {self.slots.get(p.name, '')}".rstrip() for p in session.plan.proposers
            ]
            parts.append(_lines("proposers", [", ".join(proposing)]))
            parts += [
                _lines(title, lines)
                for title, lines in (
                    ("waiting", self.held_up),
                    ("failures", failures(self.view)),
                    ("learning", learning(self.view, 2)),
                )
                if lines
            ]
            if session.mlflow is not None and session.mlflow.problem is not None:
                parts.append(_lines("", [str(session.mlflow.status)]))
            if self._message:
                parts.append(Text(self._message, style="yellow"))
        # The terminal echoes ^C where the page ends: behind a full line it would begin a new one.
        parts.append(Text(""))
        return Group(*parts)

    def _best_grid(self) -> Table:
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(width=LABEL, style="dim", no_wrap=True)
        grid.add_column(overflow="fold", ratio=1)
        grid.add_row("best", self.best_line())
        return grid

    def _budget(self, session: Session) -> Table:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=LABEL, style="dim", no_wrap=True)
        grid.add_column(width=max(10, min(40, self.console.width - 50)))
        grid.add_column(no_wrap=True)
        for name, used, limit, text in spending(session, self.view):
            bar = ProgressBar(total=max(limit, 1e-9), completed=min(used, limit)) if limit else ""
            grid.add_row(name, bar, text)
        return grid


class PlainView(_View):
    """A line now and then, for logs and pipes."""

    def __init__(self, console: Console, metered: Collection[str] | None = None) -> None:
        super().__init__(console, metered)
        self._said = 0.0
        self._best: float | None = None
        self._waiting: list[str] = []

    def attach(self, session: Session) -> None:
        """Say where to look."""
        super().attach(session)
        self._best = self.view.best_score
        if session.dashboard is not None:
            self._print(f"Ray dashboard: {session.dashboard}")
        if session.mlflow is not None:
            self._print(f"MLflow: {ui_command(session)}")

    def record(self, entries: Sequence[Entry]) -> None:
        """Fold entries; print a line if it is time or something better was found."""
        super().record(entries)
        if self.session is None:
            return
        now = time.monotonic()
        if self.held_up != self._waiting and now - self._said >= LINE_INTERVAL_S:
            for line in self.held_up:
                if line not in self._waiting:
                    self._print(f"waiting: {line}")
            self._said, self._waiting = now, self.held_up
        if not entries:
            return
        if self.view.best_score != self._best or now - self._said >= LINE_INTERVAL_S:
            self._said, self._best = now, self.view.best_score
            self._print(self.line())

    def line(self) -> str:
        """Return the state in one line."""
        view, session = self.view, self.session
        best = view.best
        spent = [text for *_, text in spending(session, view)] if session else []
        found = (
            f"best {number(best.score or 0.0, 3)} {best.candidate.text}" if best else "no best yet"
        )
        failed = f"; {view.failure_count} failed" if view.failure_count else ""
        return f"[{'; '.join(spent)}] {view.completed} completed{failed}; {found}"

    def finish(self, status: str) -> None:  # noqa: ARG002 - the ending is printed elsewhere
        """Say the last state."""
        if self.session is not None:
            self._print(self.line())

    def stop(self) -> None:
        """Nothing to stop."""

    def say(self, message: str) -> None:
        """Print a line."""
        self._print(message)

    def _print(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)


def _named(measure: str, measurement: Measurement) -> str:
    """Write ``gap 2.91 eV`` so that it does not break across lines."""
    name = without_unit(measure.partition(".")[2], unit_word(measurement.unit))
    return f"{name} {measured(measurement, unit=True)}".replace(" ", "\N{NO-BREAK SPACE}")


def _lines(title: str, lines: Sequence[str]) -> Table:
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=LABEL, style="dim", no_wrap=True)
    grid.add_column(overflow="ellipsis", no_wrap=True, ratio=1)
    for number_, line in enumerate(lines):
        grid.add_row("" if number_ else title, Text(line))
    return grid


def spending(session: Any, view: CampaignView) -> list[tuple[str, float, float, str]]:
    """Return what is spent: (name, used, limit or 0, in words) for each limit in force."""
    budget = session.budget
    metered = [o.name for o in session.plan.oracles if o.metered]
    metered = metered or [o.name for o in session.plan.oracles]
    settled = {name: stage.settled for name, stage in view.stages.items()}
    rows: list[tuple[str, float, float, str]] = []
    if isinstance(budget.evaluations, int):
        used = sum(settled.get(name, 0) for name in metered)
        text = f"{used}/{budget.evaluations} evaluations"
        rows.append(("evaluations", used, budget.evaluations, text))
    elif budget.evaluations is not None:
        for name, limit in budget.evaluations.items():
            used = settled.get(name, 0)
            rows.append((name, used, limit, f"{used}/{limit} evaluations of {name}"))
    if budget.candidates is not None:
        first = view.stages.get(session.plan.oracles[0].name)
        used = first.submitted if first is not None else 0
        text = f"{used}/{budget.candidates} candidates"
        rows.append(("candidates", used, budget.candidates, text))
    elapsed_s = session.elapsed_s
    limit_s = budget.wall_time or 0.0
    shown = f"{duration(elapsed_s)} of {duration(limit_s)}" if limit_s else duration(elapsed_s)
    rows.append(("time", elapsed_s, limit_s, shown))
    return rows
