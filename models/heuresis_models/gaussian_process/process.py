"""One exact Gaussian process whose points are appended one at a time.

With covariance K of the points and noise s², K + s² I = L Lᵀ. Kept is the inverse of L, which grows
by one row per point: the mean of a new point with covariances k is (L⁻¹ k)·(L⁻¹ y), its variance
k(x, x) − |L⁻¹ k|² (Rasmussen and Williams, *Gaussian Processes for Machine Learning*, 2006,
algorithm 2.1). Products with L⁻¹ run at the speed of matrix products; since no eigenvalue of
K + s² I is below s², no entry of L⁻¹ is above 1/s, and the inverse is as accurate as the solve.

Letters: N points, M new points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.linalg import lapack

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_VARIANCE: Final = 1e-9
_JITTER: Final = 1e-9
_GROWTH: Final = 512
_STRIPS: Final = 4
"""Horizontal strips of the triangle; products skip what is zero to their right."""


class Appended(NamedTuple):
    """A point that was added: what was believed of it before, and its row of the factor."""

    mean: float
    variance: float
    row_N: NDArray[np.float64]
    """L⁻¹ k for the covariances k with the points before."""
    diagonal: float
    """Last entry of the new row of L."""
    whitened: float
    """Its entry of L⁻¹ y."""


class GaussianProcess:
    """Mean 0, variance 1, no fitting.

    Args:
        noise: variance of a measurement about the function.
    """

    def __init__(self, noise: float) -> None:
        self._noise = noise + _JITTER
        self._inverse = np.zeros((_GROWTH, _GROWTH))
        self._whitened = np.zeros(_GROWTH)
        self.size = 0

    def append(self, k_N: NDArray[np.float64], y: float) -> Appended:
        """Add a point and return what was believed of it.

        Args:
            k_N: covariances with the points so far.
            y: its measured value.
        """
        n = self.size
        self._make_room(n + 1)
        inverse, whitened = self._inverse, self._whitened
        row = _lower_product(inverse, k_N[:, None], n)[:, 0]
        mean = float(row @ whitened[:n])
        variance = max(1.0 - float(row @ row), _LEAST_VARIANCE)
        diagonal = np.sqrt(max(1.0 + self._noise - float(row @ row), _LEAST_VARIANCE))
        inverse[n, :n] = (row @ inverse[:n, :n]) / -diagonal
        inverse[n, n] = 1.0 / diagonal
        whitened[n] = (y - mean) / diagonal
        self.size = n + 1
        return Appended(mean, variance, row, float(diagonal), float(whitened[n]))

    def refit(self, k_NN: NDArray[np.float64], y_N: NDArray[np.float64]) -> None:
        """Forget all points and learn these instead."""
        n = len(y_N)
        self.size = 0
        self._make_room(n)
        lower = np.linalg.cholesky(k_NN + self._noise * np.eye(n))
        inverse, failed = lapack.dtrtri(lower, lower=1)
        if failed:
            raise np.linalg.LinAlgError(f"the covariance has no inverse (row {failed})")
        self._inverse[:n, :n] = np.tril(inverse)
        self._whitened[:n] = self._inverse[:n, :n] @ y_N
        self.size = n

    def predict(self, k_MN: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and variance (without noise) of new points, shapes (M,) and (M,)."""
        n = self.size
        projected_NM = self.projected(k_MN)
        mean = self._whitened[:n] @ projected_NM
        variance = 1.0 - np.einsum("nm,nm->m", projected_NM, projected_NM)
        return mean, np.maximum(variance, _LEAST_VARIANCE)

    def projected(self, k_MN: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return L⁻¹ k of new points, shape (N, M)."""
        return _lower_product(self._inverse, k_MN.T, self.size)

    @property
    def whitened_N(self) -> NDArray[np.float64]:
        """L⁻¹ y, whose product with a column of `projected` is the mean."""
        return self._whitened[: self.size]

    def left_out(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return error and variance (with noise) of each point, predicted from all others.

        Source: Rasmussen and Williams, eq. 5.12; the diagonal of the inverse covariance is the sum
        of squares of each column of the inverse factor.
        """
        n = self.size
        inverse = self._inverse[:n, :n]
        precision = np.einsum("ij,ij->j", inverse, inverse)
        errors: NDArray[np.float64] = (self._whitened[:n] @ inverse) / precision
        return errors, 1.0 / precision

    def _make_room(self, size: int) -> None:
        old = len(self._whitened)
        if size <= old:
            return
        room = -(-size // _GROWTH) * _GROWTH
        inverse = np.zeros((room, room))
        inverse[:old, :old] = self._inverse
        self._inverse = inverse
        self._whitened = np.concatenate([self._whitened, np.zeros(room - old)])


def _lower_product(
    lower: NDArray[np.float64], right_NM: NDArray[np.float64], n: int
) -> NDArray[np.float64]:
    """Return lower[:n, :n] @ right without most of the zeros above the diagonal."""
    product = np.empty((n, right_NM.shape[1]))
    strip = -(-n // _STRIPS) if n > 256 else max(n, 1)
    for start in range(0, n, strip):
        end = min(start + strip, n)
        product[start:end] = lower[start:end, :end] @ right_NM[:end]
    return product
