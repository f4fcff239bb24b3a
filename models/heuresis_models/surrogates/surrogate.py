"""A property learned from measured values, with intervals: one interface for all methods.

`fit_surrogate` splits the points into folds, fits every method without each fold in turn, weighs
the methods by how well they predict what they have not seen, and calibrates intervals on exactly
those misses. The K models of the folds stay and predict together; nothing is fitted twice.

Letters at the ends of names: N new points, K folds, M methods, C training points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np

from heuresis_models.embedding import Encoder
from heuresis_models.surrogates.boosting import Boosting
from heuresis_models.surrogates.conformal import conformal_interval, least_points
from heuresis_models.surrogates.errors import SurrogateError
from heuresis_models.surrogates.gaussian_process import GaussianProcess
from heuresis_models.surrogates.methods import Estimate, Fitted, LinearProbe, Method

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

DEFAULT_COVERAGE: Final = 0.9
DEFAULT_FOLDS: Final = 5
SPLIT_SHARE: Final = 0.2
"""Share of the points that ``calibration="split"`` sets aside."""

Calibration = Literal["cross", "split"]


class Prediction(NamedTuple):
    """What a surrogate says of N texts, in the unit of the training values."""

    mean_N: NDArray[np.float64]
    standard_deviation_N: NDArray[np.float64]
    """Scaled so that the misses on unseen training points have a mean square of 1 in its units."""
    lower_N: NDArray[np.float64]
    upper_N: NDArray[np.float64]
    coverage: float
    """Share of true values that the interval should take in."""


class Unseen(NamedTuple):
    """What was said of training points by models that had not seen them."""

    fold_C: NDArray[np.int64]
    """The fold whose models these were."""
    value_C: NDArray[np.float64]
    mean_C: NDArray[np.float64]
    difficulty_C: NDArray[np.float64]

    @property
    def score_C(self) -> NDArray[np.float64]:
        """Misses in units of the difficulty that was predicted."""
        score_C: NDArray[np.float64] = np.abs(self.value_C - self.mean_C) / self.difficulty_C
        return score_C

    @property
    def rmse(self) -> float:
        """Root mean square error: what to expect of new points like these."""
        return float(np.sqrt(((self.value_C - self.mean_C) ** 2).mean()))

    @property
    def rank_correlation(self) -> float:
        """Spearman's correlation of prediction and value; 0 when one of them is constant."""
        from scipy.stats import rankdata

        ranks = [rankdata(self.value_C), rankdata(self.mean_C)]
        if min(rank.std() for rank in ranks) == 0.0:
            return 0.0
        return float(np.corrcoef(ranks)[0, 1])


class Surrogate:
    """Fitted methods with their weights and calibration; made by `fit_surrogate`.

    Args:
        methods: the M methods.
        fitted: the K models of each fold, M each.
        weight_M: how much each method counts; not negative, sum 1.
        unseen: what the intervals are calibrated on; also says how far to trust the surrogate.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        fitted: Sequence[Sequence[Fitted]],
        weight_M: NDArray[np.float64],
        unseen: Unseen,
    ) -> None:
        self.methods = tuple(methods)
        self.fitted = tuple(tuple(members) for members in fitted)
        self.weight_M = weight_M
        self.unseen = unseen

    def predict(self, texts: Sequence[str], *, coverage: float = DEFAULT_COVERAGE) -> Prediction:
        """Predict the property of texts.

        Args:
            texts: as in `fit_surrogate`.
            coverage: share of true values that the interval should take in.

        Raises:
            SurrogateError: a text is no molecule where fingerprints are used, ``coverage`` is out
                of range, or too few points were learned from for it.
            DocumentError, UnknownTokenError, OverlongError: the language model cannot read a text.
        """
        pairs = [
            _combined([member.predict(texts) for member in members], self.weight_M)
            for members in self.fitted
        ]
        mean_KN = np.stack([mean for mean, _ in pairs])
        difficulty_KN = np.stack([difficulty for _, difficulty in pairs])
        lower_N, upper_N = conformal_interval(
            mean_KN, difficulty_KN, self.unseen.score_C, self.unseen.fold_C, coverage
        )
        spread_N = (difficulty_KN**2).mean(0) * (self.unseen.score_C**2).mean() + mean_KN.var(0)
        return Prediction(mean_KN.mean(0), np.sqrt(spread_N), lower_N, upper_N, coverage)


def fit_surrogate(
    methods: Method | Sequence[Method],
    texts: Sequence[str],
    values: Sequence[float] | NDArray[np.float64],
    rng: Generator,
    *,
    calibration: Calibration = "cross",
    folds: int = DEFAULT_FOLDS,
) -> Surrogate:
    """Learn a property from measured values.

    Args:
        methods: one, or several for a weighted ensemble; see `ensemble`.
        texts: SMILES, or objects of the language such as ``<crystal>…</crystal>``; one that occurs
            several times stays within one fold.
        values: what was measured, in any one unit.
        rng: draws folds and whatever the methods draw.
        calibration: ``cross`` fits ``folds`` times and uses every point for both (CV+); ``split``
            fits once and sets `SPLIT_SHARE` of the points aside: for methods that are slow to fit.
        folds: of cross calibration.

    Raises:
        SurrogateError: numbers of texts and values differ, values are not finite or all equal, or
            there are too few points.
        DocumentError, UnknownTokenError, OverlongError: the language model cannot read a text.
    """
    chosen = tuple(methods) if isinstance(methods, Sequence) else (methods,)
    return _Folds(chosen, texts, values, rng, calibration, folds).surrogate(range(len(chosen)))


def fit_compared(
    methods: Sequence[Method],
    texts: Sequence[str],
    values: Sequence[float] | NDArray[np.float64],
    rng: Generator,
    *,
    calibration: Calibration = "cross",
    folds: int = DEFAULT_FOLDS,
) -> tuple[Surrogate, list[Surrogate]]:
    """Return the ensemble of `fit_surrogate` and each of its methods alone, fitted only once.

    Args and errors: see `fit_surrogate`.
    """
    done = _Folds(tuple(methods), texts, values, rng, calibration, folds)
    everything = range(len(methods))
    return done.surrogate(everything), [done.surrogate([index]) for index in everything]


class _Folds:
    """Every method fitted without each fold, with what it then said of that fold."""

    def __init__(
        self,
        methods: tuple[Method, ...],
        texts: Sequence[str],
        values: Sequence[float] | NDArray[np.float64],
        rng: Generator,
        calibration: Calibration,
        folds: int,
    ) -> None:
        value_C = _checked(methods, texts, values, calibration, folds)
        group_C = _groups(texts, rng, calibration, folds)
        self.methods = methods
        self.estimates: list[list[Estimate]] = []
        self.fitted: list[list[Fitted]] = []
        left_out: list[NDArray[np.int64]] = []
        for fold in range(folds if calibration == "cross" else 1):
            out, inside = np.flatnonzero(group_C == fold), np.flatnonzero(group_C != fold)
            members = [
                method.fit([texts[int(i)] for i in inside], value_C[inside], child)
                for method, child in zip(methods, rng.spawn(len(methods)), strict=True)
            ]
            unseen = [texts[int(i)] for i in out]
            self.estimates.append([member.predict(unseen) for member in members])
            self.fitted.append(members)
            left_out.append(out)
        scored = np.concatenate(left_out)
        self.value_C, self.fold_C = value_C[scored], group_C[scored]

    def surrogate(self, chosen: Sequence[int]) -> Surrogate:
        """Weigh the chosen methods on what they had not seen, and calibrate on the same misses."""
        estimates = [[fold[index] for index in chosen] for fold in self.estimates]
        guess_MC = np.stack(
            [
                np.concatenate([fold[place].mean_N for fold in estimates])
                for place in range(len(chosen))
            ]
        )
        weight_M = _weights(guess_MC, self.value_C)
        pairs = [_combined(fold, weight_M) for fold in estimates]
        mean_C = np.concatenate([mean for mean, _ in pairs])
        difficulty_C = np.concatenate([difficulty for _, difficulty in pairs])
        return Surrogate(
            [self.methods[index] for index in chosen],
            [[fold[index] for index in chosen] for fold in self.fitted],
            weight_M,
            Unseen(self.fold_C, self.value_C, mean_C, difficulty_C),
        )


def ensemble(encoder: Encoder | None) -> tuple[Method, ...]:
    """Return the methods that are worth averaging for molecules, cheap enough for a loop.

    Args:
        encoder: a language model; None: fingerprints alone.
    """
    probes = () if encoder is None else (LinearProbe(encoder),)
    return (Boosting(), GaussianProcess(encoder), *probes)


def _combined(
    estimates: Sequence[Estimate], weight_M: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and difficulty of a weighted average; without any deviation difficulty is 1."""
    mean_MN = np.stack([estimate.mean_N for estimate in estimates])
    mean_N = weight_M @ mean_MN
    known = [
        (weight, estimate.deviation_N)
        for weight, estimate in zip(weight_M, estimates, strict=True)
        if estimate.deviation_N is not None and weight > 0.0
    ]
    if not known:
        return mean_N, np.ones_like(mean_N)
    total = sum(weight for weight, _ in known)
    own_N = sum(weight / total * deviation**2 for weight, deviation in known)
    apart_N = weight_M @ (mean_MN - mean_N) ** 2
    return mean_N, np.sqrt(own_N + apart_N)


def _weights(guess_MC: NDArray[np.float64], value_C: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights, not negative and of sum 1, of the least squared error on unseen points."""
    from scipy.optimize import nnls

    if len(guess_MC) == 1:
        return np.ones(1)
    # One more equation, heavy enough to hold: the weights sum to 1.
    scale = max(float(value_C.std()), 1e-12)
    heavy = 1e3 * np.sqrt(len(value_C))
    left = np.vstack([(guess_MC - value_C.mean()).T / scale, np.full(len(guess_MC), heavy)])
    right = np.append((value_C - value_C.mean()) / scale, heavy)
    found, _ = nnls(left, right)
    weight_M: NDArray[np.float64] = found / found.sum()
    return weight_M


def _groups(
    texts: Sequence[str], rng: Generator, calibration: Calibration, folds: int
) -> NDArray[np.int64]:
    """Return the fold of each point; with ``split``, 0 is set aside and 1 is learned from."""
    number = {text: index for index, text in enumerate(dict.fromkeys(texts))}
    place = rng.permutation(len(number))
    if calibration == "cross":
        group = place % folds
    else:
        group = (place >= SPLIT_SHARE * len(number)).astype(np.int64)
    return np.array([group[number[text]] for text in texts], np.int64)


def _checked(
    methods: Sequence[Method],
    texts: Sequence[str],
    values: Sequence[float] | NDArray[np.float64],
    calibration: str,
    folds: int,
) -> NDArray[np.float64]:
    value_C = np.asarray(values, np.float64)
    if calibration not in ("cross", "split"):
        raise SurrogateError(f"calibration is 'cross' or 'split', got {calibration!r}")
    if not methods or (calibration == "cross" and folds < 2):
        raise SurrogateError(
            f"expected at least one method and two folds, got {len(methods)} and {folds}"
        )
    if value_C.ndim != 1 or len(value_C) != len(texts):
        raise SurrogateError(
            f"expected one value per text, got {len(texts)} texts and values of shape"
            f" {value_C.shape}"
        )
    odd = np.flatnonzero(~np.isfinite(value_C))
    if len(odd):
        raise SurrogateError(
            f"values must be finite; number {odd[0]} ({texts[odd[0]]!r}) is {value_C[odd[0]]};"
            " leave out what could not be measured"
        )
    needed = least_points(DEFAULT_COVERAGE)
    distinct = len(set(texts))
    scored = distinct if calibration == "cross" else int(SPLIT_SHARE * distinct)
    if scored < needed or (calibration == "cross" and distinct < 2 * folds):
        least = max(2 * folds, needed) if calibration == "cross" else int(needed / SPLIT_SHARE)
        raise SurrogateError(
            f"calibration '{calibration}' needs at least {least} different texts for intervals of"
            f" {DEFAULT_COVERAGE:.0%}, got {distinct}; measure more first"
        )
    if value_C.max() - value_C.min() <= 1e-12 * max(1.0, float(np.abs(value_C).max())):
        raise SurrogateError(
            f"all {len(value_C)} values are {value_C[0]}; there is nothing to learn from"
        )
    return value_C
