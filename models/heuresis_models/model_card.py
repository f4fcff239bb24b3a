"""The model card that ``heuresis train`` writes beside the weights."""

from __future__ import annotations

from collections.abc import Sequence

from heuresis_models.corpus import Source
from heuresis_models.recipe import Recipe
from heuresis_models.training import Metrics


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
