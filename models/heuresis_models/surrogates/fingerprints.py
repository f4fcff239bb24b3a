"""Fixed features of a molecule's graph: counted circular fragments and two-dimensional descriptors.

Fragments: counted Morgan fingerprints (Rogers and Hahn, J. Chem. Inf. Model. 50, 742 (2010)).
Descriptors: those that RDKit computes in compiled code, about a millisecond a molecule: its
property list, surface area by contribution to logP, refractivity and charge (Labute, J. Mol. Graph.
Model. 18, 464 (2000)) and 42 molecular quantum numbers (Nguyen et al., ChemMedChem 4, 1803 (2009)).

Letters at the ends of names: N and M molecules, F features.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from heuresis_models.surrogates.errors import SurrogateError

if TYPE_CHECKING:
    from numpy.typing import NDArray

REMEMBERED: Final = 20_000
_LARGEST_COUNT: Final = 255
_LARGEST_DESCRIPTOR: Final = 1e6


def _molecule(smiles: str) -> Any:
    from rdkit import Chem
    from rdkit.rdBase import BlockLogs

    with BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise SurrogateError(
            f"fingerprints need a molecule, and RDKit cannot read the SMILES {smiles!r}; leave it"
            " out, or use methods on embeddings alone for what is no molecule"
        )
    return molecule


class _Remembering:
    """Features of lately seen texts, so that a refit computes none again."""

    def __init__(self, compute: Callable[[str], NDArray[Any]]) -> None:
        self._compute = compute
        self._kept: OrderedDict[str, NDArray[Any]] = OrderedDict()

    def __call__(self, smiles: str) -> NDArray[Any]:
        found = self._kept.get(smiles)
        if found is None:
            found = self._kept[smiles] = self._compute(smiles)
            if len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)
        return found


@cache
def _fragments(radius: int) -> _Remembering:
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius)

    def compute(smiles: str) -> NDArray[np.int64]:
        found = generator.GetSparseCountFingerprint(_molecule(smiles)).GetNonzeroElements()
        codes = [
            (key << 8) | level
            for key, count in found.items()
            for level in range(min(count, _LARGEST_COUNT))
        ]
        return np.sort(np.array(codes, np.int64))

    return _Remembering(compute)


def fragment_codes(smiles: str, radius: int) -> NDArray[np.int64]:
    """Return one number per occurrence of a fragment, sorted.

    A fragment with key k that occurs c times gives ``256 k + 0`` to ``256 k + c - 1``. So the
    overlap of two molecules, the sum over fragments of the lesser count, is the number of codes
    that they share.

    Raises:
        SurrogateError: RDKit cannot read the SMILES.
    """
    codes: NDArray[np.int64] = _fragments(radius)(smiles)
    return codes


def folded_counts(texts: Sequence[str], radius: int, size: int) -> NDArray[np.float32]:
    """Return counts of fragments folded to a fixed length, shape (N, size).

    Raises:
        SurrogateError: RDKit cannot read a SMILES.
    """
    counts_NF = np.zeros((len(texts), size), np.float32)
    for row, text in enumerate(texts):
        place_O = (fragment_codes(text, radius) >> 8) % size
        counts_NF[row] = np.bincount(place_O, minlength=size)
    return counts_NF


class CountOverlap:
    """MinMax (Tanimoto on counts) similarity to a fixed set of molecules, exact: nothing is folded.

    Ralaivola et al., Neural Networks 18, 1093 (2005): sum of lesser counts over sum of greater.

    Args:
        codes: `fragment_codes` of the fixed molecules.
    """

    def __init__(self, codes: Sequence[NDArray[np.int64]]) -> None:
        self.codes = list(codes)
        self._known_F = np.unique(np.concatenate(self.codes)) if self.codes else np.empty(0, int)
        self._matrix_MF = self._rows(self.codes)
        self._size_M = np.array([len(one) for one in self.codes], np.float64)

    def _rows(self, codes: Sequence[NDArray[np.int64]]) -> Any:
        from scipy.sparse import csr_matrix

        owner = np.repeat(np.arange(len(codes)), [len(one) for one in codes])
        flat = np.concatenate(codes) if len(codes) else np.empty(0, np.int64)
        place = np.searchsorted(self._known_F, flat)
        place[place == len(self._known_F)] = 0
        known = self._known_F[place] == flat
        return csr_matrix(
            (np.ones(int(known.sum())), (owner[known], place[known])),
            shape=(len(codes), len(self._known_F)),
        )

    def __call__(self, codes: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
        """Return similarities in [0, 1], shape (N, M)."""
        size_N = np.array([len(one) for one in codes], np.float64)
        shared_NM: NDArray[np.float64] = (self._rows(codes) @ self._matrix_MF.T).toarray()
        all_NM = np.maximum(size_N[:, None] + self._size_M - shared_NM, 1.0)
        similarity_NM: NDArray[np.float64] = shared_NM / all_NM
        return similarity_NM


@cache
def _descriptors() -> _Remembering:
    from rdkit.Chem import rdMolDescriptors

    properties = rdMolDescriptors.Properties()

    def compute(smiles: str) -> NDArray[Any]:
        molecule = _molecule(smiles)
        values = [
            *properties.ComputeProperties(molecule),
            *rdMolDescriptors.SlogP_VSA_(molecule),
            *rdMolDescriptors.SMR_VSA_(molecule),
            *rdMolDescriptors.PEOE_VSA_(molecule),
            *rdMolDescriptors.MQNs_(molecule),
        ]
        # Partial charges do not exist for some metals; RDKit then says NaN.
        clean = np.nan_to_num(np.array(values), nan=0.0)
        bounded = np.clip(clean, -_LARGEST_DESCRIPTOR, _LARGEST_DESCRIPTOR)
        result: NDArray[np.float32] = bounded.astype(np.float32)
        return result

    return _Remembering(compute)


def descriptors(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return two-dimensional descriptors, shape (N, F); what RDKit cannot compute is 0.

    Raises:
        SurrogateError: RDKit cannot read a SMILES.
    """
    compute = _descriptors()
    return np.stack([compute(text) for text in texts]) if texts else np.empty((0, 0), np.float32)
