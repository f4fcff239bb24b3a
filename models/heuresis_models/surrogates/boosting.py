"""Gradient-boosted trees on counted fragments and descriptors: the baseline of the field.

Stochastic gradient boosting (Friedman, Comput. Stat. Data Anal. 38, 367 (2002)) by scikit-learn.
The trees are then held as plain arrays, so that a file of them runs no code when it is read.

Letters at the ends of names: N points, F features, T trees, P nodes of all trees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from heuresis_models.surrogates.fingerprints import descriptors, folded_counts
from heuresis_models.surrogates.methods import Estimate, Fitted, Tensors

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

RADIUS: Final = 2
FOLDED_SIZE: Final = 2048
LEAST_OCCURRENCES: Final = 3
"""A fragment in fewer training molecules than this teaches nothing; leaving it out saves time."""
_CHUNK: Final = 512


class Boosting:
    """Gradient boosting on fingerprints, for molecules only.

    Cost of a fit: linear in N, in trees and in the features that vary; no deviation of its own, so
    its intervals are equally wide everywhere.

    Args:
        trees: how many.
        learning_rate: share of each tree's correction that is taken.
        depth: of a tree.
    """

    kind: ClassVar[str] = "boosting"

    def __init__(self, *, trees: int = 300, learning_rate: float = 0.05, depth: int = 6) -> None:
        self.trees = trees
        self.learning_rate = learning_rate
        self.depth = depth

    def settings(self) -> dict[str, Any]:
        """Return the settings."""
        return {"trees": self.trees, "learning_rate": self.learning_rate, "depth": self.depth}

    def fit(self, texts: Sequence[str], values_N: NDArray[np.float64], rng: Generator) -> Fitted:
        """Grow the trees.

        Raises:
            SurrogateError: a text is no molecule.
        """
        from sklearn.ensemble import GradientBoostingRegressor

        x_NF = features(texts)
        used = np.flatnonzero(x_NF.std(0) > 0)
        rare = (used < FOLDED_SIZE) & ((x_NF[:, used] > 0).sum(0) < LEAST_OCCURRENCES)
        used = used[~rare]
        if not len(used):
            used = np.array([FOLDED_SIZE])
        model = GradientBoostingRegressor(
            n_estimators=self.trees,
            learning_rate=self.learning_rate,
            max_depth=self.depth,
            min_samples_leaf=min(3, max(1, len(texts) // 10)),
            subsample=0.5,
            max_features=0.1,
            random_state=int(rng.integers(2**31)),
        ).fit(x_NF[:, used], values_N)
        grown = [tree.tree_ for tree in model.estimators_[:, 0]]
        start_T = np.cumsum([0, *(tree.node_count for tree in grown)])[:-1]
        shift_P = np.repeat(start_T, [tree.node_count for tree in grown])
        feature_P = np.concatenate([tree.feature for tree in grown])
        leaf_P = feature_P < 0
        own_P = np.arange(len(shift_P))
        left_P = np.concatenate([tree.children_left for tree in grown]) + shift_P
        right_P = np.concatenate([tree.children_right for tree in grown]) + shift_P
        value_P = np.concatenate([tree.value[:, 0, 0] for tree in grown])
        return self.restore(
            {
                "root": start_T.astype(np.int64),
                "feature": used[np.where(leaf_P, 0, feature_P)].astype(np.int64),
                "threshold": np.concatenate([tree.threshold for tree in grown]),
                # A leaf leads to itself, so all rows can take the same number of steps.
                "left": np.where(leaf_P, own_P, left_P).astype(np.int64),
                "right": np.where(leaf_P, own_P, right_P).astype(np.int64),
                "value": value_P * self.learning_rate,
                "offset": np.array(values_N.mean()),
                "depth": np.array(max(tree.max_depth for tree in grown)),
            }
        )

    def restore(self, tensors: Tensors) -> Fitted:
        """Return the fitted model."""
        return _FittedTrees(tensors)


def features(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return counted fragments, then descriptors, shape (N, F)."""
    return np.concatenate([folded_counts(texts, RADIUS, FOLDED_SIZE), descriptors(texts)], axis=1)


class _FittedTrees:
    def __init__(self, tensors: Tensors) -> None:
        self._tensors = dict(tensors)

    def predict(self, texts: Sequence[str]) -> Estimate:
        return Estimate(walk(self._tensors, features(texts)), None)

    def tensors(self) -> dict[str, NDArray[Any]]:
        return self._tensors


def walk(tensors: Tensors, x_NF: NDArray[np.float32]) -> NDArray[np.float64]:
    """Send every row down every tree and add up the leaves it ends in."""
    mean_N = np.full(len(x_NF), float(tensors["offset"]))
    for start in range(0, len(x_NF), _CHUNK):
        rows = x_NF[start : start + _CHUNK]
        row_N1 = np.arange(len(rows))[:, None]
        node_NT = np.broadcast_to(tensors["root"], (len(rows), len(tensors["root"])))
        for _ in range(int(tensors["depth"])):
            goes_left_NT = (
                rows[row_N1, tensors["feature"][node_NT]] <= tensors["threshold"][node_NT]
            )
            node_NT = np.where(goes_left_NT, tensors["left"][node_NT], tensors["right"][node_NT])
        mean_N[start : start + _CHUNK] += tensors["value"][node_NT].sum(1)
    return mean_N
