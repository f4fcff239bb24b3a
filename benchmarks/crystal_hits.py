"""How many different compounds near the convex hull did each run of a crystal campaign find?

Run: .venv/bin/python benchmarks/crystal_hits.py runs/benchmark-stable-ternaries [--within 0.05]

Reads the ledgers of what `benchmarks/arms.py` has run (folders ARM-SEED). *relaxed*: candidates
with an energy above the hull; *near*: those of a composition that is not among the reference phases
and less than so many eV/atom above the hull; *types*: different ones among these by elements, space
group and occupied positions, so that one structure in cells of other sizes counts once; *ten best*:
mean of the ten highest scores, *of types*: the same if each type counts once, with its best.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from heuresis.ledger import SQLiteLedger
from heuresis.report.projections import CampaignView
from heuresis.report.rows import CandidateRecord
from heuresis.report.sample_efficiency import best_mean

ENERGY = "relax.energy_above_hull_eV_per_atom"
NEW = "relax.new_composition"


def structure_type(text: str) -> str:
    """Return a crystal's text without its numbers: space group, positions, elements."""
    return re.sub(r"'\d", "", text)


def is_near(record: CandidateRecord, within_eV_per_atom: float) -> bool:
    """Tell whether a relaxed candidate is new and near the hull."""
    measured = record.measurements
    return (
        measured[ENERGY].value < within_eV_per_atom and NEW in measured and measured[NEW].value > 0
    )


def main() -> None:
    """Print a row for each run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="what arms.py wrote")
    parser.add_argument("--within", type=float, default=0.05, metavar="EV_PER_ATOM")
    options = parser.parse_args()
    runs = sorted(path.parent for path in options.folder.glob("*/ledger.sqlite"))
    if not runs:
        raise SystemExit(f"{options.folder} has no ARM-SEED/ledger.sqlite; run benchmarks/arms.py")
    print(f"{'run':14} {'relaxed':>7} {'near':>5} {'types':>5} {'ten best':>8} {'of types':>8}")
    for run in runs:
        ledger = SQLiteLedger.open(run / "ledger.sqlite", read_only=True)
        view = CampaignView(keep=1_000_000).apply_all(ledger.read())
        ledger.close()
        relaxed = [record for record in view.top if ENERGY in record.measurements]
        near = [record for record in relaxed if is_near(record, options.within)]
        types = {structure_type(record.candidate.text) for record in near}
        scores: dict[str, float] = {}
        for record in view.top:  # best first
            scores.setdefault(structure_type(record.candidate.text), record.score or 0.0)
        plain = best_mean([record.score or 0.0 for record in view.top])
        print(
            f"{run.name:14} {len(relaxed):>7} {len(near):>5} {len(types):>5} {plain:8.3f}"
            f" {best_mean(list(scores.values())):8.3f}"
        )


if __name__ == "__main__":
    main()
