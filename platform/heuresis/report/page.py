"""The report: one self-contained HTML file that a colleague can open.

No network, no other file; nothing runs but the sorting of tables.

The content security policy forbids everything else, so that a candidate's text, a question from a
YAML or a picture from a plug-in cannot do what its author wants, even if the escaping had a hole.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from heuresis.report.charts import convergence_chart
from heuresis.report.markup import duration, escaped, measured, number, percent
from heuresis.report.projections import CampaignView
from heuresis.report.ranking import ranked_candidates
from heuresis.report.sections import (
    budget_and_timings,
    failures,
    funnel,
    learning_steps,
    sources,
)
from heuresis.search.objective import Objective

STATES = {
    "finished": "Finished",
    "interrupted": "Interrupted; it can be resumed",
    "paused": "Paused; it can be resumed",
    "failed": "Ended by an error; it can be resumed",
    "running": "Still running",
}


@dataclass(frozen=True, kw_only=True)
class ReportContext:
    """What the ledger does not know."""

    question: str
    status: str = "finished"
    """finished, interrupted, paused, failed or running."""
    objective: Objective | None = None
    depict: Callable[[str], str] | None = None
    """Canonical text → SVG picture."""
    workers: Mapping[str, int] = field(default_factory=dict)
    """Oracle → number of workers."""
    budget: Mapping[str, str] = field(default_factory=dict)
    """Limit → its value in words, e.g. ``wall time`` → ``10 min``."""
    campaign_yaml: str = ""
    commands: Sequence[tuple[str, str]] = ()
    """(what it does, command): how to reproduce, resume, measure one candidate again."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """More facts: git commit, Python, host, run folder."""
    control: CampaignView | None = None
    """A control arm with the same budget."""
    control_name: str = "control arm"
    rows: int = 50


def write_report(file: Path, view: CampaignView, context: ReportContext) -> None:
    """Write the report; a reader never sees half of it."""
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    scratch.write_text(render_report(view, context), encoding="utf-8")
    scratch.replace(file)


def render_report(view: CampaignView, context: ReportContext) -> str:
    """Return the whole page."""
    folder = files("heuresis.report")
    style = folder.joinpath("report.css").read_text(encoding="utf-8")
    script = folder.joinpath("report.js").read_text(encoding="utf-8")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline';"
        f" script-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
    )
    campaign = view.started.campaign if view.started else "campaign"
    body = "".join(
        (
            _header(view, context, campaign),
            _tiles(view),
            _convergence(view, context),
            ranked_candidates(view, context.objective, context.depict, context.rows),
            funnel(view),
            sources(view),
            learning_steps(view),
            failures(view),
            budget_and_timings(view, context.workers, context.budget),
            _provenance(view, context),
        )
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escaped(campaign)} · Heuresis report</title><style>{style}</style></head>"
        f"<body><main>{body}<footer>Written by Heuresis from the campaign's ledger,"
        f" entry {view.sequence:,}. Scores are desirabilities in [0, 1]; ± is one standard error."
        f"</footer></main><script>{script}</script></body></html>\n"
    )


def answer(view: CampaignView, objective: Objective | None = None) -> str:
    """Return the answer of the campaign in one sentence of plain text."""
    best = view.best
    if best is None:
        if not view.evaluations:
            return "No candidate has been measured yet."
        return (
            f"No candidate was completed: {view.evaluations:,} evaluations,"
            f" {view.failure_count:,} of them failures."
        )
    wanted = [term.measure for term in objective.terms.values()] if objective else []
    names = [
        name for name in dict.fromkeys(wanted or best.measurements) if name in best.measurements
    ]
    values = ", ".join(
        f"{name.partition('.')[2].removesuffix('_' + best.measurements[name].unit)}"
        f" {measured(best.measurements[name])}".replace("_", " ")
        for name in names[:4]
    )
    return (
        f"The best of {view.completed:,} completed candidates scores {number(best.score, 3)}"
        f" ({values}); it was found at evaluation {best.evaluations:,} of {view.evaluations:,}"
        f" by {best.proposer} ({best.operator})."
    )


def _header(view: CampaignView, context: ReportContext, campaign: str) -> str:
    best = view.best
    text = f"<p class='answer'><code>{escaped(best.candidate.text)}</code></p>" if best else ""
    reason = f": {view.finished}" if context.status == "finished" and view.finished else ""
    state = STATES.get(context.status, context.status) + reason
    sentence = answer(view, context.objective)
    return (
        f'<header><div class="kicker">{escaped(campaign)} · {escaped(state)}</div>'
        f"<h1>{escaped(context.question or campaign)}</h1>"
        f'<p class="answer">{escaped(sentence)}</p>{text}</header>'
    )


def _tiles(view: CampaignView) -> str:
    tiles = [
        ("best score", number(view.best_score, 3)),
        ("mean of the ten best", number(view.top10_mean, 3)),
        *(
            [(f"hypervolume of {view.front.size} on the front", number(view.front.hypervolume, 3))]
            if view.front
            else []
        ),
        ("candidates completed", f"{view.completed:,}"),
        ("evaluations", f"{view.evaluations:,}"),
        ("proposals valid, recently", percent(view.valid_share)),
        ("running time", duration(view.running_s)),
    ]
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile"><b>{value}</b><span>{name}</span></div>' for name, value in tiles
        )
        + "</div>"
    )


def _convergence(view: CampaignView, context: ReportContext) -> str:
    chart = convergence_chart(view, control=context.control, control_name=context.control_name)
    if not chart:
        return ""
    words = "Each dot is a completed candidate."
    if context.control is not None and context.control.best_score is not None:
        words += (
            f" With the same budget, the {context.control_name} reached"
            f" {number(context.control.best_score, 3)} (mean of its ten best"
            f" {number(context.control.top10_mean, 3)})."
        )
    return (
        f'<h2>Convergence</h2><figure class="card">{chart}</figure>'
        f'<p class="note">{escaped(words)}</p>'
    )


def _provenance(view: CampaignView, context: ReportContext) -> str:
    facts = dict(context.provenance)
    if view.started is not None:
        facts = {
            "campaign": view.started.campaign,
            "seed": str(view.started.seed),
            "spec hash": view.started.spec_hash,
            **{f"version of {k}": v for k, v in sorted(view.started.versions.items())},
            **facts,
        }
    rows = "".join(
        f"<dt>{escaped(k)}</dt><dd><code>{escaped(v)}</code></dd>" for k, v in facts.items()
    )
    commands = "".join(
        f'<p class="note">{escaped(what)}</p><pre>{escaped(command)}</pre>'
        for what, command in context.commands
    )
    yaml = (
        f"<details><summary>The campaign file</summary><pre>{escaped(context.campaign_yaml)}</pre>"
        "</details>"
        if context.campaign_yaml
        else ""
    )
    return (
        f'<h2>Provenance</h2><div class="card"><details open><summary>Versions and identity'
        f"</summary><dl>{rows}</dl></details></div>"
        + (f"<h2>How to reproduce</h2>{commands}" if commands else "")
        + yaml
    )
