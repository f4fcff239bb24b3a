"""How good a pretrained model is: valid, unique, novel, fast.

Run: OMP_NUM_THREADS=1 .venv/bin/python benchmarks/prior.py [MODEL] [--data FILE.smi.gz]

Draws molecules without any mask, in both forms, at temperature 1 unless told otherwise, and prints
one table as Markdown. With the training file it also counts the novel ones and measures the loss
on the held-out molecules, beside the floors that n-gram counts reach on the same kind of data.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from heuresis.randomness import random_generator
from heuresis_models.checkpoint import load_model, model_folder
from heuresis_models.data import randomized, read_molecules, split
from heuresis_models.grammar import Form, Grammar
from heuresis_models.molecules import quality, sample_molecules
from heuresis_models.recipe import DataSection
from heuresis_models.training import heldout_loss

BIGRAM_FLOOR, TRIGRAM_FLOOR = 1.407, 1.227
"""Nats per token of order-2 and order-3 counts on canonical SMILES of ZINC250k."""


def main(
    model: Annotated[str, typer.Argument(help="Shipped name or folder.")] = "heuresis-base",
    count: int = 10_000,
    data: Annotated[Path | None, typer.Option(help="The file it was trained on.")] = None,
    heldout_share: float = DataSection().heldout_share,
    temperature: float = 1.0,
    seed: int = 0,
) -> None:
    folder = model_folder(model)
    network, vocabulary = load_model(folder)
    grammar = Grammar(vocabulary)
    print(f"{folder.name}: {network.parameter_count:,} parameters, {len(vocabulary)} tokens\n")
    training: list[str] = []
    heldout: list[str] = []
    if data is not None:
        training, heldout = split(read_molecules(data).molecules, heldout_share)
    known = frozenset(training) if data is not None else None

    print("| form | drawn | valid | unique of valid | novel of unique | molecules/s |")
    print("| --- | --- | --- | --- | --- | --- |")
    for form in Form:
        rng = random_generator(seed, f"benchmark{form}", 0)
        start = time.perf_counter()
        drawn = sample_molecules(
            network, vocabulary, count, rng, form=form, temperature=temperature
        )
        rate = count / (time.perf_counter() - start)
        found = quality([grammar.text(item.tokens) for item in drawn], known)
        novel = "–" if found.novel_share is None else f"{found.novel_share:.2%}"
        print(
            f"| {form.strip('<>')} | {found.drawn:,} | {found.valid_share:.2%} |"
            f" {found.unique_share:.2%} | {novel} | {rate:.0f} |"
        )
    if heldout:
        rng = random_generator(seed, "benchmark-heldout", 0)
        other = [randomized(smiles, rng) for smiles in heldout]
        length = network.config.max_position_embeddings
        losses = [
            heldout_loss(network, grammar, texts, form, length)
            for form, texts in ((Form.CANONICAL, heldout), (Form.RANDOMIZED, other))
        ]
        print(
            f"\nHeld-out loss on {len(heldout):,} molecules, nats per token: {losses[0]:.4f}"
            f" canonical, {losses[1]:.4f} randomised (n-gram floors, canonical:"
            f" {BIGRAM_FLOOR} order 2, {TRIGRAM_FLOOR} order 3)."
        )


if __name__ == "__main__":
    typer.run(main)
