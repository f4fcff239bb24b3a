"""Which molecules resemble a molecule: an index over many, without comparing all pairs.

Molecules whose feature sets have Jaccard (Tanimoto) similarity s share a MinHash value with
probability s, and all `ROWS` values of one of `BANDS` bands with probability s**ROWS each
(Broder 1997; locality-sensitive hashing). With 8 bands of 3, two molecules meet with probability
0.66 at s = 0.5, 0.41 at 0.4, 0.20 at 0.3. Building takes time and memory linear in the molecules
(about 0.1 ms and 100 bytes each), a look-up logarithmic.

Features are circular substructures of radius 2 (Rogers and Hahn, J. Chem. Inf. Model. 2010, 50,
742), folded to 2,048 bits: the usual "ECFP4" similarity.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from numpy.random import Generator
    from rdkit.Chem import Mol

BITS: Final = 2048
RADIUS: Final = 2
BANDS: Final = 8
ROWS: Final = 3


@lru_cache
def _fingerprints() -> Any:
    from rdkit.Chem import rdFingerprintGenerator

    return rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)


def fingerprint(molecule: Mol) -> Any:
    """Return RDKit's folded bit vector of circular substructures."""
    return _fingerprints().GetFingerprint(molecule)


def similarity(first: Any, second: Any) -> float:
    """Return the Tanimoto similarity of two fingerprints, 0 to 1."""
    from rdkit import DataStructs

    return float(DataStructs.TanimotoSimilarity(first, second))


class NeighbourIndex:
    """Finds likely neighbours of each of a fixed list of molecules.

    Args:
        molecules: SMILES that RDKit can read.
        rng: draws the hash functions.
        report: told the number of molecules done, now and then.
        cache: folder that keeps the index of exactly these molecules and hash functions.
    """

    def __init__(
        self,
        molecules: Sequence[str],
        rng: Generator,
        report: Callable[[int], None] = lambda _: None,
        cache: Path | None = None,
    ) -> None:
        hashes = rng.integers(0, 2**31 - 1, size=(BANDS * ROWS, BITS), dtype=np.int64)
        self._keys = self._stored(molecules, hashes, report, cache)
        self._order = np.argsort(self._keys, axis=0, kind="stable").astype(np.int32)
        self._sorted = np.take_along_axis(self._keys, self._order, axis=0)

    def _stored(
        self,
        molecules: Sequence[str],
        hashes: NDArray[np.int64],
        report: Callable[[int], None],
        cache: Path | None,
    ) -> NDArray[np.uint64]:
        if cache is None:
            return _band_keys(molecules, hashes, report)
        digest = hashlib.sha256(hashes.tobytes())
        for smiles in molecules:
            digest.update(f"{smiles}\n".encode())
        path = cache / f"neighbours-{digest.hexdigest()[:16]}.npy"
        if path.is_file():
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.uint64)
        keys = _band_keys(molecules, hashes, report)
        cache.mkdir(parents=True, exist_ok=True)
        waiting = path.with_name(f"{path.stem}.part.npy")
        np.save(waiting, keys, allow_pickle=False)
        waiting.replace(path)
        return keys

    def some(self, index: int, count: int, rng: Generator) -> list[int]:
        """Return up to ``count`` molecules that share a band with one, in random order."""
        found: list[int] = []
        for band in rng.permutation(BANDS):
            key = self._keys[index, band]
            first, last = (
                int(np.searchsorted(self._sorted[:, band], key, side=side))
                for side in ("left", "right")
            )
            for place in rng.integers(first, last, size=count):
                other = int(self._order[place, band])
                if other != index and other not in found:
                    found.append(other)
            if len(found) >= count:
                break
        return found[:count]


def _band_keys(
    molecules: Sequence[str], hashes: NDArray[np.int64], report: Callable[[int], None]
) -> NDArray[np.uint64]:
    """Return one number for each molecule and band; equal numbers mean equal bands."""
    from rdkit import Chem

    signature = np.zeros((len(molecules), BANDS * ROWS), dtype=np.int64)
    for index, smiles in enumerate(molecules):
        bits = list(fingerprint(Chem.MolFromSmiles(smiles)).GetOnBits())
        if bits:
            signature[index] = hashes[:, bits].min(axis=1)
        if index % 1000 == 0:
            report(index)
    mixing = np.array([1, 0x9E3779B97F4A7C1, 0x632BE59BD9B4E01], dtype=np.uint64)
    banded = signature.astype(np.uint64).reshape(len(molecules), BANDS, ROWS)
    keys: NDArray[np.uint64] = (banded * mixing).sum(axis=2, dtype=np.uint64)
    return keys
