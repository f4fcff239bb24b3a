"""FunSearch's scored database: islands of clusters, drawn from by rank, reset by evaluation count.

The algorithm of Romera-Paredes et al. (Nature 625, 468, 2024), with its known traps removed:
selection is by rank, so it does not depend on the scale of the scores; parents of one prompt are
distinct; resets count evaluations, not hours; a result that comes home to an island that was reset
meanwhile is not bred there (the ticket carries island *and* epoch).

This module knows no storage, no clock and no proposers. Generators are passed in.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass, field

from numpy.random import Generator

from heuresis.records import ScoredCandidate
from heuresis.search.settings import SearchSettings

Signature = tuple[float, ...]
"""Rounded desirabilities: candidates that do equally well in every respect share a cluster."""

CLUSTER_CAPACITY = 16
"""Members kept per cluster; more of the same teaches nothing."""


@dataclass(kw_only=True)
class Island:
    """An isolated sub-population between two resets."""

    epoch: int = 0
    clusters: dict[Signature, list[ScoredCandidate]] = field(default_factory=dict)
    ranking: list[tuple[float, int, Signature]] = field(default_factory=list)
    """(-score, arrival, signature) in rising order: best cluster first."""
    arrivals: int = 0
    size: int = 0

    @property
    def best(self) -> float:
        """Highest score on the island; -1 when it is empty."""
        return -self.ranking[0][0] if self.ranking else -1.0

    def add(self, member: ScoredCandidate, signature: Signature, capacity: int) -> None:
        """Add a member to its cluster; beyond ``capacity`` the worst cluster loses its oldest."""
        cluster = self.clusters.get(signature)
        if cluster is None:
            cluster = self.clusters[signature] = []
            bisect.insort(self.ranking, (-member.score, self.arrivals, signature))
            self.arrivals += 1
        cluster.append(member)
        self.size += 1
        if len(cluster) > CLUSTER_CAPACITY:
            cluster.pop(0)
            self.size -= 1
        if self.size > capacity:
            worst = self.ranking[-1][2]
            self.clusters[worst].pop(0)
            self.size -= 1
            if not self.clusters[worst]:
                del self.clusters[worst]
                self.ranking.pop()

    def draw(self, count: int, decades: float, rng: Generator) -> list[ScoredCandidate]:
        """Draw up to ``count`` members of distinct clusters, in rising order of score.

        The rank of each is ``N · 10^-U(0, decades)``: log-uniform, so the best clusters are drawn
        often, every cluster sometimes, and only order matters.
        """
        ranks: set[int] = set()
        wanted = min(count, len(self.ranking))
        for _ in range(20 * wanted):
            if len(ranks) == wanted:
                break
            ranks.add(int(len(self.ranking) * 10.0 ** (-decades * rng.random())))
        for rank in range(wanted):  # a very greedy draw may repeat itself: fill from the top
            if len(ranks) == wanted:
                break
            ranks.add(rank)
        drawn = []
        for rank in sorted(ranks, reverse=True):
            cluster = self.clusters[self.ranking[rank][2]]
            drawn.append(cluster[int(rng.integers(len(cluster)))])
        return drawn


class Archive:
    """All islands, and the elite that outlives resets."""

    def __init__(self, settings: SearchSettings, elite_capacity: int = 1000) -> None:
        self.settings = settings
        self.islands = [Island() for _ in range(settings.islands)]
        self._elite_capacity = elite_capacity
        self._elite: list[tuple[float, int, ScoredCandidate]] = []
        self._registered = 0

    def register(
        self, member: ScoredCandidate, signature: Signature, *, island: int, epoch: int
    ) -> bool:
        """Add a scored candidate; return whether its island still lives in that epoch."""
        bisect.insort(self._elite, (-member.score, self._registered, member))
        self._registered += 1
        if len(self._elite) > self._elite_capacity:
            self._elite.pop()
        home = self.islands[island]
        if home.epoch != epoch:
            return False
        home.add(member, signature, self.settings.island_capacity)
        return True

    def draw(self, island: int, rng: Generator) -> list[ScoredCandidate]:
        """Draw the exemplars of a prompt from one island, in rising order of score."""
        return self.islands[island].draw(
            self.settings.exemplars, self.settings.selection_decades, rng
        )

    def best(self, count: int) -> list[ScoredCandidate]:
        """Return the best ever registered, best first; resets do not touch it."""
        return [member for _, _, member in self._elite[:count]]

    @property
    def registered(self) -> int:
        """How many scored candidates were ever registered."""
        return self._registered

    def choose_founders(self, rng: Generator) -> dict[int, ScoredCandidate | None]:
        """Choose which islands to reset (the weaker half) and a survivor's best for each.

        Ties are broken by island number, so the choice is a function of scores and ``rng`` alone.
        """
        order = sorted(range(len(self.islands)), key=lambda i: (self.islands[i].best, i))
        weakest, survivors = order[: len(order) // 2], order[len(order) // 2 :]
        founders: dict[int, ScoredCandidate | None] = {}
        for island in sorted(weakest):
            survivor = self.islands[survivors[int(rng.integers(len(survivors)))]]
            founders[island] = (
                survivor.clusters[survivor.ranking[0][2]][-1] if survivor.ranking else None
            )
        return founders

    def reset(self, founders: Mapping[int, str | None]) -> None:
        """Empty islands and re-found each with a candidate id that lives on another island."""
        members = {
            member.candidate.id: (member, signature)
            for island in self.islands
            for signature, cluster in island.clusters.items()
            for member in cluster
        }
        for number, founder in founders.items():
            island = self.islands[number] = Island(epoch=self.islands[number].epoch + 1)
            if founder is not None:
                member, signature = members[founder]
                island.add(member, signature, self.settings.island_capacity)
