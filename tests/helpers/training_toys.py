"""Small sources and recipes for tests of the training: seconds instead of hours."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path

from heuresis_models.corpus import Source
from heuresis_models.curriculum import Curriculum
from heuresis_models.language.augmentation import canonical_smiles
from heuresis_models.language.documents import Entry
from heuresis_models.language.objects import Molecule, Peptide
from heuresis_models.language.split import content_key, is_held_out
from heuresis_models.recipe import (
    DocumentsSection,
    ModelSection,
    MoleculeDocuments,
    OptimizationSection,
    Recipe,
    SourceSection,
)
from heuresis_models.training import Metrics, Trainer

HEADS = ("C", "CC", "CC(C)", "FC", "ClC", "OC", "NC", "C1CC1", "c1ccccc1", "c1ccncc1")
MIDDLES = ("C", "CO", "CN", "C(=O)N", "C(=O)O", "CS", "c1ccc(cc1)", "C1CC(C1)")
TAILS = ("C", "CC", "C(F)(F)F", "C#N", "CO", "c1ccco1")


@cache
def many_molecules() -> tuple[str, ...]:
    """Return a few hundred different molecules as RDKit's canonical SMILES, sorted."""
    written = ("".join(parts) for parts in product(HEADS, MIDDLES, TAILS))
    return tuple(sorted({canonical_smiles(smiles) for smiles in written}))


def molecule_source(share: float = 1.0, molecules: tuple[str, ...] | None = None) -> Source:
    """Return molecules, split as data files are."""
    source = Source("molecules", share)
    for smiles in molecules or many_molecules():
        thing = Molecule(smiles)
        heldout = is_held_out(content_key(thing, canonical=False))
        (source.heldout if heldout else source.training).append(Entry(thing))
    return source


def peptide_source(share: float = 1.0) -> Source:
    """Return repeats of few residues, the first five of them held out."""
    source = Source("peptides", share)
    for number, (first, second) in enumerate(product("AGKLR", "DEFWY")):
        entry = Entry(Peptide((first + second) * 5))
        (source.heldout if number < 5 else source.training).append(entry)
    return source


def tiny_recipe(*, total_tokens: int = 6_000, seed: int = 3, **changes: object) -> Recipe:
    """Return a recipe whose training takes a second or two on one core."""
    fields: dict[str, object] = {
        "name": "tiny",
        "seed": seed,
        "model": ModelSection(layers=2, width=32, heads=2, feed_forward=64, max_tokens=96),
        "sources": (SourceSection(name="molecules", files=("some.smi",)),),
        "documents": DocumentsSection(molecules=MoleculeDocuments(randomized=0.3)),
        "optimization": OptimizationSection(
            # The rates were found at this width.
            total_tokens=total_tokens,
            batch_tokens=512,
            row_length=64,
            base_width=32,
        ),
        "precision": "fp32",
        "evaluations": 0,
        "evaluation_documents": 8,
    }
    return Recipe.model_validate({**fields, **changes})


def stopped_clock() -> float:
    """Return the same second every time."""
    return 0.0


def trainer_of(
    recipe: Recipe,
    folder: Path,
    *sources: Source,
    report: Callable[[Metrics], None] = lambda _: None,
    clock: Callable[[], float] = stopped_clock,
    curriculum: Curriculum | None = None,
) -> Trainer:
    """Return a trainer on the given sources, or on molecules."""
    return Trainer(
        recipe,
        sources or (molecule_source(),),
        folder,
        clock=clock,
        curriculum=curriculum,
        report=report,
    )
