"""Tables of finished runs beside what was published, as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.pmo.published import (
    CLASSES,
    COLUMNS,
    best_honest,
    column_sum,
    columns,
    published,
)
from benchmarks.pmo.readings import Readings
from benchmarks.pmo.runs import Summary

from heuresis_oracles.pmo.tasks import TASKS

AREAS: dict[str, tuple[str, Callable[[Readings], float]]] = {
    "auc": ("AUC top-10", lambda r: r.auc),
    "auc_at_1000": ("at 1,000 calls", lambda r: r.auc_at_1000),
    "auc_filtered": ("filtered", lambda r: r.auc_filtered),
    "auc_diverse": ("diverse", lambda r: r.auc_diverse),
    "auc_filtered_diverse": ("filtered and diverse", lambda r: r.auc_filtered_diverse),
}


@dataclass(frozen=True)
class Result:
    """One finished run with its readings."""

    summary: Summary
    readings: Readings


@dataclass(frozen=True)
class Configured:
    """All finished runs of one configuration."""

    name: str
    honesty: str
    results: tuple[Result, ...]

    @property
    def tasks(self) -> list[str]:
        """Return the tasks that were run, in the order of PMO's list."""
        return [task for task in TASKS if any(r.summary.task == task for r in self.results)]

    def of(self, task: str) -> list[Result]:
        """Return the runs of a task, by seed."""
        found = [result for result in self.results if result.summary.task == task]
        return sorted(found, key=lambda result: result.summary.seed)

    def mean(self, task: str, figure: Callable[[Readings], float]) -> float:
        """Return the mean of a figure over the seeds of a task."""
        return statistics.fmean(figure(result.readings) for result in self.of(task))

    def sums_by_seed(self, figure: Callable[[Readings], float]) -> list[float]:
        """Return the sum over tasks for every seed that all tasks have in common."""
        by_task = [{r.summary.seed: figure(r.readings) for r in self.of(t)} for t in self.tasks]
        common = set.intersection(*(set(seeds) for seeds in by_task)) if by_task else set()
        return [sum(seeds[seed] for seeds in by_task) for seed in sorted(common)]


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Return ``mean ± deviation`` (sample standard deviation), the mean alone of one value."""
    if not values:
        return "–"
    text = f"{statistics.fmean(values):.{digits}f}"
    return f"{text} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else text


def own_table(configured: Configured) -> str:
    """Return the readings of one configuration, a row per task."""
    head = ["task", "seeds", *(title for title, _ in AREAS.values())]
    head += ["top-10 at the end", "inside", "similarity", "calls", "processor s", "wall s"]
    rows = []
    for task in configured.tasks:
        found = configured.of(task)
        row = [task, str(len(found))]
        row += [spread([figure(r.readings) for r in found]) for _, figure in AREAS.values()]
        row += [
            spread([r.readings.final_top10 for r in found]),
            f"{statistics.fmean(r.readings.final_inside for r in found):.2f}",
            f"{statistics.fmean(r.readings.final_similarity for r in found):.2f}",
            f"{statistics.fmean(r.readings.calls for r in found):.0f}",
            _mean_seconds([r.summary.processor_s for r in found]),
            _mean_seconds([r.summary.wall_s for r in found]),
        ]
        rows.append(row)
    total = [f"**sum of {len(configured.tasks)}**", ""]
    for _, figure in AREAS.values():
        mean = sum(configured.mean(task, figure) for task in configured.tasks)
        by_seed = configured.sums_by_seed(figure)
        deviation = f" ± {statistics.stdev(by_seed):.3f}" if len(by_seed) > 1 else ""
        total.append(f"**{mean:.3f}**{deviation}")
    rows.append(total + [""] * (len(head) - len(total)))
    seeds = sorted({r.summary.seed for r in configured.results})
    filtered = sorted({r.readings.filtered_by for r in configured.results})
    return "\n".join(
        [
            f"### {configured.name}",
            "",
            f"Class {configured.honesty}: {CLASSES[configured.honesty]}."
            f" Seeds {', '.join(map(str, seeds))}; ± is the sample standard deviation over seeds,"
            " of the sum over whole seeds.",
            "",
            markdown(head, rows),
            "",
            f"Filtered: {'; '.join(filtered)}. Inside: share of the final ten that pass."
            " Similarity: mean Tanimoto (ECFP4) among the final ten.",
            "",
            _seconds_in_words(configured),
        ]
    )


def _mean_seconds(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.fmean(known):.0f}" if known else "–"


def _seconds_in_words(configured: Configured) -> str:
    known = [r.summary for r in configured.results if r.summary.processor_s is not None]
    if not known:
        return "Processor seconds are not known: sessions were killed."
    calls = sum(summary.calls for summary in known)
    parts = {
        role: sum(summary.plugin_s.get(role, 0.0) for summary in known)
        for role in ("propose", "learn", "measure")
    }
    total = sum(summary.processor_s or 0.0 for summary in known)
    rest = total - sum(parts.values())
    each = ", ".join(f"{role} {1000 * s / calls:.2f}" for role, s in parts.items())
    return (
        f"Processor milliseconds per call: {1000 * total / calls:.2f}, of which {each}, start,"
        f" engine, ledger and report {1000 * rest / calls:.2f}."
    )


PUBLISHED_BUDGET = 10_000
LOTTERY = "valsartan_smarts"
"""0 without a pattern that 7 of ZINC250k's molecules have: a few seeds decide this row."""


def comparison(all_configured: Sequence[Configured], budget: int) -> str:
    """Return AUC top-10 of the configurations beside the published columns, on common tasks."""
    tasks = [task for task in TASKS if all(task in one.tasks for one in all_configured)]
    if budget != PUBLISHED_BUDGET:
        return (
            f"Published figures are for {PUBLISHED_BUDGET:,} calls, these are for {budget:,}: they"
            " do not compare."
        )
    if not tasks:
        return "These configurations have no task in common."
    auc = AREAS["auc"][1]
    shown = columns("ab")
    head = ["task", *(f"{one.name} ({one.honesty})" for one in all_configured)]
    head += [f"{column.title} ({column.honesty})" for column in shown] + ["best published"]
    rows = []
    for task in tasks:
        value, who = best_honest(task)
        rows.append(
            [task]
            + [f"**{one.mean(task, auc):.3f}**" for one in all_configured]
            + [f"{published()[column.key][task]:.3f}" for column in shown]
            + [f"{value:.3f} {who}"]
        )
    counted = [(f"**sum of {len(tasks)}**", tasks)]
    if LOTTERY in tasks and len(tasks) > 1:
        without = [task for task in tasks if task != LOTTERY]
        counted.append((f"**without {LOTTERY}**", without))
    rows += [
        [title]
        + [f"**{sum(one.mean(t, auc) for t in some):.3f}**" for one in all_configured]
        + [f"{column_sum(column.key, some):.3f}" for column in shown]
        + [f"{sum(best_honest(task)[0] for task in some):.3f}"]
        for title, some in counted
    ]
    others = ", ".join(
        f"{column.title} {column_sum(column.key, tasks):.3f}" for column in columns("p")
    )
    classes = {one.honesty for one in all_configured} | {column.honesty for column in shown}
    return "\n".join(
        [
            f"### Beside published figures: AUC top-10, {len(tasks)} of PMO's 23 tasks",
            "",
            markdown(head, rows),
            "",
            "Classes: " + "; ".join(f"{c}: {CLASSES[c]}" for c in sorted(classes)) + ".",
            "",
            f"Not comparable (class p: {CLASSES['p']}): {others}. With old task definitions"
            f" (class o): REINVENT {column_sum('reinvent_old', tasks):.3f}.",
            "",
            "Published: " + "; ".join(f"{c.title}: {c.source}" for c in COLUMNS) + ".",
        ]
    )


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    lines.insert(1, "|" + " --- |" * len(head))
    return "\n".join(lines)
