"""Who was asked how often, over the course of a campaign."""

from __future__ import annotations

from collections import Counter

BLOCKS = 24
"""At most so many; then every two become one."""
_LEVELS = " ▁▂▃▄▅▆▇█"


class AskHistory:
    """Counts the asks of each proposer in consecutive blocks of equally many asks."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self.blocks: list[Counter[str]] = []
        self.block_size = 1

    def add(self, proposer: str) -> None:
        """Count one ask."""
        self.total[proposer] += 1
        if not self.blocks or self.blocks[-1].total() == self.block_size:
            if len(self.blocks) == BLOCKS:
                pairs = zip(self.blocks[::2], self.blocks[1::2], strict=True)
                self.blocks = [a + b for a, b in pairs]
                self.block_size *= 2
            self.blocks.append(Counter())
        self.blocks[-1][proposer] += 1

    def share(self, proposer: str) -> float:
        """Return a proposer's share of all asks."""
        return self.total[proposer] / self.total.total() if self.total else 0.0

    def shares(self, proposer: str) -> list[float]:
        """Return a proposer's share of each block, the oldest first."""
        return [block[proposer] / block.total() for block in self.blocks]

    def sparkline(self, proposer: str) -> str:
        """Return the shares as one character per block: blank none, a full block all."""
        top = len(_LEVELS) - 1
        return "".join(_LEVELS[min(top, round(share * top))] for share in self.shares(proposer))
