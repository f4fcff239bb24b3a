"""Learning curves: the running mean of the ten best against calls, a panel per task."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.pmo.published import best_honest

from heuresis.report.sample_efficiency import running_best_mean

POINTS = 400
COLUMNS = 4
COLOURS = ("#0b6e99", "#c1440e", "#3f7d20", "#7a3e9d", "#8a6d00", "#444444")


def draw(
    curves: Mapping[str, Mapping[str, Sequence[Sequence[float]]]], budget: int, path: Path
) -> None:
    """Draw and save one figure.

    Args:
        curves: configuration → task → scores in the order of the calls, one list per seed.
        budget: calls on the horizontal axis.
        path: where to; the ending says the format.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    tasks = list(dict.fromkeys(task for by_task in curves.values() for task in by_task))
    across = min(COLUMNS, len(tasks))
    down = math.ceil(len(tasks) / across)
    figure, axes = plt.subplots(
        down, across, figsize=(3.6 * across, 2.7 * down), squeeze=False, sharex=True
    )
    for axis, task in zip(axes.flat, tasks, strict=False):
        for colour, (name, by_task) in zip(COLOURS * 9, curves.items(), strict=False):
            for number, scores in enumerate(by_task.get(task, ())):
                calls, means = thinned(scores[:budget], budget)
                axis.plot(
                    calls, means, color=colour, linewidth=1.2, alpha=0.85,
                    label=name if number == 0 else None,
                )  # fmt: skip
        value, who = best_honest(task)
        axis.set_title(task, fontsize=9)
        axis.set_ylim(bottom=0)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.25)
        axis.text(
            0.98, 0.04, f"best published AUC {value:.3f}\n{who}", transform=axis.transAxes,
            ha="right", va="bottom", fontsize=7, color="#555555",
        )  # fmt: skip
    for axis in axes.flat[len(tasks) :]:
        axis.set_visible(False)
    named = {}  # a configuration may lack some tasks
    for axis in axes.flat:
        named.update(dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True)))
    figure.legend(
        named.values(), named.keys(), loc="upper center", ncol=len(named), frameon=False, fontsize=9
    )
    figure.supxlabel("oracle calls", fontsize=9)
    figure.supylabel("mean of the ten best", fontsize=9)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def thinned(scores: Sequence[float], budget: int) -> tuple[list[int], list[float]]:
    """Return calls and the running mean there, at most about `POINTS` of them, the end held."""
    means = running_best_mean(scores)
    step = max(1, budget // POINTS)
    calls = list(range(step, len(means) + 1, step))
    if means and (not calls or calls[-1] != len(means)):
        calls.append(len(means))
    values = [means[k - 1] for k in calls]
    if means and len(means) < budget:
        calls.append(budget)
        values.append(means[-1])
    return calls, values
