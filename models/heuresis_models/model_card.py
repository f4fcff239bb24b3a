"""The model card that ``heuresis train`` writes beside the weights."""

from __future__ import annotations

from heuresis_models.data import Corpus
from heuresis_models.recipe import Recipe
from heuresis_models.training import Metrics


def card(
    recipe: Recipe,
    corpus: Corpus,
    *,
    parameters: int,
    split: tuple[int, int],
    too_long: int,
    final: Metrics,
) -> str:
    """Return the facts of a training as Markdown; a person adds purpose, licence and limits.

    Args:
        recipe: what was done.
        corpus: what was read.
        parameters: number of learned values.
        split: molecules learned from and held out.
        too_long: documents left out because no row holds them, repeats counted.
        final: the last evaluation.
    """
    plan = recipe.optimization
    novel = "not measured" if final.novel_share is None else f"{final.novel_share:.2%}"
    return f"""# {recipe.name}

A decoder-only transformer of the Llama shape that writes molecules as SMILES.

| fact | value |
| --- | --- |
| parameters | {parameters:,} ({recipe.model.layers} layers, width {recipe.model.width},\
 {recipe.model.heads} heads, feed-forward {recipe.model.feed_forward}) |
| data | {len(corpus.molecules):,} distinct molecules of {corpus.lines:,} lines,\
 SHA-256 `{corpus.sha256}` |
| split | {split[0]:,} learned from, {split[1]:,} held out (by hash of canonical SMILES) |
| form | {recipe.data.randomized_share:.0%} of documents as randomised SMILES |
| left out | {too_long:,} documents longer than {plan.row_length} tokens |
| training | {final.steps:,} steps, {final.tokens:,} tokens, {final.elapsed_s / 60:.1f} minutes,\
 {recipe.threads} thread(s), seed {recipe.seed},\
 from {recipe.start_from or "random weights"} |
| held-out loss | {final.heldout_loss_canonical:.4f} nats per token canonical,\
 {final.heldout_loss_randomized:.4f} randomised |
| valid | {final.valid_share:.2%} of {recipe.evaluation_molecules:,} samples, temperature 1,\
 no mask |
| unique | {final.unique_share:.2%} of the valid |
| novel | {novel} of the unique |
"""
