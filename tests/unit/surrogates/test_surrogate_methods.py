from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from heuresis_models.checkpoint import tensors_hash
from heuresis_models.embedding import Encoder
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.surrogates import (
    Boosting,
    FineTuned,
    GaussianProcess,
    LinearProbe,
    MeanValue,
    SurrogateError,
)
from heuresis_models.surrogates import boosting as boosting_module
from heuresis_models.surrogates.fingerprints import (
    CountOverlap,
    descriptors,
    folded_counts,
    fragment_codes,
)
from heuresis_models.surrogates.gaussian_process import _most_likely, _weighted
from heuresis_models.surrogates.methods import Method, bayesian_ridge, ridge_estimate
from heuresis_models.transformer import Transformer

TRAINING = 48


def miss(found: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    return float(np.sqrt(((found - truth) ** 2).mean()))


@pytest.mark.parametrize("kind", ["linear-probe", "boosting", "gaussian-process"])
def test_methods_learn_a_linear_function_of_size(
    kind: str, smiles: tuple[str, ...], sizes: NDArray[np.float64], encoder: Encoder
) -> None:
    methods: dict[str, Method] = {
        "linear-probe": LinearProbe(encoder),
        "boosting": Boosting(trees=100),
        "gaussian-process": GaussianProcess(encoder),
    }
    rng = np.random.default_rng(0)
    fitted = methods[kind].fit(smiles[:TRAINING], sizes[:TRAINING], rng)
    found = fitted.predict(smiles[TRAINING:]).mean_N
    spread = float(sizes[TRAINING:].std())
    # The embedding of an untrained network is a mean over positions: size is hard to see in it.
    share = {"linear-probe": 0.9, "boosting": 0.4, "gaussian-process": 0.15}[kind]
    assert miss(found, sizes[TRAINING:]) < share * spread


@pytest.mark.parametrize("count", [20, 80])
def test_ridge_is_the_textbook_posterior(count: int) -> None:
    rng = np.random.default_rng(1)
    x_NW = rng.standard_normal((count, 40)) * np.linspace(0.1, 5, 40)
    values = x_NW @ rng.standard_normal(40) * 0.2 + rng.standard_normal(count)
    fit = bayesian_ridge(x_NW, values)
    new = rng.standard_normal((5, 40))
    z_NW, z_new = (x_NW - x_NW.mean(0)) / x_NW.std(0), (new - x_NW.mean(0)) / x_NW.std(0)
    ridge, noise = float(fit["ridge"]), float(fit["noise"])
    precision = z_NW.T @ z_NW + ridge * np.eye(40)
    mean = z_new @ np.linalg.solve(precision, z_NW.T @ (values - values.mean())) + values.mean()
    variance = noise * (1 + (z_new * np.linalg.solve(precision, z_new.T).T).sum(1))
    found = ridge_estimate(fit, new)
    assert found.deviation_N is not None
    np.testing.assert_allclose(found.mean_N, mean, rtol=1e-4)
    np.testing.assert_allclose(found.deviation_N, np.sqrt(variance), rtol=1e-3)


def test_ridge_finds_how_much_is_noise() -> None:
    rng = np.random.default_rng(2)
    x_NW = rng.standard_normal((500, 20))
    fit = bayesian_ridge(x_NW, x_NW @ rng.standard_normal(20) + 0.5 * rng.standard_normal(500))
    assert float(fit["noise"]) ** 0.5 == pytest.approx(0.5, rel=0.1)


def test_a_channel_that_never_varied_is_not_trusted() -> None:
    rng = np.random.default_rng(3)
    x_NW = np.column_stack([rng.standard_normal(30), np.ones(30)])
    fit = bayesian_ridge(x_NW, x_NW[:, 0])
    assert ridge_estimate(fit, np.array([[0.5, 1e6]])).mean_N[0] == pytest.approx(0.5, abs=0.01)


def test_trees_as_arrays_say_what_scikit_learn_says(
    smiles: tuple[str, ...], sizes: NDArray[np.float64], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.ensemble import GradientBoostingRegressor

    kept: list[GradientBoostingRegressor] = []
    real = GradientBoostingRegressor.fit

    def fit(self: GradientBoostingRegressor, x: object, y: object) -> GradientBoostingRegressor:
        kept.append(self)
        used.append(x)
        return real(self, x, y)

    used: list[object] = []
    monkeypatch.setattr(GradientBoostingRegressor, "fit", fit)
    fitted = Boosting(trees=30).fit(smiles, sizes, np.random.default_rng(0))
    np.testing.assert_allclose(fitted.predict(smiles).mean_N, kept[0].predict(used[0]), rtol=1e-9)
    monkeypatch.setattr(boosting_module, "_CHUNK", 7)
    np.testing.assert_allclose(fitted.predict(smiles).mean_N, kept[0].predict(used[0]), rtol=1e-9)


def test_count_overlap_is_minmax(smiles: tuple[str, ...]) -> None:
    from rdkit import Chem
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=3)
    counts = [
        generator.GetSparseCountFingerprint(Chem.MolFromSmiles(one)).GetNonzeroElements()
        for one in smiles[:12]
    ]
    wanted = np.array(
        [
            [
                sum(min(a.get(k, 0), b.get(k, 0)) for k in {*a, *b})
                / sum(max(a.get(k, 0), b.get(k, 0)) for k in {*a, *b})
                for b in counts[:8]
            ]
            for a in counts
        ]
    )
    codes = [fragment_codes(one, 3) for one in smiles[:12]]
    np.testing.assert_allclose(CountOverlap(codes[:8])(codes), wanted)


def test_folding_keeps_every_count() -> None:
    counts = folded_counts(["CCCCCCCC", "c1ccccc1"], 2, 64)
    assert counts.shape == (2, 64)
    assert counts.sum(1).tolist() == [
        len(fragment_codes(one, 2)) for one in ("CCCCCCCC", "c1ccccc1")
    ]


def test_descriptors_are_finite_even_for_metals() -> None:
    found = descriptors(["CCO", "[Na+].[Cl-]", "[Pt](Cl)(Cl)(N)N", "[H][H]"])
    assert np.isfinite(found).all()
    assert found.shape[0] == 4
    assert len({row.tobytes() for row in found}) == 4


@pytest.mark.parametrize("method", [Boosting(trees=5), GaussianProcess(None)])
def test_fingerprints_refuse_what_is_no_molecule(method: Method) -> None:
    with pytest.raises(SurrogateError, match="RDKit cannot read the SMILES '<peptide>"):
        method.fit(["<peptide>_K</peptide>"], np.ones(1), np.random.default_rng(0))


def test_the_likelihood_has_the_slope_that_its_optimiser_follows() -> None:
    rng = np.random.default_rng(4)
    x_S = np.sort(rng.random(60))
    near = np.exp(-((x_S[:, None] - x_S) ** 2) / 0.02)
    line = np.outer(x_S, x_S)
    y_S = np.linalg.cholesky(2.0 * near + 0.3 * line + 0.01 * np.eye(60)) @ rng.standard_normal(60)

    def cost(log_weights: NDArray[np.float64]) -> float:
        total = _weighted(np.exp(log_weights), [near, line, np.eye(60)])
        _, logdet = np.linalg.slogdet(total)
        return 0.5 * float(y_S @ np.linalg.solve(total, y_S)) + 0.5 * float(logdet)

    best = _most_likely([near, line], y_S)
    assert np.exp(best[-1]) == pytest.approx(0.01, rel=0.6)
    for axis in range(2):  # the noise or a part may lie on its bound; nothing nearby is better
        for step in (-0.3, 0.3):
            moved = best.copy()
            moved[axis] = np.clip(moved[axis] + step, -9, 4)
            assert cost(moved) >= cost(best) - 1e-3


def test_a_process_is_sure_where_it_has_been(
    smiles: tuple[str, ...], sizes: NDArray[np.float64], encoder: Encoder
) -> None:
    fitted = GaussianProcess(encoder).fit(smiles, sizes, np.random.default_rng(0))
    known, strange = fitted.predict(smiles[:5]), fitted.predict(["O=S(=O)(c1ncsc1Br)N1CCCC1I"])
    assert known.deviation_N is not None
    assert strange.deviation_N is not None
    assert miss(known.mean_N, sizes[:5]) < 0.1
    assert strange.deviation_N[0] > 2 * known.deviation_N.max()


def test_a_process_takes_a_subset_of_too_many_points(
    smiles: tuple[str, ...], sizes: NDArray[np.float64]
) -> None:
    fitted = GaussianProcess(None, most_points=20).fit(smiles, sizes, np.random.default_rng(0))
    assert fitted.tensors()["values"].shape == (20,)
    assert fitted.predict(smiles).mean_N.shape == (60,)


def test_a_process_learns_from_embeddings_alone(encoder: Encoder) -> None:
    texts = [f"<peptide>{'_K' * k}{'_W' * (8 - k)}</peptide>" for k in range(1, 8)]
    values = np.arange(1.0, 8.0)
    method = GaussianProcess(encoder, molecules=False)
    fitted = method.fit(texts[::2], values[::2], np.random.default_rng(0))
    assert miss(fitted.predict(texts[1::2]).mean_N, values[1::2]) < 1.0
    with pytest.raises(SurrogateError, match="or both"):
        GaussianProcess(None, molecules=False)


def test_fine_tuning_learns_and_leaves_the_model_alone(
    smiles: tuple[str, ...], sizes: NDArray[np.float64], tiny_model: Transformer
) -> None:
    before = tensors_hash(tiny_model.state_dict())
    encoder = Encoder(tiny_model, Vocabulary.default(), layers=[2])
    misses = []
    for epochs in (0, 20):
        method = FineTuned(encoder, epochs=epochs, learning_rate=3e-3, views=0)
        fitted = method.fit(smiles, sizes, np.random.default_rng(0))
        misses.append(miss(fitted.predict(smiles).mean_N, sizes))
    # Without an epoch it is the linear probe, which already beats the mean.
    assert misses[1] < 0.9 * misses[0] < 0.9 * sizes.std()
    assert tensors_hash(tiny_model.state_dict()) == before


def test_fine_tuning_is_repeatable(
    smiles: tuple[str, ...], sizes: NDArray[np.float64], encoder: Encoder
) -> None:
    method = FineTuned(encoder, epochs=1)
    first, second = (method.fit(smiles, sizes, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first.predict(smiles).mean_N, second.predict(smiles).mean_N)
    assert torch.is_grad_enabled()


def test_the_mean_is_the_mean() -> None:
    fitted = MeanValue().fit(["a", "b"], np.array([1.0, 4.0]), np.random.default_rng(0))
    assert fitted.predict(["anything"]).mean_N.tolist() == [2.5]
