"""How good a sample of crystals is: read, possible as structure and as composition, unique, novel.

Structural validity is CDVAE's (Xie et al., ICLR 2022, arXiv:2110.06197): no two sites closer than
0.5 Å, periodic images included, and a cell of at least 0.1 Å³. It says that atoms do not coincide,
not that the crystal is stable. Compositional validity: see `composition`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from heuresis_models.errors import DataError
from heuresis_models.evaluation.composition import States, charge_balanced, smact_valid
from heuresis_models.language.crystal_text import Cell, Crystal, parse_payload
from heuresis_models.language.errors import CrystalTextError, UnknownTokenError
from heuresis_models.language.objects import object_tokens
from heuresis_models.language.vocabulary import Vocabulary

SMALLEST_DISTANCE_ANGSTROM: Final = 0.5
SMALLEST_VOLUME_ANGSTROM3: Final = 0.1


@dataclass(frozen=True)
class CrystalSample:
    """Counts over a sample of written crystals; shares are properties.

    Args:
        drawn: texts.
        parsed: those that describe a crystal: the grammar is followed and all sites expand.
        structurally_valid: of the parsed, by `structurally_valid`.
        smact: of the parsed, by `composition.smact_valid`.
        balanced: of the parsed, by `composition.charge_balanced`.
        valid: of the parsed, both structurally valid and by SMACT's rule.
        distinct: different (reduced formula, space group) among the parsed.
        novel: of the distinct, those not in the training set; None: no training set given.
    """

    drawn: int
    parsed: int
    structurally_valid: int
    smact: int
    balanced: int
    valid: int
    distinct: int
    novel: int | None

    def share(self, name: str) -> float:
        """Return a count as a share: of the drawn, ``distinct`` of the parsed, ``novel`` of these.

        Raises:
            DataError: there is nothing it could be a share of.
        """
        whole = {"distinct": self.parsed, "novel": self.distinct}.get(name, self.drawn)
        count = getattr(self, name)
        if not whole or count is None:
            raise DataError(f"no share of '{name}': nothing was drawn, read, or compared with")
        return float(count / whole)


def read_crystal(text: str) -> Crystal | None:
    """Read ``<sg:225>'0'5'6'4{Na}|a…``, with or without the tags around it; None if it is none.

    Strict: the text must be what the writer would write, and every site must expand.
    """
    payload = text.removeprefix("<crystal>").removesuffix("</crystal>")
    vocabulary = Vocabulary.default()
    try:
        tokens = vocabulary.cut(payload)
        crystal = parse_payload(tokens)
        crystal.cell()
        written = object_tokens(crystal)[1:-1]
    except (CrystalTextError, UnknownTokenError):
        return None
    return crystal if written == tokens else None


def key(crystal: Crystal) -> str:
    """Return what makes two crystals the same here: reduced formula and space group."""
    return f"{crystal.reduced_formula()} {crystal.number}"


def smallest_distance_angstrom(cell: Cell) -> float:
    """Return the shortest distance between two sites or a site and its own image.

    Cell vectors are first made short, so that the neighbouring images of every cell are enough.
    """
    lattice = _reduced(np.asarray(cell.lattice_angstrom, dtype=np.float64))
    fractional = cell.coordinates @ cell.lattice_angstrom @ np.linalg.inv(lattice)
    steps = np.array([-1, 0, 1])
    images = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    own = images[np.any(images != 0, axis=1)] @ lattice
    shortest = float(np.linalg.norm(own, axis=1).min())
    shifts = images @ lattice
    for index in range(1, len(fractional)):
        apart = fractional[:index] - fractional[index]
        apart -= np.round(apart)
        distances = np.linalg.norm((apart @ lattice)[:, None, :] + shifts[None], axis=2)
        shortest = min(shortest, float(distances.min()))
    return shortest


def structurally_valid(crystal: Crystal) -> bool:
    """Whether sites keep their distance and the cell has a volume; False if it does not expand."""
    try:
        cell = crystal.cell()
    except CrystalTextError:
        return False
    volume = abs(float(np.linalg.det(cell.lattice_angstrom)))
    if volume < SMALLEST_VOLUME_ANGSTROM3:
        return False
    return smallest_distance_angstrom(cell) >= SMALLEST_DISTANCE_ANGSTROM


def evaluate_crystals(
    texts: Sequence[str],
    training: Collection[str] | None = None,
    states: States = States.KNOWN,
) -> CrystalSample:
    """Count over written crystals.

    Args:
        texts: what a model wrote between ``<crystal>`` and ``</crystal>``.
        training: `key` of each training crystal; None: novelty is not counted.
        states: oxidation states allowed for charge balance.

    Raises:
        MissingExtraError: pymatgen is not installed.
    """
    found = [crystal for text in texts if (crystal := read_crystal(text)) is not None]
    structure = [structurally_valid(crystal) for crystal in found]
    smact = [smact_valid(crystal.composition(), states) for crystal in found]
    distinct = {key(crystal) for crystal in found}
    return CrystalSample(
        drawn=len(texts),
        parsed=len(found),
        structurally_valid=sum(structure),
        smact=sum(smact),
        balanced=sum(charge_balanced(crystal.composition(), states) for crystal in found),
        valid=sum(a and b for a, b in zip(structure, smact, strict=True)),
        distinct=len(distinct),
        novel=None if training is None else len(distinct.difference(training)),
    )


def _reduced(lattice: np.ndarray) -> np.ndarray:
    """Return short vectors of the same lattice: take off multiples of the others while it helps.

    Pairwise and, last, by the sum of the two others, as in Semaev's rule for three dimensions.
    """
    vectors = lattice.copy()
    for _ in range(100):
        vectors = vectors[np.argsort(np.linalg.norm(vectors, axis=1))]
        a, b, c = vectors
        shorter = b - np.round(a @ b / (a @ a)) * a
        if np.linalg.norm(shorter) < np.linalg.norm(b) * (1 - 1e-9):
            vectors[1] = shorter
            continue
        # The point of the plane lattice (a, b) nearest to the projection of c, and its neighbours.
        weights, *_ = np.linalg.lstsq(np.stack([a, b]).T, c, rcond=None)
        candidates = [
            c - (np.round(weights[0]) + i) * a - (np.round(weights[1]) + j) * b
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
        ]
        best = min(candidates, key=lambda vector: float(np.linalg.norm(vector)))
        if np.linalg.norm(best) >= np.linalg.norm(c) * (1 - 1e-9):
            break
        vectors[2] = best
    return vectors
