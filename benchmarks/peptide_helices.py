"""Do the helices that stay in `peptide-md` belong to the peptides that nature keeps helical?

Run: .venv/bin/python -m benchmarks.peptide_helices [--seeds 1 2] [--output runs/peptide-helices]

Each peptide starts as a helix and is let go for 40 ps at 330 K. That is no equilibrium, it is how
fast a helix frays; so peptides are chosen far apart, from classical helix formers to sequences that
are no alpha helix in water. They are held against the mean helix propensity of their residues (Pace
and Scholtz, Biophys. J. 75, 422, 1998; kcal/mol, 0 for alanine, higher is less helical). Measured
peptides are kept and not repeated. About 5 minutes of one core for each.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track
from scipy.stats import spearmanr

from heuresis.records import Candidate, Evaluation
from heuresis_oracles.peptide_md import PeptideMolecularDynamics

SETTINGS: dict[str, Any] = {
    "duration_ps": 40.0,
    "equilibration_ps": 10.0,
    "temperature_K": 330.0,
    "sample_interval_fs": 200.0,
    "platform": "CPU",
}
"""As in ``tests/physics/test_peptide_helices.py``."""
PROPENSITY_KCAL_PER_MOL = {
    "A": 0.00, "L": 0.21, "R": 0.21, "M": 0.24, "K": 0.26, "Q": 0.39, "E": 0.40, "I": 0.41,
    "W": 0.49, "S": 0.50, "Y": 0.53, "F": 0.54, "H": 0.61, "V": 0.61, "N": 0.65, "T": 0.66,
    "C": 0.68, "D": 0.69, "G": 1.00, "P": 3.16,
}  # fmt: skip
PEPTIDES = {
    "AAQAAAAQAAAAQAA": "helix former; Shalongo et al., J. Am. Chem. Soc. 116, 8288 (1994)",
    "AEAAAKEAAAKEAAAKA": "helix former; Marqusee, Baldwin, PNAS 84, 8898 (1987)",
    "AAGAAAAGAAAAGAA": "the first one with glycine for glutamine",
    "VTVTVTVTVTVTVTV": "residues of beta strands",
    "GSGSGSGSGSGSGSG": "disordered linker",
    "PPPPPPPP": "polyproline helix, no alpha helix",
}
COLUMNS = ("helicity", "helix_hydrogen_bonds", "rmsd_from_start_angstrom")


def mean_propensity(sequence: str) -> float:
    """Return the mean helix propensity of the residues in kcal/mol."""
    return sum(PROPENSITY_KCAL_PER_MOL[residue] for residue in sequence) / len(sequence)


def measured(sequence: str, seed: int) -> dict[str, Any]:
    """Return the measurements of a capped peptide, or the failure."""
    oracle = PeptideMolecularDynamics(PeptideMolecularDynamics.Config(**SETTINGS))
    with tempfile.TemporaryDirectory() as folder:
        [outcome] = oracle.evaluate(
            [Candidate.of("peptide", f"Ac-{sequence}-NH2")], seed=seed, workdir=Path(folder)
        )
    if isinstance(outcome, Evaluation):
        return {name: outcome.measurements[name].value for name in COLUMNS}
    return {"failure": f"{outcome.cause}: {outcome.message}"}


def table(results: dict[tuple[str, int], dict[str, Any]], seeds: Sequence[int]) -> str:
    """Return the results as Markdown, and how well they follow the propensities."""
    lines = [
        "| peptide | what it is | propensity, kcal/mol | helicity | i to i + 4 bonds"
        " | deviation from the helix, Å |",
        "| --- | --- | --: | --: | --: | --: |",
    ]
    propensities: list[float] = []
    means: dict[str, list[float]] = {name: [] for name in COLUMNS}
    for sequence, what in PEPTIDES.items():
        found = [results[sequence, seed] for seed in seeds]
        whole = [one for one in found if "failure" not in one]
        cells = []
        for name in COLUMNS:
            values = [one[name] for one in whole]
            cells.append(" · ".join(f"{value:.2f}" for value in values) or "no measurement")
            if values:
                means[name].append(float(np.mean(values)))
        if whole:
            propensities.append(mean_propensity(sequence))
        lines.append(
            f"| {sequence} | {what} | {mean_propensity(sequence):.2f} | {' | '.join(cells)} |"
        )
        lines += [f"\n{sequence}: {one['failure']}\n" for one in found if "failure" in one]
    lines.append("")
    for name in COLUMNS:
        rank = float(spearmanr(propensities, means[name]).statistic)
        lines.append(f"Spearman's correlation of propensity and {name}: {rank:.2f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--output", type=Path, default=Path("runs/peptide-helices"))
    arguments = parser.parse_args()
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    results: dict[tuple[str, int], dict[str, Any]] = {}
    work = [(sequence, seed) for seed in arguments.seeds for sequence in PEPTIDES]
    for sequence, seed in track(work, "peptides"):
        kept = output / f"{sequence}-{seed}.json"
        if not kept.exists():
            kept.write_text(json.dumps(measured(sequence, seed)))
        results[sequence, seed] = json.loads(kept.read_text())
    print(table(results, arguments.seeds))


if __name__ == "__main__":
    main()
