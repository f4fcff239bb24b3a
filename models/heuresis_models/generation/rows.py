"""One document while it is being written."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from heuresis_models.generation.formula_walk import FormulaWalk
from heuresis_models.generation.prompts import Prompt
from heuresis_models.generation.slots import SlotWalk
from heuresis_models.language.automaton import State


class Start(NamedTuple):
    """What must be computed before the next token of a row can be drawn."""

    ids: tuple[int, ...]
    scored: int
    """How many of the last ids count in the likelihood."""


@dataclass
class Row:
    """A document that is being written.

    Args:
        prompt: what it begins with.
        stops: ids that end it.
        limit: longest document.
        seed: of its random numbers; no other row has the same.
        origin: where the grammar stands after the prompt; None: without mask.
        restarts: how often it may still start again.
    """

    prompt: Prompt
    stops: frozenset[int]
    limit: int
    seed: int
    origin: State | None
    restarts: int
    restarted: int = 0
    corrections: int = 0
    closed: bool = False
    refused: bool = False
    finished: bool = False
    state: State | None = None
    ids: list[int] = field(default_factory=list)
    likelihood: float = 0.0
    log_probability: float = 0.0
    walk: SlotWalk | FormulaWalk | None = None

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.ids = list(self.prompt.ids)
        self.state = self.origin
        self.refused = False
        self.likelihood = self.log_probability = 0.0
        self.walk = None
        if self.prompt.slots:
            self.walk = SlotWalk(self.prompt.slots)
        elif self.prompt.formula is not None:
            self.walk = FormulaWalk.of(self.prompt.formula)

    def restart(self) -> None:
        """Start from the prompt again, with fresh random numbers."""
        self.restarts -= 1
        self.restarted += 1
        self._begin()

    @property
    def step(self) -> int:
        """Number of tokens written after the prompt."""
        return len(self.ids) - len(self.prompt.ids)

    @property
    def done(self) -> bool:
        """Ended, or as long as it may be."""
        return self.finished or len(self.ids) >= self.limit

    def uniform_S2(self, steps: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """Return the random numbers of the coming steps, two for each.

        They depend on seed, attempt and step alone.
        """
        stream = np.random.Generator(np.random.PCG64((self.seed, self.restarted)))
        return stream.random((self.step + steps, 2))[self.step :]

    def take(self, token: int, own: float, chance: float) -> None:
        """Append a token with its log-probability under the model and its chance when drawn."""
        self.ids.append(token)
        self.likelihood += own
        self.log_probability += math.log(chance) if chance else -math.inf
        self.finished = token in self.stops
        if self.walk is not None:
            self.walk.take(token)

    def start(self, *, plain: bool = False) -> Start:
        """Return what must be computed; ``plain``: as if nothing had been asked."""
        prompt = self.prompt
        if plain and prompt.plain is not None:
            return Start((*prompt.plain, *self.ids[len(prompt.ids) :]), 0)
        # Of a row that was begun before, the likelihood is known up to here.
        return Start(tuple(self.ids), 0 if self.step else len(prompt.ids) - prompt.head)
