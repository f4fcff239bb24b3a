"""Calibration of the crystal oracle: ten textbook solids, and crystals of the Materials Project.

Run: OMP_NUM_THREADS=1 nice -n 10 .venv/bin/python benchmarks/crystal_oracles.py
         --data mp20-biternary-test.csv.gz --cache FOLDER [--count 1000] [--relaxed 60]
         [--plot docs/oracles/crystals-hull.svg] [--tables solids,hull]

Prints Markdown as it is measured. ``--cache`` keeps energies (the folder of `build_references`
holds those of structures as given, and is read and extended), so that a stopped run goes on.

Measured lattice constants at room temperature: Wyckoff, Crystal Structures, 2nd ed. (1963). Bulk
moduli: Kittel, Introduction to Solid State Physics, 8th ed., chapter 3, table 3 (elements);
Anderson and Nafe, J. Geophys. Res. 70, 3951 (1965) (NaCl 24, MgO 163, LiF 67, rounded); McSkimin et
al., J. Appl. Phys. 38, 2362 (1967) (GaAs); Bell and Rupprecht, Phys. Rev. 129, 90 (1963) (SrTiO3).
"""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import numpy as np
import typer
from scipy.stats import spearmanr

from heuresis_oracles.crystals import build_references as building
from heuresis_oracles.crystals.elasticity import bulk_modulus
from heuresis_oracles.crystals.potentials import Potential, calculator, quiet
from heuresis_oracles.crystals.reading import read_crystal
from heuresis_oracles.crystals.references import (
    References,
    composition_of,
    read_references,
    reference_file,
)
from heuresis_oracles.crystals.relaxing import Settings, relax


class Solid(NamedTuple):
    """A textbook solid: text, atoms in the conventional cell, measured edge (Å), modulus (GPa)."""

    name: str
    text: str
    atoms: int
    edge_angstrom: float
    modulus_GPa: float | None = None


SOLIDS: Final = (
    Solid("C, diamond", "<sg:227>'0'3'5'7{C}|a", 8, 3.567, 443),
    Solid("Si", "<sg:227>'0'5'4'3{Si}|a", 8, 5.431, 98.8),
    Solid("Al", "<sg:225>'0'4'0'5{Al}|a", 4, 4.050, 72.2),
    Solid("Cu", "<sg:225>'0'3'6'1{Cu}|a", 4, 3.615, 137),
    Solid("W", "<sg:229>'0'3'1'6{W}|a", 2, 3.165, 323),
    Solid("NaCl", "<sg:225>'0'5'6'4{Na}|a{Cl}|b", 8, 5.640, 24),
    Solid("MgO", "<sg:225>'0'4'2'1{Mg}|a{O}|b", 8, 4.212, 163),
    Solid("LiF", "<sg:225>'0'4'0'3{Li}|a{F}|b", 8, 4.027, 67),
    Solid("GaAs", "<sg:216>'0'5'6'5{Ga}|a{As}|c", 8, 5.653, 75.3),
    Solid("SrTiO3", "<sg:221>'0'3'9'0{Sr}|a{Ti}|b{O}|c", 5, 3.905, 174),
)


def solids() -> None:
    """Print edges and moduli of textbook solids, all cubic, so that volumes give edges."""
    potential = calculator("CHGNet")
    print("| solid | a measured | a CHGNet | | bulk modulus measured | CHGNet | |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    errors, stiffness = [], []
    for solid in SOLIDS:
        _, atoms = read_crystal(solid.text, max_atoms=20)
        atoms.calc = potential
        with quiet():
            relax(atoms, Settings("BFGS", 0.01, 300))
            modulus = bulk_modulus(atoms, 0.01).bulk_modulus_GPa
        edge = (float(atoms.get_volume()) / len(atoms) * solid.atoms) ** (1 / 3)
        errors.append(edge / solid.edge_angstrom - 1.0)
        measured, apart = "", ""
        if solid.modulus_GPa:
            stiffness.append(modulus / solid.modulus_GPa - 1.0)
            measured, apart = f"{solid.modulus_GPa:g}", f"{stiffness[-1]:+.0%}"
        print(
            f"| {solid.name} | {solid.edge_angstrom:.3f} | {edge:.3f} | {errors[-1]:+.1%} |"
            f" {measured} | {modulus:.0f} | {apart} |",
            flush=True,
        )
    print(
        f"| mean absolute | | | {np.abs(errors).mean():.1%} | | | {np.abs(stiffness).mean():.0%} |"
    )


class Row(NamedTuple):
    """A crystal of the Materials Project: structure, formation energy, distance above the hull."""

    structure: building.Structure
    formation: float
    above: float


def rows(file: Path, known: frozenset[str], count: int, seed: int, most_atoms: int) -> list[Row]:
    """Return ``count`` random crystals of a file, of elements that have references."""
    found = {s.source: s for s in building.compounds_of(file, known, most_atoms, 9)}
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        stated = {
            f"{file.name.split('.')[0]} {row['material_id']}": (
                float(row["formation_energy_per_atom"]),
                float(row["e_above_hull"]),
            )
            for row in csv.DictReader(lines)
        }
    order = np.random.default_rng(seed).permutation(sorted(found))
    return [Row(found[source], *stated[source]) for source in order[:count].tolist()]


def hull(
    data: Path, cache: Path, count: int, relaxed: int, seed: int, most_atoms: int, plot: Path | None
) -> None:
    """Print how far formation energies and hull distances are from those of the project."""
    potential: Potential = "CHGNet"
    references = read_references(reference_file(potential))
    cache.mkdir(parents=True, exist_ok=True)
    energies = building.EnergyCache(cache / f"{potential}.jsonl")
    chosen = rows(data, references.elements, count, seed, most_atoms)
    print(f"\nReferences: {references.made['structures']}; {references.made['kept']}.\n")
    print("| geometry | crystals | quantity | MAE | RMSE | mean error | Spearman |")
    print("| --- | --: | --- | --: | --: | --: | --: |")
    given = measured(chosen, energies, "as given", references, potential)
    table("as given (DFT)", given)
    # Those of the cache are near the hull, for which it was filled; the others are random.
    some = [
        row
        for place, row in enumerate(chosen)
        if place < relaxed or (row.structure.source, "relaxed") in energies
    ]
    both = measured(some, energies, "relaxed", references, potential)
    table("relaxed with CHGNet", both)
    ours = {row.structure.source for row, *_ in both}
    table("the same, as given", [one for one in given if one[0].structure.source in ours])
    stable = [(row.above < 0.025, above < 0.025) for row, _, above in given]
    true = sum(a and b for a, b in stable)
    print(
        f"\nWithin 25 meV/atom of the hull: {sum(a for a, _ in stable)} by the project,"
        f" {sum(b for _, b in stable)} by CHGNet, {true} by both."
    )
    if plot is not None:
        draw(given, plot)


Measured = tuple[Row, float, float]


def measured(
    chosen: list[Row],
    energies: building.EnergyCache,
    kind: str,
    references: References,
    potential: Potential,
) -> list[Measured]:
    """Return (row, formation energy, distance above the hull) where the potential gives one."""
    found = []
    for row in chosen:
        source = row.structure.source
        if (source, kind) not in energies:
            energies.put(
                source, kind, building.energy_of(row.structure, potential, kind == "relaxed")
            )
        energy = energies.get(source, kind)
        counts = composition_of(row.structure.formula)
        if energy is not None and references.elements.issuperset(counts):
            distance = references.distance(counts, energy)
            # A crystal below the references is the hull there, as it is in the project's own.
            above = max(0.0, distance.above_hull_eV_per_atom)
            found.append((row, distance.formation_eV_per_atom, above))
    return found


def table(name: str, found: list[Measured]) -> None:
    """Print the errors of formation energies and hull distances."""
    if len(found) < 3:
        return
    for quantity, ours, theirs in (
        ("formation energy", [f for _, f, _ in found], [row.formation for row, *_ in found]),
        ("above the hull", [a for *_, a in found], [row.above for row, *_ in found]),
    ):
        apart = np.array(ours) - np.array(theirs)
        rank = float(spearmanr(ours, theirs).statistic)
        print(
            f"| {name} | {len(found)} | {quantity} | {np.abs(apart).mean():.3f} |"
            f" {np.sqrt((apart**2).mean()):.3f} | {apart.mean():+.3f} | {rank:.3f} |",
            flush=True,
        )


def draw(found: list[Measured], file: Path) -> None:
    """Draw both quantities against those of the project."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "heuresis"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 3.8))
    panels: list[tuple[Any, str, list[float], list[float]]] = [
        (axes[0], "formation energy", [r.formation for r, *_ in found], [f for _, f, _ in found]),
        (axes[1], "energy above the hull", [r.above for r, *_ in found], [a for *_, a in found]),
    ]
    for axis, name, theirs, ours in panels:
        both = np.array([theirs, ours])
        low, high = np.percentile(both, [0.5, 99.5])
        axis.plot([low, high], [low, high], color="#999999", linewidth=0.8)
        axis.plot(theirs, ours, ".", markersize=2.5, alpha=0.5, rasterized=False)
        axis.set_xlim(low, high)
        axis.set_ylim(low, high)
        axis.set_xlabel("Materials Project, DFT (eV/atom)")
        axis.set_ylabel("CHGNet (eV/atom)")
        axis.set_title(name, fontsize=10)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    print(f"\n{file} written")


def main(
    data: Annotated[Path | None, typer.Option(help="mp20-biternary-test.csv.gz")] = None,
    cache: Annotated[Path, typer.Option(help="Folder for energies.")] = Path("reference-energies"),
    count: Annotated[int, typer.Option(help="Crystals of the file.")] = 1000,
    relaxed: Annotated[
        int, typer.Option(help="Of these, relaxed, too; the cache adds its own.")
    ] = 60,
    most_atoms: Annotated[int, typer.Option(help="Largest cell of the file.")] = 20,
    plot: Annotated[Path | None, typer.Option(help="SVG to write.")] = None,
    tables: Annotated[str, typer.Option(help="Comma-separated.")] = "solids,hull",
    seed: int = 0,
) -> None:
    if "solids" in tables.split(","):
        solids()
    if "hull" in tables.split(",") and data is not None:
        hull(data, cache, count, relaxed, seed, most_atoms, plot)


if __name__ == "__main__":
    typer.run(main)
