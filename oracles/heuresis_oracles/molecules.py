"""SMILES to RDKit molecules, with the refusals that all molecular oracles share."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from heuresis.errors import OracleSetupError, UserError

if TYPE_CHECKING:
    from rdkit.Chem import Mol


MMFF94_ELEMENTS = frozenset(["H", "C", "N", "O", "F", "Si", "P", "S", "Cl", "Br", "I"])
"""Elements of organic molecules that MMFF94 has parameters for (it also knows some lone ions)."""


def require_measurable_space(
    space: Any, *, max_atoms: int, elements: Collection[str] | None, way_out: str
) -> None:
    """Refuse a design space of molecules none of which could be measured.

    A space that merely *may* hold such molecules is accepted: those are refused one by one, before
    anything is computed.

    Args:
        space: the built design space; its ``config`` says which molecules it holds.
        max_atoms: the largest molecule that is measured, with hydrogens.
        elements: symbols that there are parameters for; None: all that a space may hold.
        way_out: what to set instead.

    Raises:
        UserError: says what does not fit.
    """
    rules = getattr(space, "config", None)
    smallest = getattr(rules, "heavy_atoms", (0, 0))[0]
    if smallest > max_atoms:
        raise UserError(
            f"every candidate is too large: the space asks for at least {smallest} heavy atoms and"
            f" this oracle takes at most {max_atoms} atoms with hydrogens; raise max_atoms (and"
            " timeout_s) or allow smaller molecules"
        )
    allowed = set(getattr(rules, "elements", ()))
    if elements is not None and allowed and not allowed & (set(elements) - {"H"}):
        raise UserError(
            f"no candidate can be measured: the space allows {', '.join(sorted(allowed))}, and"
            f" there are parameters for {', '.join(sorted(elements))}; {way_out}"
        )


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
