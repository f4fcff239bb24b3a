"""What would one random step from the best of an ended PMO run have brought?

Run: .venv/bin/python benchmarks/one_step_gains.py isomers_c7h8n2o2 scaffold_hop
         [--logs benchmarks/pmo/results/guided-search] [--seed 1] [--best 20] [--children 400]

Takes the best molecules of each run's call log, gives each some children by one mutation, asks the
oracle, and prints the share that is better than the best of the run: where that share is high, the
search had stopped to see what lies next to it (decision 39).
"""

from __future__ import annotations

import argparse
import csv
import gzip
from pathlib import Path

import numpy as np
from rdkit import RDLogger
from rdkit.Chem import MolFromSmiles

from heuresis_agents.graph_moves.moves import MoleculeMoves
from heuresis_agents.proposers.graph_moves import DEFAULT_ELEMENTS
from heuresis_oracles.pmo.tasks import TASKS

ROOT = Path(__file__).parents[1]
GAIN = 1e-3


def read_log(file: Path) -> list[tuple[float, str]]:
    """Return score and SMILES of each call, best first."""
    with gzip.open(file, "rt") as lines:
        rows = [(float(row["score"]), row["smiles"]) for row in csv.DictReader(lines)]
    return sorted(rows, reverse=True)


def gains(task: str, log: list[tuple[float, str]], best: int, children: int) -> tuple[int, int]:
    """Return how many children of the best are better than all of the log, and how many there were.

    Args:
        task: of PMO.
        log: of one run, best first.
        best: molecules that have children.
        children: mutations begun for each; some lead nowhere.
    """
    weights = {element: float(weight) for element, weight in DEFAULT_ELEMENTS.items()}
    moves, rng, scorer = MoleculeMoves(weights), np.random.default_rng(1), TASKS[task]
    better = made = 0
    for _, parent in log[:best]:
        for _ in range(children):
            child = moves.mutated(parent, rng)
            if child is not None:
                made += 1
                score = scorer.score(scorer.components(MolFromSmiles(child.text)))
                better += score > log[0][0] + GAIN
    return better, made


def main() -> None:
    """Print a row for each task."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tasks", nargs="+", choices=sorted(TASKS), metavar="TASK")
    default = ROOT / "benchmarks" / "pmo" / "results" / "guided-search"
    parser.add_argument("--logs", type=Path, default=default)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--best", type=int, default=20)
    parser.add_argument("--children", type=int, default=400)
    options = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    print(f"{'task':26} {'best':>6} {'children':>8} {'better':>6} {'share':>7}")
    for task in options.tasks:
        log = read_log(options.logs / f"{task}-{options.seed}.csv.gz")
        better, made = gains(task, log, options.best, options.children)
        print(f"{task:26} {log[0][0]:6.3f} {made:8} {better:6} {better / made:7.2%}", flush=True)


if __name__ == "__main__":
    main()
