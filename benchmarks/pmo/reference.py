"""What ZINC250k looks like: is a molecule one that a chemist might draw, or does it win by form?

High scores are worth little on molecules outside the world that the prior knows. Following the
re-evaluation of PMO by Thomas et al. (arXiv:2212.01385) and its code (MolScore), a molecule is
*inside* when

- its molecular weight and its Crippen logP lie within four standard deviations of ZINC250k's means
  (constants below), and
- at most a tenth of its distinct ECFP4 environments (Morgan, radius 2, unfolded) occurs nowhere in
  ZINC250k. This needs the data file; without it only the two ranges are applied, which is far
  weaker, and the readings say so.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heuresis.errors import UserError

if TYPE_CHECKING:
    from rdkit.Chem import Mol

WIDTHS = 4.0
MOST_UNKNOWN = 0.1
MOLECULAR_WEIGHT_Da = (332.14, 61.84)
LOGP = (2.457, 1.434)
"""Mean and standard deviation over ZINC250k, by `measure_ranges`."""
RADIUS = 2


@dataclass(frozen=True)
class Reference:
    """The world of a data set."""

    molecular_weight_Da: tuple[float, float]
    """Mean and standard deviation."""
    logp: tuple[float, float]
    environments: frozenset[int] | None
    """Identifiers of all ECFP4 environments that occur; None: not known."""

    def holds(self, molecule: Mol) -> bool:
        """Return whether a molecule is inside, see the module."""
        from rdkit.Chem import rdMolDescriptors

        if not _within(rdMolDescriptors._CalcMolWt(molecule), self.molecular_weight_Da):
            return False
        if not _within(rdMolDescriptors.CalcCrippenDescriptors(molecule)[0], self.logp):
            return False
        if self.environments is None:
            return True
        found = environments(molecule)
        unknown = sum(one not in self.environments for one in found)
        return unknown <= MOST_UNKNOWN * len(found)

    def in_words(self) -> str:
        """Return what is checked, for the head of a table."""
        ranges = "molecular weight and logP within 4 standard deviations of ZINC250k"
        if self.environments is None:
            return f"{ranges} (its ECFP4 environments were not at hand)"
        return f"{ranges}, at most 10 % of its ECFP4 environments unknown to ZINC250k"


def _within(value: float, mean_and_deviation: tuple[float, float]) -> bool:
    mean, deviation = mean_and_deviation
    return abs(value - mean) <= WIDTHS * deviation


def environments(molecule: Mol) -> set[int]:
    """Return the identifiers of a molecule's distinct ECFP4 environments."""
    return set(_generator().GetSparseCountFingerprint(molecule).GetNonzeroElements())


@cache
def _generator() -> Any:
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    return GetMorganGenerator(radius=RADIUS)


def shipped_reference() -> Reference:
    """Return the constants alone, without the environments."""
    return Reference(MOLECULAR_WEIGHT_Da, LOGP, None)


def load_reference(library: Path, store: Path) -> Reference:
    """Return the constants with the environments of a library.

    They are collected once (a minute or two for ZINC250k) and kept in ``store``, which names the
    library's digest; another library is read anew.
    """
    import numpy as np

    digest = hashlib.sha256(library.read_bytes()).hexdigest()
    if store.is_file():
        with np.load(store, allow_pickle=False) as kept:
            if str(kept["digest"]) == digest:
                return Reference(
                    MOLECULAR_WEIGHT_Da, LOGP, frozenset(kept["environments"].tolist())
                )
    known = collect_environments(library)
    store.parent.mkdir(parents=True, exist_ok=True)
    temporary = store.with_suffix(".tmp.npz")
    np.savez_compressed(
        temporary,
        digest=np.array(digest),
        environments=np.array(sorted(known), dtype=np.uint32),
    )
    temporary.replace(store)
    return Reference(MOLECULAR_WEIGHT_Da, LOGP, frozenset(known))


def collect_environments(library: Path) -> set[int]:
    """Return all ECFP4 environments of a library, one SMILES per line.

    Raises:
        UserError: not one line could be read.
    """
    known: set[int] = set()
    for molecule in _molecules(library):
        known |= environments(molecule)
    return known


def measure_ranges(
    library: Path, every: int = 1
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return mean and standard deviation of molecular weight (Da) and of logP.

    Args:
        library: one SMILES per line.
        every: read every so manieth line.

    Raises:
        UserError: not one line could be read.
    """
    import numpy as np
    from rdkit.Chem import rdMolDescriptors

    rows = [
        (rdMolDescriptors._CalcMolWt(one), rdMolDescriptors.CalcCrippenDescriptors(one)[0])
        for one in _molecules(library, every)
    ]
    means, deviations = np.mean(rows, axis=0), np.std(rows, axis=0)
    return (
        (float(means[0]), float(deviations[0])),
        (float(means[1]), float(deviations[1])),
    )


def _molecules(library: Path, every: int = 1) -> Iterator[Mol]:
    from rdkit.Chem import MolFromSmiles
    from rdkit.rdBase import BlockLogs

    opened = gzip.open if library.suffix == ".gz" else open
    read = 0
    with BlockLogs(), opened(library, "rt", encoding="utf-8") as lines:
        for line in islice(lines, 0, None, every):
            fields = line.split()
            molecule = MolFromSmiles(fields[0]) if fields else None
            if molecule is not None and molecule.GetNumAtoms():
                read += 1
                yield molecule
    if not read:
        raise UserError(f"{library} holds no readable SMILES; expected one per line")
