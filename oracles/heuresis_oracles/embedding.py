"""From a molecular graph to one three-dimensional structure: ETKDGv3, then MMFF94.

The universal force field is never used as a silent fallback: a molecule that MMFF94 cannot type is
refused with the reason, so equal settings always mean equal methods.

Sources: ETKDGv3: Wang, Witek, Landrum, Riniker, J. Chem. Inf. Model. 60, 2044 (2020); MMFF94:
Halgren, J. Comput. Chem. 17, 490 (1996); its implementation: Tosco, Stiefl, Landrum, J. Cheminf.
6, 37 (2014).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from heuresis.errors import CalculationError, OracleSetupError

if TYPE_CHECKING:
    from rdkit.Chem import Mol

_MINIMISATION_STEPS = 2000
_ATTEMPTS_PER_CONFORMER = 30
"""RDKit's default (ten per atom) spends half a minute on a graph that has no 3D structure; real
molecules need a handful."""
_SEED_MASK = 0x7FFFFFFF


def embed(molecule: Mol, *, conformers: int, seed: int, minimise: bool = True) -> Mol:
    """Return a copy of the molecule with one conformer: the lowest in MMFF94 energy.

    Args:
        molecule: one fragment with explicit hydrogens.
        conformers: how many ETKDGv3 conformers to try (at least 1).
        seed: seeds distance geometry; equal seeds give equal coordinates.
        minimise: relax each conformer with MMFF94 and keep the lowest. Without it the first
            ETKDGv3 conformer is returned, which needs no MMFF94 parameters.

    Raises:
        OracleSetupError: MMFF94 has no parameters for an atom, or distance geometry found no
            structure.
        CalculationError: no minimisation ended.
    """
    from rdkit import Chem
    from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

    molecule = Chem.Mol(molecule)
    if minimise:
        require_mmff94(molecule)
    settings: Any = rdDistGeom.ETKDGv3()  # its type stubs reject every assignment
    settings.randomSeed = seed & _SEED_MASK
    settings.numThreads = 1
    settings.maxIterations = _ATTEMPTS_PER_CONFORMER
    identifiers = list(rdDistGeom.EmbedMultipleConfs(molecule, conformers, settings))
    if not identifiers:
        # Random starting coordinates rescue cages and macrocycles where the default fails.
        settings.useRandomCoords = True
        identifiers = list(rdDistGeom.EmbedMultipleConfs(molecule, conformers, settings))
    if not identifiers:
        # A set-up error, for another seed would only spend the same time again.
        raise OracleSetupError(
            f"ETKDGv3 found no 3D structure for '{Chem.MolToSmiles(Chem.RemoveHs(molecule))}'"
            f" in {conformers * _ATTEMPTS_PER_CONFORMER} attempts from each of two starts; the"
            " geometry is probably impossible"
        )
    best = identifiers[0]
    if minimise and molecule.GetNumAtoms() > 1:
        results = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(
            molecule, numThreads=1, maxIters=_MINIMISATION_STEPS, mmffVariant="MMFF94"
        )
        # RDKit's status: 0 converged, 1 needs more steps, -1 no force field.
        energies = {
            identifier: energy
            for identifier, (status, energy) in zip(identifiers, results, strict=True)
            if status >= 0 and np.isfinite(energy)
        }
        if not energies:
            raise CalculationError("MMFF94 minimisation gave no finite energy for any conformer")
        best = min(energies, key=lambda identifier: (energies[identifier], identifier))
    conformer = Chem.Conformer(molecule.GetConformer(best))
    molecule.RemoveAllConformers()
    molecule.AddConformer(conformer, assignId=True)
    return molecule


def require_mmff94(molecule: Mol) -> None:
    """Refuse a molecule that MMFF94 has no atom types for.

    Raises:
        OracleSetupError: names the elements and charge of the molecule.
    """
    from rdkit.Chem import rdForceFieldHelpers
    from rdkit.rdBase import BlockLogs

    with BlockLogs():
        known = rdForceFieldHelpers.MMFFHasAllMoleculeParams(molecule)
    if not known:
        elements = sorted({atom.GetSymbol() for atom in molecule.GetAtoms()})
        raise OracleSetupError(
            "MMFF94 has no parameters for an atom of this molecule (elements"
            f" {', '.join(elements)}); it covers closed-shell organic molecules of H, C, N, O, F,"
            " Si, P, S, Cl, Br, I (the xtb oracle can do without: starting_geometry: ETKDG)"
        )


def positions_angstrom(molecule: Mol) -> np.ndarray:
    """Return the coordinates of the only conformer, shape (atoms, 3), in Å."""
    return np.asarray(molecule.GetConformer().GetPositions(), dtype=float)
