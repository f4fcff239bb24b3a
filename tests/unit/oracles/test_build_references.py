"""Making reference phases: what is taken from files, what is filled in, what the cache keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pymatgen", reason="crystals need the extra 'crystals'")

from heuresis_oracles.crystals.build_references import (
    EnergyCache,
    _binaries,
    compounds_of,
)
from heuresis_oracles.crystals.elemental_crystals import elemental_crystals
from heuresis_oracles.crystals.potentials import known_elements

CIF = """# a structure
data_NaCl
_cell_length_a   3.99
_cell_length_b   3.99
_cell_length_c   3.99
_cell_angle_alpha   60.0
_cell_angle_beta   60.0
_cell_angle_gamma   60.0
_symmetry_Int_Tables_number   1
loop_
 _atom_site_type_symbol
 _atom_site_label
 _atom_site_symmetry_multiplicity
 _atom_site_fract_x
 _atom_site_fract_y
 _atom_site_fract_z
 _atom_site_occupancy
  Na  Na0  1  0.0  0.0  0.0  1
  Cl  Cl1  1  0.5  0.5  0.5  1
"""


def test_structures_come_from_a_file_without_its_energies(tmp_path: Path) -> None:
    file = tmp_path / "some.csv"
    file.write_text(f'material_id,energy,cif\nmp-1,-9.0,"{CIF}"\nmp-2,-9.0,"no cif"\n')
    (found,) = compounds_of(file, frozenset({"Na", "Cl"}), 10, 3)
    assert found.source == "some mp-1"
    assert found.formula == "Cl1Na1"
    assert found.make().get_volume() == pytest.approx(3.99**3 / 2**0.5)
    assert not list(compounds_of(file, frozenset({"Na"}), 10, 3)), "Cl is not known"
    assert not list(compounds_of(file, frozenset({"Na", "Cl"}), 1, 3)), "too large"


def test_binaries_are_filled_in_where_charges_balance() -> None:
    made = {one.source: one for one in _binaries(("Na", "Mg", "Ti", "O", "N"))}
    assert "built-in rock-salt Mg O" in made
    assert "built-in rock-salt Ti N" in made
    assert "built-in rock-salt N Ti" not in made, "the same structure once more"
    assert "built-in fluorite O Na" in made, "the anti-type"
    assert not any(source.endswith("Na Mg") for source in made)


def test_every_element_of_chgnet_but_helium_has_a_crystal() -> None:
    symbols = known_elements("CHGNet")
    assert len(symbols) == 89
    found = {symbol for symbol, _, _ in elemental_crystals(symbols)}
    assert set(symbols) - found == {"He"}


def test_energies_once_known_stay(tmp_path: Path) -> None:
    cache = EnergyCache(tmp_path / "EMT.jsonl")
    cache.put("a", "relaxed", -1.5)
    cache.put("b", "relaxed", None)
    again = EnergyCache(tmp_path / "EMT.jsonl")
    assert again.get("a", "relaxed") == -1.5
    assert ("b", "relaxed") in again
    assert again.get("b", "relaxed") is None
    assert ("a", "as given") not in again
