"""Drawing several and keeping the nearest, where a property can be computed exactly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from heuresis_models.descriptors import properties_of

SPREADS: Final = {
    "logp": 1.42, "tpsa": 23.1, "qed": 0.138, "sa_score": 0.82, "molar_mass": 62.0,
    "heavy_atoms": 4.5, "rings": 1.0, "aromatic_rings": 0.96, "rotatable_bonds": 1.56,
    "donors": 0.88, "acceptors": 1.53, "sp3_share": 0.22,
}  # fmt: skip
"""Standard deviations over ZINC250k (every fortieth molecule): what counts as equally far off."""


def distance(smiles: str, targets: Mapping[str, float]) -> float:
    """Return how far a molecule is from target values, in standard deviations, summed.

    Returns:
        Infinity for a text that is no molecule.

    Raises:
        KeyError: a property is not in `SPREADS`.
    """
    from rdkit import Chem
    from rdkit.rdBase import BlockLogs

    with BlockLogs():
        molecule = Chem.MolFromSmiles(smiles) if smiles else None
    if molecule is None:
        return math.inf
    found = properties_of(molecule, targets)
    return sum(abs(found[name] - value) / SPREADS[name] for name, value in targets.items())


def nearest(texts: Sequence[str], targets: Mapping[str, float]) -> int:
    """Return the place of the text that is nearest to target values; ties: the first."""
    return min(range(len(texts)), key=lambda place: distance(texts[place], targets))
