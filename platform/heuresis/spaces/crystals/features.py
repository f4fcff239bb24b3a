"""Features of crystals: counted surroundings and descriptors of composition and symmetry.

Blocks of counts, each scaled to `PARTS` per crystal so that a supercell counts like its cell:
``composition``, the elements; ``environments``, the elements, which elements surround which, and
how many neighbours they have; ``prototype``, what is left when elements are forgotten: space group,
Wyckoff positions with the counts of their element, numbers of neighbours.

Neighbours are sites within 1.12 times the distance of the nearest one in units of covalent radii.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from heuresis.errors import InvalidCandidate
from heuresis.spaces.crystals.elements import ELEMENT_RANK, ELEMENT_SYMBOLS
from heuresis.spaces.crystals.errors import CrystalTextError
from heuresis.spaces.crystals.geometry import covalent_radius_angstrom, neighbours
from heuresis.spaces.crystals.standard import centring_vectors
from heuresis.spaces.crystals.symmetry import space_group
from heuresis.spaces.crystals.text import Crystal, read_text
from heuresis.spaces.features import Features, SparseCounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARTS: Final = 60
"""Counts in each kind of part: divisible by most numbers of formula units."""
WIDTH: Final = 4096
ENVIRONMENTS: Final = "environments"
BLOCKS: Final = (ENVIRONMENTS, "composition", "prototype")
_FAMILIES: Final = ((2, 1), (15, 2), (74, 3), (142, 4), (194, 5), (230, 6))
_WITHIN: Final = 1.12
_ELEMENT_TABLE: Final = ("mass_Da", "radius_angstrom", "electronegativity_rank", "row", "valence")
DESCRIPTORS: Final = (
    *(f"{name}_{statistic}" for name in _ELEMENT_TABLE for statistic in ("mean", "spread")),
    "elements",
    "atoms",
    "volume_per_atom_angstrom3",
    "packing_fraction",
    "density_g_per_cm3",
    "space_group",
    "operations_log",
    "crystal_family",
    "free_parameters",
    "neighbours_mean",
    "neighbours_spread",
)
_DALTON_PER_ANGSTROM3: Final = 1.66053906660
"""In g/cm³."""
_MOST_REMEMBERED: Final = 20_000


class _Row(NamedTuple):
    blocks: dict[str, tuple[NDArray[np.int32], NDArray[np.int32]]]
    descriptors: tuple[float, ...]


class CrystalFeatures:
    """Computes features of crystal texts and remembers the latest."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}

    def __call__(self, texts: Sequence[str], blocks: Sequence[str] = (ENVIRONMENTS,)) -> Features:
        """Return the features of crystal texts.

        Raises:
            InvalidCandidate: a text is no crystal.
            ValueError: a block nobody knows.
        """
        unknown = sorted(set(blocks) - set(BLOCKS))
        if unknown:
            raise ValueError(
                f"crystals have no features '{', '.join(unknown)}'; known: {', '.join(BLOCKS)}"
            )
        rows = [self._row(text) for text in texts]
        descriptors = np.array([row.descriptors for row in rows], dtype=np.float64)
        return Features(
            counts={
                name: SparseCounts.of([row.blocks[name] for row in rows], WIDTH) for name in blocks
            },
            descriptors=descriptors.reshape(len(rows), len(DESCRIPTORS)),
            names=DESCRIPTORS,
        )

    def _row(self, text: str) -> _Row:
        row = self._rows.get(text)
        if row is None:
            if len(self._rows) >= _MOST_REMEMBERED:
                self._rows.clear()
            row = self._rows[text] = _features_of(text)
        return row


def _features_of(text: str) -> _Row:
    try:
        crystal = read_text(text)
        cell = crystal.cell()
    except CrystalTextError as error:
        raise InvalidCandidate("syntax", f"'{text}' has no features: {error}") from error
    around = neighbours(cell, _WITHIN)
    numbers = np.array([len(near) for near in around], dtype=np.float64)
    elements = _shares(Counter(cell.elements))
    pairs = Counter(
        f"{element}<{cell.elements[other]}"
        for element, near in zip(cell.elements, around, strict=True)
        for other in near
    )
    coordinated = Counter(
        f"{element}:{len(near)}" for element, near in zip(cell.elements, around, strict=True)
    )
    blocks = {
        "composition": _hashed([elements]),
        ENVIRONMENTS: _hashed([elements, _shares(pairs), _shares(coordinated)]),
        "prototype": _hashed(_prototype(crystal, numbers)),
    }
    volume = abs(float(np.linalg.det(cell.lattice_angstrom)))
    return _Row(blocks, _descriptors(crystal, numbers, volume))


def _prototype(crystal: Crystal, numbers: NDArray[np.float64]) -> list[dict[str, float]]:
    group = space_group(crystal.number)
    counts = crystal.composition()
    smallest = min(counts.values())
    sites: Counter[str] = Counter()
    for orbit in crystal.orbits:
        share = counts[orbit.element] / smallest
        sites[f"{orbit.letter}*{share:.2f}"] += group.position(orbit.letter).multiplicity
    return [
        {f"group {crystal.number}": 0.5, f"family {_family(crystal.number)}": 0.5},
        _shares(sites),
        _shares(Counter(f"neighbours {int(number)}" for number in numbers)),
    ]


def _shares(counts: Counter[str]) -> dict[str, float]:
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()}


def _hashed(
    kinds: Sequence[dict[str, float]],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return (indices, counts) of parts; a part too rare to count once counts once."""
    found: Counter[int] = Counter()
    for number, shares in enumerate(kinds):
        for name, share in shares.items():
            place = zlib.crc32(f"{number} {name}".encode()) % WIDTH
            found[place] += max(1, round(PARTS * share))
    places = sorted(found)
    return (
        np.array(places, dtype=np.int32),
        np.array([found[place] for place in places], dtype=np.int32),
    )


def _descriptors(
    crystal: Crystal, numbers: NDArray[np.float64], volume_angstrom3: float
) -> tuple[float, ...]:
    counts = crystal.composition()
    atoms = sum(counts.values())
    group = space_group(crystal.number)
    table = np.array([_element(symbol) for symbol in counts])
    weights = np.array(list(counts.values())) / atoms
    means = weights @ table
    spreads = np.sqrt(np.maximum(weights @ (table - means) ** 2, 0.0))
    radii3 = sum(
        count * 4.0 / 3.0 * np.pi * covalent_radius_angstrom(symbol) ** 3
        for symbol, count in counts.items()
    )
    free = len(group.lattice_parameters) + sum(len(orbit.steps) for orbit in crystal.orbits)
    return (
        *(float(value) for pair in zip(means, spreads, strict=True) for value in pair),
        float(len(counts)),
        atoms / len(centring_vectors(group)),
        volume_angstrom3 / atoms,
        float(radii3) / volume_angstrom3,
        float(means[0]) * atoms / volume_angstrom3 * _DALTON_PER_ANGSTROM3,
        float(crystal.number),
        float(np.log(len(group.rotations))),
        float(_family(crystal.number)),
        float(free),
        float(numbers.mean()),
        float(numbers.std()),
    )


def _family(number: int) -> int:
    return next(rank for last, rank in _FAMILIES if number <= last)


@cache
def _element(symbol: str) -> tuple[float, ...]:
    from rdkit.Chem import GetPeriodicTable

    table = GetPeriodicTable()
    number = ELEMENT_SYMBOLS.index(symbol) + 1
    return (
        float(table.GetAtomicWeight(number)),
        covalent_radius_angstrom(symbol),
        float(ELEMENT_RANK[symbol]),
        float(table.GetRow(number)),
        float(table.GetNOuterElecs(number)),
    )
