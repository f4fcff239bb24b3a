"""Reading, finishing and judging edited graphs."""

from __future__ import annotations

from functools import cache

from rdkit import Chem
from rdkit.Chem import Mol, RWMol
from rdkit.rdBase import BlockLogs

UNLIKELY = {
    "cumulated double bonds": "[*]=[#6]=[*]",
    "triple bond in a small ring": "[r3,r4,r5,r6,r7]#[r3,r4,r5,r6,r7]",
    "peroxide": "[OX2]-[OX2]",
    "chain of three nitrogens": "[#7;!a;!+]-[#7;!a;!+]-[#7;!a;!+]",
    "halogen on a heteroatom": "[F,Cl,Br,I]-[!#6]",
    "sulphur valence": "[#16;v3,v5]",
    "hydrogen on high-valent sulphur": "[#16;v4,v6;!H0]",
    "phosphorus valence": "[#15;v4;!+]",
    "hydrogen on high-valent phosphorus": "[#15;v5;!H0]",
    "double bond at a three-ring": "[r3]=[*]",
    "oxygen–sulphur(II)": "[OX2]-[SX2]",
    "geminal diol or aminal": "[CX4]([OX2H,NX3H2,SX2H])[OX2H,NX3H2,SX2H]",
    "enol next to nothing": "[CX3;!a](=[CX3;!a])[OX2H]",
    "nitrogen–oxygen single bond chain": "[OX2]-[#7;!a;!+]-[OX2]",
}
"""Motifs that edits make often and that no chemist would order."""


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


def finished(graph: RWMol) -> str | None:
    """Return the SMILES of an edited graph; None if it is impossible, broken up, or unlikely."""
    with BlockLogs():
        molecule = graph.GetMol()
        # The edit may have made or unmade stereo centres; let the perception start afresh.
        if Chem.SanitizeMol(molecule, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
            return None
        Chem.AssignStereochemistry(molecule, cleanIt=True, force=True)
        smiles: str = Chem.MolToSmiles(molecule)
        if not smiles or "." in smiles:
            return None
        if any(molecule.HasSubstructMatch(pattern) for pattern in _unlikely()):
            return None
    return smiles


def free_valence(graph: RWMol, index: int) -> int:
    """Return how many hydrogens an atom could give up; 0 for charged atoms: they stay."""
    atom = graph.GetAtomWithIdx(index)
    return 0 if atom.GetFormalCharge() else int(atom.GetTotalNumHs())
