"""A population that nobody ranks: what descends from the first measurements by chance alone.

A search that a surrogate guides is greedy: within a few hundred measurements all of its best are
cousins, and their children are, too. A population that was never ranked climbs slowly, but it holds
many kinds for long, and where the guided search stands still it often goes on climbing. So it is
bred beside it, from members of its own only: the first measurements, and children of members.

What is in it follows from the history alone, as with the pool: children are made when measurements
come in, by a generator that the history names, never when a question is asked.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from heuresis_agents.guided.history import History, even_log_rank
from heuresis_agents.guided.sources import Made, Parent

if TYPE_CHECKING:
    from numpy.random import Generator

_WAITING: Final = 64
"""Children that wait to be proposed: as many as may be asked for at once."""

Breed = Callable[[Callable[["Generator"], Parent], int, "Generator"], list[Made]]
"""Makes so many children of parents that are drawn by the first argument."""


class Population:
    """Implements a small genetic algorithm as a fold over the history.

    Args:
        history: what is known.
        size: members; the best stay.
        founders: the first so many measurements that got a score are members.
    """

    def __init__(self, history: History, size: int, founders: int) -> None:
        self._history = history
        self._size = size
        self._founders = founders
        self._ranked: list[tuple[float, int]] = []
        """Negative score and place in the history of each member, the best first."""
        self._waiting: dict[str, Made] = {}

    def __len__(self) -> int:
        """Return the number of members."""
        return len(self._ranked)

    def judged(self, text: str, score: float | None) -> None:
        """Take note of what was judged; the history knows it already.

        Args:
            text: of the candidate.
            score: of it; None: it has none.
        """
        own = self._waiting.pop(text, None) is not None
        if score is None or not (own or self._history.scored <= self._founders):
            return
        insort(self._ranked, (-score, self._history.scored - 1))
        del self._ranked[self._size :]

    def breed(self, children: Breed, rng: Generator) -> None:
        """Make children until enough wait."""
        missing = _WAITING - len(self._waiting)
        if missing <= 0 or not self._ranked:
            return
        for made in children(self._parent, missing, rng):
            if made.text not in self._history.known:
                self._waiting.setdefault(made.text, made)

    def newest(self) -> Iterator[Made]:
        """Return children that wait, those of the latest parents first."""
        return reversed(self._waiting.values())

    def _parent(self, rng: Generator) -> Parent:
        _, place = self._ranked[even_log_rank(len(self._ranked), rng)]
        return Parent.measured(self._history.at(place))
