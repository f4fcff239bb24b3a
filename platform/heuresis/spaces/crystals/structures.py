"""Crystals as pymatgen structures, and whether two are the same.

With `composition` the only file of the core that knows pymatgen (extra ``crystals``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from heuresis.errors import MissingExtraError
from heuresis.spaces.crystals.errors import CrystalTextError
from heuresis.spaces.crystals.standard import SYMMETRY_TOLERANCE_ANGSTROM, crystal_of
from heuresis.spaces.crystals.text import Cell, Crystal

if TYPE_CHECKING:
    from pymatgen.core import Structure


def to_structure(crystal: Crystal) -> Structure:
    """Return the conventional cell as a pymatgen ``Structure``.

    Raises:
        MissingExtraError: pymatgen is not installed.
        CrystalTextError: the record describes no crystal.
    """
    try:
        from pymatgen.core import Lattice, Structure
    except ImportError as error:
        raise MissingExtraError("pymatgen structures", "pymatgen", "crystals") from error
    cell = crystal.cell()
    return Structure(Lattice(cell.lattice_angstrom), list(cell.elements), cell.coordinates)


def from_structure(
    structure: Structure, tolerance_angstrom: float = SYMMETRY_TOLERANCE_ANGSTROM
) -> Crystal:
    """Write an ordered pymatgen ``Structure``.

    Raises:
        CrystalTextError: the structure is disordered or does not fit the language.
    """
    if not structure.is_ordered:
        raise CrystalTextError("the language writes ordered crystals; got partial occupancies")
    cell = Cell(
        np.asarray(structure.lattice.matrix),
        np.asarray(structure.frac_coords) % 1.0,
        tuple(site.specie.symbol for site in structure),
    )
    return crystal_of(cell, tolerance_angstrom)


def structure_matcher() -> Any:
    """Return pymatgen's ``StructureMatcher`` with its own tolerances, the field's usual ones.

    Primitive cells, scaled to the same volume; lengths within 20 %, sites within 0.3 of the mean
    free length per atom, angles within 5° (Ong et al., Comput. Mater. Sci. 68, 314 (2013)).

    Raises:
        MissingExtraError: pymatgen is not installed.
    """
    try:
        from pymatgen.analysis.structure_matcher import StructureMatcher
    except ImportError as error:
        raise MissingExtraError("matching structures", "pymatgen", "crystals") from error
    return StructureMatcher()


def same_structure(first: Crystal, second: Crystal) -> bool:
    """Whether two crystals are the same by `structure_matcher`."""
    if first.reduced_formula() != second.reduced_formula():
        return False
    return bool(structure_matcher().fit(to_structure(first), to_structure(second)))
