"""The smaller sections of the report: funnel, sources, learning, failures, budget and timings."""

from __future__ import annotations

from collections.abc import Mapping

from heuresis.report.markup import (
    bar,
    cell,
    duration,
    escaped,
    heading,
    number,
    percent,
    table,
)
from heuresis.report.projections import CampaignView
from heuresis.report.rows import shared_lines

LEARNING_STEPS_SHOWN = 12
FINAL_VERDICTS = ("dropped", "infeasible", "failed")


def funnel(view: CampaignView) -> str:
    """Return what became of all proposals, stage by stage."""
    if not view.proposed:
        return ""
    widest = float(view.proposed)
    rows = [
        _funnel_row("proposed", view.proposed, widest, ""),
        _funnel_row("valid and new", view.accepted, widest, _rejections(view)),
    ]
    for oracle, stage in view.stages.items():
        judged = stage.verdicts
        words = [f"{judged[v]:,} {v}" for v in FINAL_VERDICTS if judged[v]]
        words += [f"{judged['retry']:,} retried"] if judged["retry"] else []
        entered = stage.submitted - judged["retry"]
        rows.append(_funnel_row(f"measured by {oracle}", entered, widest, ", ".join(words)))
    rows.append(_funnel_row("completed", view.completed, widest, ""))
    headings = [
        heading("Stage", kind=""),
        heading("Candidates"),
        heading("", kind=""),
        heading("What left here", kind=""),
    ]
    said = "".join(f"<p>{escaped(line)}</p>" for line in view.rungs.lines())
    return "<h2>Funnel</h2>" + table(headings, rows) + said


def _funnel_row(label: str, count: int, widest: float, words: str) -> list[str]:
    return [
        f"<td>{escaped(label)}</td>",
        cell(f"{count:,}"),
        f'<td style="width:38%">{bar(count / widest)}</td>',
        f"<td>{escaped(words)}</td>",
    ]


def _rejections(view: CampaignView) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in view.rejected.most_common(8))


def sources(view: CampaignView) -> str:
    """Return how the candidates of each proposer, operator and model version fared."""
    if not view.sources:
        return ""
    rows = []
    in_top = dict.fromkeys(view.sources, 0)
    for record in view.top[:50]:
        in_top[record.proposer, record.operator] += 1
    for key, tally in sorted(view.sources.items()):
        rows.append(
            [
                f"<td>{escaped(key[0])}</td>",
                f"<td>{escaped(key[1])}</td>",
                cell(f"{tally.accepted:,}", value=float(tally.accepted)),
                cell(f"{tally.completed:,}", value=float(tally.completed)),
                cell(number(tally.mean_score, 3), value=tally.mean_score),
                cell(number(tally.best, 3), value=tally.best),
                cell(f"{in_top[key]:,}", value=float(in_top[key])),
            ]
        )
    headings = [
        heading("Proposer", kind="", sort="text"),
        heading("Operator", kind="", sort="text"),
        heading("Valid and new", sort="number"),
        heading("Completed", sort="number"),
        heading("Mean score", sort="number"),
        heading("Best score", sort="number"),
        heading("Among the 50 best", sort="number"),
    ]
    return "<h2>Who proposed what</h2>" + table(headings, rows) + _asks(view)


def _asks(view: CampaignView) -> str:
    """Return who was asked how often, when there was a choice."""
    if len(view.asked.total) < 2:
        return ""
    words = ". ".join(
        f"{escaped(name)}: {percent(view.asked.share(name))}"
        f" <code>|{escaped(view.asked.sparkline(name))}|</code>"
        for name, _ in view.asked.total.most_common()
    )
    return f'<p class="note">Share of the asks, and how it went from start to end. {words}</p>'


def learning_steps(view: CampaignView) -> str:
    """Return what the proposers learned in their latest steps."""
    if not view.learning:
        return ""
    shown = view.learning[-LEARNING_STEPS_SHOWN:]
    names = sorted({name for step in shown for name in step.metrics})
    rows = []
    for step in shown:
        tally = view.model_versions.get((step.proposer, step.model_version or ""))
        what = escaped(step.model_version or "")
        if step.failure is not None:
            what = f'<span class="bad">{escaped(step.failure.message)}</span>'
        rows.append(
            [
                cell(f"{step.evaluations:,}"),
                f"<td>{escaped(step.proposer)}</td>",
                f"<td>{what}</td>",
                cell(number(step.updates)),
                *(cell(number(step.metrics.get(name))) for name in names),
                cell(number(tally.mean_score if tally else None, 3)),
                cell(duration(step.duration_s)),
            ]
        )
    headings = [
        heading("At evaluation"),
        heading("Proposer", kind=""),
        heading("Model version", kind=""),
        heading("Updates"),
        *(heading(name) for name in names),
        heading("Mean score of its candidates"),
        heading("Time"),
    ]
    more = len(view.learning) - len(shown)
    note = f'<p class="note">{more:,} earlier steps are not shown.</p>' if more else ""
    return "<h2>Learning</h2>" + table(headings, rows) + note


def failures(view: CampaignView) -> str:
    """Return failures by pool and cause, with the latest example of each."""
    if not view.failure_count:
        return ""
    rows = []
    for pool, causes in view.failures.items():
        for cause, count in causes.most_common():
            example = view.failure_examples[pool, cause][-1]
            text = f"<br><code>{escaped(example.text)}</code>" if example.text else ""
            rows.append(
                [
                    f"<td>{escaped(pool)}</td>",
                    f"<td>{escaped(cause.value)}</td>",
                    cell(f"{count:,}", value=float(count)),
                    f"<td>{escaped(example.failure.message[:300])}{text}</td>",
                ]
            )
    headings = [
        heading("Where", kind="", sort="text"),
        heading("Cause", kind="", sort="text"),
        heading("Attempts", sort="number"),
        heading("Latest example", kind=""),
    ]
    poison = sum(stage.quarantined for stage in view.stages.values())
    quarantine = (
        f'<p class="note">Quarantined, because every try killed the worker: {poison:,}.</p>'
        if poison
        else ""
    )
    return (
        "<h2>Failures</h2>"
        + table(headings, rows)
        + quarantine
        + '<p class="note">A failure is never a score: failed candidates are retried when that can'
        " help, and left out otherwise.</p>"
    )


def budget_and_timings(
    view: CampaignView, workers: Mapping[str, int], budget: Mapping[str, str]
) -> str:
    """Return what was granted and where the time went."""
    rows = []
    for oracle, stage in view.stages.items():
        mean_s = stage.busy_s / stage.settled if stage.settled else None
        slots = workers.get(oracle)
        rows.append(
            [
                f"<td>{escaped(oracle)}</td>",
                cell(f"{stage.settled:,}"),
                cell(duration(stage.busy_s)),
                cell("–" if mean_s is None else f"{mean_s:.3g} s"),
                cell("–" if slots is None else f"{slots:,}"),
                cell(percent(view.busy_share(oracle, slots) if slots else None)),
            ]
        )
    for label, busy_s in (("proposing", view.proposer_busy_s), ("learning", view.learning_busy_s)):
        rows += [
            [
                f"<td>{escaped(pool)}, {label}</td>",
                cell("–"),
                cell(duration(seconds)),
                cell("–"),
                cell("–"),
                cell("–"),
            ]
            for pool, seconds in busy_s.items()
        ]
    headings = [
        heading("Worker pool", kind=""),
        heading("Evaluations"),
        heading("Time in its code"),
        heading("Per candidate"),
        heading("Workers"),
        heading("Share of slot time"),
    ]
    granted = "; ".join(f"{name}: {value}" for name, value in budget.items())
    words = f"Budget: {granted}. " if granted else ""
    if view.first_completed_s is not None:
        words += f"The first candidate was completed after {duration(view.first_completed_s)}. "
    words += "".join(f"{line}. " for line in shared_lines(view.stages))
    if view.resets:
        words += f"The weakest islands were emptied {len(view.resets)} times."
    note = f'<p class="note">{escaped(words)}</p>' if words else ""
    return "<h2>Budget and timings</h2>" + (table(headings, rows) if rows else "") + note
