"""Where to put a guest: in a host's cavity along its axis, or against its outside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

_TRIES_PER_PLACEMENT = 40
_TILT_DEGREE = 20.0
_SLIDE_angstrom = 1.5
_SOFT_CONTACT_angstrom = 3.0
_APPROACH_angstrom = 0.25
_NEAREST_APPROACH_angstrom = 2.6


@dataclass(frozen=True)
class Cavity:
    """Centre and axis of a cavity."""

    centre_angstrom: np.ndarray
    """Shape (3,)."""
    axis: np.ndarray
    """Unit vector, shape (3,)."""


def cavity_of(places_angstrom: np.ndarray) -> Cavity:
    """Return the cavity that a ring of atoms surrounds.

    Args:
        places_angstrom: of the atoms of the ring, shape (atoms, 3), at least three.
    """
    centre = places_angstrom.mean(axis=0)
    _, _, directions = np.linalg.svd(places_angstrom - centre)
    return Cavity(centre, directions[2])


def inside(
    host_angstrom: np.ndarray,
    cavity: Cavity,
    guests_angstrom: list[np.ndarray],
    count: int,
    rng: Generator,
) -> list[np.ndarray]:
    """Return placements of a guest in a cavity, shape (guest atoms, 3) each.

    The guest's long axis lies along that of the cavity, either end first, tilted by some 20°,
    turned at random and slid by up to 1.5 Å. Of forty random ones that with the least overlap is
    kept, for each placement.

    Args:
        host_angstrom: shape (host atoms, 3).
        cavity: where to.
        guests_angstrom: conformers of the guest, shape (guest atoms, 3) each.
        count: how many placements.
        rng: source of randomness.
    """
    placements = []
    for index in range(count):
        candidates = []
        guest = _centred(guests_angstrom[index % len(guests_angstrom)])
        for _ in range(_TRIES_PER_PLACEMENT):
            end = 1.0 if index % 2 == 0 else -1.0
            direction = cavity.axis * end + np.tan(np.radians(_TILT_DEGREE)) * _unit(rng)
            turned = guest @ _rotation_between(_long_axis(guest), direction, rng).T
            slide = rng.uniform(-_SLIDE_angstrom, _SLIDE_angstrom)
            candidates.append(turned + cavity.centre_angstrom + slide * cavity.axis)
        placements.append(min(candidates, key=lambda placed: _overlap(host_angstrom, placed)))
    return placements


def outside(
    host_angstrom: np.ndarray, guests_angstrom: list[np.ndarray], count: int, rng: Generator
) -> list[np.ndarray]:
    """Return placements of a guest against the outside of a host, from random directions.

    The guest is turned at random and drawn in along its direction until two atoms are 2.6 Å apart.

    Args:
        host_angstrom: shape (host atoms, 3).
        guests_angstrom: conformers of the guest, shape (guest atoms, 3) each.
        count: how many placements.
        rng: source of randomness.
    """
    centre = host_angstrom.mean(axis=0)
    reach = float(np.linalg.norm(host_angstrom - centre, axis=1).max())
    placements = []
    for index in range(count):
        guest = _centred(guests_angstrom[index % len(guests_angstrom)])
        direction = _unit(rng)
        turned = guest @ _rotation_between(_unit(rng), _unit(rng), rng).T
        away = reach + float(np.linalg.norm(guest, axis=1).max()) + _SOFT_CONTACT_angstrom
        while away > 0.0:
            closer = turned + centre + (away - _APPROACH_angstrom) * direction
            if nearest_contact_angstrom(host_angstrom, closer) < _NEAREST_APPROACH_angstrom:
                break
            away -= _APPROACH_angstrom
        placements.append(turned + centre + away * direction)
    return placements


def nearest_contact_angstrom(host_angstrom: np.ndarray, guest_angstrom: np.ndarray) -> float:
    """Return the least distance between an atom of the host and one of the guest."""
    return float(np.linalg.norm(host_angstrom[:, None] - guest_angstrom[None], axis=2).min())


def _overlap(host_angstrom: np.ndarray, guest_angstrom: np.ndarray) -> float:
    distances = np.linalg.norm(host_angstrom[:, None] - guest_angstrom[None], axis=2)
    return float(np.sum(np.maximum(_SOFT_CONTACT_angstrom - distances, 0.0) ** 2))


def _centred(places: np.ndarray) -> np.ndarray:
    centred: np.ndarray = places - places.mean(axis=0)
    return centred


def _unit(rng: Generator) -> np.ndarray:
    vector = rng.standard_normal(3)
    unit: np.ndarray = vector / np.linalg.norm(vector)
    return unit


def _long_axis(places: np.ndarray) -> np.ndarray:
    _, _, directions = np.linalg.svd(places)
    axis: np.ndarray = directions[0]
    return axis


def _rotation_between(start: np.ndarray, end: np.ndarray, rng: Generator) -> np.ndarray:
    """Return a rotation that turns ``start`` into ``end``, with a random turn about it."""
    from scipy.spatial.transform import Rotation

    first = _frame(start, rng)
    second = _frame(end, rng)
    turn = Rotation.from_rotvec(rng.uniform(0.0, 2.0 * np.pi) * second[:, 0]).as_matrix()
    matrix: np.ndarray = turn @ second @ first.T
    return matrix


def _frame(direction: np.ndarray, rng: Generator) -> np.ndarray:
    """Return a right-handed orthonormal frame, its first column along ``direction``."""
    first = direction / np.linalg.norm(direction)
    other = np.cross(first, _unit(rng))
    second = other / np.linalg.norm(other)
    return np.stack([first, second, np.cross(first, second)], axis=1)
