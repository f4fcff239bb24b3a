"""Proposer ``language-model``: a pretrained model that learns from what scored well.

It proposes in several ways, mixed by shares. ``sample`` writes an object from scratch. ``regrow``
takes an exemplar of the prompt, writes it as a random SMILES, keeps the first part and lets the
model write the rest: the result shares a random connected part with its parent, which puts its
similarity into the band where local search works (mean Tanimoto 0.4 when half is kept, 0.6 for
three quarters). ``exemplars`` shows exemplars in rising order and asks for a better one, in models
that were taught to read them. ``scaffold`` keeps a stated substructure, or the rings of an
exemplar, and writes what is attached. All of it can be asked under conditions (stated property
values), again in models that were taught them; asking an untaught model is an error at the start.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from heuresis.errors import InvalidCandidate, UserError
from heuresis.ports import DesignSpace, PluginConfig
from heuresis.records import LearningReport, Prompt, Proposal, ScoredCandidate
from heuresis_models.model_folders import model_folder

if TYPE_CHECKING:
    from numpy.random import Generator

    from heuresis_agents.proposers.asking import Question


class LanguageModel:
    """Samples, regrows and fine-tunes; implements the ports ``Proposer`` and ``Trainable``.

    Args:
        config: see `Config`.
        space: of a kind that the language can write; also used to recognise repeats.

    Raises:
        UserError: the language has no such objects, the prior cannot be loaded, or it was not
            taught what the settings ask of it.
    """

    class Config(PluginConfig):
        """Settings in a campaign file."""

        prior: str = "heuresis-base"
        """A shipped model, or the path of a model folder."""
        temperature: float = Field(default=1.0, gt=0, le=3)
        top_p: float = Field(default=1.0, gt=0, le=1)
        masked: bool = True
        """Keep to the grammar while writing: nearly all proposals are then valid."""
        max_tokens: int = Field(default=256, gt=8)
        """Longest document, prompt included."""
        conditions: dict[str, float] = Field(default_factory=dict)
        """Property → value that every proposal should have, in the units of `docs/grammar.md`;
        only for priors that were taught conditions, or with ``best_of`` above 1."""
        best_of: int = Field(default=1, gt=0, le=256)
        """Write this many for each proposal and keep the one that is nearest to the conditions, as
        RDKit computes them; in a prior that was taught none, this alone brings them about."""
        guidance: float = Field(default=1.0, ge=0, le=20)
        """Above 1 exaggerates conditions and exemplars (classifier-free guidance)."""
        regrow_share: float = Field(default=0.5, ge=0, le=1)
        """Expected share of proposals that are regrown from an exemplar, if there are any."""
        exemplar_share: float = Field(default=0.0, ge=0, le=1)
        """Expected share asked for by showing exemplars; only for priors that were taught them."""
        exemplar_similarity: float | None = Field(default=None, gt=0, lt=1)
        """Ask for this Tanimoto similarity to the exemplars shown; None: for the best quantile."""
        scaffold_share: float = Field(default=0.0, ge=0, le=1)
        """Expected share that keeps a part of a molecule; only in molecule spaces."""
        scaffold: str | None = None
        """SMILES of the kept part with attachment points ``[*]``, or two parts with one each, to be
        joined; None: the rings of an exemplar."""
        regrow_keep: tuple[float, float] = (0.5, 0.75)
        """Least and greatest share of the exemplar's tokens that are kept."""
        redraws: int = Field(default=2, ge=0)
        """How often repeats are drawn again; what is still missing then stays missing."""
        learning: bool = True
        """False: the prior stays as it is, e.g. for a control arm."""
        learn_best: int = Field(default=64, gt=0)
        """Learn from at most this many of the best candidates."""
        learn_replay: float | None = Field(default=None, gt=0)
        """None: from all of these alike. A number k: rank r of N has the chance 1 / (k N + r)."""
        learn_prior_weight: float = Field(default=0.0, ge=0)
        """How much a learning step is held to what the prior would write; 0: not at all."""
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
        def _prior_can_do_it(self) -> Self:
            try:
                folder = model_folder(self.prior)
                needed = []
                # The nearest of several is found by RDKit, whatever the model heeds.
                if self.conditions and self.best_of == 1:
                    needed.append("conditions")
                if self.exemplar_share:
                    by = "quantiles" if self.exemplar_similarity is None else "conditions"
                    needed += ["exemplars", by]
                if needed or self.conditions:
                    # Loads torch, so only when it must.
                    from heuresis_models.generation import Knowledge
                    from heuresis_models.language import Quantity

                    knowledge = Knowledge.of(folder)
                    knowledge.demand(*needed)
                    if "conditions" in knowledge.taught:
                        knowledge.check([Quantity(*one) for one in self.conditions.items()])
            except UserError as error:
                raise ValueError(str(error)) from error
            return self

        @model_validator(mode="after")
        def _what_is_asked(self) -> Self:
            shares = {
                "regrow_share": self.regrow_share,
                "exemplar_share": self.exemplar_share,
                "scaffold_share": self.scaffold_share,
            }
            if sum(shares.values()) > 1.0 + 1e-9:
                raise ValueError(
                    f"{' + '.join(shares)} = {' + '.join(f'{s:g}' for s in shares.values())} is"
                    " more than 1; what they leave is sampled"
                )
            if self.best_of > 1 and not self.conditions:
                raise ValueError("best_of chooses by conditions, but there are none; state some")
            if self.scaffold is not None and not self.scaffold_share:
                raise ValueError("a scaffold is given, but scaffold_share is 0; raise it")
            if self.guidance != 1.0 and not self.conditions and not self.exemplar_share:
                raise ValueError(
                    f"guidance {self.guidance:g} needs conditions or exemplar_share: there is"
                    " nothing to exaggerate"
                )
            return self

        @model_validator(mode="after")
        def _kept_part(self) -> Self:
            low, high = self.regrow_keep
            if not 0.0 < low <= high < 1.0:
                raise ValueError(
                    f"regrow_keep must be two rising shares between 0 and 1, got {[low, high]}"
                )
            return self

    def __init__(self, config: Config, space: DesignSpace) -> None:
        # Imported here so that reading `Config` does not load torch.
        import torch

        from heuresis_agents.proposers.asking import Asker
        from heuresis_models.finetuning import FineTuning, Policy
        from heuresis_models.generation import SPREADS, Knowledge, Sampling, Scaffold, object_kind
        from heuresis_models.language import Quantity

        subject = object_kind(space.kind).subject
        folder = model_folder(config.prior)
        knowledge = Knowledge.of(folder)
        conditions = [Quantity(name, value) for name, value in config.conditions.items()]
        for condition in conditions:
            condition.tokens()
        taught = "conditions" in knowledge.taught
        if taught or config.best_of == 1:
            knowledge.check(conditions)
        if config.best_of > 1:
            unknown = sorted(set(config.conditions) - set(SPREADS))
            if unknown or space.kind != "molecule":
                raise UserError(
                    f"best_of needs properties that RDKit computes of molecules"
                    f" ({', '.join(SPREADS)}); got {', '.join(unknown) or space.kind}"
                )
        knowledge.demand(*([subject] if subject else []))
        if config.scaffold_share and space.kind != "molecule":
            raise UserError(
                f"scaffold_share keeps parts of molecules, but the space is '{space.kind}'"
            )
        self._scaffold = Scaffold(config.scaffold) if config.scaffold else None
        if threads := os.environ.get("OMP_NUM_THREADS"):
            torch.set_num_threads(int(threads))
        self._config = config
        self._space = space
        # What a space refuses is no sign of a policy that repeats itself, so molecules are RDKit's.
        canonical = None if space.kind == "molecule" else self._canonical_or_none
        self._policy = Policy(folder, space.kind, canonical)
        capacity = self._policy.model.config.max_position_embeddings
        self._sampling = Sampling(
            temperature=config.temperature,
            top_p=config.top_p,
            masked=config.masked,
            guidance=config.guidance,
            max_tokens=config.max_tokens,
        )
        self._asker = Asker(
            space.kind,
            knowledge.worded(conditions) if taught else [],
            min(config.max_tokens, capacity),
        )
        self._settings = FineTuning(
            best=config.learn_best,
            replay=config.learn_replay,
            prior_weight=config.learn_prior_weight,
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
        for _ in range(1 + self._config.redraws):
            for proposal in self._draw(prompt, count - len(proposals), rng):
                text = self._canonical(proposal.text)
                if text not in known:
                    known.add(text)
                    proposals.append(proposal)
            if len(proposals) == count:
                break
        return proposals

    def _draw(self, prompt: Prompt, count: int, rng: Generator) -> list[Proposal]:
        from heuresis_models.generation import generate, nearest, payload

        questions = self._questions(prompt, count, rng)
        sampling = self._sampling
        if all(question.prompt.plain is None for question in questions):
            sampling = sampling.model_copy(update={"guidance": 1.0})
        times = self._config.best_of
        samples = generate(
            self._policy.model,
            [question.prompt for question in questions for _ in range(times)],
            rng,
            sampling,
        )
        texts = [payload(item.tokens, self._space.kind) for item in samples]
        proposals = []
        for number, question in enumerate(questions):
            group = texts[number * times : (number + 1) * times]
            best = nearest(group, self._config.conditions) if times > 1 else 0
            proposals.append(
                Proposal(
                    text=group[best],
                    operator=question.operator,
                    parents=question.parents,
                    log_likelihood=samples[number * times + best].log_likelihood,
                )
            )
        return proposals

    def _questions(self, prompt: Prompt, count: int, rng: Generator) -> list[Question]:
        """Divide the proposals among the operators; what cannot be asked is sampled."""
        config = self._config
        usable = [item for item in prompt.exemplars if self._policy.learnable(item.candidate.text)]
        shares = (config.regrow_share, config.exemplar_share, config.scaffold_share)
        parts = rng.multinomial(count, (*shares, max(0.0, 1.0 - sum(shares))))
        regrown, shown, kept, _ = (int(part) for part in parts)
        asked: list[Question | None] = []
        if usable:
            keep, similarity = config.regrow_keep, config.exemplar_similarity
            asked += [self._asker.regrow(usable, keep, rng) for _ in range(regrown)]
            asked += [self._asker.exemplars(usable, similarity, rng) for _ in range(shown)]
        asked += [self._asker.scaffold(self._scaffold, usable, rng) for _ in range(kept)]
        found = [question for question in asked if question is not None]
        return found + [self._asker.sample()] * (count - len(found))

    def _canonical(self, text: str) -> str:
        """Return the canonical text, or the text itself if the space refuses it."""
        try:
            return self._space.canonical(text)
        except InvalidCandidate:
            return text

    def _canonical_or_none(self, text: str) -> str | None:
        try:
            return self._space.canonical(text)
        except InvalidCandidate:
            return None

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
