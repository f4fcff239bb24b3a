"""Reactants from products on the test file of USPTO-50k: top-k, round trip, invalid answers.

Run: OMP_NUM_THREADS=1 .venv/bin/python benchmarks/retrosynthesis.py MODEL --data FOLDER
         [--rows 200] [--inputs 1,5] [--width 10] [--examples 3]

Beam search, each product written from several root atoms, ranks merged (`retrosynthesis`). Without
``--rows`` the whole file is decoded. Prints one table as Markdown for each number of inputs, on the
same rows; the roots of fewer inputs are the first of those of more.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from heuresis.randomness import random_generator
from heuresis_models.checkpoint import load_model, model_folder
from heuresis_models.evaluation.measuring import reaction_rows
from heuresis_models.evaluation.references import REACTION_TEST_FILE, read_reactions
from heuresis_models.evaluation.table import Report
from heuresis_models.retrosynthesis import propose_reactants


class Shown:
    """A progress bar for each stage."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def start(self, what: str, total: int | None) -> None:
        self._task = self._progress.add_task(what, total=total)

    def advance(self, steps: int) -> None:
        assert self._task is not None
        self._progress.advance(self._task, steps)


def main(
    model: Annotated[str, typer.Argument(help="Shipped name or folder.")],
    data: Annotated[Path, typer.Option(help="Folder with the data files.")],
    rows: Annotated[int | None, typer.Option(help="So many random rows; default: all.")] = None,
    inputs: Annotated[
        str, typer.Option(help="Roots each product is written from; several: comma-separated.")
    ] = "1",
    width: int = 10,
    batch: int = 8,
    examples: Annotated[int, typer.Option(help="Products whose answers are printed.")] = 0,
    seed: int = 0,
) -> None:
    counts = _counts(inputs)
    folder = model_folder(model)
    network, _ = load_model(folder)
    network.eval()
    everything = read_reactions(data)
    rng = random_generator(seed, "evaluation reactions", 0)
    order = rng.permutation(len(everything))[: rows or len(everything)]
    chosen = [everything[int(index)] for index in order]
    console = Console(stderr=True)
    on = f"{len(chosen):,} of {len(everything):,} rows of {REACTION_TEST_FILE}"
    for count in counts:
        start = time.perf_counter()
        with Progress(console=console, disable=not console.is_terminal) as progress:
            found = reaction_rows(
                network, chosen, inputs=count, seed=seed, view=Shown(progress), width=width,
                batch=batch, on=on,
            )  # fmt: skip
        seconds = time.perf_counter() - start
        report = Report(
            f"{folder.name}, {network.parameter_count:,} parameters",
            {"beam": width, "inputs": count, "seed": seed, "seconds": f"{seconds:.0f}"},
            tuple(found),
        )
        print(report.markdown() + "\n", flush=True)
    roots = random_generator(seed, "evaluation roots", 0)
    shown = propose_reactants(
        network, [r.product for r in chosen[:examples]], roots, inputs=counts[-1], width=width
    )
    for reaction, answer in zip(chosen, shown, strict=False):
        print(f"\nproduct {reaction.product}\ntruth   {reaction.reactants}")
        for proposal in answer.proposals[:5]:
            print(f"{proposal.score:7.2f} {proposal.log_probability:8.2f}  {proposal.reactants}")


def _counts(text: str) -> list[int]:
    words = text.split(",")
    if not all(word.strip().isdecimal() and int(word) for word in words):
        raise typer.BadParameter(f"--inputs takes whole numbers from 1 on, as 1,5; got '{text}'")
    return [int(word) for word in words]


if __name__ == "__main__":
    typer.run(main)
