"""Molecules written from a substructure that they share, so that the common part reads alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.random import Generator


def written_alike(group: Sequence[str], rng: Generator) -> list[str] | None:
    """Write molecules from an atom whose surroundings (2 bonds, else 1) occur in all of them.

    Returns:
        One SMILES each, or None when they share no such atom.
    """
    from rdkit import Chem

    molecules = [Chem.MolFromSmiles(smiles) for smiles in group]
    places = [_surroundings(molecule) for molecule in molecules]
    common = set(places[0]).intersection(*places[1:])
    if not common:
        return None
    widest = max(radius for _, radius in common)
    shared = sorted(key for key in common if key[1] == widest)
    key = shared[int(rng.integers(len(shared)))]
    return [
        str(Chem.MolToSmiles(molecule, rootedAtAtom=found[key][0]))
        for molecule, found in zip(molecules, places, strict=True)
    ]


def _surroundings(molecule: Any) -> dict[tuple[int, int], list[int]]:
    """Return (code of circular surroundings, radius 1 or 2) → atoms."""
    from rdkit.Chem import rdFingerprintGenerator

    output = rdFingerprintGenerator.AdditionalOutput()
    output.AllocateBitInfoMap()
    rdFingerprintGenerator.GetMorganGenerator(radius=2).GetSparseFingerprint(
        molecule, additionalOutput=output
    )
    found: dict[tuple[int, int], list[int]] = {}
    for code, where in output.GetBitInfoMap().items():
        for atom, radius in where:
            if radius:
                found.setdefault((int(code), int(radius)), []).append(int(atom))
    return found
