"""Reading, finishing and judging edited graphs."""

from __future__ import annotations

from functools import cache
from typing import Any

from rdkit import Chem
from rdkit.Chem import Mol, RWMol, rdMolDescriptors
from rdkit.rdBase import BlockLogs

UNLIKELY = {
    "cumulated double bonds": "[*]=[#6]=[*]",
    "triple bond in a small ring": "[r3,r4,r5,r6,r7]#[r3,r4,r5,r6,r7]",
    "oxygen on oxygen": "[#8]~[#8]",
    "chain of three nitrogens": "[#7;!a;!+]-[#7;!a;!+]-[#7;!a;!+]",
    "halogen on a heteroatom": "[F,Cl,Br,I]-[!#6]",
    "sulphur valence": "[#16;v3,v5]",
    "hydrogen on high-valent sulphur": "[#16;v4,v6;!H0]",
    "phosphorus valence": "[#15;v4;!+]",
    "hydrogen on high-valent phosphorus": "[#15;v5;!H0]",
    "double bond at a three-ring": "[r3]=[*]",
    "double bond in a four-ring": "[r4]=@[*]",
    "oxygen–sulphur(II)": "[OX2]-[SX2]",
    "geminal diol or aminal": "[CX4]([OX2H,NX3H2,SX2H])[OX2H,NX3H2,SX2H]",
    "enol next to nothing": "[CX3;!a](=[CX3;!a])[OX2H]",
    "nitrogen–oxygen single bond chain": "[OX2]-[#7;!a;!+]-[OX2]",
}
"""Motifs that edits make often and that no chemist would order."""


LARGEST_RING = 8
"""Edits close larger rings by accident; parents that have them keep them."""


@cache
def _unlikely() -> list[Mol]:
    return [Chem.MolFromSmarts(smarts) for smarts in UNLIKELY.values()]


def editable(smiles: str) -> RWMol | None:
    """Return a Kekulé graph whose hydrogens follow its bonds; None if the text is unreadable."""
    with BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is None or molecule.GetNumAtoms() == 0:
            return None
        Chem.Kekulize(molecule, clearAromaticFlags=True)
    graph = RWMol(molecule)
    for atom in graph.GetAtoms():
        if atom.GetFormalCharge() == 0:
            # Otherwise an edited [nH] would keep the hydrogen that its new bond replaces.
            atom.SetNumExplicitHs(0)
            atom.SetNoImplicit(False)
    graph.UpdatePropertyCache(strict=False)
    return graph


def largest_ring(molecule: Mol) -> int:
    """Return the size of the largest ring (smallest set of rings); 0 without rings."""
    return max((len(ring) for ring in molecule.GetRingInfo().AtomRings()), default=0)


def finished(graph: RWMol, largest: int = 0) -> str | None:
    """Return the SMILES of an edited graph; None if it is impossible, broken up, or unlikely.

    Args:
        graph: the edited graph; left as it is.
        largest: ring size that the parents had: such large rings are allowed, in any case
            `LARGEST_RING`.
    """
    with BlockLogs():
        molecule = graph.GetMol()
        # The edit may have made or unmade stereo centres; let the perception start afresh.
        if Chem.SanitizeMol(molecule, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
            return None
        Chem.AssignStereochemistry(molecule, cleanIt=True, force=True)
        smiles: str = Chem.MolToSmiles(molecule)
        if not smiles or "." in smiles:
            return None
        if largest_ring(molecule) > max(largest, LARGEST_RING) or _flat_bridgehead(molecule):
            return None
        if any(molecule.HasSubstructMatch(pattern) for pattern in _unlikely()):
            return None
    return smiles


def _flat_bridgehead(molecule: Mol) -> bool:
    """Tell whether a bridgehead has a double bond, which Bredt's rule forbids in small rings."""
    # RDKit's type stubs do not know that this argument is a list to be filled.
    bridgeheads: Any = []
    rdMolDescriptors.CalcNumBridgeheadAtoms(molecule, bridgeheads)
    return any(
        bond.GetBondType() != Chem.BondType.SINGLE
        for index in bridgeheads
        for bond in molecule.GetAtomWithIdx(index).GetBonds()
    )


def free_valence(graph: RWMol, index: int) -> int:
    """Return how many hydrogens an atom could give up; 0 for charged atoms: they stay."""
    atom = graph.GetAtomWithIdx(index)
    return 0 if atom.GetFormalCharge() else int(atom.GetTotalNumHs())
