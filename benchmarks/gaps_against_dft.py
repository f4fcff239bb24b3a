"""How far the gaps, orbitals and dipoles of GFN2-xTB are from density functional theory.

    python benchmarks/gaps_against_dft.py [--count 48]

Small molecules, each measured by the oracle ``xtb`` on the MMFF94 structure (``relax: false``), by
``xtb`` as it comes, and by ``dft`` (PBE0/def2-SVP on the GFN2-xTB geometry). Each molecule's result
is kept under ``--folder`` as soon as it is there; a run that was stopped goes on where it was. At
the end ``docs/oracles/gaps-against-dft.md`` and its figures are written from everything that is
there (``--page`` does only that). Needs the extra ``pyscf``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from calibration_page import ERROR_HEADINGS, _figure, errors, results, scatter, table
from rdkit import Chem

from heuresis.records import Candidate, Evaluation
from heuresis_oracles.density_functional import DensityFunctional
from heuresis_oracles.threads import limit_native_threads
from heuresis_oracles.xtb import XTB

SEED = 1
ROOT = Path(__file__).parents[1]
SECTION = "gaps-against-dft"
COMMAND = f"python benchmarks/{SECTION.replace('-', '_')}.py"
MOLECULES = (
    # Chosen by kind, not by agreement: alkanes to dyes, common groups, rings, halogens, sulfur.
    "C=O", "C=C", "C#C", "C#N", "CO", "CN", "CCl", "CC=O", "CC#N", "NC=O", "OC=O", "CCO", "CSC",
    "C1CC1", "C1CO1", "FC(F)F", "C=CC=O", "C=CC=C", "C=CC#N", "CC(C)=O", "CC(N)=O", "CC(=O)O",
    "NC(N)=O", "CS(C)=O", "C[N+](=O)[O-]", "c1cc[nH]c1", "c1ccoc1", "c1ccsc1", "c1cnc[nH]1",
    "C1CCOC1", "C1=CCC=C1", "c1cnccn1", "c1ccncc1", "c1ccccc1", "C=CC=CC=C", "O=C1C=CC(=O)C=C1",
    "Oc1ccccc1", "Nc1ccccc1", "Fc1ccccc1", "C1CCCCC1", "O=c1cc[nH]c(=O)[nH]1", "Cc1ccccc1",
    "O=Cc1ccccc1", "N#Cc1ccccc1", "c1ccc2[nH]ccc2c1", "O=[N+]([O-])c1ccccc1", "CN(C)c1ccccc1",
    "Nc1ccc([N+](=O)[O-])cc1",
)  # fmt: skip
LEVELS = {
    "low": "`xtb` on the MMFF94 structure (`relax: false`)",
    "middle": "`xtb` as it comes",
}
QUANTITIES = {"gap_eV": "gap / eV", "homo_eV": "HOMO / eV", "lumo_eV": "LUMO / eV",
              "dipole_debye": "dipole / debye"}  # fmt: skip


def measured(oracle: Any, smiles: str) -> dict[str, Any]:
    """Return an oracle's values, or why there are none, with its CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        [outcome] = oracle.evaluate(
            [Candidate.of("molecule", smiles)], seed=SEED, workdir=Path(folder)
        )
        seconds = time.process_time() - start
    if isinstance(outcome, Evaluation):
        values = {name: m.value for name, m in outcome.measurements.items()}
        return {"values": values, "cpu_s": seconds}
    return {"failure": f"{outcome.cause}: {outcome.message}", "cpu_s": seconds}


def measure(folder: Path, count: int) -> None:
    """Measure what is not there yet."""
    oracles = {
        "low": XTB(XTB.Config(relax=False)),
        "middle": XTB(XTB.Config()),
        "high": DensityFunctional(DensityFunctional.Config()),
    }
    measured(oracles["high"], "[H][H]")  # imports are nobody's cost
    measured(oracles["middle"], "C")
    there = results(folder, SECTION)
    for smiles in MOLECULES[:count]:
        if smiles in there:
            continue
        line = {
            "key": smiles,
            "atoms": Chem.AddHs(Chem.MolFromSmiles(smiles)).GetNumAtoms(),
            **{level: measured(oracle, smiles) for level, oracle in oracles.items()},
        }
        with (folder / f"{SECTION}.jsonl").open("a") as stream:
            stream.write(json.dumps(line) + "\n")


def write(folder: Path, target: Path) -> None:
    """Write the page and its figures from what is there."""
    rows = list(results(folder, SECTION).values())
    good = [r for r in rows if all("values" in r[level] for level in ("low", "middle", "high"))]
    if not good:
        print("nothing is measured yet")
        return
    failed = [
        f"`{row['key']}` ({level}): {row[level]['failure']}"
        for row in rows
        for level in ("low", "middle", "high")
        if "failure" in row[level]
    ]

    def column(level: str, quantity: str) -> np.ndarray:
        return np.array([row[level]["values"][quantity] for row in good])

    lines = [
        [words, label, *errors(column(level, quantity), column("high", quantity))]
        for quantity, words in QUANTITIES.items()
        for level, label in LEVELS.items()
    ]
    unsaturated = np.array([_unsaturated(row["key"]) for row in good])
    residual = []
    for level, label, chosen in (
        *((level, label, np.full(len(good), True)) for level, label in LEVELS.items()),
        ("middle", f"{LEVELS['middle']}, of the unsaturated", unsaturated),
        ("middle", f"{LEVELS['middle']}, of the saturated", ~unsaturated),
    ):
        x, y = column(level, "gap_eV")[chosen], column("high", "gap_eV")[chosen]
        if len(x) < 4:
            continue
        left_out = []
        for out in range(len(x)):  # what a line says of a molecule that did not make it
            kept = np.arange(len(x)) != out
            slope, shift = np.polyfit(x[kept], y[kept], 1)
            left_out.append(slope * x[out] + shift)
        slope, shift = np.polyfit(x, y, 1)
        sentence = f"{slope:.2f} × gap {shift:+.2f} eV"
        residual.append([label, sentence, *errors(np.array(left_out), y)])
    seconds = {
        level: np.array([row[level]["cpu_s"] for row in good])
        for level in ("low", "middle", "high")
    }
    worst = sorted(good, key=lambda r: -abs(_shift(r) - np.median([_shift(one) for one in good])))
    named = ", ".join(f"`{row['key']}` {_shift(row):+.2f}" for row in worst[:6])
    text = (
        "# GFN2-xTB against density functional theory\n\n"
        f"Written by `{COMMAND}`; what stands here is measured, not edited. {len(good)} small"
        " molecules of\nH, C, N, O, F, S and Cl; the reference is the oracle `dft` as it comes:"
        " PBE0/def2-SVP at the geometry of GFN2-xTB.\nErrors are GFN2-xTB minus PBE0. Orbital"
        " energies of a functional are no measured excitation or ionisation energies\neither: this"
        " says how well the cheap rung foresees the dear one.\n\n"
        + table(("quantity", "rung", *ERROR_HEADINGS), lines)
        + f"\nThe gap of `xtb` minus that of `dft`, farthest from the median:\n{named} eV.\n"
        + "\nThe gap after a straight line, each molecule judged by a line through the others"
        " (unsaturated: with a\ndouble, triple or aromatic bond):\n\n"
        + table(("rung", "line through all", *ERROR_HEADINGS), residual)
        + f"\nA measurement of `dft` took {np.median(seconds['high'] / seconds['middle']):,.0f}"
        " times the processor time of `xtb` as it comes and"
        f" {np.median(seconds['high'] / seconds['low']):,.0f} times\nthat on the MMFF94 structure"
        f" (medians; {seconds['high'].min():.1f} to {seconds['high'].max():.0f} s each, taken in"
        " turns on a busy machine).\n\n"
        + scatter(
            target,
            "gaps-against-dft",
            ("gap of PBE0 / eV", "gap of GFN2-xTB / eV"),
            {
                "MMFF94 structure": (column("high", "gap_eV"), column("low", "gap_eV")),
                "relaxed": (column("high", "gap_eV"), column("middle", "gap_eV")),
            },
        )
        + "\n"
        + _cost(target, good, seconds)
        + ("\nNot measured: " + "; ".join(failed) + "\n" if failed else "")
    )
    (target / "gaps-against-dft.md").write_text(text)
    print(f"{target / 'gaps-against-dft.md'} written from {len(good)} molecules")


def _unsaturated(smiles: str) -> bool:
    bonds = Chem.MolFromSmiles(smiles).GetBonds()
    return any(bond.GetBondTypeAsDouble() > 1.0 for bond in bonds)


def _shift(row: dict[str, Any]) -> float:
    gaps = [float(row[level]["values"]["gap_eV"]) for level in ("middle", "high")]
    return gaps[0] - gaps[1]


def _cost(target: Path, rows: list[dict[str, Any]], seconds: dict[str, np.ndarray]) -> str:
    plt = _figure()
    figure, plot = plt.subplots(figsize=(4.4, 3.2))
    names = {"low": "xtb, MMFF94 structure", "middle": "xtb", "high": "dft"}
    for level, name in names.items():
        plot.scatter([r["atoms"] for r in rows], seconds[level], s=9, label=name, linewidths=0)
    plot.set_yscale("log")
    plot.set_xlabel("atoms")
    plot.set_ylabel("CPU seconds per evaluation")
    plot.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(target / "gaps-against-dft-cost.svg", metadata={"Date": None})
    plt.close(figure)
    return "![CPU seconds per evaluation against atoms](gaps-against-dft-cost.svg)\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=len(MOLECULES))
    parser.add_argument("--folder", type=Path, default=ROOT / "runs/oracle-calibration")
    parser.add_argument("--page", action="store_true", help="write the page from what is there")
    options = parser.parse_args()
    limit_native_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    if not options.page:
        measure(options.folder, options.count)
    write(options.folder, ROOT / "docs/oracles")


if __name__ == "__main__":
    main()
