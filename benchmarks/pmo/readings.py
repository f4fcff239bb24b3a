"""What is read off one call log: the headline, the reading at 1,000 calls, filtered and diverse.

All are areas under a curve that is looked at every hundred calls (`heuresis.report.
sample_efficiency`); they differ in which ten molecules count at a look:

- *headline*: the ten best of the calls so far.
- *at 1,000*: the same, with a budget of 1,000 calls (PMO-1K).
- *filtered*: the ten best that are inside ZINC250k's world (`benchmarks.pmo.reference`).
- *diverse*: ten taken greedily by score, each with a Tanimoto similarity below 0.35 (ECFP4 folded
  to 2,048 bits) to all taken before it.
- *filtered and diverse*: the same among the molecules inside.

In the last three, places that stay empty count as 0, and calls outside still cost their call. In
PMO's own rule fewer than ten molecules are averaged as they are. Nothing here calls an oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from benchmarks.pmo.call_log import Call
from benchmarks.pmo.reference import Reference

from heuresis.records import Record
from heuresis.report.sample_efficiency import (
    BEST,
    area_of_looks,
    area_under_curve,
    best_mean,
    checkpoints,
)

if TYPE_CHECKING:
    import numpy as np

SHORT_BUDGET = 1000
SIMILARITY_LIMIT = 0.35
FINGERPRINT_BITS = 2048


class Readings(Record):
    """Figures of one run; areas are 0 to 1."""

    auc: float
    auc_at_1000: float
    auc_filtered: float
    auc_diverse: float
    auc_filtered_diverse: float
    final_best: float
    final_top10: float
    """Mean of the ten best at the end."""
    final_inside: float
    """Share of the ten best at the end that are inside ZINC250k's world."""
    final_similarity: float
    """Mean Tanimoto similarity among the ten best at the end."""
    calls: int
    failed: int
    filtered_by: str
    """What *filtered* means here, in words."""


def read(calls: Sequence[Call], *, budget: int, reference: Reference) -> Readings:
    """Return all readings of a call log.

    Args:
        calls: in the order in which they were made; those beyond the budget do not count.
        budget: calls that were allowed; a shorter run is held at its last value.
        reference: the world for the filtered readings.
    """
    calls = calls[:budget]
    scores = [call.counted for call in calls]
    pool = _Pool(calls, scores, reference)
    ten = pool.order[:BEST]
    return Readings(
        auc=area_under_curve(scores, budget=budget),
        auc_at_1000=area_under_curve(scores, budget=min(budget, SHORT_BUDGET)),
        auc_filtered=pool.area(budget, pool.inside, diverse=False),
        auc_diverse=pool.area(budget, lambda _: True, diverse=True),
        auc_filtered_diverse=pool.area(budget, pool.inside, diverse=True),
        final_best=max(scores, default=0.0),
        final_top10=best_mean(scores),
        final_inside=sum(pool.inside(i) for i in ten) / len(ten) if ten else 0.0,
        final_similarity=pool.mean_similarity(ten),
        calls=len(calls),
        failed=sum(call.score is None for call in calls),
        filtered_by=reference.in_words(),
    )


class _Pool:
    """The calls of one run, with what the readings need to know of them, worked out on demand."""

    def __init__(
        self, calls: Sequence[Call], scores: Sequence[float], reference: Reference
    ) -> None:
        self._calls = calls
        self._scores = scores
        self._reference = reference
        self._inside: dict[int, bool] = {}
        self._similar: dict[int, np.ndarray] = {}
        self.order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
        """Places of the calls, best first, earlier first among equals."""

    @cached_property
    def _fingerprints(self) -> list[Any]:
        from rdkit.Chem import MolFromSmiles
        from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

        generator = GetMorganGenerator(radius=2, fpSize=FINGERPRINT_BITS)
        return [generator.GetFingerprint(MolFromSmiles(call.smiles)) for call in self._calls]

    def inside(self, index: int) -> bool:
        """Return whether a call's molecule is inside; costs a millisecond the first time."""
        if index not in self._inside:
            from rdkit.Chem import MolFromSmiles

            molecule = MolFromSmiles(self._calls[index].smiles)
            self._inside[index] = self._reference.holds(molecule)
        return self._inside[index]

    def _similarities(self, index: int) -> np.ndarray:
        """Return the similarity of one call to every call, shape (calls,)."""
        if index not in self._similar:
            import numpy as np
            from rdkit.DataStructs import BulkTanimotoSimilarity

            fingerprints = self._fingerprints
            row = BulkTanimotoSimilarity(fingerprints[index], fingerprints)
            self._similar[index] = np.asarray(row, dtype=np.float32)
        return self._similar[index]

    def mean_similarity(self, indices: Sequence[int]) -> float:
        """Return the mean similarity over all pairs; 0 for fewer than two."""
        pairs = [
            float(self._similarities(a)[b])
            for place, a in enumerate(indices)
            for b in indices[place + 1 :]
        ]
        return sum(pairs) / len(pairs) if pairs else 0.0

    def area(self, budget: int, allowed: Callable[[int], bool], *, diverse: bool) -> float:
        """Return the area under the mean of the ten that count."""
        looks = [
            (k, sum(self._scores[i] for i in self._taken(k, allowed, diverse)) / BEST)
            for k in checkpoints(len(self._calls), budget)
        ]
        return area_of_looks(looks, budget=budget)

    def _taken(self, known: int, allowed: Callable[[int], bool], diverse: bool) -> list[int]:
        """Return the places of the molecules that count among the first ``known`` calls."""
        import numpy as np

        blocked = np.zeros(len(self._calls), dtype=bool)
        taken: list[int] = []
        for index in self.order:
            if len(taken) == BEST or self._scores[index] <= 0.0:
                break
            if index >= known or blocked[index] or not allowed(index):
                continue
            taken.append(index)
            if diverse:
                blocked |= self._similarities(index) >= SIMILARITY_LIMIT
        return taken
