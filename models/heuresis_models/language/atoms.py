"""What the automaton knows of an atom token: how many bonds it can have, and if it is aromatic.

"Valence-lite": the largest usual number of bonds, not every rule of chemistry. Bonds to aromatic
neighbours count one; the double bond that an aromatic atom owes to its ring is `Ring`'s concern.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from heuresis_models.language.tokens import AROMATIC_ATOMS, BRACKET_ATOMS, ORGANIC_ATOMS


class Ring(Enum):
    """Part of an aromatic atom in the double bonds of its ring."""

    NOT_AROMATIC = 0
    OWES = 1
    """Needs one double bond to an aromatic neighbour, or one outside of the ring: ``c``."""
    OWES_IF_FREE = 2
    """Needs one unless a third neighbour takes its lone pair into the ring: ``n``, ``p``."""
    OWES_ALWAYS = 3
    """Needs one to an aromatic neighbour: ``[n+]``, ``[nH+]``, ``[o+]``."""
    GIVES = 4
    """Brings a lone pair and can have no double bond: ``o``, ``s``, ``[nH]``."""
    EITHER = 5
    """Works both ways: ``b``, ``*`` …"""


@dataclass(frozen=True)
class AtomKind:
    """Bonds an atom can have besides its hydrogens, and its part in an aromatic ring."""

    bonds: int
    ring: Ring = Ring.NOT_AROMATIC


_ORGANIC: Final = {
    "B": 3, "C": 4, "N": 3, "O": 2, "P": 5, "S": 6, "F": 1, "Cl": 1, "Br": 1, "I": 5, "*": 8,
}  # fmt: skip
_AROMATIC: Final = {
    "b": AtomKind(3, Ring.EITHER),
    "c": AtomKind(3, Ring.OWES),
    "n": AtomKind(3, Ring.OWES_IF_FREE),
    "o": AtomKind(2, Ring.GIVES),
    "p": AtomKind(3, Ring.OWES_IF_FREE),
    "s": AtomKind(2, Ring.GIVES),
}
METAL_BONDS: Final = 6
"""Bonds of an element that no rule covers; RDKit sets no limit for most metals."""

# Element → charge → bonds, hydrogens included. A charge that is not listed: no bonds.
_VALENCES: Final[dict[str, dict[int, int]]] = {
    "H": {0: 1},
    "B": {0: 3, -1: 4},
    "C": {0: 4, 1: 3, -1: 3},
    "N": {0: 3, 1: 4, -1: 2},
    "O": {0: 2, 1: 3, -1: 1},
    "F": {0: 1},
    "Si": {0: 4, -1: 5},
    "P": {0: 5, 1: 4, -1: 6},
    "S": {0: 6, 1: 5, 2: 4, -1: 1},
    "Cl": {0: 1, 1: 2, 2: 3, 3: 4},
    "Ge": {0: 4}, "Sn": {0: 4, 1: 3, 2: 2}, "Pb": {0: 4, 1: 3, 2: 2},
    "Sb": {0: 5, 1: 4}, "Bi": {0: 5, 1: 4},
    "As": {0: 5, 1: 4},
    "Se": {0: 6, 1: 5, -1: 1},
    "Br": {0: 1, 1: 2, 2: 3, 3: 4},
    "Te": {0: 6, 1: 5},
    "I": {0: 5, 1: 2},
    "Li": {0: 1}, "Na": {0: 1}, "K": {0: 1}, "Rb": {0: 1}, "Cs": {0: 1},
    "Be": {0: 2, 1: 1}, "Mg": {0: 2, 1: 1}, "Ca": {0: 2, 1: 1}, "Sr": {0: 2, 1: 1},
    "Ba": {0: 2, 1: 1}, "Al": {0: 3, -1: 4},
    "He": {}, "Ne": {}, "Ar": {}, "Kr": {}, "Xe": {},
}  # fmt: skip

_BRACKET = re.compile(r"\[([A-Z][a-z]?|[a-z]{1,2})(@@?)?(H(\d)?)?(([+-])(\d)?)?\]")


def bracket_kind(symbol: str, hydrogens: int, charge: int) -> AtomKind | None:
    """Return the kind of a bracket atom; None, if it has more hydrogens than bonds."""
    if symbol[0].islower():
        return _aromatic_kind(symbol, hydrogens, charge)
    valences = _VALENCES.get(symbol)
    total = METAL_BONDS - max(charge, 0) if valences is None else valences.get(charge, 0)
    return AtomKind(total - hydrogens) if total >= hydrogens else None


def _aromatic_kind(symbol: str, hydrogens: int, charge: int) -> AtomKind | None:
    if symbol in ("c", "si"):
        ring = {0: Ring.OWES, -1: Ring.GIVES}.get(charge, Ring.EITHER)
        return AtomKind(3 - hydrogens, ring) if hydrogens <= 1 else None
    if symbol in ("n", "p", "as"):
        if charge == 1:
            return AtomKind(3 - hydrogens, Ring.OWES_ALWAYS) if hydrogens <= 1 else None
        if charge == -1:
            return AtomKind(2, Ring.GIVES) if hydrogens == 0 else None
        if hydrogens == 1:
            return AtomKind(2, Ring.GIVES)
        return _AROMATIC["n"] if hydrogens == 0 else None
    if symbol in ("o", "s", "se", "te") and hydrogens == 0:
        return AtomKind(2, Ring.OWES_ALWAYS if charge == 1 else Ring.GIVES)
    return AtomKind(3 - hydrogens, Ring.EITHER) if symbol == "b" and hydrogens <= 1 else None


def _kind_of_token(token: str) -> AtomKind:
    if token in _ORGANIC:
        return AtomKind(_ORGANIC[token])
    if token in _AROMATIC:
        return _AROMATIC[token]
    match = _BRACKET.fullmatch(token)
    kind = None
    if match:
        symbol, _, hydrogen, hydrogens, charge, sign, size = match.groups()
        count = int(hydrogens or 1) if hydrogen else 0
        value = int(size or 1) * (1 if sign == "+" else -1) if charge else 0
        kind = bracket_kind(symbol, count, value)
    if kind is None:
        raise ValueError(f"the atom token {token!r} has no valence rule")
    return kind


ATOM_KINDS: Final = {
    token: _kind_of_token(token) for token in (*ORGANIC_ATOMS, *AROMATIC_ATOMS, *BRACKET_ATOMS)
}
"""Every atom that is one token."""
