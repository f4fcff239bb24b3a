"""What a language model is asked: prompts for each operator of the proposer ``language-model``.

``sample`` asks for an object from scratch. ``regrow`` gives the first part of an exemplar
(molecules as a random SMILES, so any connected part) and lets the model write the rest.
``exemplars`` shows one or two exemplars, worst first, and asks for a better one, or for one of
stated similarity. ``scaffold`` keeps a stated part of a molecule, or the rings of an exemplar, and
lets the model write what is attached.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from heuresis.records import Candidate, ScoredCandidate
from heuresis_models.generation import Prompt, Scaffold, object_kind, prompt, ring_scaffold
from heuresis_models.language import Form, Molecule, Quantile, Quantity, Vocabulary
from heuresis_models.language.augmentation import randomized_smiles
from heuresis_models.language.documents import Condition, Entry
from heuresis_models.language.errors import DocumentError, UnknownTokenError
from heuresis_models.language.objects import Thing
from heuresis_models.language.parsing import read_text
from heuresis_models.molecules_alike import written_alike

if TYPE_CHECKING:
    from numpy.random import Generator

BEST_QUANTILE = 15
MOST_EXEMPLARS = 2
"""As many as models are shown in training."""


class Question(NamedTuple):
    """A prompt with where it came from."""

    operator: str
    parents: tuple[str, ...]
    prompt: Prompt


class Asker:
    """Makes prompts for one kind of object.

    Args:
        kind: of the design space.
        conditions: what every object should be like.
        longest: tokens a prompt may have.
    """

    def __init__(self, kind: str, conditions: Sequence[Condition], longest: int) -> None:
        self._kind = kind
        self._conditions = tuple(conditions)
        self._longest = longest

    def sample(self) -> Question:
        """Ask for an object from scratch."""
        return Question("sample", (), prompt(self._kind, conditions=self._conditions))

    def regrow(
        self, exemplars: Sequence[ScoredCandidate], keep: tuple[float, float], rng: Generator
    ) -> Question | None:
        """Give the first part of an exemplar; None: it cannot be written, or not be kept."""
        parent = better_first_choice(exemplars, rng)
        share = rng.uniform(*keep)
        try:
            molecule = self._kind == "molecule"
            text = randomized_smiles(parent.text, rng) if molecule else parent.text
            tokens = Vocabulary.default().cut(text)
            given = "".join(tokens[: max(1, int(len(tokens) * share))])
            asked = prompt(
                self._kind, form=Form.RANDOMIZED, given=given, conditions=self._conditions
            )
        except (DocumentError, UnknownTokenError):
            return None
        return self._fitting(Question("regrow", (parent.id,), asked))

    def exemplars(
        self, exemplars: Sequence[ScoredCandidate], similarity: float | None, rng: Generator
    ) -> Question | None:
        """Show one or two exemplars, worst first, and ask for a better one; None: too long.

        Quantiles are ranks among the exemplars of the question: a scale that every campaign has.
        Molecules are written from an atom whose surroundings all exemplars share (form
        ``<aligned>``), if there is one: models copy and vary such texts best.
        """
        count = min(len(exemplars), 1 + int(rng.integers(MOST_EXEMPLARS)))
        weight = rank_weights(len(exemplars))
        places = sorted(
            int(place) for place in rng.choice(len(exemplars), count, replace=False, p=weight)
        )
        shown = [exemplars[place].candidate for place in places]
        asked: list[Condition] = list(self._conditions)
        said: list[tuple[Condition, ...]] = [()] * len(shown)
        if similarity is None:
            asked.insert(0, Quantile(BEST_QUANTILE))
            said = [(Quantile.of((place + 0.5) / len(exemplars)),) for place in places]
        else:
            asked.insert(0, Quantity("similarity", similarity))
        try:
            things, form = self._things([candidate.text for candidate in shown], rng)
            entries = [
                Entry(thing, conditions=conditions)
                for thing, conditions in zip(things, said, strict=True)
            ]
            question = prompt(self._kind, form=form, conditions=asked, exemplars=entries)
        except (DocumentError, UnknownTokenError):
            return None
        return self._fitting(Question("exemplars", tuple(c.id for c in shown), question))

    def scaffold(
        self, scaffold: Scaffold | None, exemplars: Sequence[ScoredCandidate], rng: Generator
    ) -> Question | None:
        """Keep a part: the stated one, or the rings of an exemplar; None: it has none to keep."""
        parents: tuple[str, ...] = ()
        if scaffold is None:
            if not exemplars:
                return None
            parent = better_first_choice(exemplars, rng)
            parents = (parent.id,)
            try:
                scaffold = ring_scaffold(parent.text)
            except DocumentError:
                return None
            if scaffold is None:
                return None
        asked = scaffold.prompt(rng, conditions=self._conditions)
        return self._fitting(Question("scaffold", parents, asked))

    def _things(self, texts: Sequence[str], rng: Generator) -> tuple[list[Thing], Form]:
        """Return the objects of canonical texts, and the form to go on in."""
        if self._kind == "molecule":
            alike = written_alike(texts, rng)
            form = Form.CANONICAL if alike is None else Form.ALIGNED
            return [Molecule(text, form) for text in alike or texts], form
        written = object_kind(self._kind)
        read = [read_text(f"<bos>{written.tag}{text}{written.end}<eos>") for text in texts]
        return [document.entry.thing for document in read], Form.CANONICAL

    def _fitting(self, question: Question) -> Question | None:
        return question if len(question.prompt.ids) < self._longest else None


def rank_weights(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the chance of each of ``count`` exemplars, which rise in score: 1, 2, 3 … parts."""
    return np.arange(1, count + 1) / (count * (count + 1) / 2)


def better_first_choice(exemplars: Sequence[ScoredCandidate], rng: Generator) -> Candidate:
    """Choose one exemplar, better ones more often."""
    return exemplars[int(rng.choice(len(exemplars), p=rank_weights(len(exemplars))))].candidate
