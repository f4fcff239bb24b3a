"""Proposer ``language-model``: a pretrained model that learns from what scored well.

It proposes in two ways. ``sample`` writes a molecule from scratch. ``regrow`` takes an exemplar of
the prompt, writes it as a random SMILES, keeps the first part and lets the model write the rest:
the result shares a random connected part with its parent, which puts its similarity into the band
where local search works (mean Tanimoto 0.4 when half is kept, 0.6 for three quarters). Showing
whole exemplars to a model of this size has no effect, so it is not offered.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import Field, model_validator

from heuresis.errors import InvalidCandidate, UserError
from heuresis.ports import DesignSpace, PluginConfig
from heuresis.records import LearningReport, Prompt, Proposal, ScoredCandidate

if TYPE_CHECKING:
    from numpy.random import Generator

_ROUNDS = 3
"""Times a batch is drawn at most to replace repeats; what is still missing then stays missing."""


class LanguageModel:
    """Samples, regrows and fine-tunes; implements the ports ``Proposer`` and ``Trainable``.

    Args:
        config: see `Config`.
        space: must be of kind ``molecule``; used to recognise repeats.

    Raises:
        UserError: the space holds no molecules, or the prior cannot be loaded.
    """

    class Config(PluginConfig):
        """Settings in a campaign file."""

        prior: str = "heuresis-base"
        """A shipped model, or the path of a model folder."""
        temperature: float = Field(default=1.0, gt=0, le=3)
        top_p: float = Field(default=1.0, gt=0, le=1)
        regrow_share: float = Field(default=0.5, ge=0, le=1)
        """Expected share of proposals that are regrown from an exemplar, if there are any."""
        regrow_keep: tuple[float, float] = (0.5, 0.75)
        """Least and greatest share of the exemplar's tokens that are kept."""
        learning: bool = True
        """False: the prior stays as it is, e.g. for a control arm."""
        learn_best: int = Field(default=64, gt=0)
        """Learn from at most this many of the best candidates."""
        learn_updates: int = Field(default=8, gt=0)
        """Gradient steps of one learning step."""
        learn_batch: int = Field(default=64, gt=0)
        """Candidates in one gradient step."""
        learning_rate: float = Field(default=5e-4, gt=0)
        clip_norm: float = Field(default=1.0, gt=0)
        learn_randomized_share: float = Field(default=0.5, ge=0, le=1)
        """Share of candidates shown as a fresh random SMILES, the rest in canonical form."""
        guard_samples: int = Field(default=64, ge=0)
        """Molecules drawn after each learning step to notice a collapse; 0: no guard."""
        guard_fresh_share: float = Field(default=0.5, ge=0, le=1)
        """If fewer of them are new and distinct, the weights go half-way back to the prior."""

        @model_validator(mode="after")
        def _kept_part(self) -> Self:
            low, high = self.regrow_keep
            if not 0.0 < low <= high < 1.0:
                raise ValueError(
                    f"regrow_keep must be two rising shares between 0 and 1, got {[low, high]}"
                )
            return self

    def __init__(self, config: Config, space: DesignSpace) -> None:
        if space.kind != "molecule":
            raise UserError(
                f"proposer 'language-model' writes molecules, but the space is '{space.kind}';"
                " use a proposer that knows this space"
            )
        # Imported here so that reading `Config` does not load torch.
        import torch

        from heuresis_models.checkpoint import model_folder
        from heuresis_models.finetuning import FineTuning, Policy

        if threads := os.environ.get("OMP_NUM_THREADS"):
            torch.set_num_threads(int(threads))
        self._config = config
        self._space = space
        self._policy = Policy(model_folder(config.prior))
        self._settings = FineTuning(
            best=config.learn_best,
            updates=config.learn_updates,
            batch=config.learn_batch,
            learning_rate=config.learning_rate,
            clip_norm=config.clip_norm,
            randomized_share=config.learn_randomized_share,
            guard_samples=config.guard_samples,
            guard_fresh_share=config.guard_fresh_share,
        )

    @property
    def model_version(self) -> str:
        """Prior, hash of the weights and number of learning steps."""
        return self._policy.version

    def propose(self, prompt: Prompt, count: int, rng: Generator) -> list[Proposal]:
        """Return up to ``count`` texts; without exemplars all are sampled from scratch.

        Invalid texts are returned like valid ones. Repeats of each other, of an exemplar or of a
        candidate in flight are drawn again, a few times.
        """
        known = {exemplar.candidate.text for exemplar in prompt.exemplars} | set(prompt.in_flight)
        proposals: list[Proposal] = []
        for _ in range(_ROUNDS):
            for proposal in self._draw(prompt, count - len(proposals), rng):
                text = self._canonical(proposal.text)
                if text not in known:
                    known.add(text)
                    proposals.append(proposal)
            if len(proposals) == count:
                break
        return proposals

    def _draw(self, prompt: Prompt, count: int, rng: Generator) -> list[Proposal]:
        from heuresis_models.grammar import Form
        from heuresis_models.molecules import complete

        grammar = self._policy.grammar
        starts = self._regrow_starts(prompt, count, rng)
        head = grammar.head(Form.CANONICAL)
        parents = [parent for parent, _ in starts] + [None] * (count - len(starts))
        prefixes = [prefix for _, prefix in starts] + [head] * (count - len(starts))
        samples = complete(
            self._policy.model,
            self._policy.vocabulary,
            prefixes,
            rng,
            temperature=self._config.temperature,
            top_p=self._config.top_p,
        )
        return [
            Proposal(
                text=grammar.text(item.tokens),
                operator="sample" if parent is None else "regrow",
                parents=() if parent is None else (parent,),
                log_likelihood=item.log_likelihood,
            )
            for parent, item in zip(parents, samples, strict=True)
        ]

    def _regrow_starts(
        self, prompt: Prompt, count: int, rng: Generator
    ) -> list[tuple[str, list[int]]]:
        """Choose parents (better ones more often) and the part of each that is kept."""
        from heuresis_models.data import randomized
        from heuresis_models.errors import TokenError
        from heuresis_models.grammar import Form

        grammar = self._policy.grammar
        usable = [
            exemplar.candidate
            for exemplar in prompt.exemplars
            if self._policy.learnable(exemplar.candidate.text)
        ]
        if not usable:
            return []
        # Exemplars rise in score, so weight by rank: 1, 2, 3 …
        weight = np.arange(1, len(usable) + 1) / (len(usable) * (len(usable) + 1) / 2)
        starts = []
        for _ in range(int(rng.binomial(count, self._config.regrow_share))):
            parent = usable[int(rng.choice(len(usable), p=weight))]
            head = grammar.head(Form.RANDOMIZED)
            try:
                text = self._policy.vocabulary.encode(randomized(parent.text, rng))
            except TokenError:
                continue
            kept = max(1, int(len(text) * rng.uniform(*self._config.regrow_keep)))
            prefix = [*head, *text[:kept]]
            if len(prefix) < self._policy.model.config.max_position_embeddings:
                starts.append((parent.id, prefix))
        return starts

    def _canonical(self, text: str) -> str:
        """Return the canonical text, or the text itself if the space refuses it."""
        try:
            return self._space.canonical(text)
        except InvalidCandidate:
            return text

    def learn(self, examples: Sequence[ScoredCandidate], rng: Generator) -> LearningReport:
        """Take one learning step from the best candidates; without ``learning`` do nothing."""
        if not self._config.learning:
            return LearningReport(model_version=self.model_version, updates=0)
        texts = [example.candidate.text for example in examples]
        outcome = self._policy.learn(texts, self._settings, rng)
        return LearningReport(
            model_version=self.model_version, updates=outcome.updates, metrics=outcome.metrics
        )

    def save(self, folder: Path) -> None:
        """Write weights and optimiser state; the folder is also a model folder."""
        self._policy.save(folder)

    def load(self, folder: Path) -> None:
        """Restore exactly what `save` wrote.

        Raises:
            WeightsError: files are missing or damaged, or belong to another prior.
        """
        self._policy.load(folder)
