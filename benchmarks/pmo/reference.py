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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heuresis.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from rdkit.Chem import Mol

WIDTHS = 4.0
MOST_UNKNOWN = 0.1
MOLECULAR_WEIGHT_Da = (0.0, 1.0)
LOGP = (0.0, 1.0)
"""Mean and standard deviation over ZINC250k."""
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
    """Return the reference of a library, measured once (about five minutes) and kept in ``store``.

    The store is a gzipped list of numbers that names the library's digest; another library is
    measured anew.
    """
    import numpy as np

    digest = hashlib.sha256(library.read_bytes()).hexdigest()
    if store.is_file():
        with np.load(store, allow_pickle=False) as kept:
            if str(kept["digest"]) == digest:
                return Reference(
                    _pair(kept["molecular_weight_Da"]),
                    _pair(kept["logp"]),
                    frozenset(kept["environments"].tolist()),
                )
    reference = measure(library)
    assert reference.environments is not None
    store.parent.mkdir(parents=True, exist_ok=True)
    temporary = store.with_suffix(".tmp.npz")
    np.savez_compressed(
        temporary,
        digest=np.array(digest),
        molecular_weight_Da=np.array(reference.molecular_weight_Da),
        logp=np.array(reference.logp),
        environments=np.array(sorted(reference.environments), dtype=np.uint32),
    )
    temporary.replace(store)
    return reference


def _pair(values: np.ndarray) -> tuple[float, float]:
    return float(values[0]), float(values[1])


def measure(library: Path) -> Reference:
    """Read every molecule of a library, one SMILES per line; unreadable lines are passed over.

    Raises:
        UserError: not one molecule could be read.
    """
    import numpy as np
    from rdkit.Chem import rdMolDescriptors

    weights, logps = [], []
    known: set[int] = set()
    for molecule in _molecules(library):
        weights.append(rdMolDescriptors._CalcMolWt(molecule))
        logps.append(rdMolDescriptors.CalcCrippenDescriptors(molecule)[0])
        known |= environments(molecule)
    if not weights:
        raise UserError(f"{library} holds no readable SMILES; expected one per line")
    return Reference(
        (float(np.mean(weights)), float(np.std(weights))),
        (float(np.mean(logps)), float(np.std(logps))),
        frozenset(known),
    )


def _molecules(library: Path) -> Iterator[Mol]:
    from rdkit.Chem import MolFromSmiles
    from rdkit.rdBase import BlockLogs

    opened = gzip.open if library.suffix == ".gz" else open
    with BlockLogs(), opened(library, "rt", encoding="utf-8") as lines:
        for line in lines:
            fields = line.split()
            molecule = MolFromSmiles(fields[0]) if fields else None
            if molecule is not None and molecule.GetNumAtoms():
                yield molecule
