"""Moves on crystals: charges stay balanced, structure types are what they are called."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("pymatgen", reason="crystals need the extra 'crystals'")

from heuresis.errors import UserError
from heuresis.records import Candidate, Observation, Prompt, ScoredCandidate
from heuresis.spaces.crystals.composition import charge_balanced
from heuresis.spaces.crystals.geometry import shortest_contact
from heuresis.spaces.crystals.normalizer import canonical_crystal
from heuresis.spaces.crystals.rules import CrystalRules
from heuresis.spaces.crystals.space import CrystalSpace, primitive_atoms
from heuresis.spaces.crystals.text import read_text
from heuresis.spaces.molecule import MoleculeSpace
from heuresis_agents.crystal_moves import edits
from heuresis_agents.crystal_moves.ions import radius_angstrom, similar
from heuresis_agents.crystal_moves.prototypes import TEXTS, filled, prototypes, scaled_to_radii
from heuresis_agents.proposers.crystal_moves import (
    CrystalMovesConfig,
    CrystalMovesProposer,
    skeleton,
)

ROCK_SALT = read_text(TEXTS["rock-salt"])
PEROVSKITE = read_text(TEXTS["perovskite"])
ELEMENTS = ("Li", "Na", "K", "Mg", "Ca", "Sr", "Ba", "Al", "Ti", "Zr", "Nb", "F", "Cl", "O", "S")


def test_similar_ions_are_likelier() -> None:
    weights = similar("Sr", 2, ELEMENTS)
    assert "Na" not in weights, "another charge"
    assert weights["Ca"] > weights["Mg"], "strontium is large"
    assert max(weights.values()) == 1.0
    assert radius_angstrom("Na", 1) == pytest.approx(1.16)  # Shannon's crystal radius
    assert set(similar("Cl", -1, ELEMENTS)) == {"F"}


@pytest.mark.parametrize("name", TEXTS)
def test_structure_types_have_the_symmetry_that_they_state(name: str) -> None:
    crystal = read_text(TEXTS[name])
    assert canonical_crystal(crystal).number == crystal.number
    assert shortest_contact(crystal.cell())[0] > 0.7
    factor = scaled_to_radii(crystal).lattice[0] / crystal.lattice[0]
    assert 0.7 < factor < 1.4, "radii say another size than the literature"


def test_filled_types_are_neutral_and_hold_what_is_required() -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for prototype in prototypes(3, 3):
        for _ in range(3):
            made = filled(prototype, ELEMENTS, ("Li",), rng)
            if made is not None:
                counts = made.composition()
                seen.add(made.reduced_formula())
                assert "Li" in counts
                assert set(counts) <= set(ELEMENTS)
                if any(prototype.charges.values()):
                    assert charge_balanced(counts)
    assert len(seen) > 20


def test_substitution_keeps_charges_and_scales_the_cell() -> None:
    rng = np.random.default_rng(1)
    grown: Counter[str] = Counter()
    for _ in range(30):
        made = edits.substitute(ROCK_SALT, ELEMENTS, rng)
        assert made is not None
        assert charge_balanced(made.composition())
        assert made.number == 225
        grown[made.reduced_formula()] = made.lattice[0]
    assert grown["K1Cl1"] > ROCK_SALT.lattice[0] > grown["Na1F1"]


def test_cosubstitution_changes_two_charges_at_once() -> None:
    rng = np.random.default_rng(2)
    found = set()
    for _ in range(20):
        made = edits.cosubstitute(PEROVSKITE, ELEMENTS, rng)
        assert made is not None
        assert charge_balanced(made.composition())
        found.add(made.reduced_formula())
    assert "K1Nb1O3" in found or "Na1Nb1O3" in found


def test_ordering_halves_an_element_in_a_supercell() -> None:
    rng = np.random.default_rng(3)
    made = edits.order(ROCK_SALT, ELEMENTS, (3, 8), rng)
    assert made is not None
    counts = made.composition()
    assert len(counts) == 3
    assert charge_balanced(counts)
    assert 4 <= primitive_atoms(made) <= 8
    assert edits.order(ROCK_SALT, ELEMENTS, (2, 8), rng) is None, "no third element is allowed"
    assert edits.order(ROCK_SALT, ELEMENTS, (3, 3), rng) is None, "no supercell fits"


def test_primitive_cells_hold_each_atom_once() -> None:
    for name in ("rock-salt", "spinel", "corundum", "anatase", "calcite"):
        crystal = read_text(TEXTS[name])
        cell = edits.primitive(crystal)
        assert len(cell.elements) == primitive_atoms(crystal)
        whole = crystal.cell()
        ratio = np.linalg.det(whole.lattice_angstrom) / abs(np.linalg.det(cell.lattice_angstrom))
        assert ratio * len(cell.elements) == pytest.approx(len(whole.elements))


def test_transfer_takes_structure_from_one_and_elements_from_the_other() -> None:
    rng = np.random.default_rng(4)
    made = edits.transfer(read_text(TEXTS["ilmenite"]), PEROVSKITE, rng)
    assert made is not None
    assert made.number == 148
    assert made.reduced_formula() == "Sr1Ti1O3"
    assert edits.transfer(ROCK_SALT, PEROVSKITE, rng) is None


def test_a_narrow_space_is_kept() -> None:
    space = CrystalSpace(
        CrystalRules(
            elements=("Li", "Mg", "Al", "O", "F"), require_elements=("Li",),
            element_count=(3, 3), atoms=(3, 16),
        )
    )  # fmt: skip
    proposer = CrystalMovesProposer(CrystalMovesConfig(), space)
    first = proposer.propose(Prompt(island=0, epoch=0), 6, np.random.default_rng(5))
    assert len(first) == 6
    texts = [space.canonical(proposal.text) for proposal in first]
    exemplars = tuple(
        ScoredCandidate(candidate=Candidate.of("crystal", text), score=0.1 * place)
        for place, text in enumerate(texts[:3])
    )
    second = proposer.propose(
        Prompt(island=0, epoch=0, exemplars=exemplars), 12, np.random.default_rng(6)
    )
    assert any(proposal.operator.startswith("mutate:") for proposal in second)
    for proposal in second:
        assert space.canonical(proposal.text) == proposal.text


def test_what_differs_in_size_alone_is_not_proposed_beside_it() -> None:
    larger = TEXTS["rock-salt"].replace("'0'5'6'4", "'0'6'1'0")
    assert skeleton(larger) == skeleton(TEXTS["rock-salt"])
    assert skeleton(TEXTS["rutile"]) != skeleton(TEXTS["rutile"].replace("'3'0'5", "'1'9'0"))
    assert skeleton("no crystal") == "no crystal"
    space = CrystalSpace(CrystalRules(elements=("Na", "Cl"), atoms=(2, 4)))
    proposer = CrystalMovesProposer(CrystalMovesConfig(random_start=0.5), space)
    told = Observation(candidate=Candidate.of("crystal", TEXTS["rock-salt"]), verdict="failed")
    proposer.observe([told])
    proposals = proposer.propose(Prompt(island=0, epoch=0), 6, np.random.default_rng(0))
    found = [skeleton(proposal.text) for proposal in proposals]
    assert found
    assert skeleton(larger) not in found
    assert len(set(found)) == len(found)


def test_other_spaces_are_refused() -> None:
    with pytest.raises(UserError, match="crystal-moves edits crystals"):
        CrystalMovesProposer(CrystalMovesConfig(), MoleculeSpace(MoleculeSpace.Config()))
