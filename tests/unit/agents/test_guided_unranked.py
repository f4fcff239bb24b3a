"""Guided search on a plateau: most proposals are children of the best as they come."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from heuresis.records import Candidate, Observation, Prompt, Proposal
from heuresis.spaces.molecule import MoleculeSpace
from heuresis_agents.guided.excursion import Excursion, rows_of
from heuresis_agents.guided.history import History, even_log_rank
from heuresis_agents.guided.settings import BurstSettings
from heuresis_agents.proposers.guided_search import GuidedSearch

SPACE = MoleculeSpace(MoleculeSpace.Config(heavy_atoms=(2, 20), stereo="strip"))
PROMPT = Prompt(island=0, epoch=0)
RINGS = ["C1CCNCC1", "c1ccccc1", "c1ccncc1", "C1CCOC1", "c1ccoc1", "Cc1ccccc1", "NC1CCCC1"]
START = ["CCCCN", "CCCCO", "CCCCCN", "CCCCCO"]


def told(text: str, score: float) -> Observation:
    candidate = Candidate.of("molecule", text)
    return Observation(candidate=candidate, verdict="completed", score=score, bound=score)


def search(settings: dict[str, Any], calls: int, score: Any) -> list[Proposal]:
    few = {"stages": [{"candidates": 10, "rounds": 2}], "control_share": 0.0, "bursts": None}
    proposer = GuidedSearch(GuidedSearch.Config(**{**few, **settings}), SPACE)
    proposer.observe([told(text, score(text)) for text in START])
    proposals = []
    for ask in range(calls):
        (one,) = proposer.propose(PROMPT, 1, np.random.default_rng(ask))
        proposer.observe([told(one.text, score(one.text))])
        proposals.append(one)
    return proposals


def unranked(proposals: list[Proposal]) -> list[Proposal]:
    whose = ("unranked:", "population:")
    return [one for one in proposals if one.operator.startswith(whose)]


def test_the_share_of_unranked_proposals_is_kept_while_the_search_stands_still() -> None:
    proposals = search({"unranked": {"patience": 20, "share": 0.5}}, 100, score=lambda _: 0.5)
    # Four were measured before, and a gain of nothing is seen once there is a twenty-first.
    assert not unranked(proposals[:17])
    assert 25 <= len(unranked(proposals[17:])) <= 58
    known = {Candidate.of("molecule", text).id for text in START}
    for one in proposals:
        assert set(one.parents) <= known
        known.add(Candidate.of("molecule", one.text).id)
    texts = [one.text for one in proposals] + START
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(
    ("settings", "score"),
    [
        ({"unranked": None}, lambda _: 0.5),
        # A control arm chooses evenly from the pool, always.
        ({"unranked": {"patience": 20}, "ranking": False}, lambda _: 0.5),
        # Something is gained all the time.
        ({"unranked": {"patience": 20}}, lambda text: 0.01 * len(text)),
    ],
)
def test_all_comes_from_the_pool_while_the_search_gains_or_when_told_to(
    settings: dict[str, Any], score: Any
) -> None:
    assert not unranked(search(settings, 60, score))


def test_several_at_once_are_divided_and_none_is_given_twice() -> None:
    proposer = GuidedSearch(GuidedSearch.Config(unranked={"patience": 5, "share": 0.5}), SPACE)
    proposer.observe([told("C" * n, 0.5) for n in range(3, 17)])
    proposals = proposer.propose(PROMPT, 40, np.random.default_rng(1))
    assert len(proposals) == 40
    assert 10 <= len(unranked(proposals)) <= 30
    assert len({one.text for one in proposals}) == 40


def test_a_stand_still_is_told_by_the_ten_best() -> None:
    history = History()
    for place in range(30):
        history.observe([told("C" * (place + 1), 0.1 if place < 20 else 0.9)])
        if place < 5:
            assert not history.stands_still(5, 1e-3), "too early to tell"
    assert not history.stands_still(5, 1e-3)
    for place in range(6):
        history.observe([told("N" * (place + 1), 0.5)])
    assert history.stands_still(5, 1e-3)


HEXANE = SPACE.features(["CCCCCC"], ("morgan",))
PHENOL = SPACE.features(["Oc1ccccc1"], ("morgan",))


def test_what_lies_elsewhere_says_nothing_of_the_pace_of_an_excursion() -> None:
    settings = BurstSettings(pace=5, reach=20)
    excursion = Excursion("morgan", rows_of(PHENOL, "morgan"), 0.5)
    for place in range(20):
        excursion.measured(HEXANE if place % 4 == 0 else PHENOL, place, 0.5, own=False)
        assert not excursion.is_over(settings, 0.9), "only five were from here"
        assert not excursion.stands_still(5, 1e-3)
    assert len(excursion) == 5
    excursion.measured(PHENOL, 20, 0.5, own=True)
    assert excursion.stands_still(5, 1e-3)
    assert excursion.is_over(settings, 0.9), "it stands still"


def test_an_excursion_that_never_gets_a_turn_ends() -> None:
    excursion = Excursion("morgan", rows_of(PHENOL, "morgan"), 0.5)
    lasted = 0
    while not excursion.is_over(BurstSettings(pace=5, reach=20), 0.9):
        excursion.measured(PHENOL, lasted, 0.5, own=False)
        lasted += 1
    assert lasted == 26


def test_parents_of_unranked_children_are_among_the_best() -> None:
    settings = {"patience": 5, "share": 1.0, "parents": 10, "population_share": 0}
    proposer = GuidedSearch(GuidedSearch.Config(unranked=settings), SPACE)
    chains = ["C" * n + "N" * m for n in range(3, 10) for m in range(1, 5)]
    # The best come last, which is a gain, and then nothing is for a while.
    best = ["C" * n + "O" for n in range(3, 13)]
    late = ["C" * n + "S" for n in range(3, 13)]
    scores = dict.fromkeys(chains, 0.1) | dict.fromkeys(best, 0.9) | dict.fromkeys(late, 0.1)
    proposer.observe([told(text, score) for text, score in scores.items()])
    proposals = unranked(proposer.propose(PROMPT, 40, np.random.default_rng(1)))
    assert len(proposals) == 40
    known = {Candidate.of("molecule", text).id for text in best}
    parents = {parent for one in proposals for parent in one.parents}
    assert parents <= known
    assert len(parents) >= 5


def test_ranks_are_even_on_a_logarithmic_scale() -> None:
    rng = np.random.default_rng(1)
    ranks = np.array([even_log_rank(100, rng) for _ in range(6000)])
    for within in (ranks < 1, (ranks >= 1) & (ranks < 10), ranks >= 10):
        assert within.mean() == pytest.approx(1 / 3, abs=0.03)
    assert ranks.max() <= 99
    assert even_log_rank(1, rng) == 0


def excursions(calls: int) -> Iterator[tuple[int, Excursion | None, Proposal, GuidedSearch]]:
    """Yield, call by call, where a search is that never gains, and what it proposes."""
    settings: dict[str, Any] = {
        "stages": [{"candidates": 10}],
        "control_share": 0.0,
        "unranked": {"patience": 5, "share": 1.0},
        "bursts": {"patience": 12, "length": 4, "most_alike": 0.6, "pace": 20, "reach": 20},
    }
    proposer = GuidedSearch(GuidedSearch.Config.model_validate(settings), SPACE)
    proposer.observe([told(text, 0.5) for text in [*START, *RINGS]])
    for call in range(calls):
        excursion = proposer._excursion
        (one,) = proposer.propose(PROMPT, 1, np.random.default_rng(call))
        yield call, excursion, one, proposer
        proposer.observe([told(one.text, 0.5)])


def test_an_excursion_that_stands_still_gets_unranked_children_of_its_own() -> None:
    met = 0
    for _, excursion, one, proposer in excursions(60):
        if excursion is None or not excursion.stands_still(5, 1e-3):
            continue
        met += 1
        assert one.operator.startswith("unranked:"), "not of the population: it is not from here"
        members = {
            proposer.history.at(excursion.ranked(rank)).candidate.id
            for rank in range(len(excursion))
        }
        assert set(one.parents) <= members
        assert excursion.allows(SPACE.features([one.text], ("morgan",))).all()
    assert met > 5


def test_the_search_stays_at_home_as_long_as_its_last_excursion_lasted() -> None:
    spells: list[tuple[bool, int]] = []
    for _, excursion, _, _ in excursions(150):
        away = excursion is not None
        if spells and spells[-1][0] == away:
            spells[-1] = (away, spells[-1][1] + 1)
        else:
            spells.append((away, 1))
    assert len(spells) >= 5
    for (was_away, lasted), (_, stayed) in pairwise(spells[:-1]):
        if was_away:
            assert lasted > 4
            assert stayed >= lasted
