"""Embedding, re-perceived bonds, units, and exceptions that become outcomes."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem

from heuresis.errors import (
    CalculationError,
    ImplausibleResultError,
    OracleSetupError,
)
from heuresis.records import FailureCause
from heuresis_oracles import units
from heuresis_oracles.connectivity import changed_bonds, require_same_connectivity
from heuresis_oracles.embedding import embed, positions_angstrom
from heuresis_oracles.molecules import parse_single_molecule
from heuresis_oracles.outcomes import failure_of


def test_equal_seeds_embed_equally_and_others_do_not() -> None:
    molecule = parse_single_molecule("CCCCO", max_atoms=50)
    first, again, other = (
        positions_angstrom(embed(molecule, conformers=1, seed=seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_more_conformers_never_give_a_higher_energy() -> None:
    from rdkit.Chem import rdForceFieldHelpers

    molecule = parse_single_molecule("OCC(O)CNCC(=O)O", max_atoms=50)
    energies = []
    for conformers in (1, 5):
        best = embed(molecule, conformers=conformers, seed=3)
        properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(best)
        force_field = rdForceFieldHelpers.MMFFGetMoleculeForceField(best, properties)
        energies.append(force_field.CalcEnergy())
        assert best.GetNumConformers() == 1
    assert energies[1] <= energies[0] + 1e-6


def test_stereochemistry_survives_embedding() -> None:
    smiles = "C[C@H](N)C(=O)N[C@@H](CO)/C=C/F"
    best = embed(parse_single_molecule(smiles, max_atoms=50), conformers=2, seed=1)
    Chem.AssignStereochemistryFrom3D(best)
    assert Chem.MolToSmiles(Chem.RemoveHs(best)) == Chem.MolToSmiles(Chem.MolFromSmiles(smiles))


def test_impossible_geometry_is_refused() -> None:
    trans_bridged = parse_single_molecule("[C@@H]12C[C@H]1C2", max_atoms=50)
    with pytest.raises(OracleSetupError, match="ETKDGv3 found no 3D structure"):
        embed(trans_bridged, conformers=1, seed=1)


def test_elements_without_mmff94_are_refused_not_guessed() -> None:
    with pytest.raises(OracleSetupError, match="MMFF94 has no parameters"):
        embed(parse_single_molecule("C[Sn](C)(C)C", max_atoms=50), conformers=1, seed=1)


@pytest.mark.parametrize(
    "smiles",
    [
        "C1C2CC1C2",  # 1,3 carbons only 1.87 Å apart
        "c1ccc2ccccc2c1",
        "CSSC",
        "O=[N+]([O-])c1ccccc1",
        "OC(=O)/C=C\\C(=O)O",  # short intramolecular hydrogen bond
        "FC(F)(F)C(Cl)Br",
        "C[Si](C)(C)C",
    ],
)
def test_good_geometries_have_the_bonds_of_their_graph(smiles: str) -> None:
    molecule = embed(parse_single_molecule(smiles, max_atoms=60), conformers=1, seed=2)
    assert changed_bonds(molecule, positions_angstrom(molecule)) == ([], [])


def test_broken_and_formed_bonds_are_named() -> None:
    molecule = embed(parse_single_molecule("CO", max_atoms=10), conformers=1, seed=2)
    positions = positions_angstrom(molecule)
    stretched = positions.copy()
    stretched[1] += 3.0 * (positions[1] - positions[0])
    with pytest.raises(ImplausibleResultError, match="C0-O1 broke"):
        require_same_connectivity(molecule, stretched)
    squeezed = positions.copy()
    squeezed[5] = positions[0] + 0.6 * (positions[5] - positions[0])  # hydroxyl H onto the carbon
    with pytest.raises(ImplausibleResultError, match="C0-H5 formed"):
        require_same_connectivity(molecule, squeezed)
    with pytest.raises(ImplausibleResultError, match="broke"):
        require_same_connectivity(molecule, np.full_like(positions, np.nan))


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OracleSetupError("a"), FailureCause.SETUP),
        (CalculationError("a"), FailureCause.CALCULATION),
        (ImplausibleResultError("a"), FailureCause.IMPLAUSIBLE),
        (ZeroDivisionError("a"), FailureCause.CALCULATION),
    ],
)
def test_exceptions_become_failures(error: Exception, cause: FailureCause) -> None:
    failure = failure_of(error)
    assert failure.cause == cause
    assert ("ZeroDivisionError" in failure.message) == (failure.detail is not None)


def test_units_agree_with_ase() -> None:
    import ase.units

    assert pytest.approx(ase.units.Hartree, rel=1e-7) == units.HARTREE_TO_EV
    assert pytest.approx(ase.units.Bohr, rel=1e-7) == units.BOHR_TO_ANGSTROM
    assert pytest.approx(1 / ase.units.Debye, rel=1e-6) == (
        units.ELEMENTARY_CHARGE_ANGSTROM_TO_DEBYE
    )
    assert pytest.approx(ase.units.kB / (ase.units.kJ / ase.units.mol), rel=1e-6) == (
        units.GAS_CONSTANT_KJ_PER_MOL_K
    )
    assert pytest.approx(ase.units.mol / ase.units.kJ, rel=1e-7) == units.EV_TO_KILOJOULE_PER_MOL
