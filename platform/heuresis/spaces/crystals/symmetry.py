"""The 230 space groups: operations and Wyckoff positions, in one setting each.

Setting: unique axis b and cell choice 1, hexagonal axes, origin choice 2: the first choice of the
International Tables for Crystallography, volume A, except that of two origins the second (at the
centre of inversion) is taken. The table ``wyckoff.json`` states its source; tests compare its
operations with spglib's for all groups.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LATTICE_PARAMETERS: Final = {
    "triclinic": ("a", "b", "c", "alpha", "beta", "gamma"),
    "monoclinic": ("a", "b", "c", "beta"),
    "orthorhombic": ("a", "b", "c"),
    "tetragonal": ("a", "c"),
    "hexagonal": ("a", "c"),
    "cubic": ("a",),
}
"""Crystal family → the lattice parameters that symmetry leaves free."""

_LAST_OF_FAMILY: Final = (
    (2, "triclinic"),
    (15, "monoclinic"),
    (74, "orthorhombic"),
    (142, "tetragonal"),
    (194, "hexagonal"),
    (230, "cubic"),
)


def crystal_family(number: int) -> str:
    """Return the crystal family of a space group (trigonal groups are hexagonal).

    Raises:
        ValueError: the number is not within 1 to 230.
    """
    if not 1 <= number <= 230:
        raise ValueError(f"space groups are numbered 1 to 230, got {number}")
    return next(family for last, family in _LAST_OF_FAMILY if number <= last)


@dataclass(frozen=True)
class WyckoffPosition:
    """One Wyckoff position, by its first representative: x = directions · parameters + origin.

    Args:
        letter: its letter, ``a`` to ``z``, then ``A`` (group 47 has 27 positions).
        multiplicity: sites in the conventional cell.
        directions: shape (3, free parameters).
        origin: shape (3,), fractional.
        variables: names of the free parameters, a part of ``xyz``.
    """

    letter: str
    multiplicity: int
    directions: Floats
    origin: Floats
    variables: str

    @property
    def free(self) -> int:
        """Number of free parameters: 0 for a point, 3 for the general position."""
        return len(self.variables)

    def coordinates(self, parameters: Floats) -> Floats:
        """Return the fractional coordinates, shape (3,), for values of the free parameters."""
        found: Floats = self.directions @ parameters + self.origin
        return found

    def parameters(self, coordinates: Floats, tolerance: float) -> Floats | None:
        """Return the free parameters, within [0, 1), that give these coordinates modulo 1.

        None, if the point does not lie on this representative within ``tolerance`` (fractional).
        """
        values = np.zeros(self.free)
        for column in range(self.free):
            row = int(np.flatnonzero(np.abs(self.directions[:, column]) == 1.0)[0])
            sign = self.directions[row, column]
            others = self.directions[row] @ values
            values[column] = (sign * (coordinates[row] - self.origin[row] - others)) % 1.0
        miss = self.coordinates(values) - coordinates
        return values if np.abs(miss - np.round(miss)).max() <= tolerance else None


@dataclass(frozen=True)
class SpaceGroup:
    """One space group in its setting.

    Args:
        number: 1 to 230.
        symbol: short Hermann–Mauguin symbol.
        hall_number: spglib's number of this setting, 1 to 530.
        rotations: shape (operations, 3, 3), acting on fractional columns.
        translations: shape (operations, 3).
        positions: Wyckoff positions from ``a`` on; the last is the general position.
    """

    number: int
    symbol: str
    hall_number: int
    rotations: Floats
    translations: Floats
    positions: tuple[WyckoffPosition, ...]

    @property
    def lattice_parameters(self) -> tuple[str, ...]:
        """Names of the free lattice parameters, in writing order."""
        return LATTICE_PARAMETERS[crystal_family(self.number)]

    def position(self, letter: str) -> WyckoffPosition:
        """Return a Wyckoff position by its letter.

        Raises:
            KeyError: this group has no such position.
        """
        for position in self.positions:
            if position.letter == letter:
                return position
        raise KeyError(letter)

    def images(self, coordinates: Floats) -> Floats:
        """Return the image of a point under every operation, shape (operations, 3), in [0, 1)."""
        moved: Floats = (self.rotations @ coordinates + self.translations) % 1.0
        return moved


def parse_triplet(text: str) -> tuple[Floats, Floats]:
    """Read ``-y+1/2,x-y,z`` as a matrix (3, 3) and a vector (3,)."""
    matrix = np.zeros((3, 3))
    vector = np.zeros(3)
    for row, part in enumerate(text.split(",")):
        for sign, number, variable in re.findall(r"([+-]?)(\d*(?:/\d+)?)([xyz]?)", part):
            factor = (-1.0 if sign == "-" else 1.0) * (float(Fraction(number)) if number else 1.0)
            if variable:
                matrix[row, "xyz".index(variable)] += factor
            elif number:
                vector[row] += factor
    return matrix, vector


@cache
def _table() -> dict[str, Any]:
    text = files("heuresis.spaces.crystals").joinpath("wyckoff.json").read_text(encoding="utf-8")
    groups: dict[str, Any] = json.loads(text)["groups"]
    return groups


@cache
def space_group(number: int) -> SpaceGroup:
    """Return a space group.

    Raises:
        ValueError: the number is not within 1 to 230.
    """
    crystal_family(number)
    entry = _table()[str(number)]
    operations = [parse_triplet(text) for text in entry["operations"].split(";")]
    return SpaceGroup(
        number=number,
        symbol=entry["symbol"],
        hall_number=entry["hall"],
        rotations=np.array([matrix for matrix, _ in operations]),
        translations=np.array([vector for _, vector in operations]),
        positions=tuple(_position(*position) for position in entry["positions"]),
    )


def _position(letter: str, multiplicity: int, representative: str) -> WyckoffPosition:
    matrix, vector = parse_triplet(representative)
    used = [column for column in range(3) if matrix[:, column].any()]
    variables = "".join("xyz"[column] for column in used)
    return WyckoffPosition(letter, multiplicity, matrix[:, used], vector, variables)
