"""Ideal-gas thermochemistry: rigid rotor, harmonic oscillators, soft modes as hindered rotors.

Sources: McQuarrie, Statistical Mechanics (1976); soft modes: Grimme, Chem. Eur. J. 18, 9955 (2012),
as ASE implements it (an entropy between oscillator and rotor, with the cross-over at 35 per cm).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heuresis.errors import OracleSetupError
from heuresis_oracles.tight_binding.vibrations import Vibrations

if TYPE_CHECKING:
    from ase import Atoms
    from rdkit.Chem import Mol

_CROSS_OVER_per_cm = 35.0
_SAME_PLACE_angstrom = 0.1
_MOST_AUTOMORPHISMS = 20_000


def thermochemistry(
    atoms: Atoms,
    energy_eV: float,
    vibrations: Vibrations,
    *,
    unpaired: int,
    symmetry_number: int,
    temperature_K: float,
    pressure_Pa: float,
) -> dict[str, float]:
    """Return enthalpy, entropy and Gibbs energy of one conformer as an ideal gas.

    Args:
        atoms: at the minimum.
        energy_eV: electronic energy there.
        vibrations: of the minimum; small imaginary modes count as real ones of that size.
        unpaired: number of unpaired electrons; the electronic entropy is k ln(unpaired + 1).
        symmetry_number: rotational symmetry number.
        temperature_K: temperature.
        pressure_Pa: pressure of the ideal gas.
    """
    from ase import units
    from ase.thermochemistry import IdealGasThermo, RRHOMode

    quanta_eV = np.abs(vibrations.wavenumbers_per_cm) * units.invcm
    geometry = "monatomic" if len(atoms) == 1 else "linear" if vibrations.linear else "nonlinear"
    inertia = float(np.mean(atoms.get_moments_of_inertia()))
    gas = IdealGasThermo(
        quanta_eV,
        geometry,
        potentialenergy=energy_eV,
        atoms=atoms,
        symmetrynumber=symmetry_number,
        spin=unpaired / 2.0,
        vib_selection="exact",
        modes=[RRHOMode(float(quantum), inertia, tau=_CROSS_OVER_per_cm) for quantum in quanta_eV],
    )
    enthalpy_eV = float(gas.get_enthalpy(temperature_K, verbose=False))
    entropy_eV_per_K = float(gas.get_entropy(temperature_K, pressure_Pa, verbose=False))
    return {
        "enthalpy_eV": enthalpy_eV,
        "entropy_eV_per_K": entropy_eV_per_K,
        "gibbs_energy_eV": enthalpy_eV - temperature_K * entropy_eV_per_K,
    }


def zero_point_energy_eV(vibrations: Vibrations) -> float:
    """Return half the sum of the quanta; small imaginary modes count as real ones."""
    from ase import units

    return float(0.5 * np.abs(vibrations.wavenumbers_per_cm).sum() * units.invcm)


def rotational_symmetry_number(molecule: Mol, positions_angstrom: np.ndarray) -> int:
    """Return how many proper rotations bring the molecule onto itself.

    Candidates are the automorphisms of the heavy-atom graph (of the whole one where the heavy atoms
    lie on a line), whatever the bond orders and charges, so that both oxygens of a nitro group are
    equal; those count that a rotation realises within 0.1 Å for all atoms.

    Raises:
        OracleSetupError: the graph has too many automorphisms to try.
    """
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
    frame = np.flatnonzero(numbers > 1)
    if len(frame) < 3 or _is_straight(positions_angstrom[frame]):
        frame = np.arange(len(numbers))
    mappings = _automorphisms(molecule, frame)
    centred = positions_angstrom - positions_angstrom[frame].mean(axis=0)
    same_element = numbers[:, None] == numbers[None, :]
    found = 0
    for mapping in mappings:
        first, second = centred[frame], centred[list(mapping)]
        rotation = _rotation(first, second)
        fits = np.abs(first @ rotation - second).max() < _SAME_PLACE_angstrom
        found += bool(fits) and _is_symmetric(centred, rotation, same_element)
    return max(1, found)


def _automorphisms(molecule: Mol, frame: np.ndarray) -> list[tuple[int, ...]]:
    """Return the mappings of the frame's atoms onto themselves that keep elements and bonds."""
    from rdkit import Chem

    graph = Chem.RWMol(molecule)
    for bond in graph.GetBonds():
        bond.SetBondType(Chem.BondType.SINGLE)
        bond.SetIsAromatic(False)
    for atom in graph.GetAtoms():
        atom.SetFormalCharge(0)
        atom.SetIsAromatic(False)
        atom.SetNumRadicalElectrons(0)
    for index in reversed(range(graph.GetNumAtoms())):
        if index not in set(frame.tolist()):
            graph.RemoveAtom(index)
    Chem.FastFindRings(graph)
    mappings = graph.GetSubstructMatches(
        graph, uniquify=False, useChirality=False, maxMatches=_MOST_AUTOMORPHISMS
    )
    if len(mappings) == _MOST_AUTOMORPHISMS:
        raise OracleSetupError(
            "too many equivalent atoms to find the rotational symmetry; set symmetry_number"
        )
    return [tuple(frame[list(mapping)].tolist()) for mapping in mappings]


def _is_straight(positions: np.ndarray) -> bool:
    widths = np.linalg.svd(positions - positions.mean(axis=0), compute_uv=False)
    return bool(widths[1] < _SAME_PLACE_angstrom)


def _rotation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the proper rotation that maps points best onto others (Kabsch 1976), shape (3, 3)."""
    left, _, right = np.linalg.svd(first.T @ second)
    handedness = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation: np.ndarray = left @ handedness @ right
    return rotation


def _is_symmetric(points: np.ndarray, rotation: np.ndarray, same_element: np.ndarray) -> bool:
    """Whether the rotation brings each atom onto one of its element."""
    distances = np.linalg.norm((points @ rotation)[:, None] - points[None, :], axis=2)
    distances[~same_element] = np.inf
    return bool(distances.min(axis=1).max() < _SAME_PLACE_angstrom)
