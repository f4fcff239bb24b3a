"""Which token may come next in a crystal.

Space group, then as many digits as its lattice needs, then elements from electropositive to
electronegative, each with its Wyckoff positions in order. A position without free coordinates is
used once. Digits that would move a site onto a more special position are left out. What is not
checked: distances between different orbits, and charge.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Final, NamedTuple

import numpy as np

from heuresis_models.language.crystal_text import (
    COORDINATE_DIGITS,
    COORDINATE_STEPS,
    ELEMENT_RANK,
    OVERLAP_ANGSTROM,
    PARAMETER_DIGITS,
    lattice_vectors,
)
from heuresis_models.language.symmetry import space_group
from heuresis_models.language.tokens import DIGITS, SPACE_GROUPS

SHORTEST_STEPS: Final = 100
"""Cells below 1 Å are not written."""
ANGLE_STEPS: Final = (200, 1600)
"""Angles from 20° to 160°."""
CLOSURE_STEPS: Final = 5
"""Margin, in steps of 0.1°, within which three angles count as closing no cell."""
CLOSE: Final = "</crystal>"
_GENERIC: Final = (137, 279, 461)
_PADDINGS: Final = {2: (0, 33, 66, 99), 1: (0, 3, 6, 9), 0: (0,)}


class CrystalState(NamedTuple):
    """A half-written crystal.

    Args:
        number: space group; 0 before it is written.
        lattice: finished lattice parameters in steps.
        digits: digits of the number that is being written.
        element: the open element, or ''.
        letter: Wyckoff letter of the last or open site, or ''.
        steps: finished coordinates of the open site.
        before: digits of the site before on the same position; the next must be greater.
        fixed: letters of positions without free coordinates that are taken.
        sites: finished sites.
        open: True while the coordinates of a site are being written.
    """

    number: int = 0
    lattice: tuple[int, ...] = ()
    digits: str = ""
    element: str = ""
    letter: str = ""
    steps: tuple[int, ...] = ()
    before: str = ""
    fixed: str = ""
    sites: int = 0
    open: bool = False


START: Final = CrystalState()


def allowed(state: CrystalState) -> frozenset[str]:
    """Return the tokens that may come next."""
    if not state.number:
        return _SPACE_GROUPS
    names = space_group(state.number).lattice_parameters
    if len(state.lattice) < len(names):
        low, high = _range(state.number, state.lattice)
        return _digits_within(state.digits, PARAMETER_DIGITS, low, high)
    if state.open:
        return _coordinate_digits(
            state.number, state.lattice, state.letter, state.steps, state.digits, state.before
        )
    return _sites(state.number, state.element, state.letter, state.before, state.fixed, state.sites)


def advance(state: CrystalState, token: str) -> CrystalState:
    """Return the state after an allowed token other than ``</crystal>``."""
    if not state.number:
        return CrystalState(int(token[4:-1]))
    if token[0] == "{":
        return state._replace(element=token[1:-1], letter="", before="", sites=state.sites)
    group = space_group(state.number)
    if token[0] == "|":
        letter = token[1]
        before = state.before if letter == state.letter else ""
        if group.position(letter).free:
            return state._replace(letter=letter, steps=(), digits="", before=before, open=True)
        return state._replace(
            letter=letter, before="", fixed=state.fixed + letter, sites=state.sites + 1
        )
    digits = state.digits + token[1]
    if not state.open:
        if len(digits) < PARAMETER_DIGITS:
            return state._replace(digits=digits)
        return state._replace(lattice=(*state.lattice, int(digits)), digits="")
    if len(digits) < COORDINATE_DIGITS:
        return state._replace(digits=digits)
    steps = (*state.steps, int(digits))
    if len(steps) < group.position(state.letter).free:
        return state._replace(steps=steps, digits="")
    written = "".join(f"{step:0{COORDINATE_DIGITS}d}" for step in steps)
    return state._replace(steps=(), digits="", before=written, open=False, sites=state.sites + 1)


_SPACE_GROUPS: Final = frozenset(SPACE_GROUPS)


def _range(number: int, lattice: tuple[int, ...]) -> tuple[int, int]:
    name = space_group(number).lattice_parameters[len(lattice)]
    if name in ("a", "b", "c"):
        return SHORTEST_STEPS, 10**PARAMETER_DIGITS - 1
    low, high = ANGLE_STEPS
    if name == "gamma":
        alpha, beta = lattice[3], lattice[4]
        low = max(low, abs(alpha - beta) + CLOSURE_STEPS)
        high = min(high, alpha + beta - CLOSURE_STEPS, 3600 - alpha - beta - CLOSURE_STEPS)
    return low, high


@lru_cache(maxsize=4096)
def _digits_within(prefix: str, width: int, low: int, high: int) -> frozenset[str]:
    found = []
    for digit in DIGITS:
        text = prefix + digit[1]
        rest = width - len(text)
        first = int(text) * 10**rest
        if first <= high and first + 10**rest - 1 >= low:
            found.append(digit)
    return frozenset(found)


@lru_cache(maxsize=65536)
def _coordinate_digits(
    number: int,
    lattice: tuple[int, ...],
    letter: str,
    steps: tuple[int, ...],
    prefix: str,
    before: str,
) -> frozenset[str]:
    free = space_group(number).position(letter).free
    written = "".join(f"{step:0{COORDINATE_DIGITS}d}" for step in steps) + prefix
    rest = COORDINATE_DIGITS - len(prefix) - 1
    paddings = _PADDINGS[rest]
    values = [
        (*steps, int(prefix + digit[1]) * 10**rest + padding, *_GENERIC[: free - len(steps) - 1])
        for digit in DIGITS
        for padding in paddings
    ]
    apart = _apart(number, lattice, letter, values).reshape(len(DIGITS), len(paddings))
    rising = [digit for digit in DIGITS if _rises(written + digit[1], before)]
    good = [digit for digit in rising if apart[int(digit[1])].any()]
    return frozenset(good or rising)


def _rises(written: str, before: str) -> bool:
    """Whether digits that begin with ``written`` can still be greater than ``before``."""
    if not before:
        return True
    head, tail = before[: len(written)], before[len(written) :]
    return written > head or (written == head and bool(tail.strip("9")))


def _apart(
    number: int, lattice: tuple[int, ...], letter: str, steps: list[tuple[int, ...]]
) -> np.ndarray:
    """Whether each point keeps its images at a distance, or exactly on itself; shape (points,)."""
    group = space_group(number)
    position = group.position(letter)
    vectors = _vectors(number, lattice)
    points = np.array(steps) / COORDINATE_STEPS @ position.directions.T + position.origin
    moved = np.einsum("gij,pj->pgi", group.rotations, points) + group.translations
    apart = moved - points[:, None, :]
    apart -= np.round(apart)
    distance = np.sqrt(np.einsum("pgi,pgi->pg", apart @ vectors, apart @ vectors))
    itself = (distance < 1e-4).sum(axis=1) == len(group.rotations) // position.multiplicity
    kept: np.ndarray = itself & ~((distance >= 1e-4) & (distance < OVERLAP_ANGSTROM)).any(axis=1)
    return kept


@lru_cache(maxsize=1024)
def _vectors(number: int, lattice: tuple[int, ...]) -> np.ndarray:
    return lattice_vectors(space_group(number), lattice)


@cache
def _later_elements(rank: int) -> frozenset[str]:
    return frozenset(f"{{{symbol}}}" for symbol, place in ELEMENT_RANK.items() if place > rank)


@lru_cache(maxsize=16384)
def _sites(
    number: int, element: str, letter: str, before: str, fixed: str, sites: int
) -> frozenset[str]:
    positions = space_group(number).positions
    letters = [position.letter for position in positions]
    found: set[str] = set()
    if element:
        start = letters.index(letter) if letter else 0
        for position in positions[start:]:
            if position.free == 0:
                if position.letter not in fixed:
                    found.add(f"|{position.letter}")
            elif position.letter != letter or before.strip("9"):
                found.add(f"|{position.letter}")
    # An element has at least one site.
    if not element or letter:
        found |= _later_elements(ELEMENT_RANK[element] if element else -1)
        if sites:
            found.add(CLOSE)
    return frozenset(found)
