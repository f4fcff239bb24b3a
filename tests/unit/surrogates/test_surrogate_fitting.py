from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from heuresis_models.embedding import Encoder
from heuresis_models.errors import WeightsError
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.surrogates import (
    Boosting,
    FineTuned,
    GaussianProcess,
    LinearProbe,
    MeanValue,
    Surrogate,
    SurrogateError,
    ensemble,
    fit_compared,
    fit_surrogate,
    load_surrogate,
    save_surrogate,
)

NEW = ("CCCCN", "Oc1ccccc1", "CC(=O)NCC")


@pytest.fixture(scope="module")
def fitted_ensemble(
    smiles: tuple[str, ...], sizes: NDArray[np.float64], tiny_model: Any
) -> tuple[Encoder, Surrogate]:
    encoder = Encoder(tiny_model, Vocabulary.default(), name="tiny")
    methods = (MeanValue(), Boosting(trees=30), GaussianProcess(encoder), LinearProbe(encoder))
    return encoder, fit_surrogate(methods, smiles, sizes, np.random.default_rng(0), folds=3)


def test_the_ensemble_leans_on_what_predicts(
    fitted_ensemble: tuple[Encoder, Surrogate],
    smiles: tuple[str, ...],
    sizes: NDArray[np.float64],
) -> None:
    _, surrogate = fitted_ensemble
    assert surrogate.weight_M.sum() == pytest.approx(1.0)
    assert (surrogate.weight_M >= 0).all()
    assert surrogate.weight_M[0] < 0.05 < surrogate.weight_M[2]
    said = surrogate.predict(smiles)
    assert (said.lower_N <= said.mean_N).all()
    assert (said.mean_N <= said.upper_N).all()
    assert ((said.lower_N <= sizes) & (sizes <= said.upper_N)).mean() >= 0.85
    assert (said.standard_deviation_N > 0).all()


def test_more_coverage_is_wider(fitted_ensemble: tuple[Encoder, Surrogate]) -> None:
    _, surrogate = fitted_ensemble
    narrow, wide = (surrogate.predict(NEW, coverage=share) for share in (0.5, 0.95))
    assert (wide.upper_N - wide.lower_N > narrow.upper_N - narrow.lower_N).all()
    assert (narrow.coverage, wide.coverage) == (0.5, 0.95)


def test_methods_alone_come_with_the_ensemble(
    smiles: tuple[str, ...], sizes: NDArray[np.float64]
) -> None:
    methods = (MeanValue(), GaussianProcess(None))
    both, alone = fit_compared(methods, smiles, sizes, np.random.default_rng(0))
    assert [len(one.methods) for one in (both, *alone)] == [2, 1, 1]
    again = fit_surrogate(MeanValue(), smiles, sizes, np.random.default_rng(0))
    for first, second in zip(alone[0].unseen, again.unseen, strict=True):
        assert np.array_equal(first, second)
    assert np.array_equal(both.unseen.value_C, again.unseen.value_C)
    assert sorted(both.unseen.value_C) == sorted(sizes)


def test_unseen_points_say_how_far_to_trust(
    smiles: tuple[str, ...], sizes: NDArray[np.float64]
) -> None:
    rng = np.random.default_rng(0)
    good = fit_surrogate(GaussianProcess(None), smiles, sizes, rng).unseen
    noise = fit_surrogate(GaussianProcess(None), smiles, rng.permutation(sizes), rng).unseen
    mean = fit_surrogate(MeanValue(), smiles, sizes, rng).unseen
    assert good.rmse < 0.2 * mean.rmse
    assert good.rank_correlation > 0.95
    assert abs(noise.rank_correlation) < 0.4
    # A left-out fold of high values lowers the mean of the others, and the other way round.
    assert mean.rank_correlation <= 0.0


def test_the_same_generator_gives_the_same_surrogate(
    smiles: tuple[str, ...], sizes: NDArray[np.float64]
) -> None:
    first, second = (
        fit_surrogate(Boosting(trees=10), smiles, sizes, np.random.default_rng(4)).predict(NEW)
        for _ in range(2)
    )
    assert np.array_equal(first.mean_N, second.mean_N)
    assert np.array_equal(first.upper_N, second.upper_N)


def test_repeated_texts_are_never_on_both_sides(
    smiles: tuple[str, ...], sizes: NDArray[np.float64]
) -> None:
    texts = smiles * 3
    surrogate = fit_surrogate(
        GaussianProcess(None), texts, np.tile(sizes, 3), np.random.default_rng(0)
    )
    for members in surrogate.fitted:
        # A multiple of three: a molecule is learned from wholly or not at all.
        assert len(members[0].tensors()["values"]) % 3 == 0


def test_the_recommended_ensemble_needs_no_model() -> None:
    assert [method.kind for method in ensemble(None)] == ["boosting", "gaussian-process"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": [1.0] * 59}, "60 texts and values of shape"),
        ({"values": [*[1.0, 2.0] * 29, 1.0, float("nan")]}, "number 59"),
        ({"values": [*[1.0, 2.0] * 29, 1.0, float("inf")]}, "must be finite"),
        ({"values": [3.0] * 60}, "nothing to learn"),
        ({"texts": ["CCO"] * 60}, "at least 10 different texts.* got 1"),
        ({"calibration": "split", "texts": ["CC", *["CCO"] * 59]}, "at least 45 different"),
        ({"calibration": "none"}, "'cross' or 'split'"),
        ({"folds": 1}, "two folds"),
        ({"methods": ()}, "at least one method"),
    ],
)
def test_points_that_cannot_be_used_are_refused(
    change: dict[str, Any], message: str, smiles: tuple[str, ...], sizes: NDArray[np.float64]
) -> None:
    arguments: dict[str, Any] = {"methods": MeanValue(), "texts": smiles, "values": sizes, **change}
    with pytest.raises(SurrogateError, match=message):
        fit_surrogate(rng=np.random.default_rng(0), **arguments)


def test_too_much_coverage_for_the_points_is_refused(
    fitted_ensemble: tuple[Encoder, Surrogate],
) -> None:
    with pytest.raises(SurrogateError, match="needs 99 scored points, got 60"):
        fitted_ensemble[1].predict(NEW, coverage=0.99)


def test_a_saved_ensemble_predicts_the_same(
    fitted_ensemble: tuple[Encoder, Surrogate], tmp_path: Path
) -> None:
    encoder, surrogate = fitted_ensemble
    save_surrogate(tmp_path / "s", surrogate)
    wanted, found = surrogate.predict(NEW), load_surrogate(tmp_path / "s", encoder).predict(NEW)
    assert np.array_equal(np.stack(wanted[:4]), np.stack(found[:4]))
    assert {path.suffix for path in (tmp_path / "s").iterdir()} == {".json", ".safetensors"}


def test_a_saved_fine_tuned_network_predicts_the_same(
    encoder: Encoder, smiles: tuple[str, ...], sizes: NDArray[np.float64], tmp_path: Path
) -> None:
    method = FineTuned(encoder, epochs=1)
    surrogate = fit_surrogate(method, smiles, sizes, np.random.default_rng(0), calibration="split")
    assert len(surrogate.fitted) == 1
    assert len(surrogate.unseen.value_C) == 12
    save_surrogate(tmp_path, surrogate)
    again = load_surrogate(tmp_path, encoder)
    assert np.array_equal(surrogate.predict(NEW).mean_N, again.predict(NEW).mean_N)


def test_a_shipped_model_is_found_by_its_name(
    smiles: tuple[str, ...], sizes: NDArray[np.float64], tmp_path: Path
) -> None:
    encoder = Encoder.load("heuresis-zinc", layers=[0])
    surrogate = fit_surrogate(LinearProbe(encoder), smiles, sizes, np.random.default_rng(0))
    save_surrogate(tmp_path, surrogate)
    found = load_surrogate(tmp_path).predict(NEW)
    np.testing.assert_allclose(found.mean_N, surrogate.predict(NEW).mean_N, rtol=1e-4)


def _other_weights(folder: Path) -> None:
    _edit(folder, lambda document: document["encoder"].update(weights_sha256="0" * 64))


def _unknown_method(folder: Path) -> None:
    _edit(folder, lambda document: document["methods"][0].update(kind="oracle"))


def _unknown_setting(folder: Path) -> None:
    _edit(folder, lambda document: document["methods"][1]["settings"].update(colour="red"))


def _more_folds(folder: Path) -> None:
    _edit(folder, lambda document: document.update(folds=9))


def _other_schema(folder: Path) -> None:
    _edit(folder, lambda document: document.update(schema="heuresis-surrogate-0"))


def _no_json(folder: Path) -> None:
    (folder / "surrogate.json").write_text("{", encoding="utf-8")


def _no_description(folder: Path) -> None:
    (folder / "surrogate.json").unlink()


def _no_tensors(folder: Path) -> None:
    (folder / "surrogate.safetensors").write_bytes(b"\x80\x04K\x01.")


def _edit(folder: Path, change: Any) -> None:
    path = folder / "surrogate.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


@pytest.fixture(scope="module")
def saved(
    fitted_ensemble: tuple[Encoder, Surrogate], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("surrogate")
    save_surrogate(folder, fitted_ensemble[1])
    return folder


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_other_weights, "fitted on embeddings with weights_sha256 0000"),
        (_unknown_method, "unknown method 'oracle'; known: mean, linear-probe"),
        (_unknown_setting, "settings of 'boosting' cannot be used"),
        (_more_folds, "does not fit surrogate.json"),
        (_other_schema, "expected 'heuresis-surrogate-1'"),
        (_no_json, "does not describe a surrogate"),
        (_no_description, "is missing"),
        (_no_tensors, "not a safetensors file"),
    ],
)
def test_damaged_files_are_refused(
    damage: Any,
    message: str,
    saved: Path,
    fitted_ensemble: tuple[Encoder, Surrogate],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(saved, folder)
    damage(folder)
    with pytest.raises((SurrogateError, WeightsError), match=message):
        load_surrogate(folder, fitted_ensemble[0])
