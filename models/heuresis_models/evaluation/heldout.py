"""Held-out loss per domain, in nats per token over payload and closing tag, beside n-gram floors.

The same tokens are counted as in `heuresis_models.language.floors`: start tag and form are given,
conditions, annotations and ``<eos>`` are left out. Documents are packed, and none sees another.
Chains that do not fit into a row are cut at a place that the named random stream draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import torch
from torch.nn import functional

from heuresis.randomness import random_generator
from heuresis_models.curriculum import Curriculum, scored_tokens
from heuresis_models.errors import DataError
from heuresis_models.language.augmentation import aligned
from heuresis_models.language.documents import Document, Entry
from heuresis_models.language.objects import Reaction
from heuresis_models.packing import IGNORED, ScoredTokens, batch_of, pack
from heuresis_models.recipe import DocumentsSection
from heuresis_models.transformer import Transformer

if TYPE_CHECKING:
    from numpy.random import Generator

ALIGNED: Final = ", root-aligned"
"""Added to a domain's name: its reactions are written root-aligned."""
DEFAULT_TOKENS: Final = 50_000
FLOORS: Final[dict[str, tuple[float, float]]] = {
    "molecules, drug-like": (2.502, 1.220),
    "molecules, small": (2.002, 1.256),
    "reactions, retro": (2.478, 1.250),
    "crystals": (3.136, 2.662),
    "proteins": (2.933, 2.894),
    "peptides": (2.932, 2.486),
    "coding DNA": (4.015, 2.440),
}
"""Domain → nats per token of n-grams of order 0 and 3, as `heuresis_models.language.floors` prints
them; counted on the texts of the files, which for SMILES are mostly, not always, canonical."""

Advance = Callable[[int], None]


@dataclass(frozen=True)
class HeldoutLoss:
    """The loss of one domain.

    Args:
        domain: as asked for.
        nats: mean loss per token.
        tokens: how many were predicted.
        documents: in how many documents.
        left_out: entries that do not fit into a row, or cannot be written.
        available: held-out entries in all; the documents are a random part of them.
    """

    domain: str
    nats: float
    tokens: int
    documents: int
    left_out: int
    available: int


def heldout_losses(
    model: Transformer,
    rows: Mapping[str, Sequence[Entry]],
    *,
    seed: int = 0,
    row_length: int = 256,
    tokens: int = DEFAULT_TOKENS,
    batch: int = 16,
    advance: Advance = lambda _: None,
) -> list[HeldoutLoss]:
    """Measure a model on the held-out entries of each domain.

    Args:
        model: any model of the language.
        rows: domain → held-out entries, SMILES canonical (`references.read_reference`). A domain
            whose name ends with `ALIGNED` has its reactions written root-aligned.
        seed: of the streams that choose entries, roots and places to cut.
        row_length: positions of a packed row; chains are cut to fit.
        tokens: about how many are looked at in each domain.
        batch: rows that are computed together.
        advance: told of predicted tokens that are done.

    Raises:
        DataError: a domain has no entry that can be written.
    """
    length = min(row_length, model.config.max_position_embeddings)
    return [
        _loss(model, domain, entries, random_generator(seed, f"held-out {domain}", 0), length,
              tokens, batch, advance)
        for domain, entries in rows.items()
    ]  # fmt: skip


def _loss(
    model: Transformer,
    domain: str,
    entries: Sequence[Entry],
    rng: Generator,
    row_length: int,
    tokens: int,
    batch: int,
    advance: Advance,
) -> HeldoutLoss:
    curriculum = Curriculum(DocumentsSection(), row_length=row_length)
    documents: list[ScoredTokens] = []
    chosen = left_out = 0
    for index in rng.permutation(len(entries)):
        if chosen >= tokens:
            break
        written = _document(entries[int(index)], curriculum, row_length, domain, rng)
        if written is None:
            left_out += 1
            continue
        documents.append(written)
        chosen += sum(written.scored)
    if not documents:
        raise DataError(
            f"{domain}: none of {len(entries)} held-out entries fits into rows of {row_length}"
        )
    packed = pack(documents, row_length)
    total = 0.0
    with torch.inference_mode():
        for start in range(0, len(packed), batch):
            some = batch_of(packed[start : start + batch], row_length).to(
                model.lm_head.weight.device
            )
            logits_BTV = model(some.token_BT, document_BT=some.document_BT)
            total += float(
                functional.cross_entropy(
                    logits_BTV.flatten(0, 1).float(),
                    some.target_BT.flatten(),
                    ignore_index=IGNORED,
                    reduction="sum",
                )
            )
            advance(int((some.target_BT != IGNORED).sum()))
    return HeldoutLoss(domain, total / chosen, chosen, len(documents), left_out, len(entries))


def _document(
    entry: Entry, curriculum: Curriculum, row_length: int, domain: str, rng: Generator
) -> ScoredTokens | None:
    """Write one object alone; None where it does not fit."""
    thing = entry.thing
    if isinstance(thing, Reaction):
        thing = replace(thing, retro=True)
        if domain.endswith(ALIGNED):
            thing = aligned(thing, rng)
        written: ScoredTokens | None = scored_tokens(Document(Entry(thing)))
    else:
        written = curriculum.plain(entry, rng)
    if written is None or len(written.ids) > row_length:
        return None
    # The floors do not count the end of the document.
    return ScoredTokens(written.ids, [*written.scored[:-1], False])
