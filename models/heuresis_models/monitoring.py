"""What a training is judged by while it runs: held-out loss by source, quality of fresh samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from torch.nn import functional

from heuresis.randomness import random_generator
from heuresis_models.corpus import Source
from heuresis_models.curriculum import Curriculum
from heuresis_models.generation.molecules import quality, sample_molecules
from heuresis_models.generation.prompts import payload
from heuresis_models.generation.settings import Sampling
from heuresis_models.language.objects import Molecule
from heuresis_models.packing import IGNORED, Batch, ScoredTokens, batch_of, pack
from heuresis_models.recipe import Recipe
from heuresis_models.transformer import Transformer

_EVALUATION_ROWS = 16
_FEWEST_COMPARED = 8


class Metrics(BaseModel):
    """One line of ``metrics.jsonl``. Losses are mean nats per token of text, end included."""

    model_config = ConfigDict(frozen=True)

    steps: int
    tokens: int
    elapsed_s: float
    progress: float
    training_loss: float | None = None
    """Of the step; None where no step was made, because the training was complete already."""
    heldout_loss: dict[str, float] | None = None
    """Source → loss of its held-out things, each written alone; for reactions root-aligned."""
    valid_share: float | None = None
    """Of molecules drawn from scratch, temperature 1, no mask; None without molecules."""
    unique_share: float | None = None
    """Of the valid."""
    heeded_nats: float | None = None
    """What stated properties are worth: loss of a held-out molecule after another one's LogP, TPSA,
    QED and SA score minus that after its own, in nats per molecule. Zero: the model does not read
    them. None where conditions on molecules are not taught."""


Report = Callable[[Metrics], None]


def summed_loss(model: Callable[[Tensor, Tensor], Tensor], batch: Batch) -> Tensor:
    """Return the sum of the cross-entropy over scored tokens in nats, in 32 bits."""
    logits_BTV = model(batch.token_BT, batch.document_BT)
    return functional.cross_entropy(
        logits_BTV.float().flatten(0, 1),
        batch.target_BT.flatten(),
        ignore_index=IGNORED,
        reduction="sum",
    )


def batch_loss(model: Callable[[Tensor, Tensor], Tensor], batch: Batch) -> Tensor:
    """Return the mean cross-entropy of a batch in nats per scored token, in 32 bits."""
    return summed_loss(model, batch) / scored_count(batch)


def scored_count(batch: Batch) -> int:
    """Return the number of tokens that carry loss."""
    return int((batch.target_BT != IGNORED).sum())


@torch.no_grad()
def mean_loss(model: Transformer, documents: Sequence[ScoredTokens], row_length: int) -> float:
    """Return the mean loss over documents in nats per scored token; 32-bit arithmetic."""
    rows = pack(documents, row_length)
    device = model.lm_head.weight.device
    total, count = 0.0, 0
    for start in range(0, len(rows), _EVALUATION_ROWS):
        batch = batch_of(rows[start : start + _EVALUATION_ROWS], row_length)
        count += scored_count(batch)
        total += float(summed_loss(model, batch.to(device)))
    return total / max(1, count)


class Monitor:
    """Measures a model, always on the same held-out documents.

    Draws from random streams of its own, so measuring does not change the training.

    Args:
        recipe: of the training.
        sources: whose held-out side measures the loss.
        curriculum: writes them.
    """

    def __init__(self, recipe: Recipe, sources: Sequence[Source], curriculum: Curriculum) -> None:
        self._recipe = recipe
        self._curriculum = curriculum
        self._documents = {
            source.name: documents for source in sources if (documents := self._heldout(source))
        }
        self._molecules = any(isinstance(source.training[0].thing, Molecule) for source in sources)
        self._conditioned = self._own_and_others(sources)

    def measure(self, model: Transformer, so_far: Metrics) -> Metrics:
        """Add held-out losses and the quality of a fresh sample to the metrics of a step."""
        row_length = self._recipe.optimization.row_length
        losses = {
            name: mean_loss(model, documents, row_length)
            for name, documents in self._documents.items()
        }
        valid, unique = self._molecule_quality(model, so_far.steps)
        return so_far.model_copy(
            update={
                "heldout_loss": losses,
                "valid_share": valid,
                "unique_share": unique,
                "heeded_nats": self._heeded(model),
            }
        )

    def _heldout(self, source: Source) -> list[ScoredTokens]:
        rng = random_generator(self._recipe.seed, f"held out {source.name}", 0)
        count = min(len(source.heldout), self._recipe.evaluation_documents)
        chosen = rng.permutation(len(source.heldout))[:count]
        written = [self._curriculum.plain(source.heldout[int(i)], rng) for i in chosen]
        return [document for document in written if document is not None]

    def _own_and_others(
        self, sources: Sequence[Source]
    ) -> tuple[list[ScoredTokens], list[ScoredTokens]] | None:
        """Write held-out molecules after their own properties, and after the next one's."""
        shown = self._recipe.documents.molecules
        if not shown.conditions or shown.exemplars >= 1.0:
            return None
        heldout = [
            entry.thing.smiles
            for source in sources
            for entry in source.heldout
            if isinstance(entry.thing, Molecule)
        ]
        if len(heldout) < _FEWEST_COMPARED:
            return None
        rng = random_generator(self._recipe.seed, "stated properties", 0)
        count = min(len(heldout), self._recipe.evaluation_documents)
        chosen = [heldout[int(i)] for i in rng.permutation(len(heldout))[:count]]
        own, others = [], []
        for smiles, other in zip(chosen, [*chosen[1:], chosen[0]], strict=True):
            pair = self._curriculum.stated(smiles, smiles), self._curriculum.stated(smiles, other)
            if pair[0] is not None and pair[1] is not None:
                own.append(pair[0])
                others.append(pair[1])
        return (own, others) if len(own) >= _FEWEST_COMPARED else None

    def _heeded(self, model: Transformer) -> float | None:
        if self._conditioned is None:
            return None
        row_length = self._recipe.optimization.row_length
        own, others = (mean_loss(model, items, row_length) for items in self._conditioned)
        # The texts are the same, so the means are over the same number of tokens.
        scored = sum(sum(item.scored) for item in self._conditioned[0])
        return (others - own) * scored / len(self._conditioned[0])

    def _molecule_quality(self, model: Transformer, step: int) -> tuple[float | None, float | None]:
        """Draw molecules and return the shares of valid ones and, of these, unique ones."""
        if not self._molecules:
            return None, None
        rng = random_generator(self._recipe.seed, "evaluation", step)
        settings = Sampling(masked=False, max_tokens=self._recipe.optimization.row_length)
        drawn = sample_molecules(model, self._recipe.evaluation_documents, rng, settings)
        found = quality([payload(item.tokens) if item.finished else "" for item in drawn])
        return found.valid_share, found.unique_share
