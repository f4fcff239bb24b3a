"""Features of molecules: counted fragments and twenty descriptors, in a third of a millisecond.

Blocks of counts are fragments around atoms up to three bonds (``morgan``), the same up to two bonds
with atoms told apart by their roles only (``roles``: donor, acceptor, aromatic, halogen, basic,
acidic), and pairs of atoms with their distance (``pairs``), each folded to 2,048 numbers.

Sources: Rogers and Hahn, J. Chem. Inf. Model. 2010, 50, 742 (circular fragments, roles); Carhart,
Smith and Venkataraghavan, J. Chem. Inf. Comput. Sci. 1985, 25, 64 (atom pairs); Ertl et al., J.
Med. Chem. 2000, 43, 3714 (polar surface).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from heuresis.errors import InvalidCandidate
from heuresis.spaces.features import Features, SparseCounts
from heuresis.spaces.molecule_logp import AtomKind, CrippenLogP

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rdkit.Chem import Mol

WIDTH: Final = 2048
MORGAN: Final = "morgan"
BLOCKS: Final = (MORGAN, "roles", "pairs")
_ELEMENTS: Final = {6: "C", 7: "N", 8: "O", 9: "F", 15: "P", 16: "S", 17: "Cl", 35: "Br"}
_POLAR: Final = (7, 8)
DESCRIPTORS: Final = (
    *_ELEMENTS.values(),
    "H",
    "other_elements",
    "logP",
    "polar_surface_angstrom2",
    "rings",
    "aromatic_rings",
    "polar_atoms_with_hydrogen",
    "ring_atoms",
    "aromatic_atoms",
    "charged_atoms",
)
_MOST_REMEMBERED: Final = 20_000
"""About 40 MiB."""


class _Row(NamedTuple):
    blocks: dict[str, tuple[NDArray[np.int32], NDArray[np.int32]]]
    descriptors: tuple[float, ...]


class MoleculeFeatures:
    """Computes features of SMILES and remembers the latest.

    What is remembered never changes an answer, only its cost.
    """

    def __init__(self) -> None:
        from rdkit.Chem.rdFingerprintGenerator import (
            GetAtomPairGenerator,
            GetMorganFeatureAtomInvGen,
            GetMorganGenerator,
        )

        self._generators: dict[str, Any] = {
            MORGAN: GetMorganGenerator(radius=3, fpSize=WIDTH),
            "roles": GetMorganGenerator(
                radius=2, fpSize=WIDTH, atomInvariantsGenerator=GetMorganFeatureAtomInvGen()
            ),
            # Counts as they are: simulating them by bits is made for bit vectors.
            "pairs": GetAtomPairGenerator(maxDistance=10, fpSize=WIDTH, countSimulation=False),
        }
        self._logp = CrippenLogP()
        self._rows: dict[str, _Row] = {}

    def __call__(self, texts: Sequence[str], blocks: Sequence[str] = (MORGAN,)) -> Features:
        """Return the features of SMILES.

        Raises:
            InvalidCandidate: a text is not a readable SMILES.
            ValueError: a block nobody knows.
        """
        unknown = sorted(set(blocks) - set(self._generators))
        if unknown:
            raise ValueError(
                f"molecules have no features '{', '.join(unknown)}'; known: {', '.join(BLOCKS)}"
            )
        rows = [self._row(text, blocks) for text in texts]
        descriptors = np.array([row.descriptors for row in rows], dtype=np.float64)
        return Features(
            counts={
                name: SparseCounts.of([row.blocks[name] for row in rows], WIDTH) for name in blocks
            },
            descriptors=descriptors.reshape(len(rows), len(DESCRIPTORS)),
            names=DESCRIPTORS,
        )

    def _row(self, text: str, blocks: Sequence[str]) -> _Row:
        row = self._rows.get(text)
        if row is not None and all(name in row.blocks for name in blocks):
            return row
        molecule = _read(text)
        row = _Row(
            {name: self._counts(molecule, name) for name in blocks},
            row.descriptors if row is not None else self._describe(molecule),
        )
        if len(self._rows) >= _MOST_REMEMBERED:
            for old in list(self._rows)[: _MOST_REMEMBERED // 4]:
                del self._rows[old]
        self._rows[text] = row
        return row

    def _counts(self, molecule: Mol, name: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        counted = self._generators[name].GetCountFingerprint(molecule).GetNonzeroElements()
        # RDKit lists the elements in rising order.
        return (
            np.fromiter(counted.keys(), dtype=np.int32, count=len(counted)),
            np.fromiter(counted.values(), dtype=np.int32, count=len(counted)),
        )

    def _describe(self, molecule: Mol) -> tuple[float, ...]:
        from rdkit.Chem import rdMolDescriptors

        elements = dict.fromkeys(_ELEMENTS, 0)
        hydrogens = other = donors = aromatic = charged = 0
        atoms = []
        for place in range(molecule.GetNumAtoms()):
            atom = molecule.GetAtomWithIdx(place)  # iterating is slower
            number, bound = atom.GetAtomicNum(), atom.GetTotalNumHs()
            is_aromatic, charge = atom.GetIsAromatic(), atom.GetFormalCharge()
            atoms.append(AtomKind(number, bound, is_aromatic, charge))
            if number in elements:
                elements[number] += 1
            else:
                other += 1
            hydrogens += bound
            aromatic += is_aromatic
            charged += charge != 0
            donors += bound > 0 and number in _POLAR
        rings = molecule.GetRingInfo().AtomRings()
        return (
            *elements.values(),
            hydrogens,
            other,
            self._logp(molecule, atoms),
            rdMolDescriptors.CalcTPSA(molecule),
            len(rings),
            rdMolDescriptors.CalcNumAromaticRings(molecule),
            donors,
            len({atom for ring in rings for atom in ring}),
            aromatic,
            charged,
        )


def _read(text: str) -> Mol:
    from rdkit.Chem import MolFromSmiles
    from rdkit.rdBase import BlockLogs

    with BlockLogs():
        molecule = MolFromSmiles(text)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise InvalidCandidate("syntax", f"{text!r} is not a readable SMILES: it has no features")
    return molecule
