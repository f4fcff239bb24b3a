"""Tables that several commands show: the ranking, the funnel, failures, learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from heuresis.cli.words import duration, measured, number, unit_word

if TYPE_CHECKING:
    from heuresis.report.projections import CampaignView
    from heuresis.report.rows import CandidateRecord
    from heuresis.search.objective import Objective

NARROW = 100
"""Below this width the table leaves out who proposed a candidate."""


def plain_table(title: str | None = None) -> Table:
    """Return an empty table in the house style."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1),
        header_style="dim",
    )


def ranking(
    records: Sequence[CandidateRecord], measures: Sequence[str], *, width: int, first: int = 1
) -> Table:
    """Return the ranked table: rank, score, candidate, each measure of the objective, origin."""
    table = plain_table()
    table.add_column("", justify="right", style="dim", no_wrap=True)
    table.add_column("score", justify="right", style="bold", no_wrap=True)
    table.add_column("candidate", overflow="fold", min_width=16)
    short = {m: m.partition(".")[2] for m in measures}
    unique = len(set(short.values())) == len(short)
    for measure in measures:
        units = {r.measurements[measure].unit for r in records if measure in r.measurements}
        unit = unit_word(next(iter(units))) if len(units) == 1 else ""
        name = without_unit(short[measure], unit) if unique else measure
        head = f"{name}\n{unit}" if unit else name
        table.add_column(head, justify="right", no_wrap=True)
    wide = width >= NARROW
    if wide:
        table.add_column("proposed by", overflow="fold", style="dim")
    for rank, record in enumerate(records, first):
        row: list[str | Text] = [
            str(rank),
            number(record.score or 0.0, 3),
            Text(record.candidate.text),
        ]
        for measure in measures:
            value = record.measurements.get(measure)
            row.append(measured(value) if value is not None else "–")
        if wide:
            row.append(Text(f"{record.proposer}/{record.operator}"))
        table.add_row(*row)
    return table


def without_unit(name: str, unit: str) -> str:
    """Return a measure's name for a place where its unit is shown: ``gap_eV`` → ``gap``."""
    word = {"Å": "angstrom", "Å²": "angstrom2"}.get(unit, unit)
    stripped = name.removesuffix(f"_{word}") if word else name
    return stripped.replace("_", " ")


def objective_measures(objective: Objective) -> list[str]:
    """Return the measures that the objective and the constraints look at, without repeats."""
    terms = [term.measure for term in objective.terms.values()]
    limits = [constraint.measure for constraint in objective.constraints.values()]
    return list(dict.fromkeys([*terms, *limits]))


def funnel(
    view: CampaignView, oracles: Sequence[str], running: Mapping[str, str] | None = None
) -> Table:
    """Return the funnel: what was proposed, and what became of it at each oracle."""
    table = plain_table()
    table.add_column("stage", no_wrap=True)
    headings = ["in", "measured", "failed", "onward", "dropped", *(["slots"] if running else [])]
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    invalid = view.proposed - view.accepted - view.duplicates
    proposed = [
        "proposed", f"{view.proposed}", f"{view.accepted} new", f"{invalid} refused", "",
        f"{view.duplicates} known",
    ]  # fmt: skip
    table.add_row(*proposed, *([""] if running else []))
    for name in oracles:
        stage = view.stages.get(name)
        if stage is None:
            waiting = [name, "–", "–", "–", "–", "–"]
            table.add_row(*waiting, *([running.get(name, "")] if running else []))
            continue
        verdicts = stage.verdicts
        onward = verdicts["promoted"] + verdicts["completed"]
        dropped = verdicts["dropped"] + verdicts["infeasible"]
        row = [
            name, f"{stage.submitted}", f"{stage.evaluated}", f"{stage.settled - stage.evaluated}",
            f"{onward}", f"{dropped}",
        ]  # fmt: skip
        table.add_row(*row, *([running.get(name, "")] if running else []))
    return table


def failures(view: CampaignView) -> list[str]:
    """Return one line per pool that failed: how often, by cause; who was quarantined."""
    lines = []
    for pool, counter in view.failures.items():
        line = ", ".join(f"{count} {cause.value}" for cause, count in counter.most_common())
        stage = view.stages.get(pool)
        if stage is not None and stage.quarantined:
            candidates = "candidate" if stage.quarantined == 1 else "candidates"
            line += f"; {stage.quarantined} {candidates} quarantined, every try killed the worker"
        lines.append(f"{pool}: {line}")
    return lines


def asks(view: CampaignView) -> list[str]:
    """Return one line per proposer, when there are several: its share of the asks over time."""
    if len(view.asked.total) < 2:
        return []
    return [
        f"{name}: {view.asked.share(name):.0%} of the asks |{view.asked.sparkline(name)}|"
        for name, _ in view.asked.total.most_common()
    ]


def learning(view: CampaignView, last: int = 3) -> list[str]:
    """Return one line per recent learning step."""
    lines = []
    for step in view.learning[-last:]:
        if step.failure is not None:
            lines.append(f"{step.proposer}: failed, {step.failure.message}")
            continue
        metrics = ", ".join(f"{k} {number(v, 3)}" for k, v in list(step.metrics.items())[:4])
        took = f" in {duration(step.duration_s)}" if step.duration_s is not None else ""
        lines.append(
            f"{step.proposer}: {step.updates} updates{took} after {step.evaluations} evaluations"
            + (f" ({metrics})" if metrics else "")
        )
    return lines
