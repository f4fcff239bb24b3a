"""The Gaussian process that guides a search: exact similarity, exact updates, weights, gate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from rdkit.Chem import MolFromSmiles
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from rdkit.DataStructs import BulkTanimotoSimilarity

from heuresis.spaces.features import Features, SparseCounts
from heuresis.spaces.molecule_features import MoleculeFeatures
from heuresis_models.gaussian_process import (
    CountTable,
    Covariance,
    GaussianProcess,
    RankGate,
    SearchSurrogate,
    SurrogateSettings,
    by_upper_confidence,
    drawn_beta,
    minmax_to_one,
    rank_correlation,
)
from heuresis_models.gaussian_process.points import Points, chosen_points
from heuresis_models.gaussian_process.similarity import Scale

WIDTH = 7
SMILES = (
    "C", "CCO", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "CN1CCC(Oc2ccc3[nH]ccc3c2)CC1", "OCCCCCCCCO",
    "N#Cc1ccc(-c2ccsc2)cc1", "CCCCCCCCCCCCCCCCCC", "O=C1CCCN1c1ccccc1", "ClC(Cl)(Cl)Cl",
)  # fmt: skip


def rows_of(vectors: list[list[int]]) -> SparseCounts:
    rows = []
    for vector in vectors:
        dense = np.array(vector, dtype=np.int32)
        (places,) = np.nonzero(dense)
        counts = dense[places]
        rows.append((places.astype(np.int32), counts))
    return SparseCounts.of(rows, WIDTH)


def toy_features(count: int, rng: np.random.Generator) -> Features:
    counts = rng.poisson(0.8, (count, WIDTH))
    return Features(
        counts={"morgan": rows_of(counts.tolist())},
        descriptors=rng.normal(size=(count, 3)) * [1.0, 10.0, 0.1],
        names=("a", "b", "c"),
    )


def toy_scores(features: Features) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(features.descriptors[:, 0] + features.descriptors[:, 1] / 10))


def fed(features: Features, scores: NDArray[np.float64], **changes: object) -> SearchSurrogate:
    surrogate = SearchSurrogate(SurrogateSettings.model_validate(changes))
    surrogate.observe(features, scores.tolist())
    return surrogate


vectors = st.lists(
    st.lists(st.integers(0, 12), min_size=WIDTH, max_size=WIDTH), min_size=1, max_size=8
)


@given(known=vectors, new=vectors)
@settings(max_examples=60, deadline=None)
def test_minmax_is_the_sum_of_lesser_over_the_sum_of_greater_counts(
    known: list[list[int]], new: list[list[int]]
) -> None:
    table = CountTable(WIDTH)
    block = rows_of(known)
    for place in range(len(block)):
        table.append(*block.row(place))
    a, b = np.array(new)[:, None, :], np.array(known)[None, :, :]
    lesser, greater = np.minimum(a, b).sum(axis=2), np.maximum(a, b).sum(axis=2)
    expected = np.where(greater > 0, lesser / np.maximum(greater, 1), 1.0)
    np.testing.assert_array_equal(table.similarity(rows_of(new)), expected)
    np.testing.assert_array_equal(minmax_to_one(rows_of(new), *block.row(0)), expected[:, 0])


def test_minmax_equals_tanimoto_on_counts_as_rdkit_computes_it() -> None:
    block = MoleculeFeatures()(SMILES).counts["morgan"]
    generator = GetMorganGenerator(radius=3, fpSize=2048)
    prints = [generator.GetCountFingerprint(MolFromSmiles(text)) for text in SMILES]
    table = CountTable(block.width)
    for place in range(len(block)):
        table.append(*block.row(place))
    expected = [BulkTanimotoSimilarity(one, prints) for one in prints]
    np.testing.assert_array_equal(table.similarity(block), expected)


def test_one_atom_of_a_rare_element_is_no_giant_leap() -> None:
    rng = np.random.default_rng(0)
    carbons = rng.integers(10, 30, 1000)
    phosphorus = (np.arange(1000) == 0).astype(float)
    share = 0.02 * rng.random(1000)
    scale = Scale(np.column_stack([carbons, phosphorus, share]))
    start = np.array([[20.0, 0.0, 0.01]])
    more_carbon, more_phosphorus, more_share = (
        float(np.abs(scale(start + step) - scale(start)).sum())
        for step in ([1, 0, 0], [0, 1, 0], [0, 0, 0.01])
    )
    assert more_phosphorus == pytest.approx(2.0)
    assert more_carbon < 0.5
    assert more_share > 1.0, "what is no count keeps its own scale, however small"


def test_a_table_grows_past_its_first_room() -> None:
    rng = np.random.default_rng(3)
    counts = rng.poisson(0.5, (600, WIDTH)).tolist()
    table = CountTable(WIDTH)
    block = rows_of(counts)
    for place in range(len(block)):
        table.append(*block.row(place))
    similarity = table.similarity(block.take([599, 0]))
    assert similarity.shape == (2, 600)
    assert similarity[0, 599] == similarity[1, 0] == 1.0
    huge = SparseCounts.of([(np.array([1], np.int32), np.array([70_000], np.int32))], WIDTH)
    with pytest.raises(ValueError, match="70000 counted parts"):
        table.similarity(huge)


def test_appended_rows_equal_a_refit_and_the_textbook() -> None:
    rng = np.random.default_rng(1)
    features = toy_features(90, rng)
    train, new = features.take(range(60)), features.take(range(60, 90))
    y = toy_scores(train)
    surrogate = SearchSurrogate(SurrogateSettings(), reference=features)
    surrogate.observe(train, y.tolist())
    got = surrogate.predict(new)

    scaled = (features.descriptors - features.descriptors.mean(0)) / features.descriptors.std(0)
    dense = np.zeros((90, WIDTH))
    for place in range(90):
        indices, counts = features.counts["morgan"].row(place)
        dense[place, indices] = counts
    lesser = np.minimum(dense[:, None], dense[None]).sum(axis=2)
    greater = np.maximum(dense[:, None], dense[None]).sum(axis=2)
    minmax = np.where(greater > 0, lesser / np.maximum(greater, 1), 1.0)
    square = ((scaled[:, None] - scaled[None]) ** 2).sum(axis=2)
    K = 0.6 * minmax + 0.4 * np.exp(-square / (2 * 1.5**2))
    inverse = np.linalg.inv(K[:60, :60] + (1e-4 + 1e-9) * np.eye(60))
    mean = K[60:, :60] @ inverse @ y
    variance = 1 - np.einsum("mn,nk,mk->m", K[60:, :60], inverse, K[60:, :60])
    np.testing.assert_allclose(got.mean, mean, atol=1e-8)
    np.testing.assert_allclose(got.deviation**2, variance, atol=1e-8)

    process = GaussianProcess(1e-4)
    process.refit(K[:60, :60], y)
    refitted_mean, refitted_variance = process.predict(K[60:, :60])
    np.testing.assert_allclose(refitted_mean, got.mean, atol=1e-9)
    np.testing.assert_allclose(refitted_variance, got.deviation**2, atol=1e-9)


def test_near_copies_do_not_break_the_factor() -> None:
    one = toy_features(1, np.random.default_rng(2))
    surrogate = fed(one.take([0] * 40), np.full(40, 0.7))
    belief = surrogate.predict(one)
    assert belief.mean[0] == pytest.approx(0.7, abs=1e-4)
    assert 0 < belief.deviation[0] < 0.01


def test_left_out_errors_equal_fits_without_the_point() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(12, 2))
    K = np.exp(-((x[:, None] - x[None]) ** 2).sum(axis=2))
    y = np.sin(x[:, 0])
    full = GaussianProcess(1e-3)
    full.refit(K, y)
    errors, variances = full.left_out()
    for place in range(12):
        others = [other for other in range(12) if other != place]
        part = GaussianProcess(1e-3)
        part.refit(K[np.ix_(others, others)], y[others])
        mean, variance = part.predict(K[[place]][:, others])
        assert errors[place] == pytest.approx(y[place] - mean[0], abs=1e-9)
        assert variances[place] == pytest.approx(variance[0] + 1e-3, abs=1e-6)


def test_the_state_does_not_depend_on_portions_and_survives_refits() -> None:
    rng = np.random.default_rng(5)
    features = toy_features(180, rng)
    y = toy_scores(features)
    at_once = fed(features, y, most_points=60, refit_every=20)
    in_parts = SearchSurrogate(SurrogateSettings(most_points=60, refit_every=20))
    for start, end in ((0, 7), (7, 61), (61, 140), (140, 180)):
        in_parts.observe(features.take(range(start, end)), y[start:end].tolist())
        in_parts.predict(features)
    assert 60 <= at_once.learned_points < 80
    assert len(at_once) == 180
    new = toy_features(50, rng)
    np.testing.assert_array_equal(at_once.predict(new).mean, in_parts.predict(new).mean)
    np.testing.assert_array_equal(at_once.predict(new).deviation, in_parts.predict(new).deviation)
    assert at_once.gate.correlation == in_parts.gate.correlation
    # Refitted on a third of the points, it still ranks.
    assert rank_correlation(at_once.predict(new).mean.tolist(), toy_scores(new).tolist()) > 0.7


def test_of_many_points_the_best_the_latest_and_some_others_are_kept() -> None:
    scores = np.random.default_rng(6).random(1000)
    kept = chosen_points(scores, 60)
    assert len(kept) == 60
    assert list(kept) == sorted(set(kept.tolist()))
    assert set(np.argsort(-scores)[:30]) <= set(kept.tolist())
    assert sum(place >= 980 for place in kept) >= 15
    assert sum(place < 900 for place in kept) >= 30
    assert list(chosen_points(scores[:60], 60)) == list(range(60))


def test_points_come_back_as_they_went_in_whatever_was_joined_meanwhile() -> None:
    rng = np.random.default_rng(5)
    points, singles = Points(), []
    for place in range(600):  # two joined blocks and a rest
        indices = np.sort(rng.choice(50, 6, replace=False)).astype(np.int32)
        single = Features(
            counts={"morgan": SparseCounts.of([(indices, indices + 1)], 50)},
            descriptors=np.full((1, 2), float(place)),
            names=("a", "b"),
        )
        singles.append(single)
        points.append(single, float(place))
    wanted = np.array([599, 3, 255, 256, 511, 512, 3])

    found = points.features(wanted)

    assert found.descriptors[:, 0].tolist() == wanted.tolist()
    for row, place in enumerate(wanted):
        expected = singles[place].counts["morgan"].row(0)
        for got, want in zip(found.counts["morgan"].row(row), expected, strict=True):
            assert got.tolist() == want.tolist()


def test_a_covariance_may_read_descriptors_or_counts_alone() -> None:
    features = toy_features(120, np.random.default_rng(7))
    y = toy_scores(features)  # a function of descriptors alone
    errors = {}
    for covariance in (
        Covariance(counts={"morgan": 1.0}, descriptors=0.0),
        Covariance(counts={"morgan": 0.0}, descriptors=1.0),
    ):
        surrogate = fed(features.take(range(100)), y[:100], covariance=covariance)
        got = surrogate.predict(features.take(range(100, 120))).mean
        errors[covariance.descriptors] = float(np.abs(got - y[100:]).mean())
    assert errors[1.0] < 0.5 * errors[0.0]


def test_the_gate_closes_where_nothing_is_predicted_and_opens_again() -> None:
    rng = np.random.default_rng(8)
    gate = RankGate(least=0.2, minimum=30)
    gate.judge(rng.random(29).tolist(), [0.5] * 29)
    assert gate.open, "too few measurements to judge"
    gate.judge(rng.random(30).tolist(), [0.5] * 30)
    assert gate.correlation == 0.0
    assert not gate.open, "a constant cannot be ranked"
    values = rng.random(100)
    gate.judge(values.tolist(), (values**3).tolist())
    assert gate.correlation == pytest.approx(1.0)
    assert gate.open


def test_the_surrogate_opens_and_closes_its_gate_by_left_out_points() -> None:
    points = toy_features(60, np.random.default_rng(4))
    noise = np.random.default_rng(9).random(60)

    def open_after(scores: NDArray[np.float64]) -> bool:
        return fed(points, scores, gate_every=20, gate_minimum=20).gate.open

    assert open_after(toy_scores(points))
    assert not open_after(noise)
    assert not open_after(np.full(60, 0.5))


def test_followed_candidates_are_believed_what_a_fresh_prediction_says() -> None:
    """Through appended points, refits, additions and cuts."""
    surrogate = SearchSurrogate(SurrogateSettings(most_points=24, refit_every=10))
    rng = np.random.default_rng(12)
    points, waiting = toy_features(70, rng), toy_features(60, rng)
    scores = toy_scores(points)
    followed = surrogate.follow()
    assert len(followed.belief.mean) == 0
    followed.add(waiting.take(range(10)))
    kept, following = list(range(10)), 10
    for place in range(70):
        surrogate.observe(points.take([place]), [float(scores[place])])
        if place % 17 == 3:
            more = list(range(following, following + 8))
            followed.add(waiting.take(more))
            kept, following = kept + more, following + 8
        if place % 23 == 5:
            staying = np.arange(1, len(kept), 2)
            followed.keep(staying)
            kept = [kept[i] for i in staying]
        expected = surrogate.predict(waiting.take(kept))
        np.testing.assert_allclose(followed.belief.mean, expected.mean, atol=2e-4)
        np.testing.assert_allclose(followed.belief.deviation, expected.deviation, atol=2e-3)


@given(st.lists(st.integers(0, 5), min_size=3, max_size=30))
@settings(max_examples=30, deadline=None)
def test_rank_correlation_is_spearmans(values: list[int]) -> None:
    other = [(7 * value + place) % 11 for place, value in enumerate(values)]
    got = rank_correlation(values, other)
    if len(set(values)) < 2 or len(set(other)) < 2:
        assert got == 0.0
    else:
        from scipy.stats import spearmanr

        assert got == pytest.approx(float(spearmanr(values, other).statistic))


def test_a_greater_beta_prefers_what_is_doubtful() -> None:
    mean, deviation = np.array([0.5, 0.4, 0.1]), np.array([0.0, 0.2, 1.0])
    assert by_upper_confidence(mean, deviation, 0.01).tolist() == [0, 1, 2]
    assert by_upper_confidence(mean, deviation, 1.0).tolist() == [2, 1, 0]
    betas = [drawn_beta(np.random.default_rng(seed)) for seed in range(200)]
    assert 0.01 <= min(betas) < 0.02
    assert 0.7 < max(betas) <= 1.0


def test_settings_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(ValidationError, match="add up to 1"):
        Covariance(counts={"morgan": 0.9})
    with pytest.raises(ValueError, match="leave failures out"):
        fed(toy_features(1, np.random.default_rng(9)), np.array([np.nan]))


def test_before_any_point_everything_is_equally_open() -> None:
    belief = SearchSurrogate(SurrogateSettings()).predict(toy_features(3, np.random.default_rng(1)))
    assert belief.mean.tolist() == [0, 0, 0]
    assert belief.deviation.tolist() == [1, 1, 1]
