"""From any cell, e.g. of a CIF, to the crystal record in standard setting.

The symmetry search is spglib's, which comes with pymatgen: install ``heuresis[crystals]``.
"""

from __future__ import annotations

import re
import warnings
from typing import Any, Final

import numpy as np

from heuresis.errors import MissingExtraError
from heuresis.spaces.crystals.errors import CrystalTextError
from heuresis.spaces.crystals.symmetry import Floats, SpaceGroup, space_group
from heuresis.spaces.crystals.text import (
    ANGLE_STEP_DEGREES,
    COORDINATE_STEPS,
    LENGTH_STEP_ANGSTROM,
    Cell,
    Crystal,
    Orbit,
)

SYMMETRY_TOLERANCE_ANGSTROM: Final = 0.01
MAX_REWRITES: Final = 4
_ON_REPRESENTATIVE: Final = 2e-4
"""Fractional distance within which a standardised site lies on a Wyckoff representative."""


def _spglib() -> Any:
    try:
        import spglib
    except ImportError as error:
        raise MissingExtraError("writing crystals as text", "spglib", "crystals") from error
    return spglib


def read_p1_cif(text: str) -> Cell:
    """Read a CIF that lists every site of the cell without symmetry (space group P 1).

    Raises:
        CrystalTextError: a cell parameter or the site table is missing, symmetry is stated, or a
            site is disordered.
    """
    values = dict(re.findall(r"^(_cell_\w+|_symmetry_Int_Tables_number)\s+(\S+)\s*$", text, re.M))
    if values.get("_symmetry_Int_Tables_number", "1") != "1":
        raise CrystalTextError("expected a CIF in P 1 that lists every site; got one with symmetry")
    try:
        lengths = [float(values[f"_cell_length_{axis}"]) for axis in "abc"]
        angles = [float(values[f"_cell_angle_{name}"]) for name in ("alpha", "beta", "gamma")]
    except (KeyError, ValueError) as error:
        raise CrystalTextError(f"a CIF without readable cell parameters: {error}") from error
    _, _, table = text.partition("_atom_site_occupancy")
    elements: list[str] = []
    coordinates: list[list[float]] = []
    for line in table.strip().splitlines():
        words = line.split()
        if len(words) != 7 or float(words[6]) != 1.0:
            raise CrystalTextError(
                f"expected 'element label multiplicity x y z 1' in the site table, got {line!r}"
            )
        elements.append(re.sub(r"[^A-Za-z]", "", words[0]))
        coordinates.append([float(word) for word in words[3:6]])
    if not elements:
        raise CrystalTextError("a CIF without sites (column _atom_site_occupancy expected last)")
    lattice = _lattice_of(lengths, angles)
    return Cell(lattice, np.array(coordinates) % 1.0, tuple(elements))


def _lattice_of(lengths_angstrom: list[float], angles_degrees: list[float]) -> Floats:
    a, b, c = lengths_angstrom
    cos_a, cos_b, cos_g = np.cos(np.radians(angles_degrees))
    sin_g = np.sin(np.radians(angles_degrees[2]))
    y = (cos_a - cos_b * cos_g) / sin_g
    height = np.sqrt(max(1.0 - cos_b**2 - y**2, 0.0))
    return np.array([[a, 0.0, 0.0], [b * cos_g, b * sin_g, 0.0], [c * cos_b, c * y, c * height]])


def crystal_of(cell: Cell, tolerance_angstrom: float = SYMMETRY_TOLERANCE_ANGSTROM) -> Crystal:
    """Write a cell in its canonical form: standard setting, rounded, stable.

    Rounding can raise the symmetry and standardising again can move the origin, so the record is
    rewritten until it stays as it is.

    Args:
        cell: any cell of the crystal, primitive or not.
        tolerance_angstrom: how far sites may be from exact symmetry.

    Raises:
        CrystalTextError: no symmetry is found, or the crystal does not fit the language.
        MissingExtraError: spglib is not installed.
    """
    seen = [rounded(cell, tolerance_angstrom)]
    for _ in range(MAX_REWRITES):
        again = rounded(seen[-1].cell(), tolerance_angstrom)
        if again in seen:
            # A fixed point is a cycle of one; of a longer one, take the same member every time.
            return min(seen[seen.index(again) :], key=lambda crystal: crystal.payload())
        seen.append(again)
    return seen[-1]


def is_stable(crystal: Crystal, tolerance_angstrom: float = SYMMETRY_TOLERANCE_ANGSTROM) -> bool:
    """Whether expanding and writing again gives the same record."""
    return rounded(crystal.cell(), tolerance_angstrom) == crystal


def rounded(cell: Cell, tolerance_angstrom: float = SYMMETRY_TOLERANCE_ANGSTROM) -> Crystal:
    """Write a cell once: standard setting, rounded; perhaps not yet stable, see `crystal_of`.

    Raises:
        CrystalTextError: no symmetry is found, or the crystal does not fit the language.
        MissingExtraError: spglib is not installed.
    """
    spglib = _spglib()
    kinds = sorted(set(cell.elements))
    numbers = [kinds.index(element) + 1 for element in cell.elements]
    given = (cell.lattice_angstrom, cell.coordinates, numbers)
    try:
        with warnings.catch_warnings():
            # spglib announces that it will raise where it now returns None; both are handled.
            warnings.simplefilter("ignore", DeprecationWarning)
            found = spglib.get_symmetry_dataset(given, symprec=tolerance_angstrom)
            group = space_group(int(found.number))
            if found.hall_number != group.hall_number:
                found = spglib.get_symmetry_dataset(
                    given, symprec=tolerance_angstrom, hall_number=group.hall_number
                )
            failed = found is None
    except (spglib.SpglibError, AttributeError):
        failed = True
    if failed:
        raise CrystalTextError(
            f"no symmetry found within {tolerance_angstrom} Å; are sites on top of each other?"
        )
    lattice = np.asarray(found.std_lattice)
    points = np.asarray(found.std_positions) % 1.0
    types = np.asarray(found.std_types)
    orbits = [
        Orbit(kinds[kind - 1], *_site(group, sites, lattice))
        for kind, sites in _orbits(group, points, types, lattice)
    ]
    return Crystal(
        group.number, _lattice_steps(group, lattice), tuple(sorted(orbits, key=lambda o: o.order))
    )


def centring_vectors(group: SpaceGroup) -> Floats:
    """Return the translations among the operations, shape (lattice points per cell, 3)."""
    pure = np.all(np.round(group.rotations) == np.eye(3), axis=(1, 2))
    found: Floats = group.translations[pure]
    return found


def _lattice_steps(group: SpaceGroup, lattice: Floats) -> tuple[int, ...]:
    lengths = np.linalg.norm(lattice, axis=1)
    unit = lattice / lengths[:, None]
    cosines = {"alpha": unit[1] @ unit[2], "beta": unit[0] @ unit[2], "gamma": unit[0] @ unit[1]}
    steps = []
    for name in group.lattice_parameters:
        if name in cosines:
            degrees = float(np.degrees(np.arccos(np.clip(cosines[name], -1.0, 1.0))))
            steps.append(round(degrees / ANGLE_STEP_DEGREES))
        else:
            steps.append(round(float(lengths["abc".index(name)]) / LENGTH_STEP_ANGSTROM))
    return tuple(steps)


def _orbits(
    group: SpaceGroup, points: Floats, types: np.ndarray, lattice: Floats
) -> list[tuple[int, Floats]]:
    """Split the sites of a standardised cell into orbits of the group: (kind, sites)."""
    left = np.ones(len(points), dtype=bool)
    orbits = []
    for index in range(len(points)):
        if not left[index]:
            continue
        images = group.images(points[index])
        candidates = np.flatnonzero(left & (types == types[index]))
        apart = points[candidates][:, None, :] - images[None, :, :]
        apart -= np.round(apart)
        distance = np.linalg.norm(apart @ lattice, axis=2).min(axis=1)
        members = candidates[distance < 5e-3]
        left[members] = False
        left[index] = False
        orbits.append((int(types[index]), points[members]))
    return orbits


def _site(group: SpaceGroup, sites: Floats, lattice: Floats) -> tuple[str, tuple[int, ...]]:
    """Return letter and rounded free coordinates of an orbit.

    Several sites can lie on the representative; the smallest steps are canonical.
    """
    del lattice
    for tolerance in (_ON_REPRESENTATIVE, 10 * _ON_REPRESENTATIVE):
        for position in group.positions:
            if position.multiplicity != len(sites):
                continue
            found = [position.parameters(site, tolerance) for site in sites]
            steps = [
                tuple(int(step) for step in np.round(values * COORDINATE_STEPS) % COORDINATE_STEPS)
                for values in found
                if values is not None
            ]
            if steps:
                return position.letter, min(steps)
    raise CrystalTextError(
        f"an orbit of {len(sites)} sites fits no Wyckoff position of space group {group.number}"
        f" within {10 * _ON_REPRESENTATIVE} (fractional)"
    )
