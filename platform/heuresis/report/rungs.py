"""What a cheap oracle is worth as a judge of who is measured by the dear one."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from heuresis.events import Judged
from heuresis.search.promotion import RANDOM_SHARE

WINDOW = 500
_FEWEST = 10


class Promotion(NamedTuple):
    """How a candidate left a rung."""

    bound: float
    threshold: float | None
    at_random: bool

    @classmethod
    def of(cls, event: Judged) -> Promotion:
        """Return what a promotion says."""
        return cls(event.bound or 0.0, event.threshold, event.reason == RANDOM_SHARE)


class RungAgreement:
    """Compares, for one rung, what it left possible with what came of it.

    The correlation is that of the candidates that went on, of which the rung chose most: within
    that narrower range it is lower than it would be over all. What went on by chance says, without
    that bias, how many of those turned away would have passed.
    """

    def __init__(self) -> None:
        self._pairs: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self.at_random = 0
        """Candidates that went on by chance and have their final verdict."""
        self.at_random_above = 0
        """Of these, completed with a score that beat the threshold of their time."""

    def add(self, promotion: Promotion, score: float | None) -> None:
        """Take note of a final verdict; ``score`` is None where there is none."""
        if score is not None:
            self._pairs.append((promotion.bound, score))
        if promotion.at_random:
            self.at_random += 1
            self.at_random_above += int(
                score is not None
                and promotion.threshold is not None
                and score >= promotion.threshold
            )

    @property
    def pairs(self) -> int:
        """Candidates that the correlation is over, the latest."""
        return len(self._pairs)

    @property
    def correlation(self) -> float | None:
        """Spearman's, of bound and final score; None: too few, or one of them never varies."""
        if len(self._pairs) < _FEWEST:
            return None
        import numpy as np
        from scipy.stats import rankdata

        ranks = [rankdata(column) for column in zip(*self._pairs, strict=True)]
        if any(np.ptp(rank) == 0.0 for rank in ranks):
            return None
        return float(np.corrcoef(ranks)[0, 1])

    def words(self) -> str:
        """Say it in one line; empty before there is anything to say."""
        parts = []
        if (correlation := self.correlation) is not None:
            parts.append(f"rank correlation with the final score {correlation:+.2f} ({self.pairs})")
        if self.at_random:
            parts.append(
                f"{self.at_random_above} of {self.at_random} that went on by chance beat the"
                " threshold"
            )
        return "; ".join(parts)


class Rungs:
    """A fold over verdicts: the agreement of each rung, in the order of the cascade."""

    def __init__(self) -> None:
        self.agreements: dict[str, RungAgreement] = {}
        self._left: dict[str, dict[str, Promotion]] = {}

    def judged(self, event: Judged) -> None:
        """Take note of a verdict."""
        if event.verdict == "promoted":
            self._left.setdefault(event.candidate, {})[event.oracle] = Promotion.of(event)
            self.agreements.setdefault(event.oracle, RungAgreement())
        elif event.verdict != "retry":
            score = event.score if event.verdict == "completed" else None
            for rung, promotion in self._left.pop(event.candidate, {}).items():
                self.agreements[rung].add(promotion, score)

    def lines(self) -> list[str]:
        """Return one line for each rung of which something can be said."""
        return [
            f"{rung}: {words}"
            for rung, agreement in self.agreements.items()
            if (words := agreement.words())
        ]
