from __future__ import annotations

import numpy as np
import pytest

from heuresis_models.language import Crystal, CrystalTextError, Orbit, Vocabulary
from heuresis_models.language.crystal_text import Cell, parse_payload
from heuresis_models.language.symmetry import crystal_family, parse_triplet, space_group

RUTILE = Crystal(136, (459, 296), (Orbit("Ti", "a"), Orbit("O", "f", (305,))))
QUARTZ = Crystal(154, (491, 540), (Orbit("Si", "a", (470,)), Orbit("O", "c", (413, 267, 119))))
TRICLINIC = Crystal(
    2, (512, 634, 701, 885, 1021, 934), (Orbit("Na", "i", (123, 456, 789)), Orbit("Cl", "a"))
)


@pytest.mark.parametrize("crystal", [RUTILE, QUARTZ, TRICLINIC])
def test_payload_and_record_are_inverse(crystal: Crystal) -> None:
    assert parse_payload(Vocabulary.default().cut(crystal.payload())) == crystal


def test_expansion_follows_the_international_tables() -> None:
    cell = RUTILE.cell()
    assert cell.elements == ("Ti", "Ti", "O", "O", "O", "O")
    assert np.allclose(np.diag(cell.lattice_angstrom), [4.59, 4.59, 2.96])
    oxygen = {tuple(np.round(site, 3)) for site in cell.coordinates[2:]}
    assert oxygen == {(0.305, 0.305, 0), (0.695, 0.695, 0), (0.195, 0.805, 0.5),
                      (0.805, 0.195, 0.5)}  # fmt: skip
    assert RUTILE.reduced_formula() == "Ti1O2"
    assert QUARTZ.composition() == {"Si": 3, "O": 6}


@pytest.mark.parametrize(
    ("crystal", "message"),
    [
        (Crystal(225, (564, 564), (Orbit("Na", "a"),)), "free lattice parameters a"),
        (Crystal(225, (0,), (Orbit("Na", "a"),)), "close no cell"),
        (Crystal(2, (500, 500, 500, 300, 300, 1500), (Orbit("Na", "a"),)), "close no cell"),
        (Crystal(225, (564,), (Orbit("Na", "e", (0,)),)), "more special position"),
        (Crystal(225, (564,), (Orbit("Na", "e", (1,)),)), "closer than"),
        (Crystal(225, (564,), ()), "at least one site"),
    ],
)
def test_what_is_no_crystal_is_refused(crystal: Crystal, message: str) -> None:
    with pytest.raises(CrystalTextError, match=message):
        crystal.cell()


def test_lengths_beyond_the_digits_are_refused() -> None:
    with pytest.raises(CrystalTextError, match="more than 4 digits"):
        Crystal(225, (10_000,), (Orbit("Na", "a"),)).payload()
    with pytest.raises(CrystalTextError, match="has no Wyckoff position 'z'"):
        parse_payload(Vocabulary.default().cut("<sg:225>'0'5'6'4{Na}|z"))
    with pytest.raises(ValueError, match="1 to 230"):
        crystal_family(231)


def test_positions_of_all_groups_are_consistent() -> None:
    positions = 0
    for number in range(1, 231):
        group = space_group(number)
        order = len(group.rotations)
        assert group.positions[-1].free == 3
        assert group.positions[-1].multiplicity == order
        for position in group.positions:
            point = position.coordinates(np.array([0.137, 0.279, 0.461])[: position.free])
            images = np.round(group.images(point) * 1e6).astype(int) % 1_000_000
            assert len(np.unique(images, axis=0)) == position.multiplicity, (number, position)
            found = position.parameters(point % 1.0, 1e-9)
            assert found is not None
            assert np.allclose(found, np.array([0.137, 0.279, 0.461])[: position.free])
            positions += 1
    assert positions == 1731


def test_triplets() -> None:
    matrix, vector = parse_triplet("-y+1/2,x-y,2x")
    assert matrix.tolist() == [[0, -1, 0], [1, -1, 0], [2, 0, 0]]
    assert vector.tolist() == [0.5, 0, 0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_operations_are_those_of_spglib() -> None:
    spglib = pytest.importorskip("spglib", reason="needs the extra 'crystals'")
    for number in range(1, 231):
        group = space_group(number)
        known = spglib.get_symmetry_from_database(group.hall_number)
        theirs = {
            (*rotation.ravel().tolist(), *(np.round(translation * 24).astype(int) % 24).tolist())
            for rotation, translation in zip(known["rotations"], known["translations"], strict=True)
        }
        ours = {
            (*rotation.astype(int).ravel().tolist(),
             *(np.round(translation * 24).astype(int) % 24).tolist())
            for rotation, translation in zip(group.rotations, group.translations, strict=True)
        }  # fmt: skip
        assert ours == theirs, number


@pytest.mark.parametrize("crystal", [RUTILE, QUARTZ, TRICLINIC])
def test_structure_and_back_is_stable_within_the_stated_precision(crystal: Crystal) -> None:
    pytest.importorskip("pymatgen.core", reason="needs the extra 'crystals'")
    from heuresis_models.language.crystals import from_structure, is_stable, to_structure

    structure = to_structure(crystal)
    written = from_structure(structure)
    assert is_stable(written)
    again = to_structure(written)
    assert written.number == crystal.number
    assert again.composition.reduced_formula == structure.composition.reduced_formula
    assert again.volume == pytest.approx(structure.volume, rel=5e-3)
    # A doubled cell of the same crystal is the same text.
    doubled = structure.copy()
    doubled.make_supercell([2, 1, 1])
    assert from_structure(doubled) == written


def test_a_cif_without_what_we_need_is_refused() -> None:
    from heuresis_models.language.crystals import read_p1_cif

    with pytest.raises(CrystalTextError, match="cell parameters"):
        read_p1_cif("data_x\n")
    with pytest.raises(CrystalTextError, match="P 1"):
        read_p1_cif("_symmetry_Int_Tables_number   225\n")


def test_sites_on_top_of_each_other_are_no_crystal() -> None:
    pytest.importorskip("spglib", reason="needs the extra 'crystals'")
    from heuresis_models.language.crystals import crystal_of

    cell = Cell(np.eye(3) * 4.0, np.zeros((2, 3)), ("Na", "Na"))
    with pytest.raises(CrystalTextError, match="on top of each other"):
        crystal_of(cell)
