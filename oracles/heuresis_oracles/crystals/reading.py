"""Crystal texts to ASE atoms, with the refusals that all oracles of crystals share."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from heuresis.errors import OracleSetupError
from heuresis.spaces.crystals.errors import CrystalTextError
from heuresis.spaces.crystals.geometry import shortest_contact
from heuresis.spaces.crystals.text import Cell, Crystal, read_text

if TYPE_CHECKING:
    from ase import Atoms

SMALLEST_CONTACT = 0.5
"""Atoms closer than this many sums of covalent radii overlap: no potential knows what happens."""


def read_crystal(text: str, *, max_atoms: int) -> tuple[Crystal, Atoms]:
    """Return the crystal of a text and its primitive cell as atoms.

    Raises:
        OracleSetupError: unreadable, too many atoms in the primitive cell, or atoms that overlap.
    """
    try:
        crystal = read_text(text)
        cell = crystal.cell()
    except CrystalTextError as error:
        raise OracleSetupError(f"'{text}' is no readable crystal: {error}") from error
    ratio, first, second, distance = shortest_contact(cell)
    if ratio < SMALLEST_CONTACT:
        raise OracleSetupError(
            f"atoms overlap: {first} and {second} are {distance:.2f} Å apart, {ratio:.2f} times the"
            f" sum of their covalent radii; expected at least {SMALLEST_CONTACT}"
        )
    atoms = primitive_atoms(cell)
    if len(atoms) > max_atoms:
        raise OracleSetupError(
            f"{crystal.reduced_formula()} has {len(atoms)} atoms in the primitive cell; this oracle"
            f" is set to at most {max_atoms} (max_atoms)"
        )
    return crystal, atoms


def primitive_atoms(cell: Cell) -> Atoms:
    """Return the primitive cell, in the orientation of the given one."""
    import spglib
    from ase import Atoms

    kinds = sorted(set(cell.elements))
    numbers = [kinds.index(element) for element in cell.elements]
    given = (cell.lattice_angstrom, cell.coordinates, numbers)
    with warnings.catch_warnings():
        # spglib announces that it will raise where it now returns None; both are handled.
        warnings.simplefilter("ignore", DeprecationWarning)
        found = spglib.standardize_cell(given, to_primitive=True, no_idealize=True, symprec=0.01)
    lattice, points, types = given if found is None else found
    return Atoms(
        [kinds[int(kind)] for kind in types], scaled_positions=points, cell=lattice, pbc=True
    )


def cell_of(atoms: Atoms) -> Cell:
    """Return atoms as the plain cell that symmetry is read from."""
    return Cell(
        np.asarray(atoms.cell.array),
        np.asarray(atoms.get_scaled_positions(wrap=True)) % 1.0,
        tuple(atoms.get_chemical_symbols()),
    )
