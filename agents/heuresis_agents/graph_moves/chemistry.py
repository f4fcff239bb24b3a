"""Reading, judging and finishing edited graphs; the only place of the moves that calls RDKit."""

from __future__ import annotations

from functools import cache
from typing import Any

from rdkit import Chem
from rdkit.Chem import BondStereo, BondType, ChiralType, Mol, RWMol, SanitizeFlags, rdMolDescriptors
from rdkit.rdBase import BlockLogs

from heuresis_agents.graph_moves.graph import (
    CARBON,
    HIGH_VALENCES,
    NITROGEN,
    OXYGEN,
    SULPHUR,
    VALENCE,
    Centre,
    Geometry,
    Graph,
    Special,
)

LARGEST_RING = 8
"""Edits close larger rings by accident; parents that have them keep them."""

_HALOGENS = frozenset((9, 17, 35, 53))
_WITH_HYDROGEN = frozenset((NITROGEN, OXYGEN, SULPHUR))
_BONDS = (BondType.ZERO, BondType.SINGLE, BondType.DOUBLE, BondType.TRIPLE)
_ORDERS = {bond: order for order, bond in enumerate(_BONDS) if order}
_TURNS = {ChiralType.CHI_TETRAHEDRAL_CW: True, ChiralType.CHI_TETRAHEDRAL_CCW: False}
_SAME_SIDE = {
    BondStereo.STEREOZ: True,
    BondStereo.STEREOCIS: True,
    BondStereo.STEREOE: False,
    BondStereo.STEREOTRANS: False,
}
# An edited graph is Kekulé and has no charges to tidy, so half of RDKit's steps have no work;
# the SMILES is the same without them (tested).
_STEPS = int(
    SanitizeFlags.SANITIZE_PROPERTIES
    | SanitizeFlags.SANITIZE_SYMMRINGS
    | SanitizeFlags.SANITIZE_SETAROMATICITY
    | SanitizeFlags.SANITIZE_ADJUSTHS
)


def editable(smiles: str) -> Graph | None:
    """Return the graph of a molecule; None if unreadable, or not of one piece."""
    with BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None or molecule.GetNumAtoms() == 0 or len(Chem.GetMolFrags(molecule)) != 1:
            return None
        Chem.Kekulize(molecule, clearAromaticFlags=True)
    return graph_of(molecule)


def graph_of(molecule: Mol) -> Graph | None:
    """Return the graph of a kekulised molecule; None if it has bonds that no edit knows."""
    # By number: RDKit's iterators are Python, and cost more than what they iterate over.
    atoms = [molecule.GetAtomWithIdx(index) for index in range(molecule.GetNumAtoms())]
    bonds: list[dict[int, int]] = [{} for _ in atoms]
    geometries: dict[tuple[int, int], Geometry] = {}
    for index in range(molecule.GetNumBonds()):
        bond = molecule.GetBondWithIdx(index)
        order = _ORDERS.get(bond.GetBondType())
        if order is None:
            return None
        first, second = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        bonds[first][second] = order
        bonds[second][first] = order
        same_side = _SAME_SIDE.get(bond.GetStereo()) if order == 2 else None
        if same_side is not None:
            beside_first, beside_second = bond.GetStereoAtoms()
            geometries[first, second] = Geometry(beside_first, beside_second, same_side)
    graph = Graph([atom.GetAtomicNum() for atom in atoms], bonds, geometries=geometries)
    for index, atom in enumerate(atoms):
        turn = _TURNS.get(atom.GetChiralTag())
        if turn is not None:
            graph.centres[index] = Centre(tuple(bonds[index]), turn)
        special = Special(
            atom.GetFormalCharge(),
            atom.GetTotalNumHs(),
            atom.GetIsotope(),
            atom.GetNumRadicalElectrons(),
        )
        if special != (0, graph.room(index), 0, 0) or not _ordinary(graph, index):
            graph.special[index] = special
    rings = molecule.GetRingInfo().AtomRings()
    graph.largest_ring = max((len(ring) for ring in rings), default=0)
    return graph


def _ordinary(graph: Graph, atom: int) -> bool:
    """Tell whether the valence of an atom is one that its element has without charge."""
    element, used = graph.elements[atom], graph.used(atom)
    return used <= VALENCE.get(element, -1) or used in HIGH_VALENCES.get(element, ())


def finished(graph: Graph) -> str | None:
    """Return the canonical SMILES of an edited graph; None if it is impossible or unlikely.

    Rings may be as large as those that the parents had, and in any case `LARGEST_RING`.
    """
    if not plausible(graph):
        return None
    with BlockLogs():
        molecule = _molecule(graph)
        if Chem.SanitizeMol(molecule, _STEPS, catchErrors=True) != SanitizeFlags.SANITIZE_NONE:
            return None
        if graph.centres or graph.geometries:
            # The edit may have made or unmade stereo centres; let the perception start afresh.
            Chem.SetDoubleBondNeighborDirections(molecule)
            Chem.AssignStereochemistry(molecule, cleanIt=True, force=True)
        if _unlikely_rings(molecule, graph) or _unlikely_motif(molecule, graph):
            return None
        smiles: str = Chem.MolToSmiles(molecule)
    return smiles


def _molecule(graph: Graph) -> RWMol:
    """Return the graph as RDKit's molecule, not yet sanitised."""
    molecule = RWMol()
    for element in graph.elements:
        molecule.AddAtom(_atom(element))
    for index, special in graph.special.items():
        atom = molecule.GetAtomWithIdx(index)
        atom.SetFormalCharge(special.charge)
        atom.SetNumExplicitHs(special.hydrogens)
        atom.SetNoImplicit(True)
        atom.SetIsotope(special.isotope)
        atom.SetNumRadicalElectrons(special.radicals)
    for first, neighbours in enumerate(graph.bonds):
        for second, order in neighbours.items():
            if first < second:
                molecule.AddBond(first, second, _BONDS[order])
    if graph.centres or graph.geometries:
        _mark_stereo(molecule, graph)
    return molecule


@cache
def _atom(element: int) -> Any:
    return Chem.Atom(element)


def _mark_stereo(molecule: RWMol, graph: Graph) -> None:
    """Mark the stereo that edits have left standing: those whose neighbours are the same."""
    for index, (neighbours, clockwise) in graph.centres.items():
        if set(neighbours) != set(graph.bonds[index]):
            continue
        atom = molecule.GetAtomWithIdx(index)
        # RDKit counts round an atom in the order in which its bonds were added.
        places = [neighbours.index(bond.GetOtherAtomIdx(index)) for bond in atom.GetBonds()]
        odd = sum(a > b for i, a in enumerate(places) for b in places[i + 1 :]) % 2
        turn = clockwise != bool(odd)
        atom.SetChiralTag(ChiralType.CHI_TETRAHEDRAL_CW if turn else ChiralType.CHI_TETRAHEDRAL_CCW)
    for (first, second), geometry in graph.geometries.items():
        beside = (geometry.beside_first, geometry.beside_second)
        if (
            graph.bonds[first].get(second) == 2
            and beside[0] in graph.bonds[first]
            and beside[1] in graph.bonds[second]
        ):
            bond = molecule.GetBondBetweenAtoms(first, second)
            if bond.GetBeginAtomIdx() != first:
                beside = beside[::-1]
            bond.SetStereoAtoms(*beside)
            same = geometry.same_side
            bond.SetStereo(BondStereo.STEREOCIS if same else BondStereo.STEREOTRANS)


def plausible(graph: Graph) -> bool:
    """Tell, without RDKit, whether no atom has a valence or neighbours that chemists avoid.

    Refused: valences that an element does not have; cumulated double bonds; oxygen on oxygen;
    halogen on a heteroatom; S(IV), S(VI) and P(V) with hydrogens, with more or fewer double bonds
    than sulphoxides, sulphones and phosphates have, or with double bonds to carbon; oxygen on
    S(II); two of OH, NH2, SH on one saturated carbon; a nitrogen between two single-bonded oxygens.
    """
    elements, special = graph.elements, graph.special
    carriers: list[int] = []
    for atom, neighbours in enumerate(graph.bonds):
        element = elements[atom]
        used = sum(neighbours.values())
        ordinary = atom not in special
        if element == CARBON:
            # One more than neighbours is a double bond; more are two of them, or a triple bond.
            if (
                ordinary
                and used > len(neighbours) + 1
                and (used > 4 or 3 not in neighbours.values())
            ):
                return False
        elif element in _HALOGENS:
            if ordinary and any(
                order > 1 or elements[other] != CARBON for other, order in neighbours.items()
            ):
                return False
        elif element in HIGH_VALENCES:
            if (ordinary or not special[atom].charge) and not _fit_high_valence(
                elements, element, neighbours, used
            ):
                return False
        elif ordinary and used > VALENCE.get(element, 0):
            return False
        elif element == OXYGEN:
            for other in neighbours:
                if elements[other] == OXYGEN or (
                    elements[other] == SULPHUR and neighbours[other] == 1 and graph.used(other) == 2
                ):
                    return False
        elif element == NITROGEN and ordinary and len(neighbours) > 1:
            oxygens = [b for b, order in neighbours.items() if elements[b] == OXYGEN and order == 1]
            if len(oxygens) > 1:
                return False
        if len(neighbours) == 1 and used == 1 and ordinary and element in _WITH_HYDROGEN:
            carriers += neighbours
    return len(carriers) == len(set(carriers)) or not any(
        elements[atom] == CARBON
        and carriers.count(atom) > 1
        and graph.used(atom) == len(graph.bonds[atom])
        for atom in set(carriers)
    )


def _fit_high_valence(
    elements: list[int], element: int, neighbours: dict[int, int], used: int
) -> bool:
    """Tell whether S or P has its lowest valence, or one of oxides, with enough double bonds."""
    if used <= VALENCE[element]:
        return True
    if used not in HIGH_VALENCES[element]:
        return False
    doubles = [other for other, order in neighbours.items() if order == 2]
    wanted = (used - VALENCE[element]) // 2
    fit = all(elements[other] in (NITROGEN, OXYGEN, SULPHUR) for other in doubles)
    return fit and len(doubles) == wanted and 3 not in neighbours.values()


def _unlikely_rings(molecule: Mol, graph: Graph) -> bool:
    """Tell whether rings are too large, strained by double bonds, or hold triple bonds.

    Bredt's rule: no double bond at a bridgehead.
    """
    rings = molecule.GetRingInfo().AtomRings()
    if not rings:
        return False
    sizes = [len(ring) for ring in rings]
    if max(sizes) > max(graph.largest_ring, LARGEST_RING):
        return True
    triple = any(3 in neighbours.values() for neighbours in graph.bonds)
    if triple and _matches(molecule, "[R]#@[R]"):
        return True
    if 3 in sizes and _matches(molecule, "[$([r3]=[*]),$([r3;a])]"):
        return True
    if 4 in sizes and _matches(molecule, "[r4]=@[*]"):
        return True
    # RDKit's type stubs do not know that this argument is a list to be filled.
    bridgeheads: Any = []
    rdMolDescriptors.CalcNumBridgeheadAtoms(molecule, bridgeheads)
    return any(
        bond.GetBondType() != BondType.SINGLE
        for index in bridgeheads
        for bond in molecule.GetAtomWithIdx(index).GetBonds()
    )


def _unlikely_motif(molecule: Mol, graph: Graph) -> bool:
    """Look for motifs that depend on aromaticity, if the atoms for them are there."""
    elements = graph.elements
    if elements.count(NITROGEN) > 2 and _matches(molecule, "[#7;!a;!+]-[#7;!a;!+]-[#7;!a;!+]"):
        return True
    return any(
        element == OXYGEN and len(graph.bonds[atom]) == 1 and _beside_double_bond(graph, atom)
        for atom, element in enumerate(elements)
    ) and _matches(molecule, "[CX3;!a](=[CX3;!a])[OX2H]")


def _beside_double_bond(graph: Graph, oxygen: int) -> bool:
    """Tell whether a terminal oxygen is singly bonded to an atom that is doubly bonded to C."""
    ((neighbour, order),) = graph.bonds[oxygen].items()
    return order == 1 and any(
        order == 2 and graph.elements[other] == CARBON
        for other, order in graph.bonds[neighbour].items()
    )


def _matches(molecule: Mol, smarts: str) -> bool:
    found: bool = molecule.HasSubstructMatch(_pattern(smarts))
    return found


@cache
def _pattern(smarts: str) -> Mol:
    return Chem.MolFromSmarts(smarts)
