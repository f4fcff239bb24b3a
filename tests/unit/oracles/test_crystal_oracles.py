"""Oracles of crystals: hulls by hand, equations of state, refusals, novelty, EMT's copper."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

pytest.importorskip("pymatgen", reason="crystals need the extra 'crystals'")

from heuresis.errors import (
    ImplausibleResultError,
    MissingExtraError,
    OracleSetupError,
    UserError,
)
from heuresis.records import Candidate, Evaluation, Failure, FailureCause
from heuresis.spaces.crystals.rules import CrystalRules
from heuresis.spaces.crystals.space import CrystalSpace
from heuresis.spaces.crystals.text import read_text
from heuresis_oracles.crystal_descriptors import CrystalDescriptors
from heuresis_oracles.crystal_relaxation import CrystalRelaxation
from heuresis_oracles.crystals.elasticity import EV_PER_ANGSTROM3_TO_GPA, fitted
from heuresis_oracles.crystals.known import KnownCrystals
from heuresis_oracles.crystals.reading import primitive_atoms, read_crystal
from heuresis_oracles.crystals.references import (
    References,
    composition_of,
    on_hull,
    phase_of,
    read_references,
    reference_file,
    write_references,
)
from heuresis_oracles.crystals.shaking import supercell

ROCK_SALT = "<sg:225>'0'5'6'4{Na}|a{Cl}|b"
COPPER = "<sg:225>'0'3'6'1{Cu}|a"


def measured(text: str, **settings: object) -> Evaluation | Failure:
    oracle = CrystalRelaxation(CrystalRelaxation.Config.model_validate(settings))
    (outcome,) = oracle.evaluate(
        [Candidate.of("crystal", text)], seed=1, workdir=Path("unused-scratch")
    )
    return outcome


def refusal(text: str, **settings: object) -> Failure:
    outcome = measured(text, **settings)
    assert isinstance(outcome, Failure)
    return outcome


PHASES = [
    phase_of("Li", -2.0, True, "a"),
    phase_of("Li", -1.9, True, "b"),
    phase_of("O", -5.0, True, "c"),
    phase_of("Li2O", -5.0, True, "d"),
    phase_of("Li2O2", -4.9, True, "e"),
]


def test_the_hull_is_the_one_drawn_by_hand() -> None:
    references = References(PHASES, {})
    lithium_oxide = references.distance({"Li": 2, "O": 1}, -5.0)
    assert lithium_oxide.formation_eV_per_atom == pytest.approx(-5.0 + (2 * 2.0 + 5.0) / 3)
    assert lithium_oxide.above_hull_eV_per_atom == pytest.approx(0.0, abs=1e-9)
    # LiO: the line from Li2O (x = 1/3) to O (x = 1) at x = 1/2 is 3/4 · 5 + 1/4 · 5 = 5.
    peroxide = references.distance({"Li": 2, "O": 2}, -4.9)
    assert peroxide.above_hull_eV_per_atom == pytest.approx(0.1)
    assert peroxide.decomposition == pytest.approx({"Li2O": 0.75, "O": 0.25})
    assert peroxide.competitors == 5
    assert references.has({"Li": 4, "O": 2})
    assert not references.has({"Li": 1, "O": 2})
    assert references.distance({"Li": 2, "O": 2}, -5.2).above_hull_eV_per_atom < 0
    with pytest.raises(OracleSetupError, match="no element Xe"):
        references.distance({"Xe": 1}, 0.0)


def test_phases_above_the_hull_are_left_out_of_a_file(tmp_path: Path) -> None:
    kept = on_hull(PHASES)
    assert [phase.source for phase in kept] == ["a", "c", "d"]
    assert {phase.source for phase in on_hull(PHASES, 0.12)} == {"a", "b", "c", "d", "e"}
    file = tmp_path / "phases.csv"
    write_references(file, kept, {"potential": "by hand"})
    again = read_references(file)
    assert again.made == {"potential": "by hand"}
    assert sorted(again.phases) == sorted(kept)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="expected the columns formula"):
        read_references(tmp_path / "other.csv")


def test_shipped_references_hold_the_elements_of_their_potential() -> None:
    emt = read_references(reference_file("EMT"))
    assert len(emt.elements) == 7
    assert emt.made["potential"] == "EMT"
    assert "ase" in emt.made["version"]
    assert composition_of("CuAu3") == {"Cu": 1, "Au": 3}


def test_birchs_equation_gives_back_what_it_was_made_with() -> None:
    v0, b0_GPa, b1 = 16.5, 78.0, 4.4
    volumes = v0 * np.linspace(0.94, 1.06, 7)
    strain = (v0 / volumes) ** (2 / 3)
    b0 = b0_GPa / EV_PER_ANGSTROM3_TO_GPA
    energies = -3.0 + 9 / 16 * v0 * b0 * (
        (strain - 1) ** 3 * b1 + (strain - 1) ** 2 * (6 - 4 * strain)
    )
    found = fitted(volumes, energies, v0)
    assert found.bulk_modulus_GPa == pytest.approx(b0_GPa, rel=1e-6)
    assert found.uncertainty_GPa < 1e-6
    rough = energies + 0.01 * np.array([1, -1, 1, -1, 1, -1, 1])
    with pytest.raises(ImplausibleResultError, match="meV/atom"):
        fitted(volumes, rough, v0)
    with pytest.raises(ImplausibleResultError, match="minimum"):
        fitted(volumes, energies, 1.2 * v0)


def test_emt_copper_is_what_its_authors_fitted() -> None:
    copper = measured(COPPER, potential="EMT", bulk_modulus=True)
    assert isinstance(copper, Evaluation)
    value = {name: one.value for name, one in copper.measurements.items()}
    edge = (4 * value["volume_per_atom_angstrom3"]) ** (1 / 3)
    assert edge == pytest.approx(3.61, abs=0.03)  # measured 3.615 Å
    assert value["bulk_modulus_GPa"] == pytest.approx(137, abs=10)  # measured 137 GPa
    assert value["energy_above_hull_eV_per_atom"] == pytest.approx(0.0, abs=2e-3)
    assert value["space_group"] == 225
    assert copper.checks[-1] == "equation-of-state"


def test_a_crystal_written_too_large_relaxes_to_the_same() -> None:
    values = []
    for text in (COPPER, "<sg:225>'0'3'7'5{Cu}|a"):
        outcome = measured(text, potential="EMT")
        assert isinstance(outcome, Evaluation)
        values.append(outcome.measurements["volume_per_atom_angstrom3"].value)
    assert values[0] == pytest.approx(values[1], rel=0.01)


@pytest.mark.parametrize(
    ("text", "settings", "cause", "message"),
    [
        ("salt", {}, FailureCause.SETUP, "no readable crystal"),
        (ROCK_SALT, {}, FailureCause.SETUP, "no parameters for Cl, Na; it knows Al"),
        ("<sg:225>'0'1'5'0{Cu}|a", {}, FailureCause.SETUP, "atoms overlap: Cu and Cu"),
        ("<sg:221>'0'3'8'0{Cu}|c{Au}|a", {"max_atoms": 3}, FailureCause.SETUP, "has 4 atoms"),
        ("<sg:225>'0'4'2'0{Cu}|a", {"max_steps": 1}, FailureCause.IMPLAUSIBLE, "max_steps"),
        (
            "<sg:225>'0'4'0'5{Cu}|a",
            {"largest_volume_change": 0.05},
            FailureCause.IMPLAUSIBLE,
            "largest_volume_change",
        ),
    ],
)
def test_what_cannot_be_measured_says_why(
    text: str, settings: dict[str, object], cause: FailureCause, message: str
) -> None:
    failure = refusal(text, potential="EMT", **settings)
    assert failure.cause is cause
    assert message in failure.message


def test_a_missing_extra_is_said_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.metadata.version

    def version(name: str) -> str:
        if name == "chgnet":
            raise importlib.metadata.PackageNotFoundError(name)
        return found(name)

    monkeypatch.setattr("heuresis_oracles.crystals.potentials.version", version)
    with pytest.raises(MissingExtraError, match=r"pip install 'heuresis\[crystals\]'"):
        CrystalRelaxation.declare(CrystalRelaxation.Config())
    assert CrystalRelaxation.declare(CrystalRelaxation.Config(potential="EMT")).outputs


def test_a_space_in_which_nothing_can_be_measured_is_refused() -> None:
    emt = CrystalRelaxation.Config(potential="EMT", max_atoms=8)
    salts = CrystalSpace(CrystalRules(elements=("Na", "Cl", "Cu"), element_count=(2, 2)))
    with pytest.raises(UserError, match="EMT knows Cu of the elements"):
        CrystalRelaxation.check_space(emt, salts)
    large = CrystalSpace(CrystalRules(elements=("Cu", "Au"), atoms=(9, 12)))
    with pytest.raises(UserError, match="max_atoms"):
        CrystalRelaxation.check_space(emt, large)
    CrystalRelaxation.check_space(emt, CrystalSpace(CrystalRules(elements=("Cu", "Au"))))


def test_references_of_another_potential_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "phases.csv"
    write_references(file, [phase_of("Cu", 0.0, True, "x")], {"potential": "CHGNet"})
    oracle = CrystalRelaxation(CrystalRelaxation.Config(potential="EMT", references=str(file)))
    with pytest.raises(UserError, match="made with CHGNet"):
        oracle._references()
    with pytest.raises(ValidationError, match="there is no file of reference phases"):
        CrystalRelaxation.Config(references=str(tmp_path / "none.csv"))


def test_known_crystals_are_recognised_in_another_size(tmp_path: Path) -> None:
    file = tmp_path / "known.txt"
    file.write_text(f"{ROCK_SALT}\nno crystal\n<sg:221>'0'3'9'1{{Sr}}|a{{Ti}}|b{{O}}|c\n")
    known = KnownCrystals(file)
    assert len(known) == 2
    assert known.novelty(read_text("<sg:225>'0'5'5'0{Na}|a{Cl}|b")) == (0.0, 0.0, 0.0)
    other_structure = known.novelty(read_text("<sg:221>'0'3'5'0{Na}|a{Cl}|b"))
    assert other_structure == (1.0, 0.0, 0.0)
    potassium = known.novelty(read_text("<sg:225>'0'6'2'9{K}|a{Cl}|b"))
    assert potassium == (1.0, 1.0, 0.5)
    (tmp_path / "empty.txt").write_text("salt\n")
    with pytest.raises(UserError, match="holds no readable crystal"):
        KnownCrystals(tmp_path / "empty.txt")
    with pytest.raises(ValidationError, match="no file of known crystals"):
        CrystalDescriptors.Config(known=str(tmp_path / "none.txt"))


def test_cells_are_primitive_and_supercells_thick() -> None:
    _, atoms = read_crystal(ROCK_SALT, max_atoms=2)
    assert len(atoms) == 2
    large = supercell(atoms, 24)
    assert len(large) >= 24
    heights = 1.0 / np.linalg.norm(np.linalg.inv(large.cell.array), axis=0)
    assert heights.min() >= 6.5
    assert primitive_atoms(read_text(ROCK_SALT).cell()).get_volume() == pytest.approx(5.64**3 / 4)
