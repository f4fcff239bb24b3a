"""Metrics of crystals: charge balance of formulas every chemist knows, distances, counts."""

from __future__ import annotations

import numpy as np
import pytest

from heuresis.spaces.crystals.errors import CompositionError
from heuresis.spaces.crystals.geometry import smallest_distance_angstrom
from heuresis_models import crystal_checks
from heuresis_models.errors import DataError
from heuresis_models.evaluation import crystals
from heuresis_models.language.crystal_text import Cell

ROCK_SALT = "<sg:225>'0'5'6'4{Na}|a{Cl}|b"
RUTILE = "<sg:136>'0'4'5'9'0'2'9'6{Ti}|a{O}|f'3'0'5"


@pytest.fixture(scope="module")
def composition() -> object:
    pytest.importorskip("pymatgen", reason="charge balance needs the extra 'crystals'")
    from heuresis_models import composition

    return composition


@pytest.mark.parametrize(
    ("formula", "strict", "smact"),
    [
        ({"Na": 1, "Cl": 1}, True, True),
        ({"Na": 1, "Cl": 2}, False, False),
        ({"Ti": 1, "O": 2}, True, True),
        ({"Ba": 1, "Ti": 1, "O": 3}, True, True),
        ({"Ca": 10, "P": 6, "O": 26, "H": 2}, True, True),
        ({"K": 5, "F": 1}, False, False),
        # Mixed valence needs two states of one element, which the rule does not know: 3 Fe, 4 O.
        ({"Fe": 3, "O": 4}, False, False),
        # Oxygen is the cation beside fluorine.
        ({"F": 1, "O": 1}, True, True),
        # An alloy and an element have no charges: valid for SMACT, not balanced.
        ({"Cu": 1, "Zn": 1}, False, True),
        ({"Si": 8}, False, True),
        ({"He": 1, "Na": 2}, False, False),
    ],
)
def test_charge_balance(
    composition: object, formula: dict[str, int], strict: bool, smact: bool
) -> None:
    from heuresis_models.composition import charge_balanced, smact_valid

    assert charge_balanced(formula) is strict
    assert smact_valid(formula) is smact
    doubled = {symbol: 2 * count for symbol, count in formula.items()}
    assert charge_balanced(doubled) is strict


def test_charge_balance_agrees_with_trying_every_assignment(composition: object) -> None:
    """The sums over thresholds are an exact shortcut for the product of all states."""
    import itertools

    from pymatgen.core import Element

    from heuresis_models.composition import charge_balanced

    rng = np.random.default_rng(0)
    symbols = ["Na", "Mg", "Al", "Fe", "Mn", "Cu", "Si", "P", "S", "O", "N", "Cl", "Te", "As"]
    seen = set()
    for _ in range(150):
        chosen = [str(s) for s in rng.choice(symbols, int(rng.integers(2, 4)), replace=False)]
        counts = [int(n) for n in rng.integers(1, 5, len(chosen))]
        expected = False
        for states in itertools.product(*(Element(s).oxidation_states for s in chosen)):
            neutral = sum(n * q for n, q in zip(counts, states, strict=True)) == 0
            positive = [Element(s).X for s, q in zip(chosen, states, strict=True) if q > 0]
            negative = [Element(s).X for s, q in zip(chosen, states, strict=True) if q < 0]
            expected |= neutral and 0 not in states and max(positive) < min(negative)
        seen.add(expected)
        formula = dict(zip(chosen, counts, strict=True))
        assert charge_balanced(formula) is expected, formula
    assert seen == {True, False}


def test_a_composition_of_no_elements_is_an_error(composition: object) -> None:
    from heuresis_models.composition import charge_balanced

    with pytest.raises(CompositionError, match="no element 'Nq'"):
        charge_balanced({"Nq": 1})
    with pytest.raises(CompositionError, match="from 1 on"):
        charge_balanced({"Na": 0})
    with pytest.raises(CompositionError, match="empty composition"):
        charge_balanced({})


def test_the_charges_that_balance_are_the_common_ones(composition: object) -> None:
    from heuresis_models.composition import balancing_charges, ions

    assert balancing_charges({"Ti": 1, "O": 2}) == {"Ti": 4, "O": -2}
    assert balancing_charges({"Ba": 1, "Ti": 1, "O": 3}) == {"Ba": 2, "Ti": 4, "O": -2}
    assert balancing_charges({"Fe": 2, "O": 3}) == {"Fe": 3, "O": -2}
    assert balancing_charges({"Na": 1, "Cl": 2}) is None
    assert {"Na", "K", "Ag"} <= set(ions(1))
    assert "Ca" not in ions(1)
    assert {"O", "S"} <= set(ions(-2))
    assert ions(-7) == ()


@pytest.mark.parametrize(
    ("text", "structure", "balanced"),
    [
        (ROCK_SALT, None, None),
        ("<sg:225>'0'0'8'0{Na}|a{Cl}|b", "sites too close", "sites too close"),
        ("<sg:225>'0'5'6'4{Cu}|a{Zn}|b", None, "charges do not balance"),
        ("<sg:225>'0'5'6'4{Cl}|a{Na}|b?", "no crystal", "no crystal"),
    ],
)
def test_a_fault_names_its_cause(
    composition: object, text: str, structure: str | None, balanced: str | None
) -> None:
    checks = crystal_checks.CrystalChecks(crystal_checks.read_crystal(text))
    assert checks.fault(crystal_checks.Requirement.STRUCTURE) == structure
    assert checks.fault(crystal_checks.Requirement.BALANCED) == balanced


def test_reading_is_strict_and_takes_the_tags_or_not() -> None:
    crystal = crystal_checks.read_crystal(f"<crystal>{ROCK_SALT}</crystal>")
    assert crystal is not None
    assert crystal == crystal_checks.read_crystal(ROCK_SALT)
    assert crystal_checks.key(crystal) == "Na1Cl1 225"
    # Not closed by digits; an element without sites; a cell of no length; chloride first; noise.
    for wrong in (
        "<sg:225>'0'5'6",
        "<sg:225>'0'5'6'4{Na}|a{Cl}",
        "<sg:225>'0'0'0'0{Na}|a{Cl}|b",
        "CCO",
        "<sg:225>'0'5'6'4",
        "",
    ):
        assert crystal_checks.read_crystal(wrong) is None, wrong


def test_the_shortest_distance_of_rock_salt_is_half_an_edge() -> None:
    crystal = crystal_checks.read_crystal(ROCK_SALT)
    assert crystal is not None
    assert smallest_distance_angstrom(crystal.cell()) == pytest.approx(2.82)
    assert crystal_checks.structurally_valid(crystal)


def test_the_shortest_distance_does_not_depend_on_the_choice_of_cell() -> None:
    """A skewed cell of the same crystal hides the nearest image several cells away."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        lattice = np.diag(rng.uniform(2.0, 4.0, 3)) + rng.uniform(-0.3, 0.3, (3, 3))
        points = rng.random((4, 3))
        plain = smallest_distance_angstrom(Cell(lattice, points, ("Na",) * 4))
        change = np.array([[1, 3, -2], [0, 1, 4], [0, 0, 1]])
        skewed = change @ lattice
        moved = (points @ np.linalg.inv(change)) % 1.0
        again = smallest_distance_angstrom(Cell(skewed, moved, ("Na",) * 4))
        assert again == pytest.approx(plain)


def test_atoms_on_top_of_each_other_are_no_structure() -> None:
    # Edge of 0.80 Å: neighbours 0.40 Å apart.
    tight = crystal_checks.read_crystal("<sg:225>'0'0'8'0{Na}|a{Cl}|b")
    assert tight is not None
    assert not crystal_checks.structurally_valid(tight)


def test_counts_over_a_sample(composition: object) -> None:
    sample = crystals.evaluate_crystals(
        [ROCK_SALT, ROCK_SALT.replace("'4", "'9"), RUTILE, "<sg:225>'0'0'8'0{Na}|a{Cl}|b", "no"],
        training={"Ti1O2 136"},
    )
    assert (sample.drawn, sample.parsed, sample.structurally_valid) == (5, 4, 3)
    assert (sample.smact, sample.balanced, sample.valid) == (4, 4, 3)
    assert (sample.distinct, sample.novel) == (2, 1)
    assert sample.share("parsed") == 0.8
    assert sample.share("distinct") == 0.5
    assert sample.share("novel") == 0.5
    with pytest.raises(DataError, match="no share of 'novel'"):
        crystals.evaluate_crystals([RUTILE]).share("novel")
