"""A peptide as an OpenMM system: Amber14 (ff14SB) in implicit water (GBn2).

Sources: ff14SB: Maier et al., J. Chem. Theory Comput. 11, 3696 (2015); GBn2 (igb8): Nguyen, Roe,
Simmerling, J. Chem. Theory Comput. 9, 2020 (2013).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from heuresis.errors import OracleSetupError
from heuresis_oracles.dynamics.simulation import repartitioned_masses

if TYPE_CHECKING:
    import openmm
    from rdkit.Chem import Mol

_FORCE_FIELD = ("amber14/protein.ff14SB.xml", "implicit/gbn2.xml")


def build_peptide_system(
    molecule: Mol, *, hydrogen_mass_Da: float, constrain_hydrogens: bool
) -> tuple[openmm.System, np.ndarray]:
    """Return the system of a peptide and its masses, shape (atoms,).

    Args:
        molecule: with hydrogens and residue information, as `build_peptide` makes it.
        hydrogen_mass_Da: hydrogens are made this heavy at the cost of their neighbour.
        constrain_hydrogens: fix the lengths of bonds to hydrogen.

    Raises:
        OracleSetupError: the force field has no template for a residue.
    """
    from openmm import app

    field = app.ForceField(*_FORCE_FIELD)
    try:
        system = field.createSystem(
            _topology(molecule),
            nonbondedMethod=app.NoCutoff,
            constraints=app.HBonds if constrain_hydrogens else None,
            removeCMMotion=False,
        )
    except ValueError as error:
        raise OracleSetupError(f"Amber14 cannot describe this peptide: {error}") from error
    masses = repartitioned_masses(molecule, hydrogen_mass_Da)
    for atom, mass in enumerate(masses.tolist()):
        system.setParticleMass(atom, mass)
    return system, masses


def _topology(molecule: Mol) -> Any:
    """Return OpenMM's topology; templates are matched by elements and bonds, not by names."""
    from openmm import app

    topology = app.Topology()
    chain = topology.addChain()
    groups = _residues(molecule)
    atoms: dict[int, Any] = {}
    # Atoms of a topology come residue by residue, so they must already stand in that order.
    for name, members in groups:
        residue = topology.addResidue(name, chain)
        for index in members:
            atom = molecule.GetAtomWithIdx(index)
            element = app.Element.getByAtomicNumber(atom.GetAtomicNum())
            label = atom.GetPDBResidueInfo().GetName().strip() or f"{atom.GetSymbol()}{index}"
            atoms[index] = topology.addAtom(label, element, residue)
    for bond in molecule.GetBonds():
        topology.addBond(atoms[bond.GetBeginAtomIdx()], atoms[bond.GetEndAtomIdx()])
    return topology


def _residues(molecule: Mol) -> list[tuple[str, list[int]]]:
    groups: list[tuple[str, list[int]]] = []
    place = None
    for atom in molecule.GetAtoms():
        info = atom.GetPDBResidueInfo()
        here = (info.GetResidueNumber(), info.GetResidueName())
        if here != place:
            groups.append((info.GetResidueName().strip(), []))
            place = here
        groups[-1][1].append(atom.GetIdx())
    return groups
