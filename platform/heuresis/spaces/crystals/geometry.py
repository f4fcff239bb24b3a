"""Distances in a periodic cell."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from heuresis.spaces.crystals.text import Cell

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ITSELF_ANGSTROM: Final = 1e-3


def smallest_distance_angstrom(cell: Cell) -> float:
    """Return the shortest distance between two sites or a site and its own image."""
    return float(nearest_distances(cell).min())


def nearest_distances(cell: Cell) -> NDArray[np.float64]:
    """Return the distance of each pair of sites by their nearest images, shape (sites, sites).

    On the diagonal stands the distance of a site to its own nearest image. Cell vectors are first
    made short, so that the neighbouring images of every cell are enough.
    """
    lattice = _reduced(np.asarray(cell.lattice_angstrom, dtype=np.float64))
    fractional = cell.coordinates @ cell.lattice_angstrom @ np.linalg.inv(lattice)
    steps = np.array([-1, 0, 1])
    images = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    shifts = images @ lattice
    own = float(np.linalg.norm(shifts[np.any(images != 0, axis=1)], axis=1).min())
    found = np.full((len(fractional), len(fractional)), own)
    for index in range(1, len(fractional)):
        apart = fractional[:index] - fractional[index]
        apart -= np.round(apart)
        distances = np.linalg.norm((apart @ lattice)[:, None, :] + shifts[None], axis=2)
        found[index, :index] = found[:index, index] = distances.min(axis=1)
    return found


def shortest_contact(cell: Cell) -> tuple[float, str, str, float]:
    """Return the closest pair of atoms, relative to the sum of their covalent radii.

    Returns:
        Ratio, the two elements, distance in Å.
    """
    distances = nearest_distances(cell)
    radii = np.array([covalent_radius_angstrom(element) for element in cell.elements])
    ratios = distances / (radii[:, None] + radii[None, :])
    first, second = np.unravel_index(int(ratios.argmin()), ratios.shape)
    return (
        float(ratios[first, second]),
        cell.elements[first],
        cell.elements[second],
        float(distances[first, second]),
    )


@cache
def covalent_radius_angstrom(symbol: str) -> float:
    """Return the covalent radius that RDKit tabulates."""
    from rdkit.Chem import GetPeriodicTable

    return float(GetPeriodicTable().GetRcovalent(symbol))


def _reduced(lattice: np.ndarray) -> np.ndarray:
    """Return short vectors of the same lattice: take off multiples of the others while it helps.

    Pairwise and, last, by the sum of the two others, as in Semaev's rule for three dimensions.
    """
    vectors = lattice.copy()
    for _ in range(100):
        vectors = vectors[np.argsort(np.linalg.norm(vectors, axis=1))]
        a, b, c = vectors
        shorter = b - np.round(a @ b / (a @ a)) * a
        if np.linalg.norm(shorter) < np.linalg.norm(b) * (1 - 1e-9):
            vectors[1] = shorter
            continue
        # The point of the plane lattice (a, b) nearest to the projection of c, and its neighbours.
        weights, *_ = np.linalg.lstsq(np.stack([a, b]).T, c, rcond=None)
        candidates = [
            c - (np.round(weights[0]) + i) * a - (np.round(weights[1]) + j) * b
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
        ]
        best = min(candidates, key=lambda vector: float(np.linalg.norm(vector)))
        if np.linalg.norm(best) >= np.linalg.norm(c) * (1 - 1e-9):
            break
        vectors[2] = best
    return vectors


def neighbours(cell: Cell, within: float) -> list[list[int]]:
    """Return for each site the sites around it, repeated for each image that is near.

    Args:
        cell: any cell.
        within: sites up to this many times as far as the nearest one are near; distances are
            counted in sums of covalent radii.
    """
    lattice = _reduced(np.asarray(cell.lattice_angstrom, dtype=np.float64))
    points = cell.coordinates @ cell.lattice_angstrom @ np.linalg.inv(lattice) % 1.0 @ lattice
    steps = np.array([-1, 0, 1])
    shifts = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3) @ lattice
    radii = np.array([covalent_radius_angstrom(element) for element in cell.elements])
    found: list[list[int]] = []
    for index, point in enumerate(points):
        distances = np.linalg.norm(points[:, None] + shifts[None] - point, axis=2)
        ratios = distances / (radii + radii[index])[:, None]
        ratios[distances < _ITSELF_ANGSTROM] = np.inf
        near, _ = np.nonzero(ratios <= within * ratios.min())
        found.append([int(other) for other in near])
    return found
