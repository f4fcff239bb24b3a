"""How far the distribution of a sample lies from that of real molecules, by RDKit descriptors.

Two numbers: GuacaMol's KL score (Brown et al., J. Chem. Inf. Model. 2019, 59, 1096), and a Fréchet
distance between Gaussians over standardised descriptors. The second has the formula of the Fréchet
ChemNet Distance (Preuer et al., J. Chem. Inf. Model. 2018, 58, 1736) but **is not FCD**: that one
measures in the activations of ChemNet, whose weights are not part of this project, so the numbers
cannot be compared with published FCD values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from heuresis_models.errors import DataError
from heuresis_models.evaluation.molecules import (
    fingerprints,
    read_molecule,
    tanimoto_blocks,
    valid_molecules,
)

Floats = NDArray[np.float64]
Advance = Callable[[int], None]
"""Told that so many more molecules are done."""

CONTINUOUS: Final = ("BertzCT", "MolLogP", "MolWt", "TPSA")
DISCRETE: Final = (
    "NumHAcceptors", "NumHDonors", "NumRotatableBonds", "NumAliphaticRings", "NumAromaticRings",
)  # fmt: skip
"""GuacaMol's descriptors: densities of the first kind, histograms of the second."""
FRECHET_DESCRIPTORS: Final = (*CONTINUOUS, *DISCRETE, "qed", "FractionCSP3")

_DENSITY_POINTS: Final = 1000
_HISTOGRAM_BINS: Final = 10
_SMALLEST: Final = 1e-10
_SIMILARITY_BITS: Final = 4096


@dataclass(frozen=True)
class DescriptorScore:
    """GuacaMol's KL benchmark: the score in [0, 1], and the divergences behind it, in nats."""

    score: float
    divergences: dict[str, float]


def descriptor_score(
    smiles: Sequence[str], training: Sequence[str], advance: Advance = lambda _: None
) -> DescriptorScore:
    """Return GuacaMol's KL score: mean of exp(−KL(training ‖ sample)) over ten quantities.

    The nine descriptors, and the similarity of each molecule to its nearest neighbour within its
    own set (ECFP4, 4096 bits). Both sides are taken without stereochemistry and without repeats.
    GuacaMol draws as many training molecules as there are samples; pass such a subset.

    Args:
        smiles: a sample; invalid molecules are left out.
        training: molecules of the training set.
        advance: told the number of molecules whose descriptors are done.

    Raises:
        DataError: fewer than two distinct valid molecules on a side.
    """
    sample = _distinct(smiles, "sample")
    baseline = _distinct(training, "training set")
    names = (*CONTINUOUS, *DISCRETE)
    table = descriptor_table(baseline, names, advance), descriptor_table(sample, names, advance)
    divergences = {
        name: (continuous_divergence if name in CONTINUOUS else discrete_divergence)(
            table[0][:, column], table[1][:, column]
        )
        for column, name in enumerate(names)
    }
    divergences["internal_similarity"] = continuous_divergence(
        _nearest_in_set(baseline), _nearest_in_set(sample)
    )
    score = float(np.mean(np.exp([-value for value in divergences.values()])))
    return DescriptorScore(score, divergences)


def continuous_divergence(baseline: Floats, sample: Floats) -> float:
    """Return KL(baseline ‖ sample) in nats of Gaussian kernel densities at 1000 points.

    Where a side has one value only there is no density; histograms are compared instead.
    """
    from scipy.stats import entropy, gaussian_kde

    if np.ptp(baseline) == 0.0 or np.ptp(sample) == 0.0:
        return discrete_divergence(baseline, sample)
    both = np.concatenate([baseline, sample])
    points = np.linspace(both.min(), both.max(), _DENSITY_POINTS)
    densities = [gaussian_kde(values)(points) + _SMALLEST for values in (baseline, sample)]
    return float(entropy(*densities))


def discrete_divergence(baseline: Floats, sample: Floats) -> float:
    """Return KL(baseline ‖ sample) in nats of histograms of ten bins over the baseline's range.

    Sample values outside of that range are not counted, as in GuacaMol; infinite when all are.
    """
    from scipy.stats import entropy

    counts, edges = np.histogram(baseline, bins=_HISTOGRAM_BINS)
    other, _ = np.histogram(sample, bins=edges)
    if other.sum() == 0:
        return float("inf")
    width = np.diff(edges)
    densities = [side / side.sum() / width + _SMALLEST for side in (counts, other)]
    return float(entropy(*densities))


def frechet_distance(
    smiles: Sequence[str], reference: Sequence[str], advance: Advance = lambda _: None
) -> float:
    """Return the Fréchet distance of Gaussians fitted to standardised descriptors; 0 is best.

    |μ₁ − μ₂|² + Tr(C₁ + C₂ − 2 (C₁ C₂)^½) over `FRECHET_DESCRIPTORS`, in units of the standard
    deviations of the reference. Not FCD; see the module docstring.

    Args:
        smiles: a sample; invalid molecules are left out.
        reference: molecules of the held-out set.
        advance: told the number of molecules whose descriptors are done.

    Raises:
        DataError: fewer than two valid molecules on a side.
    """
    sides = []
    for texts, name in ((reference, "reference"), (smiles, "sample")):
        found = descriptor_table(valid_molecules(texts), FRECHET_DESCRIPTORS, advance)
        if len(found) < 2:
            raise DataError(f"{len(found)} valid molecules in the {name}, at least 2 needed")
        sides.append(found)
    centre, spread = sides[0].mean(axis=0), sides[0].std(axis=0)
    spread[spread == 0.0] = 1.0
    scaled = [(side - centre) / spread for side in sides]
    return gaussian_distance(*scaled)


def gaussian_distance(first: Floats, second: Floats) -> float:
    """Return the squared Fréchet distance of two Gaussians, fitted to rows of values."""
    shift = float(np.square(first.mean(axis=0) - second.mean(axis=0)).sum())
    covariance, other = (np.cov(side, rowvar=False, bias=True) for side in (first, second))
    root = _symmetric_root(np.atleast_2d(covariance))
    # Tr (C₁C₂)^½ = Tr (C₁^½ C₂ C₁^½)^½, and the latter is symmetric.
    overlap = _symmetric_root(root @ np.atleast_2d(other) @ root)
    distance = shift + np.trace(np.atleast_2d(covariance + other)) - 2.0 * np.trace(overlap)
    return max(float(distance), 0.0)


def descriptor_table(
    smiles: Sequence[str], names: Sequence[str], advance: Advance = lambda _: None
) -> Floats:
    """Return RDKit descriptors, shape (molecules, names); values that are not finite become 0.

    Raises:
        DataError: a text is no molecule.
    """
    from rdkit.Chem import Descriptors

    functions = dict(Descriptors.descList)
    table = np.zeros((len(smiles), len(names)))
    for row, text in enumerate(smiles):
        molecule = read_molecule(text)
        if molecule is None:
            raise DataError(f"descriptors of {text!r}: RDKit reads no molecule; leave it out")
        table[row] = [functions[name](molecule) for name in names]
        if row % 100 == 99:
            advance(100)
    advance(len(smiles) % 100)
    table[~np.isfinite(table)] = 0.0
    return table


def _symmetric_root(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
    root: Floats = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    return root


def _nearest_in_set(smiles: Sequence[str]) -> Floats:
    prints = fingerprints(smiles, bits=_SIMILARITY_BITS)
    nearest: list[float] = []
    for block in tanimoto_blocks(prints, prints):
        rows = np.arange(len(block))
        block[rows, rows + len(nearest)] = 0.0
        nearest += block.max(axis=1).tolist()
    return np.array(nearest)


def _distinct(smiles: Sequence[str], name: str) -> list[str]:
    # A dictionary keeps the order, so that results do not depend on hashes.
    found = list(dict.fromkeys(valid_molecules(smiles, stereo=False)))
    if len(found) < 2:
        raise DataError(f"{len(found)} distinct valid molecules in the {name}, at least 2 needed")
    return found
