"""MMFF94 parameters of one molecule, read from RDKit into plain arrays.

RDKit types the atoms and looks up the parameters; which terms exist is decided here by RDKit's own
rules, so that the sum of terms equals RDKit's energy.

Sources: Halgren, J. Comput. Chem. 17, 490-641 (1996), five papers; Tosco, Stiefl, Landrum,
J. Cheminf. 6, 37 (2014).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from heuresis.errors import CalculationError
from heuresis_oracles.embedding import require_mmff94

if TYPE_CHECKING:
    from rdkit.Chem import Atom, Mol

Variant = Literal["MMFF94", "MMFF94s"]

_LINEAR_TYPES = frozenset({4, 53, 61})
"""MMFF atom types with a linear centre: CSP (alkyne, nitrile), =N= (azide), NR% (isonitrile)."""
_TORSION_BOND = "[!$(*#*)&!D1]~[!$(*#*)&!D1]"
"""Bonds with torsions: neither end terminal nor triple-bonded (RDKit's rule)."""


@dataclass(frozen=True)
class MMFF94Parameters:
    """All energy terms of a molecule, in MMFF's own units (kcal/mol, Å, md/Å, degrees, e).

    Each ``*_atoms`` array has one row of atom indices per term; the parameter arrays of the same
    family have one entry per row.
    """

    atom_types: np.ndarray
    """Shape (atoms,)."""
    partial_charges_e: np.ndarray
    """Shape (atoms,), in elementary charges."""
    bond_atoms: np.ndarray
    """Shape (bonds, 2)."""
    bond_force_md_per_angstrom: np.ndarray
    bond_length_angstrom: np.ndarray
    angle_atoms: np.ndarray
    """Shape (angles, 3); the centre is in the middle."""
    angle_force_md_angstrom: np.ndarray
    angle_degree: np.ndarray
    angle_is_linear: np.ndarray
    stretch_bend_atoms: np.ndarray
    """Shape (terms, 3)."""
    stretch_bend_force_md: np.ndarray
    """Shape (terms, 2): for the first and for the second bond."""
    stretch_bend_length_angstrom: np.ndarray
    """Shape (terms, 2): reference lengths of the first and the second bond."""
    stretch_bend_degree: np.ndarray
    out_of_plane_atoms: np.ndarray
    """Shape (centres, 4): the centre first, then its three neighbours."""
    out_of_plane_force_md_angstrom: np.ndarray
    torsion_atoms: np.ndarray
    """Shape (torsions, 4)."""
    torsion_kcal_per_mol: np.ndarray
    """Shape (torsions, 3): V1, V2, V3."""
    pair_atoms: np.ndarray
    """Shape (pairs, 2): atoms three or more bonds apart."""
    pair_radius_angstrom: np.ndarray
    """Minimum-energy distance R* of the buffered 14-7 potential, donor-acceptor rule applied."""
    pair_well_kcal_per_mol: np.ndarray
    pair_is_1_4: np.ndarray
    """True for atoms exactly three bonds apart: their electrostatics are scaled by 0.75."""


def read_parameters(
    molecule: Mol, variant: Variant = "MMFF94", *, between_fragments: bool = False
) -> MMFF94Parameters:
    """Read the parameters of a molecule with explicit hydrogens.

    Args:
        molecule: with explicit hydrogens.
        variant: of the force field.
        between_fragments: let separate molecules of one graph act on each other.

    Raises:
        OracleSetupError: MMFF94 has no type for an atom.
        CalculationError: RDKit has no parameters for a bond, which cannot happen for typed atoms.
    """
    from rdkit.Chem import rdForceFieldHelpers

    require_mmff94(molecule)
    properties: Any = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule, mmffVariant=variant)
    count = molecule.GetNumAtoms()
    types = np.array([properties.GetMMFFAtomType(index) for index in range(count)])
    terms = {
        **_bonds(molecule, properties),
        **_angles(molecule, properties, types),
        **_out_of_plane(molecule, properties),
        **_torsions(molecule, properties),
        **_pairs(molecule, properties, types, between_fragments),
    }
    return MMFF94Parameters(
        atom_types=types,
        partial_charges_e=np.array(
            [properties.GetMMFFPartialCharge(index) for index in range(count)]
        ),
        **terms,
    )


def _rows(rows: list[tuple[int, ...]], width: int) -> np.ndarray:
    return np.array(rows, dtype=int).reshape(-1, width)


def _bonds(molecule: Mol, properties: Any) -> dict[str, np.ndarray]:
    atoms: list[tuple[int, ...]] = []
    force: list[float] = []
    length: list[float] = []
    for bond in molecule.GetBonds():
        pair = (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())
        found = properties.GetMMFFBondStretchParams(molecule, *pair)
        if found is None:
            raise CalculationError(f"MMFF94 has no bond stretch for atoms {pair}")
        atoms.append(pair)
        force.append(found[1])
        length.append(found[2])
    return {
        "bond_atoms": _rows(atoms, 2),
        "bond_force_md_per_angstrom": np.array(force),
        "bond_length_angstrom": np.array(length),
    }


def _neighbours(atom: Atom) -> list[int]:
    return [neighbour.GetIdx() for neighbour in atom.GetNeighbors()]


def _angle_triples(molecule: Mol) -> Iterator[tuple[int, int, int]]:
    for atom in molecule.GetAtoms():
        for first, last in combinations(_neighbours(atom), 2):
            yield first, atom.GetIdx(), last


def _angles(molecule: Mol, properties: Any, types: np.ndarray) -> dict[str, np.ndarray]:
    angles: list[tuple[tuple[int, ...], float, float, bool]] = []
    stretch_bends: list[
        tuple[tuple[int, ...], tuple[float, float], tuple[float, float], float]
    ] = []
    for triple in _angle_triples(molecule):
        found = properties.GetMMFFAngleBendParams(molecule, *triple)
        if found is None:
            continue
        linear = int(types[triple[1]]) in _LINEAR_TYPES
        angles.append((triple, found[1], found[2], linear))
        coupling = properties.GetMMFFStretchBendParams(molecule, *triple)
        if linear or coupling is None:
            continue
        lengths = [
            properties.GetMMFFBondStretchParams(molecule, end, triple[1])[2]
            for end in (triple[0], triple[2])
        ]
        stretch_bends.append(
            (triple, (coupling[1], coupling[2]), (lengths[0], lengths[1]), found[2])
        )
    return {
        "angle_atoms": _rows([row[0] for row in angles], 3),
        "angle_force_md_angstrom": np.array([row[1] for row in angles]),
        "angle_degree": np.array([row[2] for row in angles]),
        "angle_is_linear": np.array([row[3] for row in angles], dtype=bool),
        "stretch_bend_atoms": _rows([row[0] for row in stretch_bends], 3),
        "stretch_bend_force_md": np.array([row[1] for row in stretch_bends]).reshape(-1, 2),
        "stretch_bend_length_angstrom": np.array([row[2] for row in stretch_bends]).reshape(-1, 2),
        "stretch_bend_degree": np.array([row[3] for row in stretch_bends]),
    }


def _out_of_plane(molecule: Mol, properties: Any) -> dict[str, np.ndarray]:
    atoms: list[tuple[int, ...]] = []
    force: list[float] = []
    for atom in molecule.GetAtoms():
        if atom.GetDegree() != 3:
            continue
        first, second, third = _neighbours(atom)
        found = properties.GetMMFFOopBendParams(molecule, first, atom.GetIdx(), second, third)
        if found is not None:
            atoms.append((atom.GetIdx(), first, second, third))
            force.append(found)
    return {
        "out_of_plane_atoms": _rows(atoms, 4),
        "out_of_plane_force_md_angstrom": np.array(force),
    }


def _torsions(molecule: Mol, properties: Any) -> dict[str, np.ndarray]:
    from rdkit.Chem import HybridizationType, MolFromSmarts

    bent = {HybridizationType.SP2, HybridizationType.SP3}
    atoms: list[tuple[int, ...]] = []
    barriers: list[tuple[float, ...]] = []
    for second, third in molecule.GetSubstructMatches(
        MolFromSmarts(_TORSION_BOND), maxMatches=100_000
    ):
        centre = [molecule.GetAtomWithIdx(second), molecule.GetAtomWithIdx(third)]
        if any(atom.GetHybridization() not in bent for atom in centre):
            continue
        for first in _neighbours(centre[0]):
            for fourth in _neighbours(centre[1]):
                # first == fourth is a three-membered ring, which has no torsion.
                if first in (third, fourth) or fourth == second:
                    continue
                found = properties.GetMMFFTorsionParams(molecule, first, second, third, fourth)
                if found is not None:
                    atoms.append((first, second, third, fourth))
                    barriers.append(found[1:4])
    return {
        "torsion_atoms": _rows(atoms, 4),
        "torsion_kcal_per_mol": np.array(barriers).reshape(-1, 3),
    }


def _pairs(
    molecule: Mol, properties: Any, types: np.ndarray, between_fragments: bool
) -> dict[str, np.ndarray]:
    from rdkit.Chem import GetDistanceMatrix

    bonds_apart = np.asarray(GetDistanceMatrix(molecule))
    first, second = np.triu_indices(len(types), k=1)
    # Separate fragments are about 1e8 apart: by default RDKit ignores what acts between them.
    chosen = bonds_apart[first, second] >= 3
    if not between_fragments:
        chosen &= bonds_apart[first, second] < len(types)
    first, second = first[chosen], second[chosen]
    lookup = _cached_by_types(properties.GetMMFFVdWParams, types)
    constants = np.array(
        [lookup(int(a), int(b)) for a, b in zip(first, second, strict=True)]
    ).reshape(-1, 4)
    return {
        "pair_atoms": np.stack([first, second], axis=1),
        "pair_radius_angstrom": constants[:, 2],
        "pair_well_kcal_per_mol": constants[:, 3],
        "pair_is_1_4": bonds_apart[first, second] == 3,
    }


def _cached_by_types(
    look_up: Callable[[int, int], tuple[float, ...] | None], types: np.ndarray
) -> Callable[[int, int], tuple[float, ...]]:
    """Van der Waals constants depend on the two atom types alone: ask once per pair of types."""
    known: dict[tuple[int, int], tuple[float, ...]] = {}

    def constants(first: int, second: int) -> tuple[float, ...]:
        key = (int(types[first]), int(types[second]))
        if key not in known:
            found = look_up(first, second)
            if found is None:
                raise CalculationError(f"MMFF94 has no van der Waals parameters for types {key}")
            known[key] = found
        return known[key]

    return constants
