"""Crystals of one exact formula: elements and Wyckoff positions that still lead there.

A crystal's text gives the space group, then each element with its Wyckoff positions, and a position
has a fixed number of sites. So a count is never wrong by surprise: before each token it is known
whether the rest can still come out as the same multiple of the formula for all elements. Positions
without free coordinates can be taken once in a crystal; all others as often as wanted.

Not looked ahead: coordinates, which the grammar may refuse for other reasons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product
from math import inf
from typing import Final

from heuresis_models.language.crystal_text import COORDINATE_DIGITS, ELEMENT_RANK
from heuresis_models.language.errors import DocumentError
from heuresis_models.language.quantities import Formula
from heuresis_models.language.symmetry import WyckoffPosition, space_group
from heuresis_models.language.tokens import CRYSTAL_ELEMENTS, SPACE_GROUPS, WYCKOFF
from heuresis_models.language.vocabulary import Vocabulary

MOST_TOKENS: Final = 190
"""Of elements and sites: what documents of 256 tokens leave beside formula, lattice and the end."""
MOST_SITES: Final = 208
"""In a conventional cell: those of the largest crystal that the models have seen."""
_CLOSE: Final = "</crystal>"

Pieces = tuple[tuple[int, int], ...]
"""Positions by their sites, rising, with a number: how many there are, or what one costs."""


@dataclass
class FormulaWalk:
    """Where a crystal stands on the way to its formula.

    Args:
        formula: elements with counts, from electropositive to electronegative.
    """

    formula: tuple[tuple[str, int], ...]
    number: int = 0
    place: int = -1
    """Which element is open; -1: none yet."""
    letter: str = ""
    """Last position of the open element."""
    placed: int = 0
    """Sites of the open element."""
    units: int = 0
    """Formula units in the cell; 0 until the first element is complete."""
    taken: str = ""
    """Positions without free coordinates that are in use."""
    tokens: int = 0
    """Of elements and sites so far, coordinates included."""

    @classmethod
    def of(cls, formula: Formula) -> FormulaWalk:
        """Begin a crystal.

        Raises:
            DocumentError: the formula breaks its rules, or no cell holds it.
        """
        formula.tokens()
        total = sum(count for _, count in formula.counts)
        if total > MOST_SITES:
            raise DocumentError(
                f"an exact formula has at most {MOST_SITES} atoms, as many as the largest cells"
                f" that the models have seen; got {total}"
            )
        return cls(tuple(sorted(formula.counts, key=lambda part: ELEMENT_RANK[part[0]])))

    @property
    def forced(self) -> int | None:
        """No id is ever forced: where one is left, it is the only one not banned."""
        return None

    @property
    def banned(self) -> frozenset[int]:
        """Ids that would lead away from the formula."""
        return frozenset(index for index in _counting() if self.bans(index))

    def bans(self, index: int) -> bool:
        """Whether an id would lead away from the formula."""
        if index not in _counting():
            return False
        token = Vocabulary.default().tokens[index]
        if token.startswith("<sg:"):
            return bool(self.number) or not self._leads(int(token[4:-1]), 0, "", self._wanted())
        if not self.number:
            return True
        if token[0] == "{":
            following = self.place + 1
            if following == len(self.formula) or token[1:-1] != self.formula[following][0]:
                return True
            return following > 0 and not self._leads(
                self.number, 0, self.taken, [needs[1:] for needs in self._wanted() if not needs[0]]
            )
        if token[0] == "|":
            return self._bans_position(token[1])
        return self.place + 1 < len(self.formula) or all(any(needs) for needs in self._wanted())

    def take(self, index: int) -> None:
        """Move on by one id."""
        if index not in _counting():
            return
        token = Vocabulary.default().tokens[index]
        if token.startswith("<sg:"):
            self.number = int(token[4:-1])
        elif token[0] == "{":
            if self.place == 0:
                self.units = self.placed // self.formula[0][1]
            self.place, self.placed, self.letter = self.place + 1, 0, ""
            self.tokens += 1
        elif token[0] == "|":
            position = space_group(self.number).position(token[1])
            self.letter = position.letter
            self.placed += position.multiplicity
            self.tokens += _cost(position)
            if not position.free:
                self.taken += position.letter

    def _bans_position(self, letter: str) -> bool:
        if self.place < 0 or letter not in _letters(self.number):
            return True
        position = space_group(self.number).position(letter)
        start = _letters(self.number).index(letter)
        taken = self.taken if position.free else self.taken + letter
        wanted = [
            (needs[0] - position.multiplicity, *needs[1:])
            for needs in self._wanted()
            if needs[0] >= position.multiplicity
        ]
        return not self._leads(self.number, start, taken, wanted, _cost(position))

    def _wanted(self) -> list[tuple[int, ...]]:
        """Return the sites that elements from the open one on still need, for each multiple."""
        place = max(self.place, 0)
        most = MOST_SITES // sum(count for _, count in self.formula)
        needed = []
        for units in (self.units,) if self.units else range(1, most + 1):
            left = [units * count for _, count in self.formula[place:]]
            left[0] -= self.placed
            if left[0] >= 0:
                needed.append(tuple(left))
        return needed

    def _leads(
        self, number: int, start: int, taken: str, wanted: Sequence[tuple[int, ...]], more: int = 0
    ) -> bool:
        """Whether some of the wanted counts can be written with the tokens that are left."""
        left = MOST_TOKENS - self.tokens - more
        return any(_fewest_tokens(number, start, taken, needs) <= left for needs in wanted)


@cache
def _counting() -> frozenset[int]:
    """Return the ids that a walk looks at."""
    vocabulary = Vocabulary.default()
    return frozenset(
        vocabulary[token] for token in (*SPACE_GROUPS, *CRYSTAL_ELEMENTS, *WYCKOFF, _CLOSE)
    )


@cache
def _letters(number: int) -> str:
    return "".join(position.letter for position in space_group(number).positions)


def _cost(position: WyckoffPosition) -> int:
    """Return the tokens of a site: its letter and the digits of its free coordinates."""
    return 1 + COORDINATE_DIGITS * position.free


@lru_cache(maxsize=65536)
def _fewest_tokens(number: int, start: int, taken: str, needs: tuple[int, ...]) -> float:
    """Return the least number of tokens that give all elements their sites; infinity: none do.

    Tokens of elements are counted but for that of the first.

    Args:
        number: space group.
        start: the first position that the first element may still use; others may use all.
        taken: positions without free coordinates that are in use.
        needs: sites of each element.
    """
    positions = space_group(number).positions
    single = [p.multiplicity for p in positions if not p.free and p.letter not in taken]
    here = [p.multiplicity for p in positions[start:] if not p.free and p.letter not in taken]
    return len(needs[1:]) + _shared(
        _repeatable(number, start),
        _repeatable(number, 0),
        tuple(sorted(Counter(here).items())),
        tuple(sorted(Counter(single).items())),
        needs,
    )


@cache
def _repeatable(number: int, start: int) -> Pieces:
    """Return the positions with free coordinates: (sites, fewest tokens)."""
    found: dict[int, int] = {}
    for position in space_group(number).positions[start:]:
        if position.free:
            size, cost = position.multiplicity, _cost(position)
            found[size] = min(found.get(size, cost), cost)
    return tuple(sorted(found.items()))


@lru_cache(maxsize=65536)
def _shared(
    own: Pieces, others: Pieces, here: Pieces, left: Pieces, needs: tuple[int, ...]
) -> float:
    """Share the positions that can be taken once among elements; see `_fewest_tokens`.

    Args:
        own: positions that the first element may repeat: (sites, tokens).
        others: those that the others may repeat.
        here: positions to be taken once that the first element may use: (sites, how many).
        left: all of them.
        needs: sites of each element.
    """
    if not needs:
        return 0
    best = inf
    free = _coins(own, needs[0])
    for counts in product(*(range(min(count, needs[0] // size) + 1) for size, count in here)):
        sites = sum(size * used for (size, _), used in zip(here, counts, strict=True))
        if sites > needs[0] or free[needs[0] - sites] == inf:
            continue
        used = dict(zip((size for size, _ in here), counts, strict=True))
        rest = tuple((size, count - used.get(size, 0)) for size, count in left)
        following = _shared(others, others, rest, rest, needs[1:])
        best = min(best, sum(counts) + free[needs[0] - sites] + following)
    return best


@lru_cache(maxsize=4096)
def _coins(pieces: Pieces, most: int) -> tuple[float, ...]:
    """Return the least cost of pieces that add up to 0, 1, … most; infinity: none do."""
    least: list[float] = [0.0]
    for total in range(1, most + 1):
        ways = (least[total - size] + cost for size, cost in pieces if size <= total)
        least.append(min(ways, default=inf))
    return tuple(least)
