"""Crystals under a requirement: formulas that hold exactly, and what was refused is counted."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from heuresis_models.checkpoint import load_model, model_folder
from heuresis_models.crystal_checks import CrystalChecks, Requirement, read_crystal
from heuresis_models.errors import DataError
from heuresis_models.generation import (
    FormulaPool,
    Sampling,
    checked_crystals,
    crystals_of_formulas,
    generate,
    payload,
    prompt,
)
from heuresis_models.generation.formula_walk import MOST_SITES, FormulaWalk, _fewest_tokens
from heuresis_models.generation.formulas import reduced
from heuresis_models.language.crystal_text import Crystal
from heuresis_models.language.errors import DocumentError
from heuresis_models.language.quantities import Formula
from heuresis_models.language.symmetry import WyckoffPosition, space_group
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.transformer import Transformer

ROCK_SALT = "<sg:225>'0'5'6'4{Na}|a{Cl}|b"
PEROVSKITE = "<sg:221>'0'3'9'1{Sr}|a{Ti}|b{O}|c"
RUTILE = "<sg:136>'0'4'5'9'0'2'9'6{Ti}|a{O}|f'3'0'5"
SPINEL = "<sg:227>'0'8'0'8{Mg}|a{Al}|d{O}|e'2'6'3"
BRASS = "<sg:221>'0'2'9'5{Zn}|a{Cu}|b"
SALT = Formula((("Na", 1), ("Cl", 1)))


def crystal_of(text: str) -> Crystal:
    crystal = read_crystal(text)
    assert crystal is not None
    return crystal


def walked(formula: Formula, text: str) -> FormulaWalk:
    walk = FormulaWalk.of(formula)
    vocabulary = Vocabulary.default()
    for token in vocabulary.cut(text):
        assert not walk.bans(vocabulary[token]), token
        walk.take(vocabulary[token])
    return walk


def banned(walk: FormulaWalk, *tokens: str) -> list[bool]:
    vocabulary = Vocabulary.default()
    found = [walk.bans(vocabulary[token]) for token in tokens]
    assert found == [vocabulary[token] in walk.banned for token in tokens]
    return found


@pytest.fixture(scope="module")
def base() -> Transformer:
    pytest.importorskip("pymatgen", reason="charge balance needs the extra 'crystals'")
    model, _ = load_model(model_folder("heuresis-base"))
    return model.eval()


@pytest.mark.parametrize("text", [ROCK_SALT, PEROVSKITE, RUTILE, SPINEL, BRASS])
def test_a_crystal_may_be_written_under_its_own_formula(text: str) -> None:
    formula = reduced(crystal_of(text).composition())
    backwards = Formula(tuple(reversed(formula.counts)))
    for given in (formula, backwards):
        walk = walked(given, text)
        assert banned(walk, "</crystal>") == [False]


def test_what_leads_away_from_the_formula_is_banned() -> None:
    begun = walked(SALT, "<sg:225>'0'5'6'4")
    assert banned(begun, "{Cl}", "{K}", "</crystal>", "{Na}") == [True, True, True, False]
    sodium = walked(SALT, "<sg:225>'0'5'6'4{Na}")
    # Group 225 has 4 sites on a and b, 8 on c: eight of Na on c leave a and b for eight of Cl.
    assert banned(sodium, "|a", "|c", "{Cl}", "</crystal>") == [False, False, True, True]
    both = walked(SALT, "<sg:225>'0'5'6'4{Na}|a|b")
    # Eight of Na are complete: a third position would make twelve, but is open to e and f.
    assert banned(both, "{Cl}", "</crystal>") == [False, True]
    chloride = walked(SALT, "<sg:225>'0'5'6'4{Na}|a{Cl}")
    assert banned(chloride, "|b", "|c", "|e", "{F}") == [False, True, True, True]
    # A group whose smallest position has two sites gives no cell with one odd atom of each.
    odd = Formula((("Na", 1), ("Cl", 1)))
    walk = walked(odd, "<sg:2>'0'5'0'0'0'5'0'0'0'5'0'0'0'9'0'0'0'9'0'0'0'9'0'0{Na}|a")
    assert banned(walk, "{Cl}", "|b", "|i") == [False, False, False]


def test_a_space_group_without_room_for_the_formula_is_banned() -> None:
    # Elements compete for positions that can be taken once: group 230 has 16 (a, b), 24 (c, d),
    # then 32 (e) and more. One of Na beside thirty of Cl needs 16 and 480.
    walk = FormulaWalk.of(Formula((("Na", 1), ("Cl", 30))))
    assert banned(walk, "<sg:230>", "<sg:2>") == [True, False]


def test_the_look_ahead_agrees_with_trying_every_set_of_positions() -> None:
    """Needs that three positions cover, however small; so trying up to three is exhaustive."""
    rng = np.random.default_rng(2)
    agreed = set()
    for number in (2, 12, 62, 123, 194, 221, 227):
        positions = space_group(number).positions
        for _ in range(6):
            most = 3 * min(position.multiplicity for position in positions)
            needs = tuple(int(n) for n in rng.integers(1, most + 1, size=2))
            ways = [_ways(positions, need) for need in needs]
            costs = [
                sum(1 + 3 * position.free for position in one + other)
                for one, other in itertools.product(*ways)
                if not {p.letter for p in one if not p.free} & {p.letter for p in other}
            ]
            found = _fewest_tokens(number, 0, "", needs)
            if costs:
                # The token of the second element counts, too.
                assert found == min(costs) + 1, (number, needs)
            agreed.add(bool(costs))
    assert agreed == {True, False}


def _ways(positions: tuple[WyckoffPosition, ...], sites: int) -> list[tuple[WyckoffPosition, ...]]:
    found = []
    for size in (1, 2, 3):
        for chosen in itertools.combinations_with_replacement(positions, size):
            single = [p.letter for p in chosen if not p.free]
            if sum(p.multiplicity for p in chosen) == sites and len(single) == len(set(single)):
                found.append(chosen)
    return found


def test_a_formula_that_no_cell_holds_is_refused() -> None:
    with pytest.raises(DocumentError, match="at most 208 atoms"):
        prompt("crystal", conditions=[Formula((("Na", MOST_SITES + 1),))], exact_formula=True)
    with pytest.raises(DocumentError, match="one Formula"):
        prompt("crystal", exact_formula=True)
    with pytest.raises(DocumentError, match="needs a crystal"):
        prompt("molecule", conditions=[SALT], exact_formula=True)


@pytest.mark.parametrize("exact_probabilities", [False, True])
def test_any_model_writes_an_exact_formula(
    random_model: Transformer, exact_probabilities: bool
) -> None:
    """Even random weights: the mask alone leads to the formula, whatever the model wants."""
    formulas = [SALT, Formula((("Sr", 1), ("Ti", 1), ("O", 3))), Formula((("Al", 2), ("O", 3)))]
    prompts = [prompt("crystal", conditions=[f], exact_formula=True) for f in formulas] * 2
    settings = Sampling(restarts=1, exact_probabilities=exact_probabilities)
    samples = generate(random_model, prompts, np.random.default_rng(1), settings)
    right = []
    for sample, formula in zip(samples, formulas * 2, strict=True):
        assert (sample.log_probability is not None) == exact_probabilities
        crystal = crystal_of(payload(sample.tokens, "crystal"))
        # The elements are certain; a count can be missed where random digits use up a position.
        assert {o.element for o in crystal.orbits} == {symbol for symbol, _ in formula.counts}
        right.append(reduced(crystal.composition()) == formula)
    assert sum(right) >= 4


def test_what_is_kept_passes_and_what_is_refused_is_counted(base: Transformer) -> None:
    found = checked_crystals(base, 4, np.random.default_rng(0), Requirement.BALANCED)
    assert len(found.crystals) == len(found.samples) == 4
    assert found.missing == 0
    for crystal, sample in zip(found.crystals, found.samples, strict=True):
        assert CrystalChecks(crystal).fault(Requirement.BALANCED) is None
        assert payload(sample.tokens, "crystal") == crystal.payload()
    assert found.drawn == found.passed + sum(found.refused.values())
    assert found.acceptance == found.passed / found.drawn


def test_the_limit_of_tries_is_kept_and_said(base: Transformer) -> None:
    found = checked_crystals(base, 12, np.random.default_rng(1), tries=1)
    assert found.drawn == 12
    assert found.missing == 12 - found.passed > 0
    assert set(found.refused) <= {"sites too close", "charges do not balance"}
    nothing = checked_crystals(base, 0, np.random.default_rng(1))
    with pytest.raises(DataError, match="no crystal was asked for"):
        _ = nothing.acceptance


def test_each_formula_gets_its_crystal_or_none(base: Transformer) -> None:
    formulas = [SALT, Formula((("O", 2), ("Ti", 1))), Formula((("O", 3), ("Ca", 1), ("Ti", 1)))]
    placed, found = crystals_of_formulas(base, formulas, np.random.default_rng(4), tries=3)
    assert "another formula" not in found.refused
    assert found.missing == placed.count(None)
    for crystal, formula in zip(placed, formulas, strict=True):
        if crystal is not None:
            assert reduced(crystal.composition()) == reduced(dict(formula.counts))
    assert any(crystal is not None for crystal in placed)


def test_a_pool_draws_known_formulas_and_makes_new_ones() -> None:
    pytest.importorskip("pymatgen", reason="charge balance needs the extra 'crystals'")
    from heuresis_models.composition import charge_balanced

    crystals = [crystal_of(text) for text in (ROCK_SALT, ROCK_SALT, ROCK_SALT, PEROVSKITE, BRASS)]
    pool = FormulaPool(crystals)
    assert pool.counts == {SALT: 3, reduced({"Sr": 1, "Ti": 1, "O": 3}): 1}
    drawn = pool.known(200, np.random.default_rng(0))
    assert 120 < drawn.count(SALT) < 180
    assert set(drawn) == set(pool.counts)
    new = pool.substituted(40, np.random.default_rng(0))
    assert new == pool.substituted(40, np.random.default_rng(0))
    for formula in new:
        assert formula not in pool.counts
        assert charge_balanced(dict(formula.counts))
        # One element differs from a known formula, at the same place in the counts.
        assert any(
            len({s for s, _ in formula.counts} ^ {s for s, _ in known.counts}) == 2
            and sorted(n for _, n in formula.counts) == sorted(n for _, n in known.counts)
            for known in pool.counts
        )
    assert len(set(new)) > 20
    with pytest.raises(DataError, match="no charge-balanced formula"):
        FormulaPool([crystal_of(BRASS)])
