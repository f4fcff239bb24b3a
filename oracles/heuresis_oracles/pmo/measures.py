"""What PMO's tasks look at in a molecule: similarities, properties, formulas, patterns.

Each measure is data until it is called, so that declaring an oracle imports no RDKit. Fingerprints
are unfolded sparse counts and similarities are Tanimoto on counts, as in GuacaMol, except the
pharmacophores, which are bits.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol

from heuresis_oracles.pmo.shapes import gaussian, geometric_mean

if TYPE_CHECKING:
    from rdkit.Chem import Mol

Fingerprint = Literal["ECFP4", "ECFP6", "FCFP4", "AP", "PHCO"]
"""Morgan radius 2 and 3, Morgan radius 2 on pharmacophoric features, atom pairs up to 10 bonds,
Gobbi's two-dimensional pharmacophores."""
PropertyName = Literal["logp", "tpsa", "rings", "aromatic_rings", "bertz", "qed"]
ELEMENT_WIDTH = 1.0
TOTAL_WIDTH = 2.0
"""Widths of the Gaussians that compare a count of atoms with the wanted formula."""
_ELEMENT_AND_NUMBER = re.compile(r"([A-Z][a-z]?)(\d*)")


class Measure(Protocol):
    """A number that is read off a molecule."""

    def __call__(self, molecule: Mol) -> float:
        """Return the raw value."""
        ...


@dataclass(frozen=True)
class Similarity:
    """Tanimoto similarity to a target molecule, 0 to 1."""

    fingerprint: Fingerprint
    target: str

    def __call__(self, molecule: Mol) -> float:
        """Return the similarity of ``molecule`` to the target."""
        from rdkit.DataStructs import TanimotoSimilarity

        function = _fingerprints()[self.fingerprint]
        return float(TanimotoSimilarity(_of_target(self), function(molecule)))


@dataclass(frozen=True)
class Property:
    """A descriptor of RDKit: Crippen logP, TPSA of N and O only, ring counts, Bertz complexity."""

    name: PropertyName

    def __call__(self, molecule: Mol) -> float:
        """Return the descriptor of ``molecule``."""
        return float(_properties()[self.name](molecule))

    def of(self, smiles: str) -> float:
        """Return the descriptor of a SMILES."""
        return self(_parsed(smiles))


@dataclass(frozen=True)
class AtomCount:
    """How many atoms of one element."""

    symbol: str

    def __call__(self, molecule: Mol) -> float:
        """Return the number of these atoms, implicit hydrogens included."""
        return float(element_counts(molecule)[self.symbol])


@dataclass(frozen=True)
class Isomer:
    """How near a molecule's formula is to a wanted one, 0 to 1.

    The geometric mean of a Gaussian on each element of the formula (width 1) and one on the number
    of all atoms (width 2), hydrogens included (GuacaMol).
    """

    formula: str

    def __call__(self, molecule: Mol) -> float:
        """Return the nearness of ``molecule`` to the formula."""
        counts = element_counts(molecule)
        wanted = formula_counts(self.formula)
        scores = [gaussian(n, ELEMENT_WIDTH)(counts[symbol]) for symbol, n in wanted.items()]
        scores.append(gaussian(sum(wanted.values()), TOTAL_WIDTH)(sum(counts.values())))
        return geometric_mean(scores)


@dataclass(frozen=True)
class Pattern:
    """Whether a SMARTS pattern occurs: 1 or 0."""

    smarts: str

    def __call__(self, molecule: Mol) -> float:
        """Return 1 if the pattern occurs in ``molecule``."""
        return float(molecule.HasSubstructMatch(_pattern(self.smarts)))


def formula_counts(formula: str) -> Counter[str]:
    """Read a formula such as ``C9H10N2O2PF2Cl`` into counts by element; a charge is passed over."""
    return Counter(
        {symbol: int(number or 1) for symbol, number in _ELEMENT_AND_NUMBER.findall(formula)}
    )


def element_counts(molecule: Mol) -> Counter[str]:
    """Return how many atoms of each element a molecule has, implicit hydrogens included."""
    from rdkit.Chem.rdMolDescriptors import CalcMolFormula

    # Ten times faster than a walk over the atoms in Python.
    return formula_counts(CalcMolFormula(molecule))


def _parsed(smiles: str) -> Mol:
    from heuresis_oracles.molecules import parse_molecule

    return parse_molecule(smiles)


@cache
def _of_target(similarity: Similarity) -> Any:
    return _fingerprints()[similarity.fingerprint](_parsed(similarity.target))


@cache
def _pattern(smarts: str) -> Mol:
    from rdkit.Chem import MolFromSmarts

    return MolFromSmarts(smarts)


@cache
def _fingerprints() -> dict[str, Callable[[Mol], Any]]:
    from rdkit.Chem.Pharm2D import Generate, Gobbi_Pharm2D
    from rdkit.Chem.rdFingerprintGenerator import (
        GetAtomPairGenerator,
        GetMorganFeatureAtomInvGen,
        GetMorganGenerator,
    )

    features = GetMorganFeatureAtomInvGen()
    pharmacophores: Callable[..., Any] = Generate.Gen2DFingerprint
    return {
        "ECFP4": GetMorganGenerator(radius=2).GetSparseCountFingerprint,
        "ECFP6": GetMorganGenerator(radius=3).GetSparseCountFingerprint,
        "FCFP4": GetMorganGenerator(
            radius=2, atomInvariantsGenerator=features
        ).GetSparseCountFingerprint,
        "AP": GetAtomPairGenerator(maxDistance=10).GetSparseCountFingerprint,
        "PHCO": lambda molecule: pharmacophores(molecule, Gobbi_Pharm2D.factory),
    }


@cache
def _properties() -> dict[str, Callable[[Mol], float]]:
    from rdkit.Chem import QED, GraphDescriptors, rdMolDescriptors

    return {
        "logp": lambda molecule: rdMolDescriptors.CalcCrippenDescriptors(molecule)[0],
        "tpsa": rdMolDescriptors.CalcTPSA,
        "rings": rdMolDescriptors.CalcNumRings,
        "aromatic_rings": rdMolDescriptors.CalcNumAromaticRings,
        "bertz": GraphDescriptors.BertzCT,
        "qed": QED.qed,
    }
