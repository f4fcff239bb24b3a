"""Crystals as text: space group, free lattice parameters, and one entry per orbit of sites.

``<crystal><sg:225>'0'5'6'4{Na}|a{Cl}|b</crystal>`` is rock salt: space group 225, a = 5.64 Å, Na on
Wyckoff position a, Cl on b. What symmetry fixes is not written, so it cannot be written wrongly.

Precision (`LENGTH_STEP_ANGSTROM`, `ANGLE_STEP_DEGREES`, `COORDINATE_STEPS`): lengths 0.01 Å in four
digits, angles 0.1° in four digits, each free coordinate one of 1000 steps in three digits. Sites
go by element from electropositive to electronegative, then by Wyckoff letter, then by coordinates.

This file needs numpy alone; `standard` brings any cell into this form, `structures` turns it into
pymatgen's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np

from heuresis.spaces.crystals.elements import ELEMENT_RANK
from heuresis.spaces.crystals.errors import CrystalTextError
from heuresis.spaces.crystals.symmetry import Floats, SpaceGroup, space_group

LENGTH_STEP_ANGSTROM: Final = 0.01
ANGLE_STEP_DEGREES: Final = 0.1
COORDINATE_STEPS: Final = 1000
PARAMETER_DIGITS: Final = 4
COORDINATE_DIGITS: Final = 3
OVERLAP_ANGSTROM: Final = 0.1
"""Sites of one orbit that are closer than this are the same site: the text is no crystal."""


@dataclass(frozen=True)
class Orbit:
    """The sites that symmetry makes of one: element, Wyckoff letter, steps of free coordinates."""

    element: str
    letter: str
    steps: tuple[int, ...] = ()

    @property
    def order(self) -> tuple[int, str, tuple[int, ...]]:
        """Sort key of the canonical text; ``A`` comes after ``z``."""
        return ELEMENT_RANK[self.element], self.letter.replace("A", "{"), self.steps


@dataclass(frozen=True)
class Cell:
    """A conventional cell in numbers.

    Args:
        lattice_angstrom: rows are the cell vectors, shape (3, 3).
        coordinates: fractional, shape (sites, 3), within [0, 1).
        elements: symbol of each site.
    """

    lattice_angstrom: Floats
    coordinates: Floats
    elements: tuple[str, ...]


@dataclass(frozen=True)
class Crystal:
    """An inorganic crystal as the language writes it.

    Args:
        number: space group, 1 to 230.
        lattice: free lattice parameters in steps (0.01 Å, 0.1°), as the group's family orders them.
        orbits: sites, sorted.
    """

    number: int
    lattice: tuple[int, ...]
    orbits: tuple[Orbit, ...]

    def payload(self) -> str:
        """Return the text between ``<crystal>`` and ``</crystal>``."""
        parts = [f"<sg:{self.number}>"]
        parts += [_digits(value, PARAMETER_DIGITS) for value in self.lattice]
        element = ""
        for orbit in self.orbits:
            if orbit.element != element:
                element = orbit.element
                parts.append(f"{{{element}}}")
            parts.append(f"|{orbit.letter}")
            parts += [_digits(step, COORDINATE_DIGITS) for step in orbit.steps]
        return "".join(parts)

    def composition(self) -> dict[str, int]:
        """Return atoms of each element in the conventional cell, electropositive first."""
        group = space_group(self.number)
        counts: dict[str, int] = {}
        for orbit in self.orbits:
            sites = group.position(orbit.letter).multiplicity
            counts[orbit.element] = counts.get(orbit.element, 0) + sites
        return counts

    def reduced_formula(self) -> str:
        """Return the formula with the smallest whole numbers, e.g. ``Na1Cl1``."""
        counts = self.composition()
        divisor = int(np.gcd.reduce(list(counts.values())))
        return "".join(f"{symbol}{count // divisor}" for symbol, count in counts.items())

    def cell(self) -> Cell:
        """Expand to all sites of the conventional cell.

        Raises:
            CrystalTextError: the lattice is no lattice, or sites of an orbit coincide.
        """
        group = space_group(self.number)
        lattice = lattice_vectors(group, self.lattice)
        coordinates: list[Floats] = []
        elements: list[str] = []
        for orbit in self.orbits:
            sites = expand(group, orbit, lattice)
            coordinates.append(sites)
            elements += [orbit.element] * len(sites)
        if not coordinates:
            raise CrystalTextError("a crystal has at least one site")
        return Cell(lattice, np.concatenate(coordinates), tuple(elements))


def expand(group: SpaceGroup, orbit: Orbit, lattice_angstrom: Floats) -> Floats:
    """Return the sites of one orbit, shape (multiplicity, 3), fractional within [0, 1).

    Raises:
        CrystalTextError: rounding has moved the site onto a more special position, so that fewer
            sites remain than the Wyckoff position has.
    """
    position = group.position(orbit.letter)
    point = position.coordinates(np.array(orbit.steps) / COORDINATE_STEPS)
    # The representative has 1/3 in full precision, so exact images agree to machine precision.
    images = group.images(point)
    keys = np.round(images * 1e6).astype(np.int64) % 1_000_000
    _, first = np.unique(keys, axis=0, return_index=True)
    sites = images[np.sort(first)]
    if len(sites) != position.multiplicity:
        raise CrystalTextError(
            f"orbit {orbit.element} on position {orbit.letter} of space group {group.number} gives"
            f" {len(sites)} sites, expected {position.multiplicity}: the free coordinates"
            f" {orbit.steps} lie on a more special position; write that letter instead"
        )
    apart = sites[1:] - sites[0]
    apart -= np.round(apart)
    if len(apart) and np.linalg.norm(apart @ lattice_angstrom, axis=1).min() < OVERLAP_ANGSTROM:
        raise CrystalTextError(
            f"sites of {orbit.element} on position {orbit.letter} of space group {group.number}"
            f" are closer than {OVERLAP_ANGSTROM} Å: they are one site of a more special position"
        )
    return sites


def lattice_vectors(group: SpaceGroup, steps: tuple[int, ...]) -> Floats:
    """Return cell vectors as rows, shape (3, 3), in Å: a along x, b in the xy plane.

    Raises:
        CrystalTextError: wrong count, a zero length, or angles that close no cell.
    """
    names = group.lattice_parameters
    if len(steps) != len(names):
        raise CrystalTextError(
            f"space group {group.number} has the free lattice parameters {', '.join(names)};"
            f" got {len(steps)} values"
        )
    value = dict(zip(names, steps, strict=True))
    a = value["a"] * LENGTH_STEP_ANGSTROM
    b = value.get("b", value["a"]) * LENGTH_STEP_ANGSTROM
    c = value.get("c", value["a"]) * LENGTH_STEP_ANGSTROM
    right = 90.0 / ANGLE_STEP_DEGREES
    hexagonal = 143 <= group.number <= 194
    alpha, beta, gamma = (
        np.radians(value.get(name, default) * ANGLE_STEP_DEGREES)
        for name, default in (
            ("alpha", right), ("beta", right), ("gamma", 1200.0 if hexagonal else right),
        )
    )  # fmt: skip
    cos_a, cos_b, cos_g, sin_g = np.cos(alpha), np.cos(beta), np.cos(gamma), np.sin(gamma)
    squared = 1.0 - cos_a**2 - cos_b**2 - cos_g**2 + 2.0 * cos_a * cos_b * cos_g
    if min(a, b, c) <= 0.0 or sin_g <= 0.0 or squared <= 1e-6:
        raise CrystalTextError(
            f"lattice parameters {dict(value)} (steps of 0.01 Å and 0.1°) close no cell"
        )
    y = (cos_a - cos_b * cos_g) / sin_g
    lattice = np.array(
        [[a, 0.0, 0.0], [b * cos_g, b * sin_g, 0.0],
         [c * cos_b, c * y, c * np.sqrt(squared) / sin_g]]
    )  # fmt: skip
    lattice[np.abs(lattice) < 1e-12] = 0.0
    return lattice


def _digits(value: int, width: int) -> str:
    if not 0 <= value < 10**width:
        raise CrystalTextError(
            f"the value {value} (in steps) needs more than {width} digits; the language writes"
            f" lengths below {10**PARAMETER_DIGITS * LENGTH_STEP_ANGSTROM:g} Å"
        )
    return "".join(f"'{digit}" for digit in f"{value:0{width}d}")


_TOKEN: Final = re.compile(r"<sg:[0-9]{1,3}>|'[0-9]|\{[A-Z][a-z]?\}|\|[a-zA]")


def read_text(text: str) -> Crystal:
    """Read ``<sg:225>'0'5'6'4{Na}|a{Cl}|b``, with or without ``<crystal>`` and ``</crystal>``.

    Lenient: elements and sites may stand in any order; sites are not expanded.

    Raises:
        CrystalTextError: the text is no crystal; the message names the place.
    """
    payload = text.removeprefix("<crystal>").removesuffix("</crystal>")
    tokens = _TOKEN.findall(payload)
    if "".join(tokens) != payload:
        good = 0
        for token in tokens:
            if not payload.startswith(token, good):
                break
            good += len(token)
        raise CrystalTextError(
            f"no token at {payload[good : good + 10]!r} (position {good}); expected a space group"
            " <sg:N>, digits '5, an element {Na} or a Wyckoff position |a"
        )
    return parse_payload(tokens)


def parse_payload(tokens: list[str]) -> Crystal:
    """Read what stands between ``<crystal>`` and ``</crystal>``.

    Raises:
        CrystalTextError: the tokens do not follow the crystal grammar.
    """
    head = tokens[0] if tokens else ""
    if not head.startswith("<sg:"):
        raise CrystalTextError(f"a crystal begins with its space group <sg:N>, got {head!r}")
    try:
        group = space_group(int(head[4:-1]))
    except ValueError as error:
        raise CrystalTextError(str(error)) from error
    place = 1

    def number(width: int) -> int:
        nonlocal place
        digits = tokens[place : place + width]
        if len(digits) != width or any(digit[0] != "'" for digit in digits):
            raise CrystalTextError(f"expected {width} digits after {tokens[:place]}, got {digits}")
        place += width
        return int("".join(digit[1] for digit in digits))

    lattice = tuple(number(PARAMETER_DIGITS) for _ in group.lattice_parameters)
    orbits: list[Orbit] = []
    element = ""
    while place < len(tokens):
        token = tokens[place]
        place += 1
        if token[0] == "{":
            element = token[1:-1]
            if element not in ELEMENT_RANK:
                raise CrystalTextError(f"{token!r} is no element that the language writes")
        elif token[0] == "|" and element:
            try:
                free = group.position(token[1]).free
            except KeyError:
                letters = "".join(position.letter for position in group.positions)
                raise CrystalTextError(
                    f"space group {group.number} has no Wyckoff position {token[1]!r};"
                    f" it has {letters}"
                ) from None
            orbits.append(
                Orbit(element, token[1], tuple(number(COORDINATE_DIGITS) for _ in range(free)))
            )
        else:
            raise CrystalTextError(f"expected an element or a Wyckoff position, got {token!r}")
    return Crystal(group.number, lattice, tuple(orbits))
