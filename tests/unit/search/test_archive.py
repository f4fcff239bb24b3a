from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heuresis.records import Candidate, ScoredCandidate
from heuresis.search.archive import CLUSTER_CAPACITY, Archive
from heuresis.search.promotion import WINDOW, PromotionRule
from heuresis.search.settings import PromotionSettings, SearchSettings


def member(number: int, score: float) -> ScoredCandidate:
    return ScoredCandidate(candidate=Candidate.of("integer", str(number)), score=score)


def filled(count: int, **settings: int | float) -> Archive:
    archive = Archive(SearchSettings.model_validate({"islands": 1, **settings}))
    for number in range(count):
        archive.register(member(number, number / count), (number / count,), island=0, epoch=0)
    return archive


def test_exemplars_rise_in_score_and_are_distinct() -> None:
    archive = filled(50, exemplars=3)
    rng = np.random.default_rng(0)
    for _ in range(200):
        drawn = archive.draw(0, rng)
        scores = [m.score for m in drawn]
        assert scores == sorted(scores)
        assert len({m.candidate.id for m in drawn}) == 3


def test_selection_depends_on_order_only() -> None:
    plain, stretched = filled(40), Archive(SearchSettings(islands=1))
    for number in range(40):
        score = (number / 40) ** 9 / 1e6
        stretched.register(member(number, score), (score,), island=0, epoch=0)
    draws = [
        [[m.candidate.text for m in a.draw(0, np.random.default_rng(s))] for s in range(50)]
        for a in (plain, stretched)
    ]
    assert draws[0] == draws[1]


def test_the_best_are_drawn_most_and_everyone_sometimes() -> None:
    archive = filled(30, exemplars=1)
    rng = np.random.default_rng(1)
    counts = Counter(archive.draw(0, rng)[0].candidate.text for _ in range(20_000))
    assert counts["29"] > counts["28"] > counts["20"]
    assert len(counts) == 30


@given(st.integers(0, 3), st.integers(1, 6))
def test_a_small_island_gives_what_it_has(size: int, wanted: int) -> None:
    archive = filled(size, exemplars=wanted, selection_decades=6.0)
    assert len(archive.draw(0, np.random.default_rng(0))) == min(size, wanted)


def test_equal_signatures_share_a_cluster_of_bounded_size() -> None:
    archive = Archive(SearchSettings(islands=1, exemplars=5))
    for number in range(3 * CLUSTER_CAPACITY):
        archive.register(member(number, 0.5), (0.5, 0.5), island=0, epoch=0)
    island = archive.islands[0]
    assert len(island.clusters) == 1
    assert island.size == CLUSTER_CAPACITY
    assert len(archive.draw(0, np.random.default_rng(0))) == 1


def test_capacity_forgets_the_worst() -> None:
    archive = filled(100, island_capacity=10)
    scores = [m.score for c in archive.islands[0].clusters.values() for m in c]
    assert sorted(scores) == [n / 100 for n in range(90, 100)]
    assert archive.best(3)[0].score == 0.99
    assert archive.registered == 100


def test_a_reset_refounds_the_weak_half_and_starts_a_new_epoch() -> None:
    archive = Archive(SearchSettings(islands=4))
    for number in range(8):
        archive.register(member(number, number / 10), (number / 10,), island=number % 4, epoch=0)
    founders = archive.choose_founders(np.random.default_rng(0))
    assert sorted(founders) == [0, 1]
    archive.reset({i: m.candidate.id if m else None for i, m in founders.items()})
    for island in (0, 1):
        assert archive.islands[island].epoch == 1
        assert archive.islands[island].size == 1
        assert archive.islands[island].worth in (0.6, 0.7)
    assert [archive.islands[i].epoch for i in (2, 3)] == [0, 0]


def test_a_late_result_of_a_reset_island_is_not_bred_but_not_forgotten() -> None:
    archive = Archive(SearchSettings(islands=2))
    archive.reset({0: None})
    assert not archive.register(member(1, 0.9), (0.9,), island=0, epoch=0)
    assert archive.islands[0].size == 0
    assert archive.best(1)[0].score == 0.9
    assert archive.register(member(2, 0.8), (0.8,), island=0, epoch=1)


def test_promotion_needs_to_beat_the_quantile_of_recent_scores() -> None:
    rule = PromotionRule(PromotionSettings(quantile=0.5, warm_up=4, random_share=0.1))
    assert rule.promotes(0.01, 0.99) == (True, "warm-up")
    for score in (0.2, 0.4, 0.6, 0.8):
        rule.add_completed(score)
    assert rule.threshold() == 0.6
    assert rule.promotes(0.6, 0.99) == (True, None)
    assert rule.promotes(0.59, 0.99) == (False, "bound 0.590 is below 0.600")
    assert rule.promotes(0.59, 0.05) == (True, "random share")
    for _ in range(WINDOW):
        rule.add_completed(0.9)
    assert rule.threshold() == pytest.approx(0.9)


def pareto_archive(**settings: int | float) -> Archive:
    return Archive(SearchSettings.model_validate({"islands": 1, "ranking": "pareto", **settings}))


def put(archive: Archive, *point: float, completed: bool = True, island: int = 0) -> None:
    score = float(np.prod(point)) ** (1 / len(point))
    text = "/".join(map(str, point))
    archive.register(
        ScoredCandidate(candidate=Candidate.of("integer", text), score=score),
        point,
        island=island,
        epoch=0,
        completed=completed,
    )


def ranked(archive: Archive, island: int = 0) -> list[str]:
    home = archive.islands[island]
    return [home.at(rank)[-1].candidate.text for rank in range(len(home.ranking))]


def test_a_pareto_island_ranks_by_front_then_by_crowding() -> None:
    archive = pareto_archive()
    for point in ((0.1, 0.9), (0.5, 0.5), (0.4, 0.6), (0.9, 0.1), (0.3, 0.3), (0.05, 0.89)):
        put(archive, *point)
    put(archive, 0.99, completed=False)
    assert set(ranked(archive)[:2]) == {"0.1/0.9", "0.9/0.1"}
    assert ranked(archive)[2:6] == ["0.5/0.5", "0.4/0.6", "0.3/0.3", "0.05/0.89"]
    assert ranked(archive)[-1] == "0.99", "what is not measured in full cannot be compared"
    assert {m.candidate.text for m in archive.front.items} == {
        "0.1/0.9", "0.5/0.5", "0.4/0.6", "0.9/0.1"
    }  # fmt: skip


def test_the_ends_of_a_front_are_drawn_where_the_score_would_not() -> None:
    drawn = {}
    for ranking in ("pareto", "score"):
        archive = Archive(
            SearchSettings.model_validate({"islands": 1, "ranking": ranking, "exemplars": 1})
        )
        for number in range(60):
            put(archive, 0.5 + number / 1000, 0.56 - number / 1000)
        put(archive, 0.99, 0.01)
        rng = np.random.default_rng(0)
        counts = Counter(archive.draw(0, rng)[0].candidate.text for _ in range(3000))
        drawn[ranking] = counts["0.99/0.01"] / 3000
    assert drawn["pareto"] > 0.05
    assert drawn["score"] < 0.01


def test_a_pareto_island_forgets_the_dominated_first() -> None:
    archive = pareto_archive(island_capacity=10)
    for number in range(8):
        put(archive, 0.2 + number / 10, 0.9 - number / 10)
    for number in range(30):
        put(archive, 0.1 + number / 1000, 0.1)
    assert archive.islands[0].size <= 12
    held = set(ranked(archive))
    assert {m.candidate.text for m in archive.front.items} <= held


def test_a_pareto_reset_goes_by_hypervolume_and_refounds_from_the_front() -> None:
    archive = pareto_archive(islands=2)
    put(archive, 0.7, 0.7, island=0)  # the better score
    for point in ((0.95, 0.4), (0.6, 0.6), (0.4, 0.95), (0.3, 0.3)):
        put(archive, *point, island=1)
    seen = set()
    for seed in range(20):
        founders = archive.choose_founders(np.random.default_rng(seed))
        assert list(founders) == [0]
        assert founders[0] is not None
        seen.add(founders[0].candidate.text)
    assert seen == {"0.95/0.4", "0.6/0.6", "0.4/0.95"}
    archive.reset({0: Candidate.of("integer", "0.4/0.95").id})
    assert archive.islands[0].epoch == 1
    assert archive.islands[0].worth == pytest.approx(0.38)


def test_the_best_of_a_pareto_archive_are_its_front_then_by_score() -> None:
    archive = pareto_archive()
    for point in ((0.9, 0.2), (0.6, 0.7), (0.5, 0.69), (0.1, 0.8), (0.4, 0.4)):
        put(archive, *point)
    texts = [m.candidate.text for m in archive.best(10)]
    assert set(texts[:3]) == {"0.9/0.2", "0.6/0.7", "0.1/0.8"}
    assert texts[3:] == ["0.5/0.69", "0.4/0.4"]
    assert archive.best(2) == archive.best(10)[:2]
