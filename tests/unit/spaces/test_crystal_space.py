"""Crystals: one text for one crystal, refusals, features, pictures."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

pytest.importorskip("pymatgen", reason="the space of crystals needs the extra 'crystals'")

from heuresis.errors import InvalidCandidate
from heuresis.ports import Featured
from heuresis.spaces.crystals.errors import CrystalTextError
from heuresis.spaces.crystals.geometry import nearest_distances, neighbours, shortest_contact
from heuresis.spaces.crystals.normalizer import canonical_crystal, normalizer
from heuresis.spaces.crystals.rules import CrystalRules
from heuresis.spaces.crystals.space import CrystalSpace, primitive_atoms
from heuresis.spaces.crystals.standard import crystal_of
from heuresis.spaces.crystals.structures import same_structure, to_structure
from heuresis.spaces.crystals.symmetry import space_group
from heuresis.spaces.crystals.text import Cell, Crystal, read_text

ROCK_SALT = "<sg:225>'0'5'6'4{Na}|a{Cl}|b"
QUARTZ = "<sg:152>'0'4'9'1'0'5'4'0{Si}|a'4'7'0{O}|c'4'1'3'2'6'6'1'1'9"
CRYSTALS = {
    "rock salt": ROCK_SALT,
    "perovskite": "<sg:221>'0'3'9'1{Sr}|a{Ti}|b{O}|c",
    "half-Heusler": "<sg:216>'0'5'9'3{Zr}|a{Ni}|c{Sn}|b",
    "rutile": "<sg:136>'0'4'5'9'0'2'9'6{Ti}|a{O}|f'3'0'5",
    "quartz": QUARTZ,
    "wurtzite": "<sg:186>'0'3'8'2'0'6'2'6{Zn}|b'0'0'0{S}|b'3'7'5",
    "calcite": "<sg:167>'0'4'9'9'1'7'0'6{Ca}|b{C}|a{O}|e'2'5'7",
    "olivine": "<sg:62>'1'0'2'0'0'5'9'8'0'4'7'6{Mg}|a|c'2'7'7'9'9'1{Si}|c'0'9'4'4'2'6"
    "{O}|c'0'9'1'7'6'6|c'4'4'7'2'2'2|d'1'6'3'0'3'3'2'7'7",
    "baddeleyite": "<sg:14>'0'5'1'5'0'5'2'1'0'5'3'2'0'9'9'2{Zr}|e'2'7'5'0'3'9'2'0'8"
    "{O}|e'0'7'0'3'3'2'3'4'5|e'4'5'0'7'5'7'4'7'9",
}


def redescribed(crystal: Crystal, rng: np.random.Generator) -> Cell:
    """The same crystal in another basis, about another origin, its sites in another order."""
    cell = crystal.cell()
    basis = np.eye(3)
    while np.array_equal(basis, np.eye(3)) or round(abs(np.linalg.det(basis))) != 1:
        basis = rng.integers(-1, 2, (3, 3)).astype(float)
    order = rng.permutation(len(cell.elements))
    # Origins on the grid of the text: another one would be rounded differently, site by site.
    origin = rng.integers(0, 24, 3) / 24
    points = (cell.coordinates + origin) @ np.linalg.inv(basis) % 1.0
    return Cell(
        basis @ cell.lattice_angstrom, points[order], tuple(cell.elements[i] for i in order)
    )


@pytest.mark.parametrize("name", CRYSTALS)
def test_another_basis_and_origin_give_the_same_text(name: str) -> None:
    crystal = canonical_crystal(read_text(CRYSTALS[name]))
    rng = np.random.default_rng(5)
    for _ in range(3):
        again = canonical_crystal(crystal_of(redescribed(crystal, rng)))
        assert again.payload() == crystal.payload()


def test_the_canonical_text_is_the_same_structure() -> None:
    for text in (QUARTZ, CRYSTALS["wurtzite"], CRYSTALS["half-Heusler"]):
        crystal = read_text(text)
        assert same_structure(crystal, canonical_crystal(crystal))
    assert not same_structure(read_text(ROCK_SALT), read_text(CRYSTALS["rutile"]))
    caesium_chloride = read_text("<sg:221>'0'3'5'0{Na}|a{Cl}|b")
    assert not same_structure(read_text(ROCK_SALT), caesium_chloride)


@pytest.mark.parametrize("number", [2, 14, 19, 62, 63, 122, 160, 167, 194, 216, 227])
def test_maps_of_the_normalizer_keep_the_group(number: int) -> None:
    group = space_group(number)
    point = np.array([0.137, 0.291, 0.433])

    def sites(images: np.ndarray) -> set[tuple[int, ...]]:
        return {tuple(row) for row in (np.round(images % 1.0 * 1e5) % 1e5).astype(int).tolist()}

    maps = normalizer(number)
    assert np.array_equal(maps[0].matrix, np.eye(3))
    assert not maps[0].shift.any()
    for matrix, shift in maps:
        moved = group.images(point) @ matrix.T + shift
        images = group.images(matrix @ point + shift)
        apart = moved[:, None] - images[None]
        apart -= np.round(apart)
        assert np.abs(apart).max(axis=2).min(axis=1).max() < 1e-6
    descriptions = {tuple(sorted(sites(group.images(m @ point + s)))) for m, s in maps}
    assert len(descriptions) == len(maps), "two maps describe alike"


def test_symmetry_written_too_low_is_found() -> None:
    simple_cube = read_text("<sg:221>'0'5'6'4{Na}|a|c{Cl}|b|d")
    assert canonical_crystal(simple_cube).payload() == ROCK_SALT
    assert primitive_atoms(read_text(ROCK_SALT)) == 2
    assert primitive_atoms(read_text("<sg:227>'0'8'0'8{Mg}|a{Al}|d{O}|e'2'6'2")) == 14


def test_distances_see_across_the_cell() -> None:
    cell = read_text(ROCK_SALT).cell()
    distances = nearest_distances(cell)
    assert distances.shape == (8, 8)
    assert distances.min() == pytest.approx(2.82)
    assert np.diag(distances) == pytest.approx([5.64] * 8)
    ratio, *pair, distance = shortest_contact(cell)
    assert sorted(pair) == ["Cl", "Na"]
    assert distance == pytest.approx(2.82)
    assert ratio == pytest.approx(2.82 / (1.66 + 1.02))
    assert [len(near) for near in neighbours(cell, 1.1)][4:] == [6] * 4


def test_features_know_the_crystal_not_its_writing() -> None:
    space = CrystalSpace(CrystalRules(charges="any"))
    assert isinstance(space, Featured)
    features = space.features([ROCK_SALT, "<sg:221>'0'5'6'4{Na}|a|c{Cl}|b|d"], space.feature_blocks)
    first, second = (features.counts["environments"].row(i) for i in (0, 1))
    assert [part.tolist() for part in first] == [part.tolist() for part in second]
    named = dict(zip(features.names, features.descriptors[0], strict=True))
    assert named["density_g_per_cm3"] == pytest.approx(2.163, abs=0.01)  # halite, measured 2.16
    assert named["atoms"] == 2
    others = space.features([CRYSTALS["rutile"], QUARTZ], ("composition", "prototype"))
    assert np.isfinite(others.descriptors).all()
    with pytest.raises(InvalidCandidate):
        space.features(["salt"])


def test_pictures_name_the_crystal() -> None:
    space = CrystalSpace(CrystalRules())
    assert "NaCl  Fm-3m (225)" in space.depict(ROCK_SALT)
    assert space.depict(ROCK_SALT).count("<circle") == 27 + 2
    assert space.depict_png(ROCK_SALT).startswith(b"\x89PNG")


def test_structures_of_pymatgen_have_the_density_of_the_text() -> None:
    assert float(to_structure(read_text(ROCK_SALT)).density) == pytest.approx(2.163, abs=0.01)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"elements": ["Na", "Xx"]}, "'Xx' is no element"),
        ({"elements": ["Na", "Cl"], "require_elements": ["O"]}, "O is required"),
        ({"atoms": [9, 3]}, r"atoms expects \[lowest, highest\]"),
        ({"elements": ["Na"], "element_count": [2, 3]}, "only 1 are allowed"),
        ({"space_groups": [1, 231]}, "less than or equal to 230"),
    ],
)
def test_impossible_rules_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CrystalRules(**settings)


def test_reading_says_where_it_stopped() -> None:
    with pytest.raises(CrystalTextError, match="position 12"):
        read_text("<sg:225>'0'5" + "6'4{Na}|a")
