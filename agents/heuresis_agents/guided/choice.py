"""Which candidates are proposed: in which order each choice goes through them."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from heuresis.errors import InvalidCandidate
from heuresis_models.gaussian_process.acquisition import by_upper_confidence, drawn_beta

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from heuresis.ports import DesignSpace
    from heuresis_models.gaussian_process.followed import Posterior


class Choosing(NamedTuple):
    """How choices are made."""

    ranked: bool
    """False: evenly, for nothing is known or the surrogate does not rank."""
    control_share: float
    beta_exponents: tuple[float, float]
    beta_factor: float
    least_deviation: float = 0.0
    best: float = -math.inf
    """Highest score so far."""

    def worth(self, belief: Posterior) -> NDArray[np.float64]:
        """Return the means, minus infinity where the score is known and is no gain.

        Twins of what was measured have its score, again and again the highest there is.
        """
        known = (belief.deviation < self.least_deviation) & (belief.mean <= self.best)
        return np.where(known, -np.inf, belief.mean)

    def beta(self, rng: Generator) -> float:
        """Draw how much doubt is worth, for one choice."""
        return self.beta_factor * drawn_beta(rng, self.beta_exponents)


class Taken:
    """Texts that are not to be proposed.

    Args:
        known: looked at, not copied, for it grows with the campaign.
        more: further ones.
    """

    def __init__(self, known: Container[str], more: Iterable[str] = ()) -> None:
        self._known = known
        self._more = set(more)

    def __contains__(self, text: object) -> bool:
        return text in self._more or text in self._known

    def add(self, text: str) -> None:
        """Take one more."""
        self._more.add(text)


class Choice(NamedTuple):
    """One that was chosen."""

    place: int
    text: str
    """Canonical."""
    control: bool
    """It was chosen without ranking, to see what ranking is worth."""


def choices(
    belief: Posterior,
    text_of: Callable[[int], str | None],
    taken: Taken,
    count: int,
    how: Choosing,
    rng: Generator,
) -> Iterator[Choice]:
    """Yield up to ``count`` choices, each the first of an order of its own that can be had.

    What cannot be had draws no random number: what was found out about a text in an earlier answer
    and is remembered must not change this one.

    Args:
        belief: about the candidates.
        text_of: canonical text at a place; None: the space refuses it.
        taken: texts that are known or on their way; those chosen are added.
        count: how many.
        how: see `Choosing`.
        rng: draws control choices and betas.
    """
    for _ in range(count):
        control = bool(rng.random() < how.control_share)
        order: NDArray[np.int64]
        if control or not how.ranked:
            order = rng.permutation(len(belief.mean))
        else:
            order = by_upper_confidence(how.worth(belief), belief.deviation, how.beta(rng))
        for place in order.tolist():
            text = text_of(place)
            if text is not None and text not in taken:
                taken.add(text)
                yield Choice(place, text, control)
                break
        else:
            return


def canonical_or_none(space: DesignSpace, text: str) -> str | None:
    """Return the canonical text; None: the space refuses it."""
    try:
        return space.canonical(text)
    except InvalidCandidate:
        return None
