"""Peptides: structures from sequences, helices in frames, gates; long runs in pieces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from rdkit import Chem

from heuresis.errors import ImplausibleResultError, OracleSetupError, UserError
from heuresis.records import Candidate, Evaluation, Failure, FailureCause
from heuresis.spaces.peptide import PeptideSpace, read_peptide
from heuresis_oracles.connectivity import changed_bonds
from heuresis_oracles.dynamics.checkpoints import Checkpoint, Progress
from heuresis_oracles.dynamics.observables import torsion_angles
from heuresis_oracles.dynamics.platforms import make_context
from heuresis_oracles.embedding import positions_angstrom
from heuresis_oracles.peptide_md import PeptideMolecularDynamics, _require_chirality, _torsions
from heuresis_oracles.peptides.building import backbone, build_peptide
from heuresis_oracles.peptides.secondary_structure import (
    are_bonded,
    helical_residues,
    helix_pairs,
    hydrogen_bond_energies_kcal_per_mol,
    rmsd_from_first,
)
from heuresis_oracles.peptides.simulating import build_peptide_system

SHORT: dict[str, Any] = {
    "duration_ps": 0.4,
    "equilibration_ps": 0.1,
    "sample_interval_fs": 40.0,
    "conservation_check_ps": 0.5,
    "timestep_fs": 2.0,
}
ALL = "ARNDCEQGHILKMFPSTWYV"


def measure(text: str, folder: Path, **settings: Any) -> Evaluation | Failure:
    config = PeptideMolecularDynamics.Config(**{**SHORT, **settings})
    [outcome] = PeptideMolecularDynamics(config).evaluate(
        [Candidate.of("peptide", text)], seed=1, workdir=folder
    )
    assert isinstance(outcome, Evaluation | Failure)
    return outcome


def test_all_twenty_residues_are_built_whole_charged_and_left_handed() -> None:
    molecule = build_peptide(read_peptide(ALL), "helix")
    places = positions_angstrom(molecule)
    assert changed_bonds(molecule, places) == ([], [])
    charges = sorted(
        (atom.GetPDBResidueInfo().GetResidueName(), atom.GetFormalCharge())
        for atom in molecule.GetAtoms()
        if atom.GetFormalCharge()
    )
    # Both ends, and at pH 7 no histidine.
    assert charges == [("ALA", 1), ("ARG", 1), ("ASP", -1), ("GLU", -1), ("LYS", 1), ("VAL", -1)]
    written = Chem.MolToSmiles(Chem.RemoveHs(molecule))
    Chem.AssignStereochemistryFrom3D(molecule)
    assert Chem.MolToSmiles(Chem.RemoveHs(molecule)) == written
    system, _ = build_peptide_system(molecule, hydrogen_mass_Da=1.008, constrain_hydrogens=False)
    assert system.getNumParticles() == molecule.GetNumAtoms()
    charge = sum(
        force.getParticleParameters(index)[0]._value
        for force in system.getForces()
        if force.getName() == "NonbondedForce"
        for index in range(system.getNumParticles())
    )
    assert charge == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize(("start", "helicity"), [("helix", 1.0), ("extended", 0.0)])
def test_a_chain_starts_as_what_it_should(start: Any, helicity: float) -> None:
    peptide = read_peptide("Ac-AAQAAAAQAA-NH2")
    molecule = build_peptide(peptide, start)
    frames = positions_angstrom(molecule)[None]
    chain = backbone(molecule, len(peptide.residues))
    phi, psi, omega = _torsions(molecule, chain, frames)
    assert np.abs(np.degrees(omega)) == pytest.approx(180.0, abs=0.1)
    assert np.isfinite(phi).all()
    assert helical_residues(phi, psi).mean() == helicity
    acceptors, donors = helix_pairs(chain)
    energies = hydrogen_bond_energies_kcal_per_mol(frames, acceptors, donors)
    assert are_bonded(energies).mean() == helicity
    # 1.5 Å a residue along the axis of an alpha helix, 3.3 Å or so of a stretched chain.
    reach = np.linalg.norm(frames[0, chain["CA"][-1]] - frames[0, chain["CA"][0]]) / 9.0
    assert reach == pytest.approx(1.6 if start == "helix" else 3.3, abs=0.3)


def test_prolines_have_no_hydrogen_to_give() -> None:
    molecule = build_peptide(read_peptide("Ac-AAAAPAA-NH2"), "helix")
    chain = backbone(molecule, 7)
    assert chain["H"][4] == -1
    _, donors = helix_pairs(chain)
    assert len(donors) == 2  # to residues 6 and 7; the one to 5 cannot be


def test_a_helix_needs_three_residues_in_a_row() -> None:
    phi = np.radians(np.full((1, 7), -60.0))
    psi = np.radians([[-45.0, -45.0, 120.0, -45.0, -45.0, -45.0, np.nan]])
    expected = [False, False, False, True, True, True, False]
    assert helical_residues(phi, psi)[0].tolist() == expected


def test_the_energy_of_a_straight_hydrogen_bond() -> None:
    """C=O···H-N on a line, O to N 2.9 Å: the arithmetic of the paper by hand."""
    places = np.array([[[0.0, 0, 0], [1.23, 0, 0], [4.13, 0, 0], [3.12, 0, 0]]])
    energy = hydrogen_bond_energies_kcal_per_mol(places, np.array([[0, 1]]), np.array([[2, 3]]))
    by_hand = 0.42 * 0.20 * 332.0 * (1 / 2.9 + 1 / 3.12 - 1 / 1.89 - 1 / 4.13)
    assert energy[0, 0] == pytest.approx(by_hand)
    assert by_hand == pytest.approx(-2.95, abs=0.05)


def test_deviation_does_not_see_how_a_structure_lies() -> None:
    rng = np.random.default_rng(2)
    places = rng.normal(size=(12, 3))
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    frames = np.stack([places, places @ turn.T + 5.0, places * [1.0, 1.0, -1.0]])
    found = rmsd_from_first(frames, places)
    assert found[:2] == pytest.approx(0.0, abs=1e-6)
    assert found[2] > 0.1  # a mirror image is another structure


def test_a_measurement_says_where_it_ran(tmp_path: Path) -> None:
    outcome = measure("<acetyl>_A_A_Q_A_A<amide>", tmp_path, platform="CPU")
    assert isinstance(outcome, Evaluation), outcome
    assert outcome.provenance == {"platform": "CPU"}
    assert outcome.measurements["rmsd_from_start_angstrom"].value < 2.0
    # What stays out of the record of those who say nothing: old ledgers keep their bytes.
    assert "provenance" not in Evaluation(measurements={}).model_dump()
    assert Evaluation.model_validate_json(outcome.model_dump_json()) == outcome


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("AAQ", "has 3 residues; this oracle takes 5"),
        ("AAXAA", "none of the twenty"),
        ("aaaaa", "D-"),
    ],
)
def test_what_cannot_be_simulated_is_refused(text: str, words: str, tmp_path: Path) -> None:
    outcome = measure(text, tmp_path)
    assert isinstance(outcome, Failure)
    assert outcome.cause is FailureCause.SETUP
    assert words in outcome.message


def test_a_space_of_short_peptides_is_refused() -> None:
    config = PeptideMolecularDynamics.Config()
    with pytest.raises(UserError, match="2 to 4 residues"):
        PeptideMolecularDynamics.check_space(
            config, PeptideSpace(PeptideSpace.Config(length=(2, 4)))
        )
    PeptideMolecularDynamics.check_space(config, PeptideSpace(PeptideSpace.Config()))


def test_a_mirrored_centre_is_inconclusive() -> None:
    molecule = build_peptide(read_peptide("Ac-AA-NH2"), "helix")
    places = positions_angstrom(molecule)
    _require_chirality(molecule, places, places)
    with pytest.raises(ImplausibleResultError, match="mirror image"):
        _require_chirality(molecule, places, places * [1.0, 1.0, -1.0])


def test_too_few_samples_are_refused_when_they_are_set() -> None:
    with pytest.raises(ValidationError, match="fewer than 10 samples"):
        PeptideMolecularDynamics.Config(duration_ps=1.0, sample_interval_fs=500.0)


def test_a_run_that_was_killed_goes_on_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "<acetyl>_A_A_A_A_A<amide>"
    settings = {"checkpoint_folder": str(tmp_path / "kept"), "checkpoint_ps": 0.08}
    whole = measure(text, tmp_path, **settings)
    assert isinstance(whole, Evaluation), whole
    assert list((tmp_path / "kept").iterdir()) == []  # done: nothing is left

    class Killed(BaseException):
        pass

    saved: list[int] = []
    save = Checkpoint.save

    def save_twice(self: Checkpoint, progress: Progress) -> None:
        save(self, progress)
        saved.append(len(progress.frames_angstrom))
        if len(saved) == 2:
            raise Killed

    monkeypatch.setattr(Checkpoint, "save", save_twice)
    with pytest.raises(Killed):
        measure(text, tmp_path, **settings)
    assert saved == [2, 4]
    assert len(list((tmp_path / "kept").iterdir())) == 1
    resumed = measure(text, tmp_path, **settings)
    assert saved[2:] == [6, 8]  # went on from the fourth frame
    assert resumed == whole


def test_a_damaged_checkpoint_is_not_used(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "run")
    assert checkpoint.load() is None
    (tmp_path / "run.npz").write_bytes(b"torn")
    assert checkpoint.load() is None
    checkpoint.save(Progress(np.zeros((2, 3, 3)), np.ones(2), 0.5, b"state"))
    found = checkpoint.load()
    assert found is not None
    assert (found.drift, found.state, len(found.frames_angstrom)) == (0.5, b"state", 2)


def test_platforms_by_name_and_by_what_is_there() -> None:
    import openmm

    def system() -> tuple[Any, Any]:
        built = openmm.System()
        built.addParticle(1.0)
        return built, openmm.VerletIntegrator(0.001)

    names = [
        openmm.Platform.getPlatform(index).getName()
        for index in range(openmm.Platform.getNumPlatforms())
    ]
    found = make_context(*system(), "auto", "CPU").getPlatform().getName()
    assert found in {"CPU", "CUDA", "OpenCL"}
    if "CUDA" not in names:
        with pytest.raises(OracleSetupError, match=r"no platform CUDA here; there are .*Reference"):
            make_context(*system(), "CUDA", "CPU")


def test_torsions_of_free_ends_are_none() -> None:
    molecule = build_peptide(read_peptide("AAA"), "helix")
    chain = backbone(molecule, 3)
    phi, psi, _ = _torsions(molecule, chain, positions_angstrom(molecule)[None])
    assert np.isnan(phi[0]).tolist() == [True, False, False]
    assert np.isnan(psi[0]).tolist() == [False, False, True]
    assert np.degrees(phi[0, 1]) == pytest.approx(-62.0, abs=0.1)
    assert torsion_angles(np.zeros((1, 4, 3)), np.array([[0, 1, 2, 3]])).shape == (1, 1)
