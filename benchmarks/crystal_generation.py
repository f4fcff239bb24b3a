"""Crystals: what temperature and top-p do, what requirements cost, whether formulas are heeded.

Run: OMP_NUM_THREADS=1 .venv/bin/python benchmarks/crystal_generation.py MODEL --data FOLDER
         --cache CACHE [--samples 500] [--formulas 100] [--tables sweep,formulas]

Everything is drawn under the grammar mask. Prints Markdown, row by row.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Annotated, Final

import typer

from heuresis.errors import UnknownNameError
from heuresis.randomness import random_generator
from heuresis_models.checkpoint import load_model, model_folder
from heuresis_models.composition import charge_balanced
from heuresis_models.crystal_checks import Requirement
from heuresis_models.evaluation.crystal_rows import CrystalReference
from heuresis_models.evaluation.crystals import checks_of, counted
from heuresis_models.evaluation.references import crystals_of, read_reference
from heuresis_models.generation import (
    FormulaPool,
    Sampling,
    crystals_of_formulas,
    generate,
    payload,
    prompt,
)
from heuresis_models.generation.formulas import reduced
from heuresis_models.transformer import Transformer

SWEEP: Final = (
    (1.0, 1.0), (0.8, 1.0), (0.7, 1.0), (0.6, 1.0), (0.5, 1.0), (1.0, 0.95), (1.0, 0.9), (1.0, 0.8),
)  # fmt: skip


def sweep(model: Transformer, reference: CrystalReference, count: int, seed: int) -> None:
    """Print what temperature and top-p do to a sample, and how much of it requirements keep."""
    print("| temperature | top-p | structurally valid | balanced, strict | both: kept | SMACT |"
          " unique | novel | of the kept: unique | novel | seconds |")  # fmt: skip
    print("| --: " * 11 + "|")
    for temperature, top_p in SWEEP:
        rng = random_generator(seed, f"crystals {temperature} {top_p}", 0)
        start = process_time()
        settings = Sampling(temperature=temperature, top_p=top_p)
        samples = generate(model, [prompt("crystal")] * count, rng, settings)
        seconds = process_time() - start
        checks = checks_of([payload(s.tokens, "crystal") if s.finished else "" for s in samples])
        kept = [check for check in checks if check.fault(Requirement.BALANCED) is None]
        all_, of_kept = counted(checks, reference.keys), counted(kept, reference.keys)
        shares = [all_.share(name) for name in ("structurally_valid", "balanced")]
        shares += [len(kept) / count, all_.share("smact")]
        for found in (all_, of_kept):
            shares += [found.share("distinct"), found.share("novel")]
        cells = " | ".join(f"{share:.1%}" for share in shares)
        print(f"| {temperature:g} | {top_p:g} | {cells} | {seconds:.0f} |", flush=True)


def formulas(model: Transformer, reference: CrystalReference, count: int, seed: int) -> None:
    """Print how often a stated formula is written: only asked for, and enforced."""
    pool = FormulaPool(reference.training)
    rng = random_generator(seed, "formulas", 0)
    known = {reduced(crystal.composition()) for crystal in reference.training}
    heldout = {reduced(crystal.composition()): None for crystal in reference.heldout}
    balanced = [f for f in heldout if f not in known and charge_balanced(dict(f.counts))]
    sets = {
        "of training crystals": pool.known(count, rng),
        "of held-out crystals, new": balanced[:count],
        "by substitution, new": pool.substituted(count, rng),
    }
    print("| formulas | how | kept: the formula, valid, balanced | another formula |"
          " sites too close | seconds |")  # fmt: skip
    print("| --- | --- | --: | --: | --: | --: |")
    for name, chosen in sets.items():
        for how, exact, guidance in (
            ("asked for", False, 1.0), ("asked for, guidance 2", False, 2.0),
            ("enforced", True, 1.0),
        ):  # fmt: skip
            rng = random_generator(seed, f"{name} {how}", 0)
            start = process_time()
            _, found = crystals_of_formulas(
                model, chosen, rng, Requirement.BALANCED, Sampling(guidance=guidance),
                exact=exact, tries=1,
            )  # fmt: skip
            seconds = process_time() - start
            other = found.refused["another formula"] / found.drawn
            close = found.refused["sites too close"] / found.drawn
            print(f"| {len(chosen)} {name} | {how} | {found.acceptance:.1%} | {other:.1%} |"
                  f" {close:.1%} | {seconds:.0f} |", flush=True)  # fmt: skip


Table = Callable[[Transformer, CrystalReference, int, int], None]
TABLES: Final[dict[str, Table]] = {"sweep": sweep, "formulas": formulas}


def main(
    model: Annotated[str, typer.Argument(help="Shipped name or folder.")],
    data: Annotated[Path, typer.Option(help="Folder with the data files.")],
    cache: Annotated[Path | None, typer.Option(help="Folder of rewritten crystals.")] = None,
    samples: Annotated[int, typer.Option(help="Crystals for each row of the sweep.")] = 500,
    formulas: Annotated[int, typer.Option(help="Formulas of each kind.")] = 100,
    tables: Annotated[str, typer.Option(help="Comma-separated.")] = ",".join(TABLES),
    seed: int = 0,
) -> None:
    network, _ = load_model(model_folder(model))
    network.eval()
    source = read_reference(data, "crystals", cache=cache)
    reference = CrystalReference(crystals_of(source.training), crystals_of(source.heldout))
    reference = reference.shuffled(random_generator(seed, "held-out crystals", 0))
    for name in tables.split(","):
        if name not in TABLES:
            raise UnknownNameError("table", name, TABLES)
        print(f"\n{name}, {network.parameter_count:,} parameters, seed {seed}\n")
        TABLES[name](network, reference, samples if name == "sweep" else formulas, seed)


if __name__ == "__main__":
    typer.run(main)
