"""The crystal rows: as written, under a requirement, of stated formulas."""

from __future__ import annotations

import numpy as np
import pytest

from heuresis_models.checkpoint import load_model, model_folder
from heuresis_models.crystal_checks import read_crystal
from heuresis_models.evaluation.crystal_rows import CrystalReference, crystal_rows, formula_rows
from heuresis_models.evaluation.table import Row
from heuresis_models.language.crystal_text import Crystal

ROCK_SALT = "<sg:225>'0'5'6'4{Na}|a{Cl}|b"
RUTILE = "<sg:136>'0'4'5'9'0'2'9'6{Ti}|a{O}|f'3'0'5"
BRASS = "<sg:221>'0'2'9'5{Zn}|a{Cu}|b"
TIGHT = "<sg:225>'0'0'8'0{Na}|a{Cl}|b"


@pytest.fixture(autouse=True)
def _charges() -> None:
    pytest.importorskip("pymatgen", reason="charge balance needs the extra 'crystals'")


def crystal_of(text: str) -> Crystal:
    crystal = read_crystal(text)
    assert crystal is not None
    return crystal


def by_name(rows: list[Row]) -> dict[tuple[str, str], Row]:
    found = {(row.domain, row.measure): row for row in rows}
    assert len(found) == len(rows)
    return found


def test_rows_under_a_requirement_say_what_was_kept_and_why_not() -> None:
    reference = CrystalReference([crystal_of(RUTILE)], [crystal_of(ROCK_SALT)])
    rows = by_name(crystal_rows([ROCK_SALT, RUTILE, BRASS, TIGHT, "?"], ["?"], reference))
    assert rows["crystals", "parse to a structure"].value == 0.8
    assert rows["crystals", "parse to a structure, no mask"].value == 0.0
    assert rows["crystals", "structurally valid (CDVAE)"].beside == "real, held out: 100.0%"
    measure = "acceptance: kept of all written"
    structure = rows["crystals, structure required", measure]
    balanced = rows["crystals, balanced required", measure]
    assert (structure.value, balanced.value) == (0.6, 0.4)
    assert "1 charges do not balance" in balanced.beside
    assert "1 sites too close" in balanced.beside
    assert "1 no crystal" in balanced.beside
    charge = "charge-balanced composition (strict)"
    row = rows["crystals, structure required", charge]
    assert row.value == pytest.approx(2 / 3)
    assert row.beside == ""
    row = rows["crystals, balanced required", charge]
    assert (row.value, row.beside) == (1.0, "by construction")
    assert row.on == "the 2 kept of 5"
    novel = "novel (formula, space group) of the unique"
    assert rows["crystals, balanced required", novel].value == 0.5


def test_rows_without_data_or_without_anything_kept_give_the_reason() -> None:
    rows = by_name(crystal_rows(["?"], ["?"], None, no_reference="no data"))
    for domain in ("crystals", "crystals, structure required", "crystals, balanced required"):
        found = [row for (name, _), row in rows.items() if name == domain]
        assert any(row.reason for row in found), domain
    rows = by_name(crystal_rows([ROCK_SALT], [ROCK_SALT], None))
    for domain in ("crystals", "crystals, balanced required"):
        assert rows[domain, "novel (formula, space group) of the unique"].reason == "no data"


def test_formulas_are_those_that_training_does_not_have() -> None:
    model, _ = load_model(model_folder("heuresis-base"))
    reference = CrystalReference(
        [crystal_of(RUTILE)], [crystal_of(text) for text in (RUTILE, BRASS, ROCK_SALT, ROCK_SALT)]
    )
    rows = formula_rows(model.eval(), reference, 5, np.random.default_rng(0))
    # Rutile is known, brass has no charges, rock salt is asked for once.
    assert all(row.on.startswith("1 held-out balanced formulas") for row in rows)
    assert [row.measure.rpartition("; ")[2] for row in rows[:2]] == [
        "formula only asked for", "formula enforced",
    ]  # fmt: skip
    rows = formula_rows(
        model, CrystalReference([], [crystal_of(BRASS)]), 5, np.random.default_rng(0)
    )
    assert "no held-out charge-balanced formula" in rows[0].reason
