"""Hosts: cucurbiturils and cyclodextrins built with their symmetry, others from SMILES.

Distance geometry makes collapsed or inverted macrocycles; a ring of equal units put together with
its symmetry starts where crystals are. Lengths and angles need only be near: minimisation does the
rest.

The distances and angles below are assumptions of ours from ordinary bond lengths, not values of a
paper. What comes out was compared with the structures at github.com/MobleyLab/benchmarksets: of
cucurbit[7]uril (a crystal structure, minimised with Hartree-Fock), and of alpha- and
beta-cyclodextrin (built there by hand). Minimised here in water, the CH of cucurbit[7]uril lie 5.84
Å from the axis (there 6.00) and its oxygens 4.30 (there 3.98); the rings of O4 have radii of 4.29
and 5.04 Å (there 4.28 and 5.06).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from heuresis.errors import OracleSetupError
from heuresis_oracles.embedding import embed, ensemble, positions_angstrom
from heuresis_oracles.molecules import parse_single_molecule

if TYPE_CHECKING:
    from rdkit.Chem import Mol

SMALLEST_CAVITY_RING = 12
"""A ring of fewer atoms leaves no room for a guest."""
_GLUCOSE = "O[C@H]1[C@H](O)[C@@H](O)[C@@H](O)O[C@@H]1CO"
_O4, _C4, _O3, _C2, _O2, _C1, _O1, _O5, _O6, _HO4, _HO1 = 0, 1, 3, 4, 5, 6, 7, 8, 11, 12, 19
"""alpha-D-glucopyranose from O4 to C6, and the places of its atoms; heavy ones come first."""
_GLYCOSIDIC_ANGLE_DEGREE = 117.0
"""C1-O4-C4. Our assumption: wider than a tetrahedral angle, for two bulky rings meet here."""
_ASSEMBLY_STARTS = 12
_GLUCOSE_CONFORMERS = 6
_CLOSED_angstrom = 0.05
_CLASH_angstrom = 2.4
_HYDROXYL_CONTACT_angstrom = 2.9
"""O2 of one glucose to O3 of the next: the ring of hydrogen bonds on the wide side. Our assumption:
a usual distance of two oxygens with a hydrogen bond between them."""


@dataclass(frozen=True)
class Host:
    """A host with one conformer."""

    molecule: Mol
    cavity: tuple[int, ...]
    """Atoms about the middle of the cavity: their mean is its centre, the normal of their plane its
    axis. Empty: a host without a cavity, which binds at its surface."""


def named_hosts() -> tuple[str, ...]:
    """Return the names that stand for a host."""
    return tuple(_NAMED)


def build_host(text: str, *, max_atoms: int, conformers: int, seed: int) -> Host:
    """Return the host that a name or a SMILES stands for.

    Raises:
        OracleSetupError: unreadable, too large, or no parameters.
    """
    if text in _NAMED:
        host = _NAMED[text]()
        if host.molecule.GetNumAtoms() > max_atoms:
            raise OracleSetupError(
                f"{text} has {host.molecule.GetNumAtoms()} atoms; at most {max_atoms} (max_atoms)"
            )
        return host
    molecule = embed(
        parse_single_molecule(text, max_atoms=max_atoms), conformers=conformers, seed=seed
    )
    rings = sorted(molecule.GetRingInfo().AtomRings(), key=len)
    largest = tuple(rings[-1]) if rings and len(rings[-1]) >= SMALLEST_CAVITY_RING else ()
    return Host(molecule, largest)


def cucurbituril(units: int) -> Host:
    """Return cucurbit[n]uril with its n-fold axis along z, from ordinary bond lengths.

    Each glycoluril: two CH on the equator, their hydrogens outwards, a urea up and one down; two
    CH2 join it to the next.
    """
    from rdkit import Chem

    equator = 5.85 + 0.755 * (units - 7)
    graph = Chem.RWMol()
    places: list[tuple[float, float, float]] = []

    def add(element: int, radius: float, along: float, height: float, angle: float) -> int:
        cosine, sine = math.cos(angle), math.sin(angle)
        places.append((radius * cosine - along * sine, radius * sine + along * cosine, height))
        return int(graph.AddAtom(Chem.Atom(element)))

    def join(first: int, second: int, order: Chem.BondType = Chem.BondType.SINGLE) -> None:
        graph.AddBond(first, second, order)

    cavity: list[int] = []
    nitrogens: list[dict[tuple[int, int], int]] = []
    for unit in range(units):
        angle = 2.0 * math.pi * unit / units
        carbons = {side: add(6, equator, 0.78 * side, 0.0, angle) for side in (-1, 1)}
        cavity += carbons.values()
        join(carbons[-1], carbons[1])
        for side, carbon in carbons.items():
            join(carbon, add(1, equator + 0.9, 1.2 * side, 0.0, angle))
        own: dict[tuple[int, int], int] = {}
        for face in (-1, 1):
            carbonyl = add(6, equator - 0.9, 0.0, 2.0 * face, angle)
            join(carbonyl, add(8, equator - 1.3, 0.0, 3.1 * face, angle), Chem.BondType.DOUBLE)
            for side, carbon in carbons.items():
                own[side, face] = add(7, equator - 0.25, 1.15 * side, 1.25 * face, angle)
                join(own[side, face], carbon)
                join(own[side, face], carbonyl)
        nitrogens.append(own)
    half = math.pi / units
    bridge = (equator - 0.25) * math.cos(half) + 1.15 * math.sin(half)
    for unit in range(units):
        angle = 2.0 * math.pi * unit / units + half
        for face in (-1, 1):
            carbon = add(6, bridge + 0.3, 0.0, 1.7 * face, angle)
            join(carbon, add(1, bridge + 1.3, 0.0, 1.4 * face, angle))
            join(carbon, add(1, bridge + 0.3, 0.0, 2.8 * face, angle))
            join(carbon, nitrogens[unit][1, face])
            join(carbon, nitrogens[(unit + 1) % units][-1, face])
    return Host(_with_conformer(graph.GetMol(), np.array(places)), tuple(cavity))


def cyclodextrin(units: int) -> Host:
    """Return the ring of n (1→4)-linked alpha-D-glucopyranoses with its n-fold axis along z.

    One glucose in its chair is turned and moved until its O1 falls on O4 of its image under the
    n-fold rotation, with the right angle there: four equations for four unknowns. Of the solutions
    without clashes that one is taken whose O2 and O3 can make the usual ring of hydrogen bonds.

    Raises:
        OracleSetupError: a ring of so many glucoses does not close.
    """
    from rdkit import Chem

    glucoses = ensemble(
        Chem.AddHs(Chem.MolFromSmiles(_GLUCOSE)), conformers=12, seed=1, most=_GLUCOSE_CONFORMERS
    )
    closed = [ring for one in glucoses for ring in _closed_rings(positions_angstrom(one), units)]
    if not closed:
        raise OracleSetupError(f"no ring of {units} glucoses was found that closes")
    ring = min(closed, key=_distance_from_hydrogen_bonds)
    glucose = glucoses[0]
    graph = Chem.RWMol()
    for _ in range(units):
        graph.InsertMol(glucose)
    size = glucose.GetNumAtoms()
    for unit in range(units):
        following = (unit + 1) % units
        graph.AddBond(unit * size + _C1, following * size + _O4, Chem.BondType.SINGLE)
    removed = sorted(
        (unit * size + atom for unit in range(units) for atom in (_O1, _HO1, _HO4)), reverse=True
    )
    for atom in removed:
        graph.RemoveAtom(atom)
    places = np.delete(ring.reshape(-1, 3), removed, axis=0)
    molecule = _with_conformer(graph.GetMol(), places)
    Chem.AssignStereochemistryFrom3D(molecule)
    kept = size - 3
    return Host(molecule, tuple(unit * kept + _O4 for unit in range(units)))


def _distance_from_hydrogen_bonds(ring_angstrom: np.ndarray) -> float:
    distance = float(np.linalg.norm(ring_angstrom[0, _O2] - ring_angstrom[1, _O3]))
    return abs(distance - _HYDROXYL_CONTACT_angstrom)


def _closed_rings(glucose_angstrom: np.ndarray, units: int) -> list[np.ndarray]:
    """Return rings of images of a glucose that close without clashes, (units, atoms, 3) each."""
    from scipy.optimize import least_squares
    from scipy.spatial.transform import Rotation

    turns = Rotation.from_rotvec([[0.0, 0.0, 2.0 * math.pi * k / units] for k in range(units)])
    base = glucose_angstrom - glucose_angstrom.mean(axis=0)
    c1_o = float(np.linalg.norm(base[_C1] - base[_O1]))
    o_c4 = float(np.linalg.norm(base[_O4] - base[_C4]))
    c1_c4 = math.sqrt(
        c1_o**2 + o_c4**2 - 2.0 * c1_o * o_c4 * math.cos(math.radians(_GLYCOSIDIC_ANGLE_DEGREE))
    )

    def placed(unknowns: np.ndarray) -> np.ndarray:
        turned = Rotation.from_rotvec(unknowns[:3]).apply(base)
        moved: np.ndarray = turned + np.array([unknowns[3], 0.0, 0.0])
        return moved

    def misfit(unknowns: np.ndarray) -> np.ndarray:
        own = placed(unknowns)
        image = turns[1].apply(own)
        bent = np.linalg.norm(image[_C4] - own[_C1]) - c1_c4
        return np.array([*(image[_O4] - own[_O1]), bent])

    radius = c1_c4 / math.sin(math.pi / units)
    starts = Rotation.random(_ASSEMBLY_STARTS, rng=np.random.default_rng(1)).as_rotvec()
    rings = []
    for start in starts:
        found = least_squares(misfit, [*start, radius])
        if np.abs(found.fun).max() > _CLOSED_angstrom:
            continue
        own = placed(found.x)
        if _closest_contact(own, turns[1].apply(own)) >= _CLASH_angstrom:
            rings.append(np.array([turns[k].apply(own) for k in range(units)]))
    return rings


def _closest_contact(own_angstrom: np.ndarray, next_angstrom: np.ndarray) -> float:
    """Return the least distance between heavy atoms of neighbours that are not linked."""
    kept = [atom for atom in range(_O6 + 1) if atom != _O1]
    linked = {(_C1, _O4), (_C1, _C4), (_O5, _O4), (_C2, _O4)}
    distances = np.linalg.norm(own_angstrom[:, None] - next_angstrom[None], axis=2)
    return float(min(distances[a, b] for a in kept for b in kept if (a, b) not in linked))


def _with_conformer(molecule: Mol, places_angstrom: np.ndarray) -> Mol:
    from rdkit import Chem
    from rdkit.Geometry import Point3D

    molecule.RemoveAllConformers()
    Chem.SanitizeMol(molecule)
    conformer = Chem.Conformer(molecule.GetNumAtoms())
    for atom, (x, y, z) in enumerate(places_angstrom.tolist()):
        conformer.SetAtomPosition(atom, Point3D(x, y, z))
    molecule.AddConformer(conformer, assignId=True)
    return molecule


_NAMED: dict[str, Callable[[], Host]] = {
    **{f"cucurbit[{units}]uril": partial(cucurbituril, units) for units in (5, 6, 7, 8)},
    "alpha-cyclodextrin": partial(cyclodextrin, 6),
    "beta-cyclodextrin": partial(cyclodextrin, 7),
    "gamma-cyclodextrin": partial(cyclodextrin, 8),
}
