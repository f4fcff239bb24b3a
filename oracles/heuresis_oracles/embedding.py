"""From a molecular graph to one three-dimensional structure: ETKDGv3, then MMFF94.

The universal force field is never used as a silent fallback: a molecule that MMFF94 cannot type is
refused with the reason, so equal settings always mean equal methods.

Sources: ETKDGv3: Wang, Witek, Landrum, Riniker, J. Chem. Inf. Model. 60, 2044 (2020); MMFF94:
Halgren, J. Comput. Chem. 17, 490 (1996); its implementation: Tosco, Stiefl, Landrum, J. Cheminf.
6, 37 (2014).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from heuresis.errors import CalculationError, OracleSetupError
from heuresis_oracles.units import EV_TO_KILOJOULE_PER_MOL, KILOCALORIE_TO_KILOJOULE

if TYPE_CHECKING:
    from rdkit.Chem import Mol

_MINIMISATION_STEPS = 2000
_ATTEMPTS_PER_CONFORMER = 30
"""RDKit's default (ten per atom) spends half a minute on a graph that has no 3D structure; real
molecules need a handful."""
_SEED_MASK = 0x7FFFFFFF
_SAME_ENERGY_eV = 0.002
_SAME_DISTANCE_angstrom = 0.1


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
    if minimise:
        return ensemble(molecule, conformers=conformers, seed=seed)[0]
    embedded, identifiers = _embedded(molecule, conformers, seed)
    return _with_one_conformer(embedded, identifiers[0])


def ensemble(
    molecule: Mol,
    *,
    conformers: int,
    seed: int,
    most: int = 1,
    window_eV: float = math.inf,
) -> list[Mol]:
    """Return the distinct lowest MMFF94 conformers, each as a molecule, in rising energy.

    Two conformers are the same when energy and all heavy-atom distances (sorted) agree; mirror
    images count once, for their energies are equal.

    Args:
        molecule: one fragment with explicit hydrogens.
        conformers: how many ETKDGv3 conformers to try (at least 1).
        seed: seeds distance geometry.
        most: how many to return at most.
        window_eV: leave out those that lie further above the lowest.

    Raises:
        OracleSetupError: MMFF94 has no parameters for an atom, or distance geometry found no
            structure.
        CalculationError: no minimisation ended.
    """
    require_mmff94(molecule)
    embedded, identifiers = _embedded(molecule, conformers, seed)
    energies_eV = _minimised(embedded, identifiers)
    ranked = sorted(energies_eV, key=lambda identifier: (energies_eV[identifier], identifier))
    chosen: list[int] = []
    for identifier in ranked:
        if len(chosen) == most or energies_eV[identifier] - energies_eV[ranked[0]] > window_eV:
            break
        if not any(_same(embedded, energies_eV, identifier, other) for other in chosen):
            chosen.append(identifier)
    return [_with_one_conformer(embedded, identifier) for identifier in chosen]


def _embedded(molecule: Mol, conformers: int, seed: int) -> tuple[Mol, list[int]]:
    from rdkit import Chem
    from rdkit.Chem import rdDistGeom

    molecule = Chem.Mol(molecule)
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
    return molecule, identifiers


def _minimised(molecule: Mol, identifiers: list[int]) -> dict[int, float]:
    """Minimise each conformer in place; return the energies in eV of those that ended."""
    from rdkit.Chem import rdForceFieldHelpers

    if molecule.GetNumAtoms() == 1:
        return {identifiers[0]: 0.0}
    results = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(
        molecule, numThreads=1, maxIters=_MINIMISATION_STEPS, mmffVariant="MMFF94"
    )
    # RDKit's status: 0 converged, 1 needs more steps, -1 no force field.
    energies_eV = {
        identifier: energy * KILOCALORIE_TO_KILOJOULE / EV_TO_KILOJOULE_PER_MOL
        for identifier, (status, energy) in zip(identifiers, results, strict=True)
        if status >= 0 and np.isfinite(energy)
    }
    if not energies_eV:
        raise CalculationError("MMFF94 minimisation gave no finite energy for any conformer")
    return energies_eV


def _same(molecule: Mol, energies_eV: dict[int, float], first: int, second: int) -> bool:
    if abs(energies_eV[first] - energies_eV[second]) > _SAME_ENERGY_eV:
        return False
    distances = [_heavy_atom_distances(molecule, identifier) for identifier in (first, second)]
    return bool(np.all(np.abs(distances[0] - distances[1]) < _SAME_DISTANCE_angstrom))


def _heavy_atom_distances(molecule: Mol, identifier: int) -> np.ndarray:
    heavy = [atom.GetIdx() for atom in molecule.GetAtoms() if atom.GetAtomicNum() > 1]
    places = np.asarray(molecule.GetConformer(identifier).GetPositions())[heavy]
    first, second = np.triu_indices(len(heavy), k=1)
    return np.sort(np.linalg.norm(places[first] - places[second], axis=1))


def _with_one_conformer(molecule: Mol, identifier: int) -> Mol:
    from rdkit import Chem

    conformer = Chem.Conformer(molecule.GetConformer(identifier))
    single = Chem.Mol(molecule)
    single.RemoveAllConformers()
    single.AddConformer(conformer, assignId=True)
    return single


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
