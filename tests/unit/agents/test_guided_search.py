"""Guided search: who becomes parent, what is chosen, what is never proposed again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import ValidationError
from rdkit.Chem import MolFromSmiles
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from rdkit.DataStructs import TanimotoSimilarity

from heuresis.campaign.resolve import load_campaign
from heuresis.errors import SpecError, UserError
from heuresis.records import Candidate, Observation, Prompt, Proposal, ScoredCandidate
from heuresis.spaces.features import Features
from heuresis.spaces.molecule import MoleculeSpace
from heuresis_agents.guided.choice import Choosing, Taken, choices
from heuresis_agents.guided.excursion import Excursion, rows_of
from heuresis_agents.guided.history import History, log_rank
from heuresis_agents.guided.settings import BurstSettings, GuidedSearchConfig
from heuresis_agents.proposers.guided_search import GuidedSearch
from heuresis_models.gaussian_process import Posterior

SPACE = MoleculeSpace(MoleculeSpace.Config(heavy_atoms=(2, 30), stereo="strip"))
PROMPT = Prompt(island=0, epoch=0)
FEW: dict[str, Any] = {"stages": [{"candidates": 8, "rounds": 2}], "control_share": 0.0}


def told(text: str, score: float | None, verdict: Any = "completed") -> Observation:
    candidate = Candidate.of("molecule", text)
    return Observation(candidate=candidate, verdict=verdict, score=score, bound=score)


def likeness(text: str) -> float:
    """An easy score: similarity to one molecule."""
    generator = GetMorganGenerator(radius=2)
    target, other = (
        generator.GetCountFingerprint(MolFromSmiles(one)) for one in ("CC(=O)Nc1ccc(OCCN)cc1", text)
    )
    return float(TanimotoSimilarity(target, other))


@pytest.fixture
def library(tmp_path: Path) -> str:
    path = tmp_path / "library.smi"
    ends = ("N", "O", "F", "C#N", "C(N)=O", "NC", "OCC", "c1ccncc1")
    path.write_text("\n".join(f"{'C' * n}{end}" for n in range(1, 30) for end in ends))
    return str(path)


def search(config: dict[str, Any], calls: int, count: int = 4) -> tuple[GuidedSearch, list[Any]]:
    proposer = GuidedSearch(GuidedSearch.Config(**config), SPACE)
    proposals: list[Any] = []
    while len(proposals) < calls:
        new = proposer.propose(PROMPT, count, np.random.default_rng(len(proposals)))
        assert new
        proposer.observe([told(one.text, likeness(one.text)) for one in new])
        proposals += new
    return proposer, proposals


def test_it_draws_then_ranks_the_library_then_makes_its_own(library: str) -> None:
    start = {"file": library, "random": 6, "ranked": 150, "until": 24}
    _, proposals = search({**FEW, "library": start}, 48)
    operators = [one.operator for one in proposals]
    assert set(operators[:8]) == {"draw"}
    assert set(operators[8:24]) == {"library"}
    assert not {"draw", "library"} & set(operators[24:])
    scores = [likeness(one.text) for one in proposals]
    assert np.mean(scores[8:24]) > np.mean(scores[:8])
    assert np.mean(scores[36:]) > np.mean(scores[8:24])
    texts = [one.text for one in proposals]
    assert len(set(texts)) == len(texts)
    # However many edits lie between, parents are candidates that were measured.
    measured: set[str] = set()
    for place, one in enumerate(proposals):
        if place % 4 == 0:
            measured |= {Candidate.of("molecule", text).id for text in texts[:place]}
        assert set(one.parents) <= measured


def test_ranking_is_worth_something_against_choosing_evenly() -> None:
    def best(ranking: bool) -> float:
        _, proposals = search({**FEW, "ranking": ranking}, 40)
        return float(np.mean(sorted(likeness(one.text) for one in proposals)[-10:]))

    assert best(True) > best(False)


def test_failures_are_known_but_neither_zeros_nor_parents(library: str) -> None:
    proposer = GuidedSearch(GuidedSearch.Config(**FEW, library={"file": library}), SPACE)
    proposer.observe([told("CCN", None, "failed"), told("CCO", None, "infeasible")])
    assert proposer.history.scored == 0
    assert proposer.history.known == {"CCN", "CCO"}
    proposals = proposer.propose(PROMPT, 200, np.random.default_rng(1))
    assert {one.operator for one in proposals} == {"draw"}
    assert not {"CCN", "CCO"} & {one.text for one in proposals}
    proposer.observe([told("CCF", 0.3), told("CCCN", None, "dropped")])
    assert len(proposer._fed()) == 1


def test_a_space_without_features_is_refused_in_plain_words() -> None:
    class Strings:
        kind: ClassVar[str] = "strings"
        Config: ClassVar[Any] = MoleculeSpace.Config

        def canonical(self, text: str) -> str:
            return text

        def depict(self, text: str) -> str:
            return text

    with pytest.raises(UserError, match="'strings' offers none"):
        GuidedSearch(GuidedSearch.Config(), Strings())
    roles = {"covariance": {"counts": {"rolls": 0.6}}}
    with pytest.raises(UserError, match="'rolls'"):
        GuidedSearch(GuidedSearch.Config(surrogate=roles), SPACE)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sources": [{"kind": "grph-moves"}]}, "did you mean 'graph-moves'"),
        ({"sources": [{"kind": "guided-search"}]}, "a source of itself"),
        ({"sources": [{"kind": "graph-moves", "settings": {"temperature": 1}}]}, "temperature"),
        ({"library": {"file": "/nowhere.smi"}}, "there is no library"),
        ({"stages": [{"until": 10, "candidates": 5}]}, "none in the last"),
        ({"beta_exponents": [0.0, -2.0]}, "rising"),
    ],
)
def test_what_is_wrong_in_the_settings_is_said_at_check_time(
    settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        GuidedSearchConfig(**settings)


class Shapes:
    """A space of words, to show that nothing here is about molecules."""

    kind: ClassVar[str] = "shapes"
    Config: ClassVar[Any] = MoleculeSpace.Config
    feature_blocks: ClassVar[tuple[str, ...]] = ("letters",)

    def canonical(self, text: str) -> str:
        return text

    def depict(self, text: str) -> str:
        return text

    def features(self, texts: Sequence[str], blocks: Sequence[str] = ("letters",)) -> Features:
        from heuresis.spaces.features import SparseCounts

        rows = []
        for text in texts:
            places = sorted({ord(letter) % 32 for letter in text})
            counts = [sum(ord(letter) % 32 == place for letter in text) for place in places]
            rows.append((np.array(places, np.int32), np.array(counts, np.int32)))
        length = np.array([[float(len(text))] for text in texts]).reshape(len(texts), 1)
        return Features({"letters": SparseCounts.of(rows, 32)}, length, ("length",))


def test_any_space_with_features_and_a_source_will_do(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    rng = np.random.default_rng(3)
    words = {"".join(rng.choice(list("abcdef"), 6)) for _ in range(300)}
    path.write_text("\n".join(sorted(words)))
    config = {
        "sources": [{"kind": "library", "settings": {"file": str(path)}}],
        "surrogate": {"covariance": {"counts": {"letters": 0.6}}},
        "stages": [{"candidates": 10, "rounds": 2}],
        "control_share": 0.0,
    }
    proposer = GuidedSearch(GuidedSearch.Config(**config), Shapes())
    scores: list[float] = []
    for ask in range(12):
        new = proposer.propose(PROMPT, 4, np.random.default_rng(ask))
        values = [one.text.count("a") / 6 for one in new]
        proposer.observe(
            [
                Observation(
                    candidate=Candidate.of("shapes", one.text), verdict="completed", score=value
                )
                for one, value in zip(new, values, strict=True)
            ]
        )
        scores += values
    average = np.mean([word.count("a") / 6 for word in words])
    assert np.mean(scores[8:]) > average + 0.12


def test_a_closed_gate_chooses_evenly_and_control_always_does() -> None:
    belief = Posterior(np.linspace(0, 1, 50), np.full(50, 1e-6))
    texts = [f"text-{place}" for place in range(50)]

    def places(ranked: bool, control: float) -> list[int]:
        how = Choosing(ranked, control, (-2.0, 0.0), 1.0)
        rng = np.random.default_rng(5)
        return [c.place for c in choices(belief, texts.__getitem__, Taken(()), 20, how, rng)]

    assert places(ranked=True, control=0.0) == list(range(49, 29, -1))
    for drawn in (places(ranked=False, control=0.0), places(ranked=True, control=1.0)):
        assert len(set(drawn)) == 20
        assert np.mean(drawn) < 35


def test_what_cannot_be_had_is_passed_over_without_drawing_numbers() -> None:
    belief = Posterior(np.linspace(0, 1, 10), np.full(10, 1e-6))
    how = Choosing(True, 0.0, (-2.0, 0.0), 1.0)
    rng, other = np.random.default_rng(6), np.random.default_rng(6)
    refused = [
        c.place
        for c in choices(belief, lambda p: str(p) if p < 5 else None, Taken(("4",)), 2, how, rng)
    ]
    assert refused == [3, 2]
    list(choices(belief, str, Taken(()), 2, how, other))
    assert rng.random() == other.random()


def test_twins_of_the_best_are_left_unless_nothing_else_is_there() -> None:
    belief = Posterior(np.array([0.8, 0.5, 0.9, 0.8]), np.array([0.01, 0.3, 0.01, 0.4]))
    texts = ["twin", "doubtful", "better", "promising"]

    def order(least: float) -> list[str]:
        how = Choosing(True, 0.0, (-2.0, -2.0), 1.0, least_deviation=least, best=0.8)
        rng = np.random.default_rng(0)
        return [c.text for c in choices(belief, texts.__getitem__, Taken(()), 4, how, rng)]

    assert order(0.1) == ["better", "promising", "doubtful", "twin"]
    assert order(0.0) == ["better", "promising", "twin", "doubtful"]


def test_ranks_are_drawn_evenly_over_scales() -> None:
    rng = np.random.default_rng(7)
    drawn = np.array([log_rank(1000, (-3.0, 0.0), rng) for _ in range(4000)])
    assert drawn.min() == 0
    assert drawn.max() < 1000
    # A third of the draws is among the best hundredth part, and then some of the wider ones.
    assert 0.3 < np.mean(drawn < 10) < 0.6
    assert log_rank(1, (-1.0, 0.0), rng) == 0


def test_history_ranks_by_score_and_the_earlier_of_equals_comes_first() -> None:
    history = History()
    scores = [0.2, 0.9, 0.5, 0.9]
    history.observe([told("C" * (n + 1), score) for n, score in enumerate(scores)])
    assert [history.ranked(rank).candidate.text for rank in range(4)] == ["CC", "CCCC", "CCC", "C"]
    assert history.top_mean == pytest.approx(np.mean(scores))
    assert isinstance(history.ranked(0), ScoredCandidate)


def test_bursts_come_when_nothing_is_gained_and_go_when_something_is() -> None:
    bursts = BurstSettings(patience=30, length=10)
    history = History()
    states = []
    for place in range(100):
        score = 0.9 if 70 <= place < 80 else 0.5
        history.observe([told("C" * (place + 1), score)])
        states.append(history.in_burst(bursts))
    assert not any(states[:30])
    assert any(states[39:50])
    assert not all(states[39:70]), "bursts and pauses take turns"
    assert not any(states[72:98])
    assert not history.in_burst(None)


def test_checking_a_campaign_says_what_the_space_does_not_offer(tmp_path: Path) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text(
        "campaign: odd\n"
        "space: {kind: molecule}\n"
        "oracles:\n"
        "  descriptors: {kind: rdkit-descriptors}\n"
        "objectives:\n"
        "  easy: {measure: descriptors.sa_score, below: 3}\n"
        "proposers:\n"
        "  - kind: guided-search\n"
        "    surrogate: {covariance: {counts: {rolls: 0.6}}}\n"
        "budget: {evaluations: 10}\n"
    )
    with pytest.raises(SpecError, match="reads the counts 'rolls'") as refused:
        load_campaign(file)
    assert refused.value.line == 8


def test_the_pool_keeps_the_most_promising_and_forgets_what_was_judged() -> None:
    config = {**FEW, "pool": {"size": 20, "parents": 10}, "stages": [{"candidates": 15}]}
    proposer, proposals = search(config, 24, count=2)
    pool = proposer._pool
    assert pool is not None
    assert pool.living <= 1.5 * 20
    texts = [pool[place].text for place in range(len(pool))]
    assert len(set(texts)) == len(texts)
    belief = pool.belief
    living = np.isfinite(belief.mean)
    assert int(living.sum()) == pool.living
    measured = {one.text for one in proposals}
    assert not measured & {text for text, alive in zip(texts, living, strict=True) if alive}
    # What an outsider proposed and had measured leaves the pool as well.
    place = int(np.flatnonzero(living)[0])
    proposer.observe([told(texts[place], 0.1)])
    again = proposer.propose(PROMPT, 30, np.random.default_rng(1))
    assert texts[place] not in {one.text for one in again}


def test_the_pool_follows_from_the_history_not_from_questions() -> None:
    first, proposals = search(FEW, 20)
    second = GuidedSearch(GuidedSearch.Config(**FEW), SPACE)
    for one in proposals:
        second.observe([told(one.text, likeness(one.text))])
        second.propose(PROMPT, 3, np.random.default_rng(99))
    assert first._pool is not None
    assert second._pool is not None
    assert [first._pool[i] for i in range(len(first._pool))] == [
        second._pool[i] for i in range(len(second._pool))
    ]


def test_a_pool_is_made_in_steps_that_the_stage_names() -> None:
    config = {**FEW, "stages": [{"candidates": 3, "every": 5, "rounds": 2}]}
    proposer = GuidedSearch(GuidedSearch.Config(**config), SPACE)
    sizes = []
    for length in range(2, 14):
        proposer.observe([told("C" * length, 0.1 * length / 14)])
        sizes.append(len(proposer._pool) if proposer._pool else 0)
    assert sizes[:4] == [0] * 4
    assert 5 <= sizes[4] <= 15
    assert sizes[4:9] == [sizes[4]] * 5
    assert sizes[9] > sizes[8]


RINGS = ("C1CCNCC1", "c1ccccc1", "c1ccncc1", "C1CCOC1", "c1ccoc1", "N1CCNCC1")
AWAY: dict[str, Any] = {
    "stages": [{"candidates": 30}],
    "control_share": 0.0,
    "bursts": {
        "patience": 12,
        "length": 8,
        "gain": 1.0,
        "most_alike": 0.45,
        "pace": 8,
        "reach": 8,
        "fresh": 60,
    },
}


@pytest.mark.parametrize("library", [False, True])
def test_a_search_that_stands_still_begins_anew_where_it_has_not_been(
    library: bool, tmp_path: Path
) -> None:
    lines = [f"{chain}{ring}" for chain in ("C" * n for n in range(1, 25)) for ring in RINGS]
    file = tmp_path / "library.smi"
    file.write_text("smiles\n" + "\n".join(lines) + "\n")
    shelf = {"library": {"file": str(file), "random": 3, "until": 6, "ranked": 100}}
    proposer = GuidedSearch(GuidedSearch.Config(**AWAY, **(shelf if library else {})), SPACE)
    away: list[Proposal] = []
    home: list[Proposal] = []
    for ask in range(60):
        excursion = proposer._excursion
        (one,) = proposer.propose(PROMPT, 1, np.random.default_rng(ask))
        (home if excursion is None else away).append(one)
        if excursion is not None:
            features = SPACE.features([one.text], ("morgan",))
            assert excursion.allows(features).all()
            if library:
                assert proposer._pool is not None
                assert excursion.born > 0, "what was there before does not take part"
            else:
                assert len(excursion) > 0
        proposer.observe([told(one.text, likeness(one.text))])
    assert 10 <= len(away) <= 40
    assert len(home) >= 20, "excursions end"
    first = [one.operator for one in away[:9]]
    assert ("library" in first) == library


def test_excursions_follow_from_the_history_not_from_its_portions(library: str) -> None:
    shelf = {"file": library, "random": 3, "until": 6, "ranked": 100}
    config = GuidedSearch.Config(**AWAY, library=shelf)
    first = GuidedSearch(config, SPACE)
    history: list[Observation] = []
    on_excursion = 0
    for ask in range(36):
        (one,) = first.propose(PROMPT, 1, np.random.default_rng(ask))
        history.append(told(one.text, likeness(one.text)))
        first.observe(history[-1:])
        on_excursion += first._excursion is not None
    assert 0 < on_excursion < 36
    resumed = GuidedSearch(config, SPACE)
    resumed.observe(history[:20])
    resumed.observe(history[20:])
    for ask in range(36, 50):
        (one,) = first.propose(PROMPT, 1, np.random.default_rng(ask))
        assert resumed.propose(PROMPT, 1, np.random.default_rng(ask)) == [one]
        news = [told(one.text, likeness(one.text))]
        first.observe(news)
        resumed.observe(news)


def test_each_excursion_keeps_away_from_those_before() -> None:
    proposer = GuidedSearch(GuidedSearch.Config(**AWAY), SPACE)
    met: list[Excursion] = []
    for ask in range(90):
        (one,) = proposer.propose(PROMPT, 1, np.random.default_rng(ask))
        proposer.observe([told(one.text, likeness(one.text))])
        excursion = proposer._excursion
        if excursion is not None and excursion not in met:
            met.append(excursion)
    assert len(met) >= 2
    best = SPACE.features([proposer.history.at(place).candidate.text for place in met[0].best])
    assert not met[1].allows(best).any()


def test_an_excursion_ends_when_it_wins_or_would_not_win_in_time() -> None:
    features = SPACE.features(["CCCCCC"], ("morgan",))
    settings = BurstSettings(pace=5, reach=100)

    def length(scores: Callable[[int], float], goal: float) -> int:
        excursion = Excursion("morgan", [], 0.5)
        for place in range(200):
            excursion.measured(features, place, scores(place))
            if excursion.is_over(settings, goal):
                return place + 1
        return 200

    def rising(place: int) -> float:
        return min(0.01 * place, 0.3)

    assert length(lambda _: 0.5, 0.9) == 6, "it stands still"
    assert length(rising, 0.9) == 6, "it is too slow"
    assert 33 <= length(rising, 0.29) <= 36, "ten of it have to win"
    assert 35 <= length(rising, 0.4) <= 45, "it slowed down"


def test_an_excursion_that_meets_nothing_it_may_breed_from_ends() -> None:
    features = SPACE.features(["CCCCCC"], ("morgan",))
    excursion = Excursion("morgan", rows_of(features, "morgan"), 0.5)
    settings = BurstSettings(pace=5, reach=100)
    over = []
    for place in range(8):
        excursion.measured(features, place, 0.5)
        over.append(excursion.is_over(settings, 0.9))
    assert over == [False] * 5 + [True] * 3


def test_a_burst_thinks_harder_than_its_time_would_never_less() -> None:
    config, burst = GuidedSearchConfig(), BurstSettings()
    assert burst.stage is not None
    assert config.stage(5000, None).candidates < burst.stage.candidates
    assert config.stage(5000, burst) == burst.stage
    assert config.stage(100, burst) == config.stage(100, None), "the beginning thinks harder yet"
    assert config.stage(5000, BurstSettings(stage=None)) == config.stage(5000, None)


def test_an_excursion_knows_who_may_be_a_parent_there() -> None:
    texts = ["CC(=O)Nc1ccc(O)cc1", "CC(=O)Nc1ccc(OC)cc1", "C1CCNCC1", "CCCCCC"]
    features = SPACE.features(texts, ("morgan",))
    excursion = Excursion("morgan", rows_of(features.take([0]), "morgan"), most_alike=0.5)
    assert excursion.allows(features).tolist() == [False, False, True, True]
    excursion.admit(features, range(4), [0.9, 0.8, 0.1, 0.3])
    assert [excursion.ranked(rank) for rank in range(len(excursion))] == [3, 2]
