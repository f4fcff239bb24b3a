"""What others published: mean AUC top-10 per task, and what each method knew before its first call.

``published.csv`` holds all 23 tasks; means over 5 seeds (3 for f-RAG, GenMol, InVirtuoGen and
Graph-GRPO). Spreads are in the papers. Sums over the tasks that were run are formed here, so a
column compares with a run of fewer tasks too.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CLASSES = {
    "a": "prior knowledge from ZINC250k alone, every oracle call counted",
    "b": "prior knowledge from a larger unlabelled set, every oracle call counted",
    "p": "ZINC250k screened with the oracle, or trained on it, before the counting started",
    "o": "old task definitions (PyTDC 0.3.6): isomers, zaleplon and sitagliptin differ",
}
"""Honesty classes. Only a and b compare with one another; p and o are shown for orientation."""


@dataclass(frozen=True)
class Column:
    """A published method."""

    key: str
    title: str
    honesty: str
    source: str


COLUMNS = (
    Column("reinvent_old", "REINVENT (old)", "o", "arXiv:2206.12411, PMO's own table"),
    Column("reinvent", "REINVENT", "a", "arXiv:2402.05961, tables 1 and 12"),
    Column("graph_ga", "Graph GA", "a", "arXiv:2402.05961"),
    Column("gp_bo", "GP BO", "a", "arXiv:2402.05961"),
    Column("mol_ga", "Mol GA", "a", "arXiv:2402.05961"),
    Column("genetic_gfn", "Genetic GFN", "a", "arXiv:2402.05961"),
    Column(
        "tuned_gp",
        "tuned GP",
        "a",
        "arXiv:2406.07709, averaged from its per-seed files; it integrates the 10th best value,"
        " which is an under-estimate",
    ),
    Column("invirtuogen", "InVirtuoGen", "b", "arXiv:2509.26405, without prescreening"),
    Column("f_rag", "f-RAG", "p", "arXiv:2411.12078"),
    Column("genmol", "GenMol", "p", "arXiv:2501.06158"),
    Column("invirtuogen_prescreened", "InVirtuoGen (p)", "p", "arXiv:2509.26405"),
    Column("graph_grpo", "Graph-GRPO", "p", "arXiv:2603.10395"),
)


@cache
def published() -> dict[str, dict[str, float]]:
    """Return AUC top-10 by column key and task."""
    with (Path(__file__).parent / "published.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {c.key: {row["task"]: float(row[c.key]) for row in rows} for c in COLUMNS}


def columns(honesty: str = "ab") -> list[Column]:
    """Return the columns of these classes."""
    return [column for column in COLUMNS if column.honesty in honesty]


def column_sum(key: str, tasks: Sequence[str]) -> float:
    """Return a column's sum over tasks."""
    return sum(published()[key][task] for task in tasks)


def best_honest(task: str, honesty: str = "ab") -> tuple[float, str]:
    """Return the best published mean of a task among these classes, and whose it is.

    A maximum over noisy means, so it is somewhat optimistic for those who hold it.
    """
    best = max(columns(honesty), key=lambda column: published()[column.key][task])
    return published()[best.key][task], best.title
