"""How fast documents are written: tokens a second of one core, for each source of a recipe.

Run: OMP_NUM_THREADS=1 .venv/bin/python benchmarks/document_stream.py --data FOLDER

Seconds are those of the processor, so other work on the machine does not count.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from heuresis_models.corpus import read_source
from heuresis_models.recipe import load_recipe, recipe_file
from heuresis_models.stream import DocumentStream
from heuresis_models.training import make_curriculum


def main(
    data: Annotated[Path, typer.Option(help="Folder with the data files.")],
    recipe: Annotated[str, typer.Option(help="Recipe.")] = "heuresis-base",
    cache: Annotated[Path, typer.Option(help="Folder for rewritten data.")] = Path("cache"),
    things: Annotated[int, typer.Option(help="Read at most so many of each source.")] = 5000,
) -> None:
    plan = load_recipe(recipe_file(recipe))
    plan_of = plan.optimization
    print("| source | tokens a second |\n| --- | --: |")
    for section in plan.sources:
        source = read_source(section, data, cache=cache)
        source = replace(source, training=source.training[:things])
        stream = DocumentStream(
            [source],
            make_curriculum(plan, [source]),
            row_length=plan_of.row_length,
            rows=plan_of.batch_tokens // plan_of.row_length,
            seed=plan.seed,
        )
        began_s, tokens = time.process_time(), 0
        for number in range(2):
            tokens += int(stream._arrays(number).counts.sum())
        print(f"| {section.name} | {tokens / (time.process_time() - began_s):,.0f} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
