"""What a model must beat: held-out loss of n-gram models of order 0 to 3, per domain.

Run: ``python -m heuresis_models.language.floors --data FOLDER [--cache FOLDER]``

An n-gram of order k predicts a token from the k tokens before it, counted in the training side and
interpolated with the next lower order by Witten and Bell's rule (IEEE Trans. Inf. Theory 37 (1991)
1085): p(w|h) = (c(hw) + t(h) p(w|h')) / (c(h) + t(h)), t(h) being the number of different tokens
seen after h; below order 0 stands the uniform distribution over the vocabulary. Loss in nats per
token over payload and closing tag; start tag and form are given. Annotations are left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from heuresis_models.language.objects import BindingSite, object_tokens
from heuresis_models.language.sources import Row, read_rows
from heuresis_models.language.split import deduplicated, row_is_held_out
from heuresis_models.language.tokens import FORMS
from heuresis_models.language.vocabulary import Vocabulary

Counts = NDArray[np.int64]
ORDERS: Final = 4

DOMAINS: Final[dict[str, tuple[str, ...]]] = {
    "molecules, drug-like": ("zinc250k.smi.gz",),
    "molecules, small": ("qm9.smi.gz",),
    "reactions, retro": (
        "uspto50k-train.smi.gz", "uspto50k-valid.smi.gz", "uspto50k-test.smi.gz",
    ),
    "crystals": (
        "mp20-biternary-val.csv.gz", "mp20-biternary-test.csv.gz", "mpts52-val.csv.gz",
        "mpts52-test.csv.gz", "perov5-val.csv.gz", "perov5-test.csv.gz",
    ),
    "proteins": ("flip-conservation.zip", "flip-secondary_structure.zip", "flip-bind.zip"),
    "peptides": ("dbaasp-peptides.csv.gz",),
    "coding DNA": ("coding-dna.tsv.gz",),
}  # fmt: skip
"""Domain → data files, as the model card lists them."""


@dataclass(frozen=True)
class Floor:
    """Held-out losses of one domain."""

    domain: str
    training_tokens: int
    heldout_tokens: int
    mean_tokens: float
    """Tokens of one object, delimiters included."""
    longest: int
    nats: tuple[float, ...]
    """Nats per token of orders 0, 1, 2, 3."""


def floor_of(domain: str, rows: Iterable[Row], vocabulary: Vocabulary) -> Floor:
    """Count one domain; rows with equal content keys are taken once.

    Raises:
        ValueError: a side of the split is empty.
    """
    sides: tuple[list[int], list[int]] = ([], [])
    lengths = []
    for row in deduplicated(rows, canonical=False):
        if row.entry is None:
            continue
        thing = row.entry.thing
        tokens = object_tokens(thing.marked if isinstance(thing, BindingSite) else thing)
        given = 2 if tokens[1] in FORMS else 1
        ids = [vocabulary[token] for token in tokens[given:]]
        lengths.append(len(tokens))
        # A run of -1 separates objects and stands for "before the first token".
        sides[row_is_held_out(row, canonical=False)].extend((-1, -1, -1, *ids))
    training, heldout = (np.array(side, dtype=np.int64) for side in sides)
    if not len(training) or not len(heldout):
        raise ValueError(f"{domain}: a side of the split is empty; give more rows")
    return Floor(
        domain=domain,
        training_tokens=int((training >= 0).sum()),
        heldout_tokens=int((heldout >= 0).sum()),
        mean_tokens=float(np.mean(lengths)),
        longest=max(lengths),
        nats=tuple(_losses(training, heldout, len(vocabulary))),
    )


def _losses(training: Counts, heldout: Counts, vocabulary_size: int) -> Iterator[float]:
    """Yield the held-out loss of each order, nats per token."""
    known, asked = training >= 0, heldout >= 0
    probability = np.full(int(asked.sum()), 1.0 / vocabulary_size)
    for order in range(ORDERS):
        train_context = _contexts(training, order)[known]
        asked_context = _contexts(heldout, order)[asked]
        train_gram = train_context * vocabulary_size + training[known]
        asked_gram = asked_context * vocabulary_size + heldout[asked]
        grams, gram_counts = np.unique(train_gram, return_counts=True)
        contexts, kinds = np.unique(grams // vocabulary_size, return_counts=True)
        totals = np.zeros(len(contexts), dtype=np.int64)
        np.add.at(totals, np.searchsorted(contexts, grams // vocabulary_size), gram_counts)
        count = _look_up(grams, gram_counts, asked_gram)
        total = _look_up(contexts, totals, asked_context)
        different = _look_up(contexts, kinds, asked_context)
        seen = total > 0
        mixed = (count + different * probability) / np.maximum(total + different, 1)
        probability = np.where(seen, mixed, probability)
        yield float(-np.log(probability).mean())


def _contexts(tokens: Counts, order: int) -> Counts:
    """Return one number per place for the ``order`` tokens before it."""
    found = np.zeros(len(tokens), dtype=np.int64)
    for back in range(order, 0, -1):
        shifted = np.full(len(tokens), -1, dtype=np.int64)
        shifted[back:] = tokens[:-back]
        found = found * 1024 + (shifted + 1)
    return found


def _look_up(keys: Counts, values: Counts, wanted: Counts) -> Counts:
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0)


def table(floors: Iterable[Floor]) -> str:
    """Return the floors as a Markdown table."""
    lines = [
        "| domain | training tokens | held-out tokens | tokens per object | longest |"
        " order 0 | order 1 | order 2 | order 3 |",
        "| --- | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for floor in floors:
        nats = " | ".join(f"{value:.3f}" for value in floor.nats)
        lines.append(
            f"| {floor.domain} | {floor.training_tokens:,} | {floor.heldout_tokens:,} |"
            f" {floor.mean_tokens:.1f} | {floor.longest:,} | {nats} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table for all data files of a folder."""
    parser = argparse.ArgumentParser(description="n-gram floors of each domain, nats per token")
    parser.add_argument("--data", type=Path, required=True, help="folder with the data files")
    parser.add_argument("--cache", type=Path, help="folder that keeps rewritten crystals")
    options = parser.parse_args()
    vocabulary = Vocabulary.default()
    floors = []
    for domain, names in DOMAINS.items():
        rows = (row for name in names for row in read_rows(options.data, name, cache=options.cache))
        floors.append(floor_of(domain, rows, vocabulary))
        print(table(floors[-1:]).splitlines()[-1], flush=True)
    print(f"\n{table(floors)}")


if __name__ == "__main__":
    main()
