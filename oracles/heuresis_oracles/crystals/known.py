"""Is a crystal new? Compared with a file of known ones, e.g. what a model was trained on."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from heuresis.errors import UserError
from heuresis.spaces.crystals.elements import ELEMENT_SYMBOLS
from heuresis.spaces.crystals.errors import CrystalTextError
from heuresis.spaces.crystals.standard import read_p1_cif
from heuresis.spaces.crystals.structures import structure_matcher, to_structure
from heuresis.spaces.crystals.text import Cell, Crystal, read_text
from heuresis_oracles.crystals.build_references import reduced_formula


class Novelty(NamedTuple):
    """How new a crystal is.

    Args:
        structure: 1 if no known crystal of its formula matches it, else 0.
        formula: 1 if no known crystal has its formula, else 0.
        composition_distance: to the nearest known composition: half the sum of differences of the
            shares of elements; 0 the same, 1 no element in common.
    """

    structure: float
    formula: float
    composition_distance: float


class KnownCrystals:
    """A file of known crystals.

    Args:
        file: crystal texts, one per line, or CSV with a column ``cif`` (P 1, every site listed);
            perhaps gzipped.

    Raises:
        UserError: the file cannot be read or holds no crystal.
    """

    def __init__(self, file: Path) -> None:
        self._cells: dict[str, list[Cell]] = {}
        for cell in _cells(file):
            self._cells.setdefault(reduced_formula(cell.elements), []).append(cell)
        if not self._cells:
            raise UserError(
                f"'{file}' holds no readable crystal; expected crystal texts, one per line, or CSV"
                " with a column 'cif' in P 1"
            )
        self._shares = np.array([_shares(cells[0].elements) for cells in self._cells.values()])
        self._matcher = structure_matcher()

    def __len__(self) -> int:
        return sum(map(len, self._cells.values()))

    def novelty(self, crystal: Crystal) -> Novelty:
        """Compare a crystal; by pymatgen's ``StructureMatcher`` where the formula is known."""
        cell = crystal.cell()
        apart = np.abs(self._shares - _shares(cell.elements)).sum(axis=1).min() / 2
        same_formula = self._cells.get(reduced_formula(cell.elements), [])
        structure = to_structure(crystal)
        known = any(self._matcher.fit(structure, _structure(other)) for other in same_formula)
        return Novelty(float(not known), float(not same_formula), float(apart))


@lru_cache(maxsize=2)
def known_crystals(file: Path) -> KnownCrystals:
    """Return the crystals of a file; read once per process."""
    return KnownCrystals(file)


def _structure(cell: Cell) -> object:
    from pymatgen.core import Lattice, Structure

    return Structure(Lattice(cell.lattice_angstrom), list(cell.elements), cell.coordinates)


def _shares(elements: tuple[str, ...]) -> np.ndarray:
    shares = np.zeros(len(ELEMENT_SYMBOLS))
    for element in elements:
        shares[ELEMENT_SYMBOLS.index(element)] += 1.0 / len(elements)
    return shares


def _cells(file: Path) -> Iterator[Cell]:
    try:
        data = file.read_bytes()
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
        lines = data.decode("utf-8-sig").splitlines(keepends=True)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the known crystals '{file}': {error}") from error
    header = lines[0].strip().split(",") if lines else []
    if "cif" in header:
        csv.field_size_limit(10**8)
        for row in csv.DictReader(lines):
            try:
                yield read_p1_cif(row["cif"])
            except CrystalTextError:
                continue
        return
    for line in lines:
        try:
            yield read_text(line.strip()).cell()
        except CrystalTextError:
            continue
