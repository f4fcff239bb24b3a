"""Distances in a periodic cell."""

from __future__ import annotations

import numpy as np

from heuresis.spaces.crystals.text import Cell


def smallest_distance_angstrom(cell: Cell) -> float:
    """Return the shortest distance between two sites or a site and its own image.

    Cell vectors are first made short, so that the neighbouring images of every cell are enough.
    """
    lattice = _reduced(np.asarray(cell.lattice_angstrom, dtype=np.float64))
    fractional = cell.coordinates @ cell.lattice_angstrom @ np.linalg.inv(lattice)
    steps = np.array([-1, 0, 1])
    images = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    own = images[np.any(images != 0, axis=1)] @ lattice
    shortest = float(np.linalg.norm(own, axis=1).min())
    shifts = images @ lattice
    for index in range(1, len(fractional)):
        apart = fractional[:index] - fractional[index]
        apart -= np.round(apart)
        distances = np.linalg.norm((apart @ lattice)[:, None, :] + shifts[None], axis=2)
        shortest = min(shortest, float(distances.min()))
    return shortest


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
