"""From a sequence to a structure with all atoms: a helix or a stretched chain.

The backbone is laid down atom by atom from standard lengths, angles and torsions (Parsons et al.,
J. Comput. Chem. 26, 1063, 2005); each side chain is the ETKDG conformer that is least in the way;
hydrogens come last. Minimisation with the force field does the rest.

Source of lengths and angles: Engh, Huber, Acta Cryst. A 47, 392 (1991). The bond to the methyl
group of a cap, 1.52 Å, is our assumption: an ordinary one of two carbons.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from heuresis.errors import OracleSetupError
from heuresis.spaces.peptide import PeptideParts

if TYPE_CHECKING:
    from rdkit.Chem import Mol

Start = Literal["helix", "extended"]
TORSIONS_DEGREE: dict[Start, tuple[float, float]] = {
    "helix": (-62.0, -42.0),
    "extended": (-120.0, 130.0),
}
"""phi and psi of a starting structure: ordinary values, our choice; the run moves them."""
_PROLINE_PHI_DEGREE = -65.0
_TRANS_DEGREE = 180.0
_N_CA, _CA_C, _C_N, _C_O, _C_CH3 = 1.458, 1.525, 1.329, 1.231, 1.52
_N_CA_C, _CA_C_N, _C_N_CA, _CA_C_O = 111.2, 116.2, 121.7, 120.8
_ROTAMERS = 8
_SEED = 7
_BACKBONE = ("N", "CA", "C", "O")
_CHARGED = (
    ("[NX3;H2][CX4;H2][CX4;H2][CX4;H2][CX4;H2]", 0, 1),  # lysine
    ("[NX2;H1]=[CX3]([NX3;H2])[NX3;H1]", 0, 1),  # arginine
    ("[CX4][CX3](=O)[OX2;H1]", 3, -1),  # aspartate, glutamate, a free carboxyl end
    ("[NX3;H2][CX4;H1]([CX4,#1])[CX3]=O", 0, 1),  # a free amino end
    ("[NX3;H2][CX4;H2][CX3]=O", 0, 1),  # … of glycine
    ("[NX3;H1;r5][CX4;H1;r5][CX3]=O", 0, 1),  # … of proline
)
"""Pattern, atom in it, and its charge at pH 7; histidine stays neutral."""


def build_peptide(peptide: PeptideParts, start: Start) -> Mol:
    """Return a peptide at pH 7 with one conformer, hydrogens included.

    Raises:
        OracleSetupError: RDKit cannot make the graph or its hydrogens.
    """
    from rdkit import Chem
    from rdkit.Geometry import Point3D

    graph = _protonated(_graph(peptide))
    places = _heavy_places(graph, peptide, start)
    conformer = Chem.Conformer(graph.GetNumAtoms())
    for atom, (x, y, z) in enumerate(places.tolist()):
        conformer.SetAtomPosition(atom, Point3D(x, y, z))
    graph.RemoveAllConformers()
    graph.AddConformer(conformer, assignId=True)
    complete = _by_residue(Chem.AddHs(graph, addCoords=True, addResidueInfo=True))
    if not np.all(np.isfinite(complete.GetConformer().GetPositions())):
        raise OracleSetupError(f"{peptide.plain}: no places for its hydrogens")
    return complete


def _by_residue(molecule: Mol) -> Mol:
    """Return the molecule with its atoms residue by residue, in their order within each."""
    from rdkit import Chem

    numbers = [(_label(atom)[0], atom.GetIdx()) for atom in molecule.GetAtoms()]
    return Chem.RenumberAtoms(molecule, [index for _, index in sorted(numbers)])


def backbone(molecule: Mol, residues: int) -> dict[str, np.ndarray]:
    """Return indices of the backbone atoms ``N``, ``CA``, ``C``, ``O`` and ``H``, by residue.

    An atom that a residue lacks (H of proline) is -1. Shape (residues,) each.
    """
    found = {name: np.full(residues, -1) for name in (*_BACKBONE, "H")}
    for atom in molecule.GetAtoms():
        residue, name = _label(atom)
        if not 1 <= residue <= residues:
            continue
        if name in _BACKBONE:
            found[name][residue - 1] = atom.GetIdx()
            if name == "N":
                hydrogens = [n.GetIdx() for n in atom.GetNeighbors() if n.GetAtomicNum() == 1]
                if len(hydrogens) == 1:
                    found["H"][residue - 1] = hydrogens[0]
    return found


def _graph(peptide: PeptideParts) -> Mol:
    from rdkit import Chem

    monomers = [*(["[ac]"] * peptide.acetyl), *peptide.residues, *(["[am]"] * peptide.amide)]
    graph = Chem.MolFromHELM(f"PEPTIDE1{{{'.'.join(monomers)}}}$$$$")
    if graph is None:
        raise OracleSetupError(f"{peptide.plain} is no sequence that RDKit can build")
    return graph


def _protonated(graph: Mol) -> Mol:
    from rdkit import Chem

    for pattern, place, charge in _CHARGED:
        for match in graph.GetSubstructMatches(Chem.MolFromSmarts(pattern)):
            atom: Any = graph.GetAtomWithIdx(match[place])
            if atom.GetFormalCharge() == 0:
                atom.SetFormalCharge(charge)
                atom.SetNumExplicitHs(0)
                atom.SetNoImplicit(False)
                atom.UpdatePropertyCache()
    Chem.SanitizeMol(graph)
    return graph


def _label(atom: Any) -> tuple[int, str]:
    """Return number of the residue (from 1; 0 and beyond the last are caps) and atom name."""
    info = atom.GetPDBResidueInfo()
    number = info.GetResidueNumber()
    return (0 if info.GetResidueName() == "ACE" else number), info.GetName().strip()


def _heavy_places(graph: Mol, peptide: PeptideParts, start: Start) -> np.ndarray:
    chain = _chain(peptide, start)
    by_label = {_label(atom): atom.GetIdx() for atom in graph.GetAtoms()}
    places = np.full((graph.GetNumAtoms(), 3), np.nan)
    for label, place in chain.items():
        if label in by_label:
            places[by_label[label]] = place
    for number, letter in enumerate(peptide.residues, 1):
        names = [name for residue, name in by_label if residue == number]
        side = [name for name in names if name not in (*_BACKBONE, "OXT")]
        if not side:
            continue
        settled = places[np.isfinite(places[:, 0])]
        anchors = np.array([chain[number, name] for name in ("N", "CA", "C")])
        options = [_superposed(rotamer, anchors, side) for rotamer in _rotamers(letter)]
        best = max(options, key=lambda option: _freedom(option, settled))
        for name, place in zip(side, best, strict=True):
            places[by_label[number, name]] = place
    if not np.all(np.isfinite(places)):
        raise OracleSetupError(f"{peptide.plain}: an atom has no place")
    return places


def _chain(peptide: PeptideParts, start: Start) -> dict[tuple[int, str], np.ndarray]:
    """Return places of the backbone and of the heavy atoms of the caps by (residue, name)."""
    length = len(peptide.residues)
    phi, psi = TORSIONS_DEGREE[start]
    # Residue 0 stands before the first; of it only what a cap needs is kept.
    places = {
        (0, "CH3"): np.array([0.0, 0.0, 0.0]),
        (0, "C"): np.array([_C_CH3, 0.0, 0.0]),
    }
    places[1, "N"] = places[0, "C"] + _C_N * np.array(
        [-math.cos(math.radians(_CA_C_N)), math.sin(math.radians(_CA_C_N)), 0.0]
    )

    def put(
        label: tuple[int, str],
        after: list[tuple[int, str]],
        length_angstrom: float,
        angle_degree: float,
        torsion_degree: float,
    ) -> None:
        first, second, third = (places[one] for one in after)
        places[label] = _next_atom(
            first, second, third, length_angstrom, angle_degree, torsion_degree
        )

    put((1, "CA"), [(0, "CH3"), (0, "C"), (1, "N")], _N_CA, _C_N_CA, _TRANS_DEGREE)
    put((0, "O"), [(1, "CA"), (1, "N"), (0, "C")], _C_O, 123.0, 0.0)
    for number in range(1, length + 1):
        own_phi = _PROLINE_PHI_DEGREE if peptide.residues[number - 1] == "P" else phi
        n, ca, c, after = (number, "N"), (number, "CA"), (number, "C"), (number + 1, "N")
        put(c, [(number - 1, "C"), n, ca], _CA_C, _N_CA_C, own_phi)
        put(after, [n, ca, c], _C_N, _CA_C_N, psi)
        put((number, "O"), [n, ca, c], _C_O, _CA_C_O, psi + 180.0)
        put((number + 1, "CA"), [ca, c, after], _N_CA, _C_N_CA, _TRANS_DEGREE)
    places[length, "OXT"] = places[length + 1, "N"]
    return places


def _next_atom(
    first: np.ndarray,
    second: np.ndarray,
    third: np.ndarray,
    length_angstrom: float,
    angle_degree: float,
    torsion_degree: float,
) -> np.ndarray:
    """Return the place of an atom from its internal coordinates to three others."""
    angle, torsion = math.radians(angle_degree), math.radians(torsion_degree)
    axis = (third - second) / np.linalg.norm(third - second)
    normal = np.cross(second - first, axis)
    normal /= np.linalg.norm(normal)
    across = np.cross(normal, axis)
    place: np.ndarray = third + length_angstrom * (
        -math.cos(angle) * axis
        + math.sin(angle) * math.cos(torsion) * across
        + math.sin(angle) * math.sin(torsion) * normal
    )
    return place


def _rotamers(letter: str) -> list[dict[str, np.ndarray]]:
    """Return ETKDG conformers of one residue between its caps: atom name → place."""
    from rdkit import Chem
    from rdkit.Chem import rdDistGeom

    alone = Chem.AddHs(_graph(PeptideParts(letter, acetyl=True, amide=True)))
    settings: Any = rdDistGeom.ETKDGv3()
    settings.randomSeed = _SEED
    settings.numThreads = 1
    identifiers = list(rdDistGeom.EmbedMultipleConfs(alone, _ROTAMERS, settings))
    if not identifiers:
        raise OracleSetupError(f"residue {letter} could not be embedded")
    own = {
        atom.GetPDBResidueInfo().GetName().strip(): atom.GetIdx()
        for atom in alone.GetAtoms()
        if atom.GetAtomicNum() > 1 and _label(atom)[0] == 1
    }
    return [
        {
            name: np.array(alone.GetConformer(one).GetAtomPosition(atom))
            for name, atom in own.items()
        }
        for one in identifiers
    ]


def _superposed(
    rotamer: dict[str, np.ndarray], anchors: np.ndarray, names: list[str]
) -> np.ndarray:
    """Return the side chain of a rotamer moved onto N, CA, C of the chain, (names, 3)."""
    from scipy.spatial.transform import Rotation

    own = np.array([rotamer[name] for name in ("N", "CA", "C")])
    rotation, _ = Rotation.align_vectors(anchors - anchors[1], own - own[1])
    side = np.array([rotamer[name] for name in names])
    moved: np.ndarray = rotation.apply(side - own[1]) + anchors[1]
    return moved


def _freedom(side: np.ndarray, settled: np.ndarray) -> float:
    """Return the least distance of the outer side-chain atoms to what is there."""
    outer = side[1:] if len(side) > 1 else side
    return float(np.linalg.norm(outer[:, None] - settled[None], axis=2).min())
