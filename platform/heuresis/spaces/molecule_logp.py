"""Crippen's logP, exactly as RDKit computes it, at a small part of its cost.

The logP of Wildman and Crippen (J. Chem. Inf. Comput. Sci. 1999, 39, 868) is a sum over atoms with
their hydrogens. The class of an atom depends on itself and its neighbours; that of oxygen, and of
the hydrogen on it, on the neighbours' neighbours too. RDKit finds the classes by a hundred
substructure patterns. Here the contribution of each surrounding is looked up, and only molecules
with a surrounding never met before ask RDKit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from rdkit.Chem import Mol

_RADIUS: Final = 2
_OXYGEN: Final = 8
_MOST_SURROUNDINGS: Final = 200_000
"""About 50 MiB; when it is full, the table starts again."""


class AtomKind(NamedTuple):
    """What the classes ask of an atom itself."""

    number: int
    hydrogens: int
    aromatic: bool
    charge: int


class CrippenLogP:
    """A table of contributions that grows with the molecules it sees.

    Surroundings are told apart by 32-bit codes at both radii, so a wrong number is possible in
    principle; with the few thousand that molecules have, odds are about one in a million.
    """

    def __init__(self) -> None:
        from rdkit.Chem import rdFingerprintGenerator

        # Redundant surroundings are kept, so that every atom has a code at every radius.
        self._generator = rdFingerprintGenerator.GetMorganGenerator(
            radius=_RADIUS, includeRedundantEnvironments=True
        )
        self._codes = rdFingerprintGenerator.AdditionalOutput()
        self._codes.AllocateAtomToBits()
        self._table: dict[tuple[int, ...], float] = {}

    def __call__(self, molecule: Mol, atoms: Sequence[AtomKind]) -> float:
        """Return the logP of a molecule without explicit hydrogens.

        Args:
            molecule: sanitised.
            atoms: in the order of the molecule.
        """
        self._generator.GetSparseCountFingerprint(
            molecule,
            # What only the atom itself is asked for, its hydrogens, is left out here.
            customAtomInvariants=[(n * 32 + charge + 16) * 2 + a for n, _, a, charge in atoms],
            additionalOutput=self._codes,
        )
        keys = [
            (*(codes if number == _OXYGEN else codes[:2]), hydrogens)
            for codes, (number, hydrogens, _, _) in zip(
                self._codes.GetAtomToBits(), atoms, strict=True
            )
        ]
        try:
            return sum([self._table[key] for key in keys])
        except KeyError:
            return self._ask(molecule, keys)

    def _ask(self, molecule: Mol, keys: Sequence[tuple[int, ...]]) -> float:
        from rdkit.Chem import AddHs, rdMolDescriptors

        full = AddHs(molecule)
        contributions = [logp for logp, _ in rdMolDescriptors._CalcCrippenContribs(full)]
        if len(self._table) > _MOST_SURROUNDINGS:
            self._table.clear()
        heavy = molecule.GetNumAtoms()
        sums = contributions[:heavy]
        for atom in range(heavy, full.GetNumAtoms()):
            sums[full.GetAtomWithIdx(atom).GetNeighbors()[0].GetIdx()] += contributions[atom]
        self._table.update(zip(keys, sums, strict=True))
        return float(sum(contributions))
