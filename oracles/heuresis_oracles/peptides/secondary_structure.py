"""Helices in a trajectory, by torsions and by hydrogen bonds, and what became of its start.

Sources: ranges of torsions: Best, Hummer, J. Phys. Chem. B 113, 9004 (2009); hydrogen bonds:
Kabsch, Sander, Biopolymers 22, 2577 (1983). That every residue of a run of three counts is our
choice: counted as in the model of Lifson and Roig, those at its two ends would not.
"""

from __future__ import annotations

import numpy as np

_PHI_DEGREE = (-100.0, -30.0)
_PSI_DEGREE = (-67.0, -7.0)
_SHORTEST_RUN = 3
"""A residue is helical with phi and psi in these ranges in a run of three or more such residues."""
_COUPLING_KCAL_ANGSTROM_PER_MOL = 0.42 * 0.20 * 332.0
_BOND_KCAL_PER_MOL = -0.5


def helical_residues(phi_radian: np.ndarray, psi_radian: np.ndarray) -> np.ndarray:
    """Return which residues are helical, shape (frames, residues), booleans.

    Args:
        phi_radian: shape (frames, residues); NaN where a residue has none: never helical.
        psi_radian: likewise.
    """
    phi, psi = np.degrees(phi_radian), np.degrees(psi_radian)
    inside = (
        (phi >= _PHI_DEGREE[0])
        & (phi <= _PHI_DEGREE[1])
        & (psi >= _PSI_DEGREE[0])
        & (psi <= _PSI_DEGREE[1])
    )
    helical: np.ndarray = np.zeros_like(inside)
    for first in range(inside.shape[1] - _SHORTEST_RUN + 1):
        window = slice(first, first + _SHORTEST_RUN)
        helical[:, window] |= inside[:, window].all(axis=1)[:, None]
    return helical


def hydrogen_bond_energies_kcal_per_mol(
    frames_angstrom: np.ndarray, acceptors: np.ndarray, donors: np.ndarray
) -> np.ndarray:
    """Return Kabsch-Sander energies, shape (frames, pairs).

    E = 0.42 e · 0.20 e · 332 (1/r_ON + 1/r_CH - 1/r_OH - 1/r_CN), in kcal/mol with r in Å.

    Args:
        frames_angstrom: shape (frames, atoms, 3).
        acceptors: C and O of each pair, shape (pairs, 2).
        donors: N and H of each pair, shape (pairs, 2).
    """
    carbon, oxygen = (frames_angstrom[:, acceptors[:, column]] for column in (0, 1))
    nitrogen, hydrogen = (frames_angstrom[:, donors[:, column]] for column in (0, 1))

    def inverse(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        distances: np.ndarray = np.linalg.norm(first - second, axis=2)
        return 1.0 / distances

    energies: np.ndarray = _COUPLING_KCAL_ANGSTROM_PER_MOL * (
        inverse(oxygen, nitrogen)
        + inverse(carbon, hydrogen)
        - inverse(oxygen, hydrogen)
        - inverse(carbon, nitrogen)
    )
    return energies


def are_bonded(energies_kcal_per_mol: np.ndarray) -> np.ndarray:
    """Return where a Kabsch-Sander energy means a hydrogen bond."""
    bonded: np.ndarray = energies_kcal_per_mol < _BOND_KCAL_PER_MOL
    return bonded


def helix_pairs(backbone: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return acceptor (C, O) and donor (N, H) atoms of every possible bond from i to i + 4."""
    pairs = [
        ((carbon, oxygen), (nitrogen, hydrogen))
        for carbon, oxygen, nitrogen, hydrogen in zip(
            backbone["C"][:-4].tolist(),
            backbone["O"][:-4].tolist(),
            backbone["N"][4:].tolist(),
            backbone["H"][4:].tolist(),
            strict=True,
        )
        if hydrogen >= 0
    ]
    acceptors = np.array([pair[0] for pair in pairs], dtype=int).reshape(-1, 2)
    donors = np.array([pair[1] for pair in pairs], dtype=int).reshape(-1, 2)
    return acceptors, donors


def rmsd_from_first(frames_angstrom: np.ndarray, reference_angstrom: np.ndarray) -> np.ndarray:
    """Return the root mean square deviation of each frame from a reference, best superposed, in Å.

    Args:
        frames_angstrom: shape (frames, atoms, 3).
        reference_angstrom: shape (atoms, 3).
    """
    reference = reference_angstrom - reference_angstrom.mean(axis=0)
    centred = frames_angstrom - frames_angstrom.mean(axis=1, keepdims=True)
    left, singular, right = np.linalg.svd(np.einsum("fai,aj->fij", centred, reference))
    handed = np.sign(np.linalg.det(left) * np.linalg.det(right))
    overlap = singular[:, 0] + singular[:, 1] + handed * singular[:, 2]
    squares = np.sum(centred**2, axis=(1, 2)) + np.sum(reference**2) - 2.0 * overlap
    deviation: np.ndarray = np.sqrt(np.maximum(squares, 0.0) / len(reference))
    return deviation
