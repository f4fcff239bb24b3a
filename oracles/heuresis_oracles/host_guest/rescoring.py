"""The binding energy of a complex once more, with a tight-binding Hamiltonian in implicit water."""

from __future__ import annotations

from typing import Literal

import numpy as np

from heuresis_oracles.connectivity import require_same_connectivity
from heuresis_oracles.electronic import electronic_state, require_elements
from heuresis_oracles.host_guest.search import Complex
from heuresis_oracles.relaxation import relax
from heuresis_oracles.tight_binding.hamiltonian import Hamiltonian, energy_eV
from heuresis_oracles.units import EV_TO_KILOJOULE_PER_MOL, KILOCALORIE_TO_KILOJOULE

Method = Literal["GFN2-xTB", "GFN1-xTB"]


def rescored_kcal_per_mol(
    found: Complex,
    method: Method,
    solvent: Literal["water"] | None,
    *,
    relaxed: bool,
    force_tolerance_eV_per_angstrom: float,
    max_steps: int,
) -> float:
    """Return complex minus host minus guest with xTB, at MMFF94 structures or at relaxed ones.

    Raises:
        CalculationError: a self-consistent field or a relaxation did not converge.
        ImplausibleResultError: bonds changed in a relaxation.
    """
    from ase import Atoms
    from rdkit import Chem

    host, guest = Chem.GetMolFrags(found.molecule, asMols=True)
    hamiltonian = Hamiltonian(method=method, solvent=solvent)
    energies = []
    for graph, places in (
        (found.molecule, found.places_angstrom),
        (host, found.free_host_angstrom),
        (guest, found.free_guest_angstrom),
    ):
        require_elements(graph)
        atoms = Atoms(
            numbers=[atom.GetAtomicNum() for atom in graph.GetAtoms()],
            positions=np.asarray(places),
        )
        atoms.calc = hamiltonian.calculator(electronic_state(graph))
        if relaxed:
            relax(
                atoms,
                graph,
                optimizer="LBFGS",
                force_tolerance_eV_per_angstrom=force_tolerance_eV_per_angstrom,
                max_steps=max_steps,
            )
            require_same_connectivity(graph, atoms.positions)
        energies.append(energy_eV(atoms))
    binding_eV = energies[0] - energies[1] - energies[2]
    return float(binding_eV * EV_TO_KILOJOULE_PER_MOL / KILOCALORIE_TO_KILOJOULE)
