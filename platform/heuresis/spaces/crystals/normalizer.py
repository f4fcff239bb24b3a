"""One text for one crystal: the choice among the descriptions that symmetry leaves open.

A space group alone does not fix where the origin is or which axis is which: rock salt is Na on a
and Cl on b, or the other way round. The maps between such descriptions form the normalizer of the
group (International Tables for Crystallography A, part 3). It is found here by trial: matrices that
keep the shape of the cell, with shifts by quarters (hexagonal: thirds in the plane, sixths along
c). Along directions in which the origin is free (polar groups), a site of the rarest element
becomes the origin. Of all descriptions the one with the smallest text is taken.

What stays open: enantiomorphs in paired groups (P3₁21 and P3₂21) have two texts, triclinic cells
may have several where Niggli reduction has a choice, and monoclinic ones if spglib's choice of axes
is not among the neighbours tried. Lengths within 0.01 Å of each other may round apart: two texts of
nearly the same crystal. `structures.same_structure` says whether they are.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations, product
from typing import Final, NamedTuple

import numpy as np

from heuresis.spaces.crystals.errors import CrystalTextError
from heuresis.spaces.crystals.standard import centring_vectors, rounded
from heuresis.spaces.crystals.symmetry import Floats, SpaceGroup, crystal_family, space_group
from heuresis.spaces.crystals.text import (
    ANGLE_STEP_DEGREES,
    COORDINATE_STEPS,
    LENGTH_STEP_ANGSTROM,
    Crystal,
    Orbit,
    lattice_vectors,
)

_MOST_REWRITES: Final = 4
_ON_SITE: Final = 1e-6
"""Fractional: sites are computed in full precision, so only rounding errors part them."""
_SAME_SHIFT: Final = 1e-5
_SHIFT_STEPS: Final = 24
"""All shifts tried, and all translations of the groups, are multiples of a twenty-fourth."""


class Map(NamedTuple):
    """A change of description: x' = matrix · x + shift."""

    matrix: Floats
    shift: Floats


def canonical_crystal(crystal: Crystal) -> Crystal:
    """Return the one description of a crystal that stands for all.

    Symmetry is searched first, and again after rounding, which can raise it. So a crystal written
    in a subgroup of its own group, or in a supercell, comes out in the highest symmetry and the
    smallest cell.

    Raises:
        CrystalTextError: the crystal does not expand, or no symmetry is found.
        MissingExtraError: spglib is not installed.
    """
    seen = [_smallest(rounded(crystal.cell()))]
    for _ in range(_MOST_REWRITES):
        again = _smallest(rounded(seen[-1].cell()))
        if again in seen:
            # Rounding can lead round in a circle; take the same member every time.
            return min(seen[seen.index(again) :], key=lambda member: member.payload())
        seen.append(again)
    raise CrystalTextError(
        f"'{seen[-1].payload()}' has no stable canonical form: rounding moves its symmetry"
    )


def _smallest(crystal: Crystal) -> Crystal:
    group = space_group(crystal.number)
    lattice = lattice_vectors(group, crystal.lattice)
    best: tuple[float, str, Crystal] | None = None
    for change in normalizer(group.number):
        steps = _lattice_steps(group, np.linalg.inv(change.matrix).T @ lattice)
        if steps is None:
            continue
        skew = _skewness(group, steps)
        if best is not None and skew > best[0]:
            continue
        for described in _described(group, crystal, change, steps):
            key = (skew, described.payload())
            if best is None or key < best[:2]:
                best = (*key, described)
    # The identity is always among the maps.
    assert best is not None
    return best[2]


def _described(
    group: SpaceGroup, crystal: Crystal, change: Map, steps: tuple[int, ...]
) -> list[Crystal]:
    """Return the crystal under a map; several if the origin is free along some direction."""
    points = []
    for orbit in crystal.orbits:
        position = group.position(orbit.letter)
        point = position.coordinates(np.array(orbit.steps) / COORDINATE_STEPS)
        points.append((orbit.element, group.images(change.matrix @ point + change.shift)))
    found = []
    for shift in _origins(group, crystal, points):
        try:
            orbits = [_orbit(group, element, (images + shift) % 1.0) for element, images in points]
        except CrystalTextError:
            continue
        ordered = tuple(sorted(orbits, key=lambda orbit: orbit.order))
        found.append(Crystal(group.number, steps, ordered))
    return found


def _origins(group: SpaceGroup, crystal: Crystal, points: list[tuple[str, Floats]]) -> list[Floats]:
    """Return shifts along the free directions that bring a site of the rarest element to zero."""
    free = _free_directions(group.number)
    if not free.any():
        return [np.zeros(3)]
    counts = crystal.composition()
    rarest = min(counts, key=lambda element: (counts[element], list(counts).index(element)))
    sites = np.concatenate([images for element, images in points if element == rarest])
    steps = np.round(sites * COORDINATE_STEPS).astype(int) % COORDINATE_STEPS
    shifts = np.unique(-steps * free, axis=0)
    return [shift / COORDINATE_STEPS for shift in shifts]


def _orbit(group: SpaceGroup, element: str, images: Floats) -> Orbit:
    """Return letter and smallest steps of an orbit given by all its images."""
    keys = np.round(images / _ON_SITE).astype(np.int64) % round(1 / _ON_SITE)
    _, first = np.unique(keys, axis=0, return_index=True)
    sites = images[np.sort(first)]
    for position in group.positions:
        if position.multiplicity != len(sites):
            continue
        steps = []
        for site in sites:
            values = position.parameters(site, 10 * _ON_SITE)
            if values is not None:
                rounded = np.round(values * COORDINATE_STEPS) % COORDINATE_STEPS
                steps.append(tuple(int(step) for step in rounded))
                if not position.free:
                    break
        if steps:
            return Orbit(element, position.letter, min(steps))
    raise CrystalTextError(
        f"an orbit of {len(sites)} sites fits no Wyckoff position of space group {group.number}"
    )


def _lattice_steps(group: SpaceGroup, lattice: Floats) -> tuple[int, ...] | None:
    """Return lattice parameters in steps; None if the cell has not the shape of the group's."""
    lengths = np.linalg.norm(lattice, axis=1)
    unit = lattice / lengths[:, None]
    cosines = np.clip([unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]], -1.0, 1.0)
    values = dict(
        zip(
            ("a", "b", "c", "alpha", "beta", "gamma"),
            [
                *(lengths / LENGTH_STEP_ANGSTROM),
                *(np.degrees(np.arccos(cosines)) / ANGLE_STEP_DEGREES),
            ],
            strict=True,
        )
    )
    names = group.lattice_parameters
    steps = tuple(round(values[name]) for name in names)
    hexagonal = 143 <= group.number <= 194
    fixed = {"alpha": 900.0, "beta": 900.0, "gamma": 1200.0 if hexagonal else 900.0}
    fixed |= dict.fromkeys("bc", values["a"])
    for name, value in values.items():
        if name not in names and abs(value - fixed[name]) > 0.5:
            return None
    return steps


def _skewness(group: SpaceGroup, steps: tuple[int, ...]) -> float:
    """Return how far the angles are from 90°, in steps: the least skew cell is preferred."""
    return float(
        sum(
            abs(step - 90.0 / ANGLE_STEP_DEGREES)
            for name, step in zip(group.lattice_parameters, steps, strict=True)
            if name in ("alpha", "beta", "gamma")
        )
    )


@lru_cache(maxsize=230)
def normalizer(number: int) -> tuple[Map, ...]:
    """Return one map for each way to describe a crystal of this group anew.

    Maps that differ by an operation of the group give the same description and are listed once.
    The identity comes first.
    """
    group = space_group(number)
    rotations, first = np.unique(
        np.round(group.rotations).astype(np.int64), axis=0, return_index=True
    )
    translations = group.translations[first]
    centring = centring_vectors(group)
    place = {rotation.tobytes(): index for index, rotation in enumerate(rotations)}
    shifts = _shifts(number)
    found: dict[tuple[int, ...], Map] = {}
    for matrix in _matrices(number):
        inverse = np.round(np.linalg.inv(matrix)).astype(np.int64)
        turned = [
            place.get(np.ascontiguousarray(matrix @ rotation @ inverse).tobytes())
            for rotation in rotations
        ]
        # The lattice must stay itself, too: a C-centred cell must not become an A-centred one.
        if None in turned or not _is_one_of(centring @ matrix.T, centring).all():
            continue
        images = np.array(turned, dtype=np.int64)
        # (W, s)(R, t)(W, s)⁻¹ must be an operation again: W t + s - R's - t' is a centring vector.
        rest = (
            (translations @ matrix.T - translations[images])[None]
            + shifts[:, None]
            - np.einsum("rij,sj->sri", rotations[images], shifts)
        )
        kept = _is_one_of(rest, centring).all(axis=1)
        products = rotations @ matrix
        smallest = min(range(len(products)), key=lambda index: products[index].tolist())
        for shift in shifts[kept]:
            moved = rotations[smallest] @ shift + translations[smallest]
            coset = (*products[smallest].ravel().tolist(), *_smallest_shift(moved, centring))
            found.setdefault(coset, Map(matrix.astype(float), shift))
    return tuple(found.values())


def _is_one_of(shifts: Floats, centring: Floats) -> np.ndarray:
    """Whether each shift, shape (..., 3), is a lattice vector or one of the centring vectors."""
    apart = shifts[..., None, :] - centring
    apart -= np.round(apart)
    near = (np.abs(apart) < _SAME_SHIFT).all(axis=-1)
    return np.asarray(near.any(axis=-1))


def _smallest_shift(shift: Floats, centring: Floats) -> tuple[int, ...]:
    """Return the smallest shift, in 1/24, that differs by a centring or lattice vector alone."""
    steps = np.round((shift + centring) * _SHIFT_STEPS).astype(np.int64) % _SHIFT_STEPS
    return tuple(min(steps.tolist()))


def _shifts(number: int) -> Floats:
    quarters = [0.0, 0.25, 0.5, 0.75]
    if 143 <= number <= 194:
        plane = [(0.0, 0.0), (1 / 3, 2 / 3), (2 / 3, 1 / 3)]
        heights = [step / 6 for step in range(6)] + [0.25, 0.75]
        shifts = [(x, y, z) for x, y in plane for z in heights]
    else:
        shifts = [(x, y, z) for x in quarters for y in quarters for z in quarters]
    free = _free_directions(number)
    kept = {tuple(0.0 if free[axis] else value for axis, value in enumerate(s)) for s in shifts}
    return np.array(sorted(kept))


def _matrices(number: int) -> list[np.ndarray]:
    """Return integer matrices that can keep the shape of the cell, the identity first."""
    family = crystal_family(number)
    identity = np.eye(3, dtype=np.int64)
    if family == "triclinic":
        return [identity, -identity]
    if family == "monoclinic":
        plane = [m for m in product((-1, 0, 1), repeat=4) if abs(m[0] * m[3] - m[1] * m[2]) == 1]
        found = [
            np.array([[p, 0, q], [0, b, 0], [r, 0, s]], dtype=np.int64)
            for p, q, r, s in plane
            for b in (1, -1)
        ]
    elif family == "hexagonal":
        found = [
            np.array([[p, q, 0], [r, s, 0], [0, 0, c]], dtype=np.int64)
            for p, q, r, s in product((-1, 0, 1), repeat=4)
            for c in (1, -1)
            if abs(p * s - q * r) == 1 and _keeps_hexagon(p, q, r, s)
        ]
    else:
        orders = list(permutations(range(3)))
        if family == "tetragonal":
            orders = [order for order in orders if order[2] == 2]
        found = []
        for order in orders:
            for signs in product((1, -1), repeat=3):
                matrix = np.zeros((3, 3), dtype=np.int64)
                for row, (column, sign) in enumerate(zip(order, signs, strict=True)):
                    matrix[row, column] = sign
                found.append(matrix)
    return sorted(found, key=lambda matrix: not np.array_equal(matrix, identity))


def _keeps_hexagon(p: int, q: int, r: int, s: int) -> bool:
    """Whether a matrix of the plane keeps the metric of a hexagonal cell."""
    matrix = np.linalg.inv(np.array([[p, q], [r, s]]))
    metric = np.array([[1.0, -0.5], [-0.5, 1.0]])
    return bool(np.allclose(matrix.T @ metric @ matrix, metric))


@lru_cache(maxsize=230)
def _free_directions(number: int) -> np.ndarray:
    """Return 1 for each axis along which the origin can be put anywhere, else 0; shape (3,)."""
    rotations = np.round(space_group(number).rotations).astype(np.int64)
    return np.array(
        [
            int(all(np.array_equal(r[:, axis], np.eye(3)[axis]) for r in rotations))
            for axis in range(3)
        ],
        dtype=np.int64,
    )
