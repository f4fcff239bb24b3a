"""The population that nobody ranks: a fold over the history, bred from members of its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator

from heuresis.records import Candidate, Observation, Prompt, Proposal
from heuresis.spaces.molecule import MoleculeSpace
from heuresis_agents.guided.history import History
from heuresis_agents.guided.population import Population
from heuresis_agents.guided.sources import Made, Parent
from heuresis_agents.proposers.guided_search import GuidedSearch

PROMPT = Prompt(island=0, epoch=0)
SPACE = MoleculeSpace(MoleculeSpace.Config(heavy_atoms=(2, 20), stereo="strip"))


def told(text: str, score: float | None) -> Observation:
    return Observation(
        candidate=Candidate.of("molecule", text),
        verdict="completed" if score is not None else "failed",
        score=score,
        bound=score,
    )


class Bred:
    """A population with its history; children are their parent's text and a number."""

    def __init__(self, size: int, founders: int) -> None:
        self.history = History()
        self.population = Population(self.history, size, founders)
        self.parents: list[str] = []

    def measured(self, text: str, score: float | None) -> None:
        self.history.observe([told(text, score)])
        self.population.judged(text, score)

    def breed(self, seed: int = 1) -> list[str]:
        self.population.breed(self._children, np.random.default_rng(seed))
        return [made.text for made in self.population.newest()]

    def _children(
        self, draw: Callable[[Generator], Parent], count: int, rng: Generator
    ) -> list[Made]:
        drawn = [draw(rng).text for _ in range(count)]
        self.parents += drawn
        return [Made(f"{text}.{place}", "child", ()) for place, text in enumerate(drawn)]


def test_only_the_first_and_their_children_are_members() -> None:
    bred = Bred(size=100, founders=3)
    for text in ("a", "b", "failed", "c", "too-late"):
        bred.measured(text, None if text == "failed" else 0.5)
    assert len(bred.population) == 3
    waiting = bred.breed()
    assert set(bred.parents) == {"a", "b", "c"}
    bred.measured("somebody-else", 0.9)
    assert len(bred.population) == 3, "what the guided search found is no member"
    bred.measured(waiting[0], 0.7)
    bred.measured(waiting[1], None)
    assert len(bred.population) == 4
    assert not {waiting[0], waiting[1]} & set(bred.breed()), "they were measured"


def test_the_best_stay_and_breed_most() -> None:
    bred = Bred(size=10, founders=30)
    for place in range(30):
        bred.measured(f"m{place}", place / 30)
    assert len(bred.population) == 10
    bred.breed()
    assert set(bred.parents) <= {f"m{place}" for place in range(20, 30)}
    assert bred.parents.count("m29") > len(bred.parents) / 2


def test_the_latest_children_come_first_and_enough_wait() -> None:
    bred = Bred(size=10, founders=1)
    bred.measured("a", 0.1)
    first = bred.breed()
    assert bred.breed(seed=2) == first, "enough wait"
    bred.measured(first[0], 0.9)
    second = bred.breed(seed=3)
    assert len(second) == len(first)
    assert second[0] not in first
    assert second[1:] == first[1:]


def searched(portions: int) -> list[Proposal]:
    """Return what is proposed on a plateau, told its history in portions."""
    settings = {
        "stages": [{"candidates": 4, "rounds": 1}],
        "unranked": {"patience": 5, "share": 1.0, "population_share": 1.0},
        "bursts": None,
    }
    proposer = GuidedSearch(GuidedSearch.Config.model_validate(settings), SPACE)
    history = [told("C" * n + end, 0.5) for n in range(2, 10) for end in ("N", "O", "F")]
    for start in range(0, len(history), portions):
        proposer.observe(history[start : start + portions])
    return proposer.propose(PROMPT, 30, np.random.default_rng(1))


def test_a_search_that_stands_still_proposes_its_children() -> None:
    proposals = searched(1)
    assert [one.operator.split(":")[0] for one in proposals] == ["population"] * 30
    assert len({one.text for one in proposals}) == 30


@pytest.mark.parametrize("portions", [5, 24])
def test_it_does_not_matter_how_the_history_is_portioned(portions: int) -> None:
    assert searched(portions) == searched(1)
