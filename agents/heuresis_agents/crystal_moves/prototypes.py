"""Structure types to begin from, and how to fill them with elements.

Facts from the literature (Wyckoff, Crystal Structures; Strukturbericht), rounded. What counts is
the type: elements are replaced, and the cell is scaled to their radii.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from heuresis.spaces.crystals.composition import charge_balanced
from heuresis.spaces.crystals.geometry import nearest_distances
from heuresis.spaces.crystals.text import Crystal, Orbit, read_text
from heuresis_agents.crystal_moves.ions import charges_of, radius_angstrom

if TYPE_CHECKING:
    from numpy.random import Generator

TEXTS: Final[dict[str, str]] = {
    "rock-salt": "<sg:225>'0'5'6'4{Na}|a{Cl}|b",
    "caesium-chloride": "<sg:221>'0'4'1'2{Cs}|a{Cl}|b",
    "zinc-blende": "<sg:216>'0'5'4'1{Zn}|a{S}|c",
    "wurtzite": "<sg:186>'0'3'8'2'0'6'2'6{Zn}|b'0'0'0{S}|b'3'7'5",
    "nickel-arsenide": "<sg:194>'0'3'6'2'0'5'0'3{Ni}|a{As}|c",
    "fluorite": "<sg:225>'0'5'4'6{Ca}|a{F}|c",
    "rutile": "<sg:136>'0'4'5'9'0'2'9'6{Ti}|a{O}|f'3'0'5",
    "anatase": "<sg:141>'0'3'7'8'0'9'5'1{Ti}|a{O}|e'2'0'8",
    "cadmium-iodide": "<sg:164>'0'4'2'4'0'6'8'4{Cd}|a{I}|d'2'5'0",
    "quartz": "<sg:152>'0'4'9'1'0'5'4'0{Si}|a'4'7'0{O}|c'4'1'3'2'6'6'1'1'9",
    "aluminium-boride": "<sg:191>'0'3'0'1'0'3'2'6{Al}|a{B}|d",
    "corundum": "<sg:167>'0'4'7'6'1'2'9'9{Al}|c'3'5'2{O}|e'3'0'6",
    "lithium-nitride": "<sg:191>'0'3'6'5'0'3'8'7{Li}|b|c{N}|a",
    "bismuth-fluoride": "<sg:225>'0'5'8'6{Bi}|a{F}|b|c",
    "beta-silicon-nitride": "<sg:176>'0'7'6'1'0'2'9'1{Si}|h'1'7'4'7'6'8{N}|c|h'3'3'0'0'3'0",
    "perovskite": "<sg:221>'0'3'9'1{Sr}|a{Ti}|b{O}|c",
    "hexagonal-perovskite": "<sg:194>'0'5'6'3'0'4'8'2{Ba}|d{Ni}|a{O}|h'1'4'9",
    "spinel": "<sg:227>'0'8'0'8{Mg}|a{Al}|d{O}|e'2'6'2",
    "half-Heusler": "<sg:216>'0'5'9'3{Zr}|a{Ni}|c{Sn}|b",
    "Heusler": "<sg:225>'0'5'9'5{Mn}|a{Al}|b{Cu}|c",
    "chalcopyrite": "<sg:122>'0'5'7'9'1'1'1'1{Cu}|a{Ga}|b{S}|d'2'5'0",
    "sodium-ferrite": "<sg:166>'0'3'0'2'1'6'0'9{Na}|a{Fe}|b{O}|c'2'3'4",
    "delafossite": "<sg:166>'0'2'8'6'1'6'9'6{Cu}|a{Al}|b{O}|c'1'1'0",
    "lithium-gallate": "<sg:33>'0'5'4'0'0'6'3'7'0'5'0'1{Li}|a'4'2'0'1'2'7'4'9'4"
    "{Ga}|a'0'8'2'1'2'6'0'0'0{O}|a'4'0'7'1'3'9'8'9'3|a'0'7'0'1'1'2'3'7'1",
    "matlockite": "<sg:129>'0'4'3'9'0'7'2'3{Ba}|c'2'0'5{F}|a{Cl}|c'6'4'9",
    "potassium-nickel-fluoride": "<sg:139>'0'4'0'1'1'3'0'8{K}|e'3'5'2{Ni}|a{F}|c|e'1'5'1",
    "ilmenite": "<sg:148>'0'5'0'9'1'4'0'9{Fe}|c'3'5'5{Ti}|c'1'4'6{O}|f'3'1'7'0'2'3'2'4'5",
    "calcite": "<sg:167>'0'4'9'9'1'7'0'6{Ca}|b{C}|a{O}|e'2'5'7",
    "zircon": "<sg:141>'0'6'6'1'0'5'9'8{Zr}|a{Si}|b{O}|h'0'6'6'1'9'5",
    "scheelite": "<sg:88>'0'5'2'4'1'1'3'7{Ca}|b{W}|a{O}|f'1'5'1'0'0'9'2'1'1",
    "olivine": "<sg:62>'1'0'2'0'0'5'9'8'0'4'7'6{Mg}|a|c'2'7'7'9'9'1{Si}|c'0'9'4'4'2'6"
    "{O}|c'0'9'1'7'6'6|c'4'4'7'2'2'2|d'1'6'3'0'3'3'2'7'7",
    "thorium-chromium-silicide": "<sg:139>'0'3'9'6'1'0'5'8{Ba}|a{Zn}|d{As}|e'3'6'5",
    "MAX-phase": "<sg:194>'0'3'0'6'1'3'6'0{Ti}|f'0'8'4{Al}|d{C}|a",
    "lithium-boron-carbide": "<sg:194>'0'2'7'5'0'7'0'6{Li}|a{B}|c{C}|d",
    "titanium-nickel-silicide": "<sg:62>'0'6'1'5'0'3'6'7'0'7'0'2{Ti}|c'0'2'1'1'8'0"
    "{Ni}|c'1'4'2'5'6'1{Si}|c'7'6'5'6'2'3",
    "antifluorite-chloroplatinate": "<sg:225>'0'9'7'4{K}|c{Pt}|a{Cl}|e'2'4'0",
    "double-perovskite": "<sg:225>'0'7'8'9{Ba}|c{Mg}|a{W}|b{O}|e'2'6'0",
    "lithium-zinc-phosphide": "<sg:216>'0'5'7'8{Li}|b{Zn}|a{P}|c",
}
"""Name → text with the elements of its namesake."""

_DRAWS: Final = 200


class Prototype(NamedTuple):
    """A structure type.

    Args:
        name: as chemists call it.
        crystal: with the elements of its namesake.
        charges: of these elements.
    """

    name: str
    crystal: Crystal
    charges: dict[str, int]


@cache
def prototypes(least: int, most: int) -> tuple[Prototype, ...]:
    """Return the types of so many different elements."""
    found = []
    for name, text in TEXTS.items():
        crystal = read_text(text)
        counts = crystal.composition()
        if least <= len(counts) <= most:
            found.append(Prototype(name, crystal, charges_of(counts)))
    return tuple(found)


def filled(
    prototype: Prototype, allowed: Sequence[str], required: Sequence[str], rng: Generator
) -> Crystal | None:
    """Return the type with other elements whose charges balance, scaled to their radii.

    Anions and cations keep their places or are exchanged (anti-types). None: no luck.
    """
    places = list(prototype.crystal.composition())
    counts = prototype.crystal.composition()
    if len(allowed) < len(places) or len(required) > len(places):
        return None
    others = [symbol for symbol in allowed if symbol not in required]
    metallic = not any(prototype.charges.values())
    for _ in range(_DRAWS):
        drawn = rng.choice(len(others), len(places) - len(required), replace=False)
        chosen = [*required, *(others[int(index)] for index in drawn)]
        order = rng.permutation(len(chosen))
        mapping = {place: chosen[int(index)] for place, index in zip(places, order, strict=True)}
        new = {mapping[place]: count for place, count in counts.items()}
        if metallic or charge_balanced(new):
            return scaled_to_radii(replaced(prototype.crystal, mapping))
    return None


def replaced(crystal: Crystal, mapping: dict[str, str]) -> Crystal:
    """Return a crystal with its elements exchanged; two may become one."""
    orbits = tuple(
        Orbit(mapping.get(orbit.element, orbit.element), orbit.letter, orbit.steps)
        for orbit in crystal.orbits
    )
    return Crystal(crystal.number, crystal.lattice, tuple(sorted(orbits, key=lambda o: o.order)))


def scaled(crystal: Crystal, factor: float) -> Crystal:
    """Return a crystal whose lengths are multiplied by a factor."""
    from heuresis.spaces.crystals.symmetry import space_group

    names = space_group(crystal.number).lattice_parameters
    lattice = tuple(
        round(step * factor) if name in "abc" else step
        for name, step in zip(names, crystal.lattice, strict=True)
    )
    return Crystal(crystal.number, lattice, crystal.orbits)


def scaled_to_radii(crystal: Crystal) -> Crystal:
    """Return a crystal scaled so that its closest cation and anion touch; in metals, any two."""
    cell = crystal.cell()
    charges = charges_of(crystal.composition())
    radii = np.array([radius_angstrom(e, charges[e]) for e in cell.elements])
    signs = np.array([np.sign(charges[e]) for e in cell.elements])
    touching = nearest_distances(cell) / (radii[:, None] + radii[None])
    unlike = signs[:, None] * signs[None] <= 0
    return scaled(crystal, 1.0 / float(touching[unlike].min()))
