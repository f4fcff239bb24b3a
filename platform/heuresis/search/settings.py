"""Knobs of the search, as they stand under ``search:`` in a campaign file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from heuresis.records import Record


class PromotionSettings(Record):
    """When a half-measured candidate goes on to the next, costlier oracle."""

    rule: Literal["bound", "learned"] = Field(
        "bound",
        description="promote while the bound beats the quantile; or while the chance to end above"
        " it, learned from candidates that went on, is large enough",
    )
    chance: float = Field(
        0.2, gt=0.0, lt=1.0, description="with `rule: learned`: least chance that is promoted"
    )
    quantile: float = Field(
        0.5,
        ge=0.0,
        lt=1.0,
        description="of completed scores: what a candidate must be able to beat",
    )
    warm_up: int = Field(8, ge=0, description="promote everything until so many are completed")
    random_share: float = Field(
        0.05,
        ge=0.0,
        le=1.0,
        description="share promoted regardless, which keeps the estimate honest",
    )


class BanditSettings(Record):
    """How proposers are chosen by their success, with `proposer_choice: bandit`."""

    top: int = Field(
        25,
        ge=1,
        description="success is to enter the best so many candidates of the campaign",
    )
    window: int = Field(
        500, ge=10, description="judged candidates, of all proposers, that are remembered"
    )
    floor: float = Field(
        0.1,
        ge=0.0,
        le=1.0,
        description="part of the asks that is dealt out by `share`, whatever the success",
    )


class SearchSettings(Record):
    """Islands, exemplars, resets (FunSearch, doi:10.1038/s41586-023-06924-6), promotion."""

    islands: int = Field(4, ge=1, le=1000, description="isolated sub-populations")
    exemplars: int = Field(2, ge=0, le=32, description="parents shown to a proposer per prompt")
    island_capacity: int = Field(500, ge=2, description="members kept per island")
    selection_decades: float = Field(
        2.0,
        gt=0.0,
        le=6.0,
        description="parents are drawn at rank 10^-U(0, decades) of the island: larger is greedier",
    )
    reset_every: int = Field(
        400, ge=1, description="completed candidates between resets of the weakest half of islands"
    )
    promotion: PromotionSettings = PromotionSettings()
    ranking: Literal["score", "pareto"] = Field(
        "score",
        description="what selection goes by: the score, or dominance among 2 to 4 objectives",
    )
    proposer_choice: Literal["shares", "bandit"] = Field(
        "shares",
        description="who is asked: by `share`, or by who gave the best candidates lately",
    )
    bandit: BanditSettings = BanditSettings()
