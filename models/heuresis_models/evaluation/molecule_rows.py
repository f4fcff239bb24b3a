"""The molecule rows of the table: for any list of written texts, from any model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from heuresis_models.errors import DataError
from heuresis_models.evaluation import distribution, molecules
from heuresis_models.evaluation.table import Kind, Row

if TYPE_CHECKING:
    from numpy.random import Generator

DOMAIN: Final = "molecules"
LEAST_REFERENCE: Final = 1000
Measured = Callable[[], float]
Stage = Callable[[str], None]
"""Told what is measured next."""


@dataclass(frozen=True)
class MoleculeReference:
    """Both sides of the split, canonical SMILES."""

    training: Sequence[str]
    heldout: Sequence[str]
    name: str
    """File and split, for the table."""


@dataclass(frozen=True)
class _Measure:
    name: str
    kind: Kind
    best: str
    function: Callable[[], float]
    needs_data: bool = False


def molecule_rows(
    texts: Sequence[str],
    reference: MoleculeReference | None,
    rng: Generator,
    *,
    on: str,
    no_reference: str = "no data",
    stage: Stage = lambda _: None,
) -> list[Row]:
    """Measure a sample.

    Args:
        texts: what was written, invalid texts included.
        reference: what to compare with; None: rows that need it say so.
        rng: chooses as many training and held-out molecules as there are texts (at least 1000).
        on: how the sample was drawn.
        no_reference: why there is no reference.
        stage: told what is measured next.
    """
    valid = molecules.valid_molecules(texts)
    training: list[str] = []
    heldout: list[str] = []
    behind = ""
    if reference is not None:
        count = max(len(texts), LEAST_REFERENCE)
        training = some(reference.training, count, rng)
        heldout = some(reference.heldout, count, rng)
        behind = f"; {len(training):,} training, {len(heldout):,} held-out, {reference.name}"
        known = frozenset(reference.training)
    rows = []
    measures = [
        _Measure("valid", "share", "", lambda: molecules.validity(texts)),
        *(
            _Measure(
                f"unique@{k}", "share", "of the first valid ones",
                lambda first=first: molecules.uniqueness(valid, first),  # type: ignore[misc]
            )
            for k, first in (("1k", 1000), ("10k", 10_000), ("all valid", None))
        ),
        _Measure("internal diversity, p = 1", "score", "",
                 lambda: molecules.internal_diversity(valid)),
        _Measure("internal diversity, p = 2", "score", "",
                 lambda: molecules.internal_diversity(valid, 2)),
        _Measure("novel", "share", "of the distinct, against all training molecules",
                 lambda: molecules.novelty(valid, known), True),
        _Measure("descriptor KL score (GuacaMol)", "score", "best 1; against training",
                 lambda: distribution.descriptor_score(valid, training).score, True),
        _Measure("descriptor Fréchet distance (not FCD)", "score", "best 0; against held-out",
                 lambda: distribution.frechet_distance(valid, heldout), True),
        _Measure("SNN", "score", "against held-out",
                 lambda: molecules.nearest_neighbour_similarity(valid, heldout), True),
        _Measure("fragment similarity (BRICS)", "score", "best 1; against held-out",
                 lambda: molecules.fragment_similarity(valid, heldout), True),
        _Measure("scaffold similarity (Murcko)", "score", "against held-out",
                 lambda: molecules.scaffold_similarity(valid, heldout), True),
    ]  # fmt: skip
    for measure in measures:
        stage(measure.name)
        if measure.needs_data and reference is None:
            rows.append(Row(DOMAIN, measure.name, None, measure.kind, reason=no_reference))
            continue
        where = on + (behind if measure.needs_data else "")
        try:
            value = measure.function()
        except DataError as error:
            rows.append(Row(DOMAIN, measure.name, None, measure.kind, on=where, reason=str(error)))
        else:
            rows.append(Row(DOMAIN, measure.name, value, measure.kind, measure.best, where))
    return rows


def some(things: Sequence[str], count: int, rng: Generator) -> list[str]:
    """Return up to ``count`` of them, each once, in random order."""
    chosen = rng.permutation(len(things))[:count]
    return [things[int(index)] for index in chosen]
