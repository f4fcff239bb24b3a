"""How good a sample of molecules is: valid, unique, novel, diverse, near to what is held out.

Pure functions over lists of SMILES. Definitions are those of MOSES (Polykovskiy et al., Front.
Pharmacol. 2020, 11, 565644) and of its published code where paper and code differ; differences are
named. `distribution` holds what compares two distributions.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from heuresis_models.errors import DataError

if TYPE_CHECKING:
    from rdkit.Chem import Mol

Bits = NDArray[np.uint8]

FINGERPRINT_RADIUS: Final = 2
FINGERPRINT_BITS: Final = 1024
"""MOSES counts with Morgan fingerprints of radius 2 in 1024 bits."""

_BLOCK_ROWS: Final = 1000


def read_molecule(text: str) -> Mol | None:
    """Return the sanitised molecule of a SMILES, None when RDKit refuses it or it is empty."""
    from rdkit import Chem
    from rdkit.rdBase import BlockLogs

    with BlockLogs():
        molecule = Chem.MolFromSmiles(text) if text else None
    return molecule if molecule is not None and molecule.GetNumAtoms() else None


def canonical_or_none(texts: Sequence[str], *, stereo: bool = True) -> list[str | None]:
    """Return RDKit's canonical SMILES of each text, None where it is no molecule.

    Args:
        texts: what a model wrote.
        stereo: False leaves stereocentres and double-bond geometry out.
    """
    from rdkit import Chem

    found = []
    for text in texts:
        molecule = read_molecule(text)
        found.append(
            None if molecule is None else Chem.MolToSmiles(molecule, isomericSmiles=stereo)
        )
    return found


def valid_molecules(texts: Sequence[str], *, stereo: bool = True) -> list[str]:
    """Return the canonical SMILES of the valid texts, repeats kept, in their order."""
    return [smiles for smiles in canonical_or_none(texts, stereo=stereo) if smiles is not None]


def validity(texts: Sequence[str]) -> float:
    """Return the share of texts that RDKit reads and sanitises.

    Raises:
        DataError: no text is given.
    """
    _some(texts, 1, "texts")
    return len(valid_molecules(texts)) / len(texts)


def uniqueness(smiles: Sequence[str], first: int | None = None) -> float:
    """Return the share of distinct molecules among the first valid ones ("unique@k").

    Args:
        smiles: valid SMILES; invalid ones are an error, because they would count as one molecule.
        first: how many are looked at; None: all.

    Raises:
        DataError: fewer than ``first`` are given, or one is invalid.
    """
    wanted = len(smiles) if first is None else first
    _some(smiles, max(wanted, 1), "valid molecules")
    canonical = canonical_or_none(smiles[:wanted])
    if None in canonical:
        raise DataError(
            f"uniqueness is counted among valid molecules; {smiles[canonical.index(None)]!r} is"
            " none: remove the invalid ones with valid_molecules first"
        )
    return len(set(canonical)) / wanted


def novelty(smiles: Sequence[str], training: Collection[str]) -> float:
    """Return the share of the distinct valid molecules that are not in the training set.

    Args:
        smiles: a sample; invalid ones are left out.
        training: canonical SMILES (RDKit).

    Raises:
        DataError: no molecule is valid, or the training set is empty.
    """
    distinct = set(valid_molecules(smiles))
    _some(distinct, 1, "valid molecules")
    _some(training, 1, "training molecules")
    known = training if isinstance(training, set | frozenset) else set(training)
    return len(distinct - known) / len(distinct)


def internal_diversity(smiles: Sequence[str], power: int = 1) -> float:
    """Return 1 − mean Tanimoto similarity of all pairs, each with itself included.

    With ``power`` p the mean over partners is (mean of T^p)^(1/p); the root is taken for each
    molecule and then averaged, as MOSES' code does (its paper takes one root at the end).

    Raises:
        DataError: no molecule is valid.
    """
    prints = fingerprints(smiles)
    total = 0.0
    for block in tanimoto_blocks(prints, prints):
        total += float(((block**power).mean(axis=1) ** (1.0 / power)).sum())
    return 1.0 - total / len(prints)


def nearest_neighbour_similarity(smiles: Sequence[str], reference: Sequence[str]) -> float:
    """Return the mean over a sample of the Tanimoto similarity to the nearest reference ("SNN").

    Raises:
        DataError: no molecule of a side is valid.
    """
    sample, other = fingerprints(smiles), fingerprints(reference)
    total = sum(float(block.max(axis=1).sum()) for block in tanimoto_blocks(sample, other))
    return total / len(sample)


def fragment_similarity(smiles: Sequence[str], reference: Sequence[str]) -> float:
    """Return the cosine of the counts of BRICS fragments on both sides ("Frag").

    Fragments: Degen et al., ChemMedChem 2008, 3, 1503. A molecule without a bond to cut is its own
    fragment.

    Raises:
        DataError: no molecule of a side is valid.
    """
    return _cosine(_counted(smiles, _fragments), _counted(reference, _fragments), "fragments")


def scaffold_similarity(smiles: Sequence[str], reference: Sequence[str]) -> float:
    """Return the cosine of the counts of Bemis–Murcko scaffolds on both sides ("Scaf").

    Only scaffolds of at least two rings are counted, as in MOSES' code.

    Raises:
        DataError: no molecule of a side is valid, or a side has no such scaffold.
    """
    return _cosine(_counted(smiles, _scaffold), _counted(reference, _scaffold), "scaffolds")


def alert_free_share(smiles: Sequence[str]) -> float:
    """Return the share of valid molecules with none of RDKit's PAINS and BRENK alerts.

    Not the filter of MOSES, whose list of medicinal-chemistry alerts is not part of RDKit.

    Raises:
        DataError: no molecule is valid.
    """
    catalogue = _alerts()
    molecules = _read(smiles)
    return sum(not catalogue.HasMatch(molecule) for molecule in molecules) / len(molecules)


def fingerprints(smiles: Sequence[str], bits: int = FINGERPRINT_BITS) -> Bits:
    """Return Morgan fingerprints of the valid molecules, shape (molecules, bits), 0 or 1.

    Raises:
        DataError: no molecule is valid.
    """
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=FINGERPRINT_RADIUS, fpSize=bits)
    return np.stack([generator.GetFingerprintAsNumPy(molecule) for molecule in _read(smiles)])


def tanimoto_blocks(first: Bits, second: Bits) -> Iterator[NDArray[np.float32]]:
    """Yield Tanimoto similarities of some rows of ``first`` with all of ``second``, in order.

    Two fingerprints without any bit are equal, so their similarity is 1.
    """
    wide = second.astype(np.float32)
    ones = wide.sum(axis=1)
    for start in range(0, len(first), _BLOCK_ROWS):
        rows = first[start : start + _BLOCK_ROWS].astype(np.float32)
        common = rows @ wide.T
        united = rows.sum(axis=1)[:, None] + ones[None, :] - common
        yield np.divide(common, united, out=np.ones_like(common), where=united > 0)


def _fragments(molecule: Mol) -> list[str]:
    from rdkit import Chem
    from rdkit.Chem.BRICS import BreakBRICSBonds

    cut: Any = BreakBRICSBonds
    text: str = Chem.MolToSmiles(cut(molecule))
    return text.split(".")


def _scaffold(molecule: Mol) -> list[str]:
    from rdkit import Chem
    from rdkit.Chem.Scaffolds.MurckoScaffold import GetScaffoldForMol

    strip: Any = GetScaffoldForMol
    scaffold = strip(molecule)
    if scaffold.GetRingInfo().NumRings() < 2:
        return []
    return [Chem.MolToSmiles(scaffold)]


def _counted(smiles: Sequence[str], parts: Any) -> Counter[str]:
    counts: Counter[str] = Counter()
    for molecule in _read(smiles):
        counts.update(parts(molecule))
    return counts


def _cosine(first: Counter[str], second: Counter[str], what: str) -> float:
    if not first or not second:
        raise DataError(f"a side has no {what} to compare; give more molecules")
    product = sum(count * second[key] for key, count in first.items())
    norms = [math.sqrt(sum(count**2 for count in side.values())) for side in (first, second)]
    return product / (norms[0] * norms[1])


@cache
def _alerts() -> Any:
    from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams

    parameters = FilterCatalogParams()
    for name in ("PAINS", "BRENK"):
        parameters.AddCatalog(getattr(FilterCatalogParams.FilterCatalogs, name))
    return FilterCatalog(parameters)


def _read(smiles: Sequence[str]) -> list[Mol]:
    molecules = [molecule for text in smiles if (molecule := read_molecule(text)) is not None]
    _some(molecules, 1, "valid molecules")
    return molecules


def _some(things: Collection[object], least: int, what: str) -> None:
    if len(things) < least:
        raise DataError(f"{len(things):,} {what} given, at least {least:,} needed")
