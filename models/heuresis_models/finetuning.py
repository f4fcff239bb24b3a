"""A policy: a copy of a pretrained model that goes on learning from what scored well.

The rule is the simplest that works: a few gradient steps on the best candidates so far, molecules
each time written as another random SMILES. In a comparison at equal numbers of oracle calls it
ended level with or ahead of reward-weighted likelihood losses, and it needs no reward scale. The
examples may be drawn by rank instead, and the policy may be held to its prior.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor
from torch.nn import functional

from heuresis_models.checkpoint import (
    WEIGHTS_FILE,
    load_model,
    load_tensors,
    load_weights,
    save_model,
    save_tensors,
    tensors_hash,
)
from heuresis_models.errors import WeightsError
from heuresis_models.generation import Sampling, generate, payload, prompt
from heuresis_models.generation.prompts import object_kind
from heuresis_models.language.augmentation import canonical_or_none, randomized_smiles
from heuresis_models.language.errors import DocumentError, UnknownTokenError
from heuresis_models.language.objects import Form
from heuresis_models.optimizer import optimizer_tensors, restore_optimizers
from heuresis_models.packing import IGNORED, Batch, ScoredTokens, batch_of, pack
from heuresis_models.training import mean_loss
from heuresis_models.transformer import Transformer

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

_OPTIMIZER_FILE = "optimizer.safetensors"
_STATE_FILE = "policy.json"
_LONGEST_ROW = 128
_HASH_LENGTH = 12


class FineTuning(BaseModel):
    """How a policy learns from examples; defaults are the measured ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    best: int = Field(default=64, gt=0)
    """Learn from at most this many examples, the best ones."""
    replay: float | None = Field(default=None, gt=0)
    """None: all of these alike. A number k: the chance of the one of rank r among N is in
    proportion to 1 / (k N + r), so that many more than the best can serve. Source: Tripp et al.,
    arXiv:2006.09191; k = 0.01 in Genetic GFN, arXiv:2402.05961."""
    updates: int = Field(default=8, gt=0)
    """Gradient steps of one learning step; matters more than the loss that is used."""
    batch: int = Field(default=64, gt=0)
    """Examples in one gradient step."""
    learning_rate: float = Field(default=5e-4, gt=0)
    """Of Adam."""
    clip_norm: float = Field(default=1.0, gt=0)
    prior_weight: float = Field(default=0.0, ge=0)
    """Weight of the divergence of the policy from what the prior would write next, in nats per
    token of the examples: it is drawn to the examples, not away from all else. A third slower."""
    randomized_share: float = Field(default=0.5, ge=0, le=1)
    """Share of molecules shown as a fresh random SMILES instead of the canonical one."""
    guard_samples: int = Field(default=64, ge=0)
    """Objects drawn after learning to see whether the policy repeats itself; 0 switches off."""
    guard_fresh_share: float = Field(default=0.5, ge=0, le=1)
    """If fewer of them are new and distinct, the weights go half-way back to the prior."""


@dataclass(frozen=True)
class LearningOutcome:
    """What one learning step did. Losses are nats per token of the examples' canonical texts."""

    updates: int
    metrics: dict[str, float] = field(default_factory=dict)


class Policy:
    """A model that learns, with everything needed to continue exactly.

    Args:
        folder: the prior, a model folder.
        kind: of the objects it writes, one of `generation.prompts.OBJECT_KINDS`.
        canonical: text → canonical text, or None where it is no object; default: RDKit's
            canonical SMILES for molecules, the text itself for all else.

    Raises:
        WeightsError: the prior cannot be loaded.
        DocumentError: the language has no such objects.
    """

    def __init__(
        self,
        folder: Path,
        kind: str = "molecule",
        canonical: Callable[[str], str | None] | None = None,
    ) -> None:
        self.kind = kind
        self._end = object_kind(kind).end
        if canonical is None:
            canonical = canonical_or_none if kind == "molecule" else str
        self._canonical = canonical
        self._name = folder.resolve().name
        self.model, self.vocabulary = load_model(folder)
        self._prior = {name: value.clone() for name, value in self.model.state_dict().items()}
        self._prior_hash = tensors_hash(self._prior)
        self._frozen: Transformer | None = None
        self._optimizer = torch.optim.Adam(self.model.parameters(), fused=True)
        self._row_length = min(_LONGEST_ROW, self.model.config.max_position_embeddings)
        self.steps = 0
        self._version: str | None = None

    @property
    def version(self) -> str:
        """Prior, hash of the present weights, learning steps: equal versions write alike."""
        # Asked for with every answer, and it reads all weights.
        if self._version is None:
            weights = tensors_hash(self.model.state_dict()) if self.steps else self._prior_hash
            self._version = f"{self._name}@{weights[:_HASH_LENGTH]}+{self.steps}"
        return self._version

    def learnable(self, text: str) -> bool:
        """Say whether the vocabulary and the longest document allow a canonical text."""
        return self._document(text, Form.CANONICAL) is not None

    def _document(self, text: str, form: Form) -> ScoredTokens | None:
        """Write a text up to its closing tag, where a policy stops; None: it cannot be written."""
        try:
            asked = prompt(self.kind, form=form, given=text)
        except (DocumentError, UnknownTokenError):
            return None
        ids = [*asked.ids, self.vocabulary[self._end]]
        if len(ids) > self._row_length or len(ids) == asked.head + 1:
            return None
        return ScoredTokens(ids, [place >= asked.head for place in range(len(ids))])

    def learn(self, texts: Sequence[str], settings: FineTuning, rng: Generator) -> LearningOutcome:
        """Take one learning step.

        Args:
            texts: canonical texts, best first.
            settings: how.
            rng: source of the random SMILES and of the guard's samples.
        """
        usable = [text for text in texts if self.learnable(text)]
        best = usable[: settings.best]
        metrics = {"examples": float(len(best)), "skipped": float(len(texts) - len(usable))}
        if not best:
            return LearningOutcome(updates=0, metrics=metrics)
        shown = best[: settings.batch]
        metrics["loss_before"] = self.loss(shown)
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate
        norms = [
            self._update(self._examples(best, settings, rng), settings)
            for _ in range(settings.updates)
        ]
        self.steps += 1
        self._version = None
        metrics["gradient_norm"] = sum(norms) / len(norms)
        metrics |= self._guard(texts, settings, rng)
        metrics["loss_after"] = self.loss(shown)
        return LearningOutcome(updates=settings.updates, metrics=metrics)

    def loss(self, texts: Sequence[str]) -> float:
        """Return the mean loss over canonical texts, nats per token; others are left out."""
        documents = [self._document(text, Form.CANONICAL) for text in texts]
        return mean_loss(self.model, [item for item in documents if item], self._row_length)

    def _examples(self, best: Sequence[str], settings: FineTuning, rng: Generator) -> Batch:
        # Never more copies of an example in a gradient step than one.
        if settings.replay is None:
            chosen = rng.permutation(len(best))[: settings.batch]
        else:
            chances = replay_chances(len(best), settings.replay)
            count = min(len(best), settings.batch)
            chosen = rng.choice(len(best), count, replace=False, p=chances)
        documents = []
        for index in chosen:
            document = self._document(best[index], Form.CANONICAL)
            if self.kind == "molecule" and rng.random() < settings.randomized_share:
                # A random SMILES can be a little too long, or need a token that is not there.
                other = self._document(randomized_smiles(best[index], rng), Form.RANDOMIZED)
                document = other or document
            if document is not None:
                documents.append(document)
        return batch_of(pack(documents, self._row_length), self._row_length)

    def _update(self, batch: Batch, settings: FineTuning) -> float:
        scored_BT = batch.target_BT != IGNORED
        scores_NV = self._scores(self.model, batch, scored_BT)
        loss = functional.nll_loss(scores_NV, batch.target_BT[scored_BT])
        if settings.prior_weight:
            with torch.no_grad():
                wanted_NV = self._scores(self._prior_model(), batch, scored_BT)
            loss = loss + settings.prior_weight * functional.kl_div(
                scores_NV, wanted_NV, reduction="batchmean", log_target=True
            )
        loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return float(norm)

    @staticmethod
    def _scores(model: Transformer, batch: Batch, scored_BT: Tensor) -> Tensor:
        """Return the log-probabilities that a model gives at the positions with loss."""
        hidden_BTE = model.hidden(batch.token_BT, batch.document_BT)
        logits_NV: Tensor = model.lm_head(hidden_BTE[scored_BT])
        return functional.log_softmax(logits_NV.float(), dim=-1)

    def _prior_model(self) -> Transformer:
        if self._frozen is None:
            self._frozen = copy.deepcopy(self.model).requires_grad_(requires_grad=False)
            self._frozen.load_state_dict(self._prior)
        return self._frozen

    def _guard(
        self, known: Sequence[str], settings: FineTuning, rng: Generator
    ) -> dict[str, float]:
        """Draw a sample; if it mostly repeats itself or the examples, step back half-way.

        Validity cannot serve as the alarm: it rises while a policy collapses.
        """
        if settings.guard_samples == 0:
            return {}
        asked = [prompt(self.kind)] * settings.guard_samples
        drawn = generate(self.model, asked, rng, Sampling(masked=False, max_tokens=_LONGEST_ROW))
        canonical = [self._canonical(payload(item.tokens, self.kind)) for item in drawn]
        valid = [text for text in canonical if text is not None]
        fresh = len(set(valid).difference(known)) / max(1, len(valid))
        collapsed = fresh < settings.guard_fresh_share
        if collapsed:
            self._halfway_back()
        return {
            "valid_share": len(valid) / settings.guard_samples,
            "fresh_share": fresh,
            "stepped_back": float(collapsed),
        }

    @torch.no_grad()
    def _halfway_back(self) -> None:
        for name, value in self.model.state_dict().items():
            value.lerp_(self._prior[name], 0.5)
        # The moments describe the surroundings of the weights that were left.
        self._optimizer.state.clear()

    def save(self, folder: Path) -> None:
        """Write the policy as a model folder with optimiser state."""
        save_model(folder, self.model, self.vocabulary)
        tensors: dict[str, Tensor] = optimizer_tensors(self.model, [self._optimizer])
        save_tensors(folder / _OPTIMIZER_FILE, tensors)
        state = {"prior": self._name, "prior_sha256": self._prior_hash, "steps": self.steps}
        (folder / _STATE_FILE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Continue from what `save` wrote, bit for bit.

        Raises:
            WeightsError: a file is missing or damaged, or the policy grew from another prior.
        """
        path = folder / _STATE_FILE
        try:
            state = _SavedState.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            raise WeightsError(f"{path} is missing or damaged: {error}") from error
        if state.prior_sha256 != self._prior_hash:
            raise WeightsError(
                f"{folder} grew from the prior '{state.prior}' ({state.prior_sha256[:12]}), this"
                f" campaign uses '{self._name}' ({self._prior_hash[:12]}); use the same prior"
            )
        optimizer = load_tensors(folder / _OPTIMIZER_FILE)
        load_weights(self.model, folder / WEIGHTS_FILE)
        restore_optimizers(self.model, [self._optimizer], optimizer)
        self.steps = state.steps
        self._version = None


def replay_chances(count: int, k: float) -> NDArray[np.float64]:
    """Return the chance of each of ``count`` examples, best first; see `FineTuning.replay`."""
    weights = 1.0 / (k * count + np.arange(1, count + 1))
    chances: NDArray[np.float64] = weights / weights.sum()
    return chances


class _SavedState(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    prior: str
    prior_sha256: str
    steps: int = Field(ge=0)
