"""What every way of learning a property offers, and the two simplest ones.

Letters at the ends of names: N points, W channels of an embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np

from heuresis_models.embedding import Encoder

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

Tensors = Mapping[str, "NDArray[Any]"]


class Estimate(NamedTuple):
    """What one fitted model says of N texts."""

    mean_N: NDArray[np.float64]
    deviation_N: NDArray[np.float64] | None
    """Expected error of each, before calibration; None: this method cannot tell easy from hard."""


class Fitted(Protocol):
    """A model that has learned."""

    def predict(self, texts: Sequence[str]) -> Estimate:
        """Return predictions in the order of the texts."""
        ...

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return everything that was learned, for `Method.restore`."""
        ...


class Method(Protocol):
    """A way of learning a property from texts and values."""

    kind: ClassVar[str]

    def settings(self) -> dict[str, Any]:
        """Return what a file must hold to build this method again (JSON values)."""
        ...

    def fit(self, texts: Sequence[str], values_N: NDArray[np.float64], rng: Generator) -> Fitted:
        """Learn; equal generators give equal models."""
        ...

    def restore(self, tensors: Tensors) -> Fitted:
        """Return the fitted model whose `Fitted.tensors` these are."""
        ...


class MeanValue:
    """Predicts the mean of the training values: what every other method has to beat."""

    kind: ClassVar[str] = "mean"

    def settings(self) -> dict[str, Any]:
        """Return nothing: there is nothing to set."""
        return {}

    def fit(self, texts: Sequence[str], values_N: NDArray[np.float64], rng: Generator) -> Fitted:  # noqa: ARG002 - contract
        """Learn the mean."""
        return _FittedMean(float(values_N.mean()))

    def restore(self, tensors: Tensors) -> Fitted:
        """Return the fitted model."""
        return _FittedMean(float(tensors["mean"]))


class _FittedMean:
    def __init__(self, mean: float) -> None:
        self._mean = mean

    def predict(self, texts: Sequence[str]) -> Estimate:
        return Estimate(np.full(len(texts), self._mean), None)

    def tensors(self) -> dict[str, NDArray[Any]]:
        return {"mean": np.array(self._mean)}


class LinearProbe:
    """Bayesian ridge regression on embeddings: how much of a property they hold linearly.

    Weights have a normal prior, noise is normal; their ratio maximises the marginal likelihood
    (MacKay, Neural Comput. 4, 415 (1992)), found on a grid after one eigendecomposition. The
    predictive deviation grows with the distance from what was learned from.

    Cost of a fit: N W^2 + W^3 for N > W, else W N^2 + N^3; a prediction W min(N, W).

    Args:
        encoder: makes the embeddings.
    """

    kind: ClassVar[str] = "linear-probe"

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    def settings(self) -> dict[str, Any]:
        """Return the settings; the encoder is described once for the whole surrogate."""
        return {"uses_encoder": True}

    def fit(self, texts: Sequence[str], values_N: NDArray[np.float64], rng: Generator) -> Fitted:  # noqa: ARG002 - contract
        """Learn the weights; nothing here is random."""
        x_NW = self.encoder.embed(texts).astype(np.float64)
        return self.restore(bayesian_ridge(x_NW, values_N))

    def restore(self, tensors: Tensors) -> Fitted:
        """Return the fitted model."""
        return _FittedRidge(self.encoder, tensors)


def bayesian_ridge(
    x_NW: NDArray[np.float64], values_N: NDArray[np.float64]
) -> dict[str, NDArray[Any]]:
    """Return what `_FittedRidge` needs: scaling, weights and the spread of the weights."""
    centre_W = x_NW.mean(0)
    deviation_W = x_NW.std(0)
    # A channel that never varied says nothing, however much it varies later.
    scale_W = np.where(deviation_W > 1e-8, deviation_W, np.inf)
    z_NW = (x_NW - centre_W) / scale_W
    offset = values_N.mean()
    y_N = values_N - offset
    count, width = z_NW.shape
    # Eigenpairs of the smaller of the two product matrices give the same singular triple.
    if count <= width:
        square_R, left_NR = np.linalg.eigh(z_NW @ z_NW.T)
        keep = square_R > square_R[-1] * 1e-10
        square_R, left_NR = square_R[keep], left_NR[:, keep]
        right_WR = z_NW.T @ left_NR / np.sqrt(square_R)
    else:
        square_R, right_WR = np.linalg.eigh(z_NW.T @ z_NW)
        keep = square_R > square_R[-1] * 1e-10
        square_R, right_WR = square_R[keep], right_WR[:, keep]
        left_NR = z_NW @ right_WR / np.sqrt(square_R)
    seen_R = left_NR.T @ y_N
    rest = max(float(y_N @ y_N - seen_R @ seen_R), 0.0)
    best = (-np.inf, 1.0, 1.0)
    for ridge in square_R.mean() * np.logspace(-8, 4, 73):
        factor_R = 1.0 + square_R / ridge
        noise = (float((seen_R**2 / factor_R).sum()) + rest) / count
        evidence = -0.5 * (count * np.log(max(noise, 1e-300)) + float(np.log(factor_R).sum()))
        best = max(best, (evidence, float(ridge), noise))
    _, ridge, noise = best
    return {
        "centre": centre_W,
        "scale": scale_W,
        "offset": np.array(offset),
        "weight": right_WR @ (np.sqrt(square_R) / (square_R + ridge) * seen_R),
        "direction": right_WR.astype(np.float32),
        # Variance of the weights along each direction, less that of a direction never seen.
        "gain": 1.0 / ridge - 1.0 / (square_R + ridge),
        "ridge": np.array(ridge),
        "noise": np.array(noise),
    }


class _FittedRidge:
    def __init__(self, encoder: Encoder, tensors: Tensors) -> None:
        self._encoder = encoder
        self._tensors = dict(tensors)

    def predict(self, texts: Sequence[str]) -> Estimate:
        return ridge_estimate(self._tensors, self._encoder.embed(texts).astype(np.float64))

    def tensors(self) -> dict[str, NDArray[Any]]:
        return self._tensors


def ridge_estimate(tensors: Tensors, x_NW: NDArray[np.float64]) -> Estimate:
    """Apply the result of `bayesian_ridge` to new embeddings."""
    z_NW = (x_NW - tensors["centre"]) / tensors["scale"]
    along_NR = z_NW @ tensors["direction"].astype(np.float64)
    spread_N = (z_NW**2).sum(1) / float(tensors["ridge"]) - (along_NR**2) @ tensors["gain"]
    variance_N = float(tensors["noise"]) * (1.0 + np.maximum(spread_N, 0.0))
    mean_N = z_NW @ tensors["weight"] + float(tensors["offset"])
    return Estimate(mean_N, np.sqrt(np.maximum(variance_N, 1e-30)))
