"""What can be done to one crystal, or with two; each returns a new one, or None where it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from heuresis.spaces.crystals.composition import charge_balanced
from heuresis.spaces.crystals.errors import CrystalTextError
from heuresis.spaces.crystals.standard import centring_vectors, rounded
from heuresis.spaces.crystals.symmetry import space_group
from heuresis.spaces.crystals.text import COORDINATE_STEPS, Cell, Crystal, Orbit
from heuresis_agents.crystal_moves.ions import charges_of, radius_angstrom, similar
from heuresis_agents.crystal_moves.prototypes import replaced, scaled, scaled_to_radii

if TYPE_CHECKING:
    from numpy.random import Generator

_T = TypeVar("_T")
STRAIN: Final = 0.03
"""Standard deviation of the logarithm of a lattice parameter."""
TILT_DEGREES: Final = 2.0
SHIFT: Final = 0.015
"""Standard deviation of a free coordinate, fractional."""
_ORDERINGS_TRIED: Final = 3


def substitute(crystal: Crystal, allowed: Sequence[str], rng: Generator) -> Crystal | None:
    """Replace one element by one of the same charge, the likelier the more similar."""
    charges = charges_of(crystal.composition())
    leaving = _one(list(charges), rng)
    coming = _drawn(similar(leaving, charges[leaving], _others(allowed, crystal)), rng)
    if coming is None:
        return None
    return _refilled(crystal, {leaving: coming}, charges, {coming: charges[leaving]})


def cosubstitute(crystal: Crystal, allowed: Sequence[str], rng: Generator) -> Crystal | None:
    """Replace two elements by two of other charges that balance again: KNbO₃ → BaTiO₃."""
    counts = crystal.composition()
    charges = charges_of(counts)
    if len(counts) < 2 or not any(charges.values()):
        return None
    others = _others(allowed, crystal)
    ways = [
        (first, second, change)
        for first in counts
        for second in counts
        for change in (-2, -1, 1, 2)
        if first != second
    ]
    for way in rng.permutation(len(ways)):
        first, second, change = ways[int(way)]
        back, rest = divmod(-change * counts[first], counts[second])
        new = {first: charges[first] + change, second: charges[second] + back}
        if rest or any(new[e] * charges[e] <= 0 for e in new):
            continue
        one = _drawn(similar(first, charges[first], others, new[first]), rng)
        free = [symbol for symbol in others if symbol != one]
        other = _drawn(similar(second, charges[second], free, new[second]), rng)
        if one is not None and other is not None:
            coming = {first: one, second: other}
            return _refilled(crystal, coming, charges, {coming[e]: new[e] for e in new})
    return None


def swap(crystal: Crystal, rng: Generator) -> Crystal | None:
    """Let two elements change places, all of them or those of two orbits."""
    elements = list(crystal.composition())
    if len(elements) < 2:
        return None
    first, second = (elements[int(i)] for i in rng.permutation(len(elements))[:2])
    if rng.random() < 0.5:
        return scaled_to_radii(replaced(crystal, {first: second, second: first}))
    ours = [i for i, orbit in enumerate(crystal.orbits) if orbit.element == first]
    theirs = [i for i, orbit in enumerate(crystal.orbits) if orbit.element == second]
    one, other = _one(ours, rng), _one(theirs, rng)
    orbits = list(crystal.orbits)
    orbits[one] = Orbit(second, orbits[one].letter, orbits[one].steps)
    orbits[other] = Orbit(first, orbits[other].letter, orbits[other].steps)
    ordered = tuple(sorted(orbits, key=lambda orbit: orbit.order))
    return scaled_to_radii(Crystal(crystal.number, crystal.lattice, ordered))


def strain(crystal: Crystal, rng: Generator) -> Crystal:
    """Stretch or tilt the cell, and move sites along their free coordinates."""
    names = space_group(crystal.number).lattice_parameters
    lattice = []
    for name, step in zip(names, crystal.lattice, strict=True):
        if name in "abc":
            lattice.append(max(1, round(step * float(np.exp(rng.normal(0.0, STRAIN))))))
        else:
            lattice.append(step + round(10 * float(rng.normal(0.0, TILT_DEGREES))))
    orbits = [
        Orbit(
            orbit.element,
            orbit.letter,
            tuple(
                (step + round(COORDINATE_STEPS * float(rng.normal(0.0, SHIFT)))) % COORDINATE_STEPS
                for step in orbit.steps
            ),
        )
        for orbit in crystal.orbits
    ]
    ordered = tuple(sorted(orbits, key=lambda orbit: orbit.order))
    return Crystal(crystal.number, tuple(lattice), ordered)


def order(
    crystal: Crystal, allowed: Sequence[str], most: tuple[int, int], rng: Generator
) -> Crystal | None:
    """Replace half the sites of an element by a similar one, in order, if need be in a supercell.

    Of some random choices of the half, the most symmetric is taken.

    Args:
        crystal: to begin from.
        allowed: elements that may come.
        most: different elements, and atoms in the primitive cell, that a child may have.
        rng: of all draws.
    """
    most_kinds, most_atoms = most
    charges = charges_of(crystal.composition())
    if len(charges) >= most_kinds:
        return None
    leaving = _one(list(charges), rng)
    coming = _drawn(similar(leaving, charges[leaving], _others(allowed, crystal)), rng)
    if coming is None:
        return None
    cell = primitive(crystal)
    if cell.elements.count(leaving) % 2:
        cell = _doubled(cell, int(rng.integers(3)))
    if len(cell.elements) > most_atoms:
        return None
    places = np.flatnonzero(np.array(cell.elements) == leaving)
    best: Crystal | None = None
    for _ in range(_ORDERINGS_TRIED):
        chosen = set(rng.permutation(places)[: len(places) // 2].tolist())
        elements = tuple(
            coming if index in chosen else element for index, element in enumerate(cell.elements)
        )
        try:
            found = rounded(Cell(cell.lattice_angstrom, cell.coordinates, elements))
        except CrystalTextError:
            continue
        if best is None or found.number > best.number:
            best = found
    return None if best is None else scaled_to_radii(best)


def transfer(structure: Crystal, chemistry: Crystal, rng: Generator) -> Crystal | None:
    """Put the elements of one crystal into the structure of another, if charges balance there."""
    places, elements = list(structure.composition()), list(chemistry.composition())
    if len(places) != len(elements):
        return None
    counts = structure.composition()
    metallic = not charge_balanced(chemistry.composition())
    # Electropositive to electropositive first; other assignments where that fails.
    orders = [np.arange(len(elements)), *(rng.permutation(len(elements)) for _ in range(4))]
    for chosen in orders:
        mapping = {place: elements[int(i)] for place, i in zip(places, chosen, strict=True)}
        new = {mapping[place]: count for place, count in counts.items()}
        if metallic or charge_balanced(new):
            return scaled_to_radii(replaced(structure, mapping))
    return None


def primitive(crystal: Crystal) -> Cell:
    """Return the primitive cell of a crystal."""
    cell = crystal.cell()
    centring = centring_vectors(space_group(crystal.number))
    if len(centring) == 1:
        return cell
    vectors = _short_basis(centring, cell.lattice_angstrom)
    points = cell.coordinates @ cell.lattice_angstrom @ np.linalg.inv(vectors) % 1.0
    kept: list[int] = []
    for index, point in enumerate(points):
        apart = points[kept] - point
        apart -= np.round(apart)
        if not kept or np.abs(apart).max(axis=1).min() > 1e-6:
            kept.append(index)
    return Cell(vectors, points[kept], tuple(cell.elements[i] for i in kept))


def _short_basis(centring: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """Return three short lattice vectors, centring vectors among them, that span the lattice."""
    steps = np.array([-1, 0, 1])
    whole = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    vectors = (centring[:, None, :] + whole[None]).reshape(-1, 3) @ lattice
    vectors = vectors[np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")]
    vectors = vectors[np.linalg.norm(vectors, axis=1) > 1e-6]
    wanted = abs(float(np.linalg.det(lattice))) / len(centring)
    for third in range(2, len(vectors)):
        for second in range(1, third):
            for first in range(second):
                basis = np.asarray(vectors[[first, second, third]])
                if abs(abs(float(np.linalg.det(basis))) - wanted) < 1e-3 * wanted:
                    return basis
    raise CrystalTextError("the centring vectors span no lattice")  # pragma: no cover


def _doubled(cell: Cell, axis: int) -> Cell:
    lattice = cell.lattice_angstrom.copy()
    lattice[axis] *= 2
    points = cell.coordinates.copy()
    points[:, axis] /= 2
    moved = points.copy()
    moved[:, axis] += 0.5
    return Cell(lattice, np.concatenate([points, moved]), cell.elements * 2)


def _refilled(
    crystal: Crystal,
    mapping: dict[str, str],
    charges: dict[str, int],
    new_charges: dict[str, int],
) -> Crystal:
    """Exchange elements, and scale the cell by the volumes of old and new ions."""
    counts = crystal.composition()
    old = sum(n * radius_angstrom(e, charges[e]) ** 3 for e, n in counts.items())
    new = 0.0
    for element, count in counts.items():
        other = mapping.get(element, element)
        charge = new_charges.get(other, charges[element])
        new += count * radius_angstrom(other, charge) ** 3
    return scaled(replaced(crystal, mapping), float((new / old) ** (1 / 3)))


def _others(allowed: Sequence[str], crystal: Crystal) -> list[str]:
    present = crystal.composition()
    return [symbol for symbol in allowed if symbol not in present]


def _drawn(weights: dict[str, float], rng: Generator) -> str | None:
    if not weights:
        return None
    values = np.array(list(weights.values()))
    return list(weights)[int(rng.choice(len(values), p=values / values.sum()))]


def _one(items: Sequence[_T], rng: Generator) -> _T:
    return items[int(rng.integers(len(items)))]
