"""An exact Gaussian process on counted fragments, descriptors and embeddings.

The covariance of two objects is a sum of parts, each with a weight that is learned:

- MinMax (Tanimoto on counts) of Morgan fragments up to radius 3, for molecules;
- a linear and a squared-exponential part on descriptors, for molecules;
- a linear and a squared-exponential part on the language model's embedding.

Weights and noise maximise the marginal likelihood (Rasmussen and Williams, *Gaussian Processes for
Machine Learning*, 2006, eq. 5.9) on at most `FITTING_POINTS` points; the length scale of an
exponential part is fixed at the median distance. All points then enter the prediction.

Letters at the ends of names: N training points, M new points, J parts, F channels of a block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from heuresis_models.embedding import Encoder
from heuresis_models.surrogates.errors import SurrogateError
from heuresis_models.surrogates.fingerprints import CountOverlap, descriptors, fragment_codes
from heuresis_models.surrogates.methods import Estimate, Fitted, Tensors

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

RADIUS: Final = 3
FITTING_POINTS: Final = 500
FARTHEST: Final = 5.0
"""Standardised features are clipped here: a linear part must not run away on an odd molecule."""
_LOG_WEIGHTS: Final = (-9.0, 4.0)
_LOG_NOISE: Final = (-7.0, 1.0)
_CHUNK: Final = 512


class GaussianProcess:
    """Exact Gaussian process regression.

    Cost of a fit: N^3 / 3 multiplications and 8 J N^2 bytes for N points, plus some twenty
    factorisations of at most 500 points; a prediction N^2.

    Args:
        encoder: adds the parts on embeddings; None: fragments and descriptors alone.
        molecules: adds the parts on fragments and descriptors.
        most_points: a random subset of this many is learned from when there are more.

    Raises:
        SurrogateError: neither an encoder nor molecules: no part is left.
    """

    kind: ClassVar[str] = "gaussian-process"

    def __init__(
        self, encoder: Encoder | None, *, molecules: bool = True, most_points: int = 4000
    ) -> None:
        if encoder is None and not molecules:
            raise SurrogateError(
                "a Gaussian process needs fragments (molecules=True), an encoder, or both"
            )
        self.encoder = encoder
        self.molecules = molecules
        self.most_points = most_points

    def settings(self) -> dict[str, Any]:
        """Return the settings."""
        return {
            "uses_encoder": self.encoder is not None,
            "molecules": self.molecules,
            "most_points": self.most_points,
        }

    def blocks(self, texts: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Return the dense features of each kind, each of shape (M, F)."""
        found: dict[str, NDArray[np.float64]] = {}
        if self.molecules:
            found["descriptors"] = descriptors(texts).astype(np.float64)
        if self.encoder is not None:
            found["embedding"] = self.encoder.embed(texts).astype(np.float64)
        return found

    def codes(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Return the fragments of each text; nothing for what is no molecule."""
        return [fragment_codes(text, RADIUS) for text in texts] if self.molecules else []

    def fit(self, texts: Sequence[str], values_N: NDArray[np.float64], rng: Generator) -> Fitted:
        """Learn the weights of the parts, then condition on all points.

        Raises:
            SurrogateError: a text is no molecule although ``molecules`` is set.
        """
        chosen = np.sort(rng.permutation(len(texts))[: self.most_points])
        texts = [texts[index] for index in chosen]
        values_N = values_N[chosen]
        tensors: dict[str, NDArray[Any]] = {
            "offset": np.array(values_N.mean()),
            "scale": np.array(max(float(values_N.std()), 1e-12)),
            "values": values_N,
        }
        if self.molecules:
            codes = self.codes(texts)
            tensors["codes"] = np.concatenate(codes)
            tensors["code_counts"] = np.array([len(one) for one in codes])
        some = rng.permutation(len(texts))[:FITTING_POINTS]
        for name, x_NF in self.blocks(texts).items():
            centre_F, scale_F = x_NF.mean(0), x_NF.std(0)
            # A channel that never varied has no scale; it stays out of every distance.
            inverse_F = np.where(scale_F > 1e-8, 1.0 / np.maximum(scale_F, 1e-8), 0.0)
            z_NF = _standardise(x_NF, centre_F, inverse_F)
            tensors[f"{name}.centre"] = centre_F
            tensors[f"{name}.inverse"] = inverse_F
            tensors[f"{name}.points"] = z_NF.astype(np.float32)
            apart = _squared_distances(z_NF[some], z_NF[some])
            median = float(np.median(apart[apart > 0])) if (apart > 0).any() else 1.0
            tensors[f"{name}.length"] = np.array(median)
        state = _Covariance(self, tensors)
        parts = state.between_training(some)
        y_S = (values_N[some] - tensors["offset"]) / tensors["scale"]
        tensors["log_weights"] = _most_likely(parts, y_S)
        return self.restore(tensors)

    def restore(self, tensors: Tensors) -> Fitted:
        """Return the fitted model; factorises the covariance of the training points."""
        return _FittedProcess(self, tensors)


class _Covariance:
    """The parts of the covariance with the training points."""

    def __init__(self, method: GaussianProcess, tensors: Tensors) -> None:
        self.method = method
        self.tensors = tensors
        self.names = [name for name in ("descriptors", "embedding") if f"{name}.points" in tensors]
        self.points = {name: tensors[f"{name}.points"].astype(np.float64) for name in self.names}
        self.codes: list[NDArray[np.int64]] = []
        if method.molecules:
            ends = np.cumsum(tensors["code_counts"])[:-1]
            self.codes = np.split(tensors["codes"].astype(np.int64), ends)
            self.overlap = CountOverlap(self.codes)

    def between_training(self, some: NDArray[np.int64]) -> list[NDArray[np.float64]]:
        """Return all parts among the chosen training points."""
        parts = []
        if self.method.molecules:
            chosen = [self.codes[index] for index in some]
            parts.append(CountOverlap(chosen)(chosen))
        for name in self.names:
            z_SF = self.points[name][some]
            parts += self._dense(name, z_SF, z_SF)
        return parts

    def with_training(
        self, codes: list[NDArray[np.int64]], blocks: dict[str, NDArray[np.float64]]
    ) -> list[NDArray[np.float64]]:
        """Return all parts between new points and all training points, each (M, N)."""
        parts = [self.overlap(codes)] if self.method.molecules else []
        for name in self.names:
            parts += self._dense(name, blocks[name], self.points[name])
        return parts

    def own(self, blocks: dict[str, NDArray[np.float64]], count: int) -> list[NDArray[np.float64]]:
        """Return every part of a new point with itself, each (M,)."""
        parts = [np.ones(count)] if self.method.molecules else []
        for name in self.names:
            parts += [(blocks[name] ** 2).mean(1), np.ones(count)]
        return parts

    def standardised(self, blocks: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
        """Return blocks of features on the scale of the training points."""
        return {
            name: _standardise(
                x_MF, self.tensors[f"{name}.centre"], self.tensors[f"{name}.inverse"]
            )
            for name, x_MF in blocks.items()
        }

    def _dense(
        self, name: str, z_MF: NDArray[np.float64], z_NF: NDArray[np.float64]
    ) -> list[NDArray[np.float64]]:
        apart = _squared_distances(z_MF, z_NF)
        return [
            z_MF @ z_NF.T / z_NF.shape[1],
            np.exp(-apart / float(self.tensors[f"{name}.length"])),
        ]


class _FittedProcess:
    def __init__(self, method: GaussianProcess, tensors: Tensors) -> None:
        from scipy.linalg import cholesky, solve_triangular

        self._method = method
        self._tensors = dict(tensors)
        self._covariance = _Covariance(method, tensors)
        weights = np.exp(tensors["log_weights"])
        self._weights, noise = weights[:-1], float(weights[-1])
        parts = self._covariance.with_training(
            self._covariance.codes, dict(self._covariance.points)
        )
        total_NN = _weighted(self._weights, parts)
        total_NN[np.diag_indices_from(total_NN)] += noise
        self._factor_NN = cholesky(total_NN, lower=True, overwrite_a=True)
        self._noise = noise
        y_N = (tensors["values"] - tensors["offset"]) / tensors["scale"]
        half_N = solve_triangular(self._factor_NN, y_N, lower=True)
        self._dual_N = solve_triangular(self._factor_NN, half_N, lower=True, trans="T")

    def predict(self, texts: Sequence[str]) -> Estimate:
        from scipy.linalg import solve_triangular

        mean_M = np.empty(len(texts))
        variance_M = np.empty(len(texts))
        for start in range(0, len(texts), _CHUNK):
            some = texts[start : start + _CHUNK]
            blocks = self._covariance.standardised(self._method.blocks(some))
            cross_MN = _weighted(
                self._weights, self._covariance.with_training(self._method.codes(some), blocks)
            )
            there = slice(start, start + len(some))
            mean_M[there] = cross_MN @ self._dual_N
            solved_NM = solve_triangular(self._factor_NN, cross_MN.T, lower=True)
            own_M = _weighted(self._weights, self._covariance.own(blocks, len(some)))
            variance_M[there] = own_M - (solved_NM**2).sum(0) + self._noise
        scale = float(self._tensors["scale"])
        # Rounding can take a repeated point a little below its noise.
        variance_M = np.maximum(variance_M, self._noise)
        return Estimate(
            float(self._tensors["offset"]) + scale * mean_M, scale * np.sqrt(variance_M)
        )

    def tensors(self) -> dict[str, NDArray[Any]]:
        return self._tensors


def _standardise(
    x_NF: NDArray[np.float64], centre_F: NDArray[np.float64], inverse_F: NDArray[np.float64]
) -> NDArray[np.float64]:
    clipped = np.clip((x_NF - centre_F) * inverse_F, -FARTHEST, FARTHEST)
    # Training points are kept in 32 bits; the same molecule asked again must be the same point.
    return clipped.astype(np.float32).astype(np.float64)


def _squared_distances(
    first_MF: NDArray[np.float64], second_NF: NDArray[np.float64]
) -> NDArray[np.float64]:
    product_MN = first_MF @ second_NF.T
    total = (first_MF**2).sum(1)[:, None] + (second_NF**2).sum(1) - 2.0 * product_MN
    clipped: NDArray[np.float64] = np.maximum(total, 0.0)
    return clipped


def _weighted(
    weights_J: NDArray[np.float64], parts: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    total: NDArray[np.float64] = weights_J[0] * parts[0]
    for weight, part in zip(weights_J[1:], parts[1:], strict=True):
        total += weight * part
    return total


def _most_likely(parts: list[NDArray[np.float64]], y_S: NDArray[np.float64]) -> NDArray[Any]:
    """Return log weights of the parts and, last, the log noise variance."""
    from scipy.linalg import cho_solve, cholesky
    from scipy.optimize import minimize

    identity = np.eye(len(y_S))

    def cost(log_weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = np.exp(log_weights)
        factor = cholesky(_weighted(weights, [*parts, identity]), lower=True)
        inverse = cho_solve((factor, True), identity)
        dual_S = inverse @ y_S
        value = 0.5 * float(y_S @ dual_S) + float(np.log(np.diag(factor)).sum())
        pull = inverse - np.outer(dual_S, dual_S)
        slope = [
            0.5 * w * float(np.vdot(pull, part)) for w, part in zip(weights, parts, strict=False)
        ]
        return value, np.array([*slope, 0.5 * weights[-1] * float(np.trace(pull))])

    start = np.log([*([1.0 / len(parts)] * len(parts)), 0.1])
    bounds = [_LOG_WEIGHTS] * len(parts) + [_LOG_NOISE]
    found = minimize(
        cost, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 30}
    )
    log_weights: NDArray[Any] = found.x
    return log_weights
