"""FunSearch's scored database: islands of clusters, drawn from by rank, reset by evaluation count.

The algorithm of Romera-Paredes et al. (Nature 625, 468, 2024), with its known traps removed:
selection is by rank, so it does not depend on the scale of the scores; parents of one prompt are
distinct; resets count evaluations, not hours; a result that comes home to an island that was reset
meanwhile is not bred there (the ticket carries island *and* epoch).

With ``ranking: pareto`` candidates rank by non-dominated front and then by crowding (see
`heuresis.search.pareto`) instead of by score: parents are drawn along the whole front, an island is
worth the hypervolume of its front, and it is re-founded from anywhere on a survivor's front. What
was not measured in full cannot be compared and ranks behind all that was, by its bound.

This module knows no storage, no clock and no proposers. Generators are passed in.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from heuresis.records import ScoredCandidate
from heuresis.search.pareto import ParetoFront, front_numbers, hypervolume, preference
from heuresis.search.settings import SearchSettings

Signature = tuple[float, ...]
"""Rounded desirabilities: candidates that do equally well in every respect share a cluster."""

CLUSTER_CAPACITY = 16
"""Members kept per cluster; more of the same teaches nothing."""


@dataclass(kw_only=True)
class Island:
    """An isolated sub-population between two resets, ranked by score."""

    epoch: int = 0
    clusters: dict[Signature, list[ScoredCandidate]] = field(default_factory=dict)
    ranking: list[tuple[float, int, Signature]] = field(default_factory=list)
    """(-score, arrival, signature) in rising order: best cluster first."""
    arrivals: int = 0
    size: int = 0

    @property
    def worth(self) -> float:
        """What resets compare: the highest score on the island; -1 when it is empty."""
        return -self.ranking[0][0] if self.ranking else -1.0

    def add(
        self,
        member: ScoredCandidate,
        signature: Signature,
        capacity: int,
        *,
        completed: bool = True,  # noqa: ARG002 - scores and bounds compare
    ) -> None:
        """Add a member to its cluster; beyond ``capacity`` the worst cluster loses its oldest."""
        self._join(member, signature)
        if self.size > capacity:
            self._forget_one(self.ranking[-1][2])

    def _join(self, member: ScoredCandidate, signature: Signature) -> None:
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

    def _forget_one(self, signature: Signature) -> bool:
        """Drop a cluster's oldest member; return whether the cluster is gone."""
        self.clusters[signature].pop(0)
        self.size -= 1
        if self.clusters[signature]:
            return False
        del self.clusters[signature]
        place = next(i for i, entry in enumerate(reversed(self.ranking)) if entry[2] == signature)
        del self.ranking[-1 - place]
        return True

    def at(self, rank: int) -> list[ScoredCandidate]:
        """Return the cluster at a rank, 0 being the best."""
        return self.clusters[self.ranking[rank][2]]

    def founder(self, rng: Generator) -> ScoredCandidate:  # noqa: ARG002 - the best there is
        """Return who re-founds another island."""
        return self.at(0)[-1]

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
            cluster = self.at(rank)
            drawn.append(cluster[int(rng.integers(len(cluster)))])
        return drawn


@dataclass(kw_only=True)
class ParetoIsland(Island):
    """An island ranked by non-dominated front, then by crowding.

    ``signature`` is the point: the desirabilities of all objectives.
    """

    completed: set[Signature] = field(default_factory=set)
    """Clusters whose members were measured in full."""
    _order: list[Signature] | None = None
    """Best first; None: to be sorted anew. Sorting 500 clusters takes milliseconds, and one ask
    brings a whole batch, so it is sorted when drawn from."""

    @property
    def worth(self) -> float:
        """What resets compare: the hypervolume of the front; -1 when the island is empty."""
        if not self.ranking:
            return -1.0
        return hypervolume(np.array(sorted(self.completed))) if self.completed else 0.0

    def add(
        self,
        member: ScoredCandidate,
        signature: Signature,
        capacity: int,
        *,
        completed: bool = True,
    ) -> None:
        """Add a member; a quarter beyond ``capacity`` the worst go until it is met."""
        self._join(member, signature)
        if completed:
            self.completed.add(signature)
        self._order = None
        if 4 * self.size > 5 * capacity:
            order = self.order()
            while self.size > capacity:
                if self._forget_one(order[-1]):
                    self.completed.discard(order.pop())
            self._order = None

    def order(self) -> list[Signature]:
        """Return the clusters, best first."""
        if self._order is None:
            by_score = [signature for _, _, signature in self.ranking]
            points = [signature for signature in by_score if signature in self.completed]
            best = preference(np.array(points)) if points else ()
            rest = [signature for signature in by_score if signature not in self.completed]
            self._order = [points[int(index)] for index in best] + rest
        return self._order

    def at(self, rank: int) -> list[ScoredCandidate]:
        """Return the cluster at a rank, 0 being the best."""
        return self.clusters[self.order()[rank]]

    def founder(self, rng: Generator) -> ScoredCandidate:
        """Return anyone on the front; of what is not measured in full, the best."""
        points = [signature for signature in self.order() if signature in self.completed]
        if not points:
            return self.at(0)[-1]
        on_front = int((front_numbers(np.array(points)) == 0).sum())
        return self.at(int(rng.integers(on_front)))[-1]


class Archive:
    """All islands, and the elite that outlives resets."""

    def __init__(self, settings: SearchSettings, elite_capacity: int = 1000) -> None:
        self.settings = settings
        self._is_pareto = settings.ranking == "pareto"
        self._new_island = ParetoIsland if self._is_pareto else Island
        self.islands: list[Island] = [self._new_island() for _ in range(settings.islands)]
        self.front: ParetoFront[ScoredCandidate] = ParetoFront()
        """The campaign's non-dominated set; stays empty with ``ranking: score``."""
        self._elite_capacity = elite_capacity
        self._elite: list[tuple[float, int, ScoredCandidate]] = []
        self._registered = 0

    def register(
        self,
        member: ScoredCandidate,
        signature: Signature,
        *,
        island: int,
        epoch: int,
        completed: bool = True,
    ) -> bool:
        """Add a scored candidate.

        Args:
            member: the candidate with its score, or its bound if it is not ``completed``.
            signature: its rounded desirabilities.
            island: where its parents came from.
            epoch: of the island, when they were drawn.
            completed: measured in full; else it cannot enter a front.

        Returns:
            Whether its island still lives in that epoch.
        """
        bisect.insort(self._elite, (-member.score, self._registered, member))
        self._registered += 1
        if len(self._elite) > self._elite_capacity:
            self._elite.pop()
        if self._is_pareto and completed:
            self.front.add(signature, member)
        home = self.islands[island]
        if home.epoch != epoch:
            return False
        home.add(member, signature, self.settings.island_capacity, completed=completed)
        return True

    def draw(self, island: int, rng: Generator) -> list[ScoredCandidate]:
        """Draw the exemplars of a prompt from one island, the best last."""
        return self.islands[island].draw(
            self.settings.exemplars, self.settings.selection_decades, rng
        )

    def best(self, count: int) -> list[ScoredCandidate]:
        """Return the best ever registered, best first; resets do not touch it.

        With ``ranking: pareto`` the front comes first (lonelier before crowded), the others follow
        by score.
        """
        by_score = (member for _, _, member in self._elite)
        if not self._is_pareto:
            return list(itertools.islice(by_score, count))
        found = self.front.best_first()
        known = {member.candidate.id for member in found}
        found += (member for member in by_score if member.candidate.id not in known)
        return found[:count]

    @property
    def registered(self) -> int:
        """How many scored candidates were ever registered."""
        return self._registered

    def choose_founders(self, rng: Generator) -> dict[int, ScoredCandidate | None]:
        """Choose which islands to reset (the weaker half) and a survivor's best for each.

        Ties are broken by island number, so the choice is a function of scores and ``rng`` alone.
        """
        worth = [island.worth for island in self.islands]
        order = sorted(range(len(self.islands)), key=lambda i: (worth[i], i))
        weakest, survivors = order[: len(order) // 2], order[len(order) // 2 :]
        founders: dict[int, ScoredCandidate | None] = {}
        for island in sorted(weakest):
            survivor = self.islands[survivors[int(rng.integers(len(survivors)))]]
            founders[island] = survivor.founder(rng) if survivor.ranking else None
        return founders

    def reset(self, founders: Mapping[int, str | None]) -> None:
        """Empty islands and re-found each with a candidate id that lives on another island."""
        members = {
            member.candidate.id: (member, signature, island)
            for island in self.islands
            for signature, cluster in island.clusters.items()
            for member in cluster
        }
        for number, founder in founders.items():
            island = self.islands[number] = self._new_island(epoch=self.islands[number].epoch + 1)
            if founder is not None:
                member, signature, home = members[founder]
                completed = not isinstance(home, ParetoIsland) or signature in home.completed
                island.add(member, signature, self.settings.island_capacity, completed=completed)
