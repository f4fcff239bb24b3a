"""The non-dominated candidates of a campaign and how much they cover, for all views."""

from __future__ import annotations

from heuresis.report.rows import CandidateRecord, CurvePoint
from heuresis.search.objective import Objective
from heuresis.search.pareto import ParetoFront

CURVE_PARTS = 50
"""The curve has a point at every completed candidate at first, then at every fiftieth part of what
there is: the exact hypervolume of hundreds of points in four objectives takes a tenth of a second.
"""


class FrontView:
    """A fold over completed candidates: the front, and its hypervolume against evaluations.

    Args:
        objective: whose desirabilities are compared.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._front: ParetoFront[CandidateRecord] = ParetoFront()
        self.curve: list[CurvePoint] = []
        self._sampled_at = 0
        self._volume: float | None = 0.0
        """None: the front has changed since it was computed."""

    def add(self, record: CandidateRecord, *, evaluations: int, completed: int) -> None:
        """Take note of a completed candidate; infeasible ones are never completed."""
        point = tuple(self._objective.judge(record.measurements).desirabilities.values())
        if self._front.add(point, record):
            self._volume = None
        if completed - self._sampled_at >= max(1, completed // CURVE_PARTS):
            self._sampled_at = completed
            self.curve.append(
                CurvePoint(evaluations=evaluations, completed=completed, value=self.hypervolume)
            )

    @property
    def hypervolume(self) -> float:
        """Volume that the front dominates, in [0, 1]."""
        if self._volume is None:
            self._volume = self._front.hypervolume()
        return self._volume

    @property
    def size(self) -> int:
        """How many candidates are on the front."""
        return len(self._front.items)

    @property
    def records(self) -> list[CandidateRecord]:
        """The front, by score, best first: a compromise before an end."""
        return sorted(self._front.items, key=lambda r: (-(r.score or 0.0), r.candidate.id))
