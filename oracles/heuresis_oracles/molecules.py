"""SMILES to RDKit molecules, with the refusals that all molecular oracles share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heuresis.errors import OracleSetupError

if TYPE_CHECKING:
    from rdkit.Chem import Mol


def parse_molecule(smiles: str) -> Mol:
    """Return the molecule of a SMILES, without explicit hydrogens.

    Raises:
        OracleSetupError: the text is empty, or RDKit cannot read or sanitise it.
    """
    from rdkit import Chem
    from rdkit.rdBase import BlockLogs

    with BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise OracleSetupError(f"'{smiles}' is not a readable, non-empty SMILES")
    return molecule


def parse_single_molecule(smiles: str, *, max_atoms: int) -> Mol:
    """Return the molecule of a SMILES with explicit hydrogens, ready for a 3D calculation.

    Raises:
        OracleSetupError: unreadable, more than one fragment, or more than ``max_atoms`` atoms.
    """
    from rdkit import Chem

    molecule = parse_molecule(smiles)
    fragments = len(Chem.GetMolFrags(molecule))
    if fragments > 1:
        raise OracleSetupError(
            f"'{smiles}' has {fragments} fragments; a 3D calculation needs one molecule:"
            " remove counter-ions and solvent"
        )
    # Query atoms and dummies ("*") have no physics; isotopes and charges are fine.
    dummies = [atom.GetIdx() for atom in molecule.GetAtoms() if atom.GetAtomicNum() == 0]
    if dummies:
        raise OracleSetupError(f"'{smiles}' has dummy atoms ('*') at {dummies}; name every element")
    molecule = Chem.AddHs(molecule)
    if molecule.GetNumAtoms() > max_atoms:
        raise OracleSetupError(
            f"'{smiles}' has {molecule.GetNumAtoms()} atoms with hydrogens; this oracle is set to"
            f" at most {max_atoms} (max_atoms)"
        )
    return molecule


def unpaired_electrons(molecule: Mol) -> int:
    """Return the number of radical electrons that the SMILES states."""
    return sum(atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms())
