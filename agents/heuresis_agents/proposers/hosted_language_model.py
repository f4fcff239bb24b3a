"""Proposer ``hosted-language-model``: a language model that others trained, asked in plain text.

Any Llama-type folder of Hugging Face (``config.json``, safetensors, ``tokenizer.json``). Exemplars
are shown as lines in rising order of score, and the model writes the next line; the SMILES in it is
the proposal. It does not learn from the campaign.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from heuresis.errors import InvalidCandidate, UserError
from heuresis.ports import DesignSpace, PluginConfig
from heuresis.records import Prompt, Proposal, ScoredCandidate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator

    from heuresis_models.hosting import Completion

_ROUNDS = 3
"""Times a batch is drawn at most to replace repeats; what is still missing then stays missing."""
_LONGEST_TEXT = 200
"""Characters of a line without a SMILES that are passed on, to be counted as invalid."""


class HostedLanguageModel:
    """Asks a model in plain text; implements the port ``Proposer``.

    Args:
        config: see `Config`.
        space: of molecules.

    Raises:
        UserError: another kind of space, or the folder cannot be used.
    """

    class Config(PluginConfig):
        """Settings in a campaign file."""

        folder: str
        """Of the model; nothing is downloaded."""
        head: str = "SMILES of molecules, one per line, from the lowest to the highest score:\n"
        """What the model reads first."""
        line: str = "{text}\n"
        """Of one exemplar; may use ``{text}``, ``{score:.2f}`` and ``{rank}``."""
        cue: str = ""
        """What stands before the line that the model is to write; may use ``{rank}``."""
        temperature: float = Field(default=1.0, gt=0, le=3)
        top_p: float = Field(default=1.0, gt=0, le=1)
        max_tokens: int = Field(default=96, gt=0)
        """Longest answer."""
        batch: int = Field(default=32, gt=0)
        """Answers that are written together."""
        precision: Literal["fp32", "bf16", "fp16"] | None = None
        """Of the arithmetic; None: that of the stored weights."""
        device: str = "cpu"
        """Where to compute, e.g. ``cuda``."""

        @model_validator(mode="after")
        def _template_fills(self) -> Self:
            try:
                self.line.format(text="C", score=0.5, rank=1)
                self.cue.format(rank=1)
            except (KeyError, IndexError, ValueError) as error:
                raise ValueError(
                    f"line may use {{text}}, {{score}} and {{rank}}, cue {{rank}}; cannot fill"
                    f" {error}"
                ) from error
            return self

    def __init__(self, config: Config, space: DesignSpace) -> None:
        # Imported here so that reading `Config` does not load torch.
        import torch

        from heuresis_models.hosting import LinePrompt, load_hosted

        if space.kind != "molecule":
            raise UserError(
                f"hosted-language-model finds SMILES in text, but the space is '{space.kind}';"
                " use it in a molecule space"
            )
        types = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
        folder = Path(config.folder).expanduser()
        dtype = types[config.precision] if config.precision else None
        self._model = load_hosted(folder, dtype=dtype, device=config.device)
        self._template = LinePrompt(config.head, config.line, config.cue)
        self._name = folder.resolve().name
        self._config = config
        self._space = space
        # A prompt without exemplars is the shortest of all; if it does not fit, none does.
        self._shown(())

    @property
    def model_version(self) -> str:
        """Name of the folder; the weights do not change."""
        return self._name

    def propose(self, prompt: Prompt, count: int, rng: Generator) -> list[Proposal]:
        """Return up to ``count`` texts.

        A line without a SMILES is returned as it is, to be counted as invalid. Repeats of each
        other, of an exemplar or of a candidate in flight are drawn again, a few times.
        """
        known = {exemplar.candidate.text for exemplar in prompt.exemplars} | set(prompt.in_flight)
        text, shown = self._shown(prompt.exemplars)
        parents = tuple(exemplar.candidate.id for exemplar in shown)
        proposals: list[Proposal] = []
        for _ in range(_ROUNDS):
            for answer in self._answers(text, count - len(proposals), rng):
                proposal = self._proposal(answer, parents)
                if proposal is not None and (name := self._canonical(proposal.text)) not in known:
                    known.add(name)
                    proposals.append(proposal)
            if len(proposals) == count:
                break
        return proposals

    def _shown(self, exemplars: Sequence[ScoredCandidate]) -> tuple[str, Sequence[ScoredCandidate]]:
        """Return the prompt of the best exemplars that fit, and these."""
        for first in range(len(exemplars) + 1):
            shown = exemplars[first:]
            text = self._template.render([(item.candidate.text, item.score) for item in shown])
            if self._model.fits(text, self._config.max_tokens):
                return text, shown
        raise UserError(
            f"the prompt without exemplars and an answer of {self._config.max_tokens} tokens are"
            " longer than the model can read; shorten head or lower max_tokens"
        )

    def _answers(self, text: str, count: int, rng: Generator) -> list[Completion]:
        config = self._config
        answers: list[Completion] = []
        while len(answers) < count:
            answers += self._model.complete(
                [text] * min(config.batch, count - len(answers)),
                rng,
                max_tokens=config.max_tokens,
                temperature=config.temperature,
                top_p=config.top_p,
            )
        return answers

    def _proposal(self, answer: Completion, parents: tuple[str, ...]) -> Proposal | None:
        from heuresis_models.hosting import find_smiles

        text = find_smiles(answer.text) or answer.text.strip()[:_LONGEST_TEXT]
        if not text:
            return None
        return Proposal(
            text=text,
            operator="continue" if parents else "sample",
            parents=parents,
            log_likelihood=answer.log_likelihood,
        )

    def _canonical(self, text: str) -> str:
        try:
            return self._space.canonical(text)
        except InvalidCandidate:
            return text
