"""The model card that ``heuresis train`` writes beside the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from heuresis_models.corpus import Source
from heuresis_models.descriptors import properties_of
from heuresis_models.language.crystal_text import Crystal
from heuresis_models.language.objects import (
    DNA,
    BindingSite,
    CodingDNA,
    Molecule,
    Peptide,
    Protein,
    Reaction,
)
from heuresis_models.language.quantities import Level
from heuresis_models.language.tokens import LEVELS
from heuresis_models.monitoring import Metrics
from heuresis_models.recipe import Recipe

if TYPE_CHECKING:
    from numpy.random import Generator

_SAMPLED = 5000
_DECIMALS = 3
LEAST_HEEDED_NATS = 0.5
"""Stated properties that are worth less than this per molecule do not steer anything."""


def taught(
    recipe: Recipe, sources: Sequence[Source], heeded_nats: float | None = None
) -> list[str]:
    """Return what a model was taught, for whoever asks it for something: domains, then skills.

    Args:
        recipe: what was shown.
        sources: what was read.
        heeded_nats: the last `Metrics.heeded_nats`; conditions that a model was shown and does not
            heed are not among what it was taught.
    """
    shown = recipe.documents
    kinds = {type(source.training[0].thing) for source in sources}
    molecules, reactions = Molecule in kinds, Reaction in kinds
    crystals, chains = Crystal in kinds, bool(kinds & {Peptide, CodingDNA, DNA})
    proteins = bool(kinds & {Protein, BindingSite})
    alone = 1.0 - shown.molecules.exemplars
    heeded = heeded_nats is None or heeded_nats >= LEAST_HEEDED_NATS
    facts = {
        "molecules": molecules,
        "crystals": crystals,
        "proteins": proteins,
        "peptides": Peptide in kinds,
        "coding_dna": bool(kinds & {CodingDNA, DNA}),
        "retro": reactions and shown.reactions.retro > 0,
        "forward": reactions and shown.reactions.retro < 1,
        "conditions": heeded
        and (
            (molecules and alone * shown.molecules.conditions > 0)
            or (crystals and shown.crystals.formula + shown.crystals.conditions > 0)
            or (chains and shown.chains.conditions > 0)
        ),
        "predictions": (molecules and alone * shown.molecules.predictions > 0)
        or (crystals and shown.crystals.predictions > 0)
        or ((chains or proteins) and shown.chains.predictions > 0),
        "exemplars": molecules and shown.molecules.exemplars > 0,
        # Half of the exemplar groups are ranked by a score, most of these by its quantile.
        "quantiles": molecules and shown.molecules.exemplars > 0,
    }
    return [name for name, is_so in facts.items() if is_so]


def seen_ranges(
    recipe: Recipe, sources: Sequence[Source], rng: Generator
) -> dict[str, tuple[float, float]] | None:
    """Return least and greatest value of each property that molecules were shown with.

    Of a sample of `_SAMPLED` molecules; a few in ten thousand lie outside. None without molecules.
    """
    from rdkit.Chem import MolFromSmiles

    molecules = [
        entry.thing.smiles
        for source in sources
        for entry in source.training
        if isinstance(entry.thing, Molecule)
    ]
    if not molecules:
        return None
    shown = recipe.documents.molecules
    chosen = rng.permutation(len(molecules))[:_SAMPLED]
    names = list(shown.stated)
    rows = [properties_of(MolFromSmiles(molecules[int(i)]), names) for i in chosen]
    ranges = {
        name: (
            round(min(row[name] for row in rows), _DECIMALS),
            round(max(row[name] for row in rows), _DECIMALS),
        )
        for name in names
    }
    if shown.values == "levels":
        # What lies beyond a scale was written as its end: the model never saw how far.
        last = len(LEVELS) - 1
        ranges = {
            name: (
                max(low, round(Level(name, 0).value, _DECIMALS)),
                min(high, round(Level(name, last).value, _DECIMALS)),
            )
            for name, (low, high) in ranges.items()
        }
    return ranges | ({"similarity": (0.0, 1.0)} if shown.exemplars else {})


def card(recipe: Recipe, sources: Sequence[Source], *, parameters: int, final: Metrics) -> str:
    """Return the facts of a training as Markdown; a person adds purpose, licence and limits.

    Args:
        recipe: what was done.
        sources: what was read.
        parameters: number of learned values.
        final: the last evaluation.
    """
    plan, shown = recipe.optimization, recipe.documents
    total = sum(source.share for source in sources)
    losses = final.heldout_loss or {}
    rows = "\n".join(
        f"| {source.name} | {len(source.training):,} | {len(source.heldout):,} |"
        f" {source.left_out:,} | {source.share / total:.0%} |"
        f" {f'{losses[source.name]:.3f}' if source.name in losses else '–'} |"
        for source in sources
    )
    files = "\n".join(
        f"| `{name}` | `{digest}` |" for source in sources for name, digest in source.files.items()
    )
    quality = (
        ""
        if final.valid_share is None or final.unique_share is None
        else f"\n| molecules | {final.valid_share:.1%} valid of {recipe.evaluation_documents}"
        f" samples, temperature 1, no mask; {final.unique_share:.1%} unique of the valid |"
    )
    if final.heeded_nats is not None:
        quality += (
            f"\n| stated properties | {final.heeded_nats:+.2f} nats per molecule gained by its own"
            " LogP, TPSA, QED and SA score over another molecule's |"
        )
    return f"""# {recipe.name}

A decoder-only transformer of the Llama shape that writes the language of `docs/grammar.md`.

| fact | value |
| --- | --- |
| parameters | {parameters:,} ({recipe.model.layers} layers, width {recipe.model.width},\
 {recipe.model.heads} heads, feed-forward {recipe.model.feed_forward}) |
| training | {final.steps:,} steps, {final.tokens:,} tokens, {final.elapsed_s / 60:.1f} minutes,\
 {recipe.threads} thread(s) on {recipe.device}, seed {recipe.seed},\
 from {recipe.start_from or "random weights"} |
| longest document | {plan.row_length} tokens |
| molecules shown | {shown.molecules.exemplars:.0%} after exemplars; of the others\
 {shown.molecules.conditions:.0%} on condition, {shown.molecules.predictions:.0%} with predictions;\
 {shown.molecules.randomized:.0%} as random SMILES |{quality}

Loss in nats per token of payload and closing tag, each thing alone, on up to\
 {recipe.evaluation_documents} held-out things of each source:

| source | learned from | held out | left out | share of tokens | held-out loss |
| --- | --: | --: | --: | --: | --: |
{rows}

| file | SHA-256 |
| --- | --- |
{files}
"""
