"""Settings of the surrogate, as a campaign file states them."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from heuresis.plugin import PluginConfig


class Covariance(PluginConfig):
    """One covariance: a weighted sum of similarities; the weights add up to its variance, 1."""

    counts: dict[str, float] = Field(default_factory=lambda: {"morgan": 0.6})
    """Block of counts → weight of its MinMax similarity."""
    descriptors: float = Field(default=0.4, ge=0)
    """Weight of the squared exponential on standardised descriptors."""
    length: float = Field(default=1.5, gt=0)
    """Its length scale, in standard deviations."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        weights = [*self.counts.values(), self.descriptors]
        if min(weights) < 0 or abs(sum(weights) - 1.0) > 1e-6:
            raise ValueError(
                f"the weights of a covariance must not be negative and must add up to 1, got"
                f" {weights} with the sum {sum(weights):g}"
            )
        return self


class SurrogateSettings(PluginConfig):
    """How the Gaussian process is built; the defaults are fixed, nothing is fitted."""

    covariance: Covariance = Covariance()
    noise: float = Field(default=1e-4, gt=0)
    """Variance of a measurement about the function."""
    most_points: int = Field(default=1500, ge=8)
    """Everything is learned from up to here; then the best half, the last quarter and a quarter of
    the others, spread evenly."""
    refit_every: int = Field(default=500, gt=0)
    """Measurements between two choices of the points; those in between are added to them."""
    gate_every: int = Field(default=50, gt=0)
    """Measurements between two looks at whether points are predicted from all others."""
    gate_least: float = Field(default=0.2, ge=-1, le=1)
    """Below this rank correlation the surrogate should not be heeded."""
    gate_minimum: int = Field(default=100, ge=3)
    """Before so many measurements the correlation says little, and the gate stays open."""

    @property
    def blocks(self) -> tuple[str, ...]:
        """Names of the blocks of counts that the covariance reads."""
        return tuple(name for name, weight in self.covariance.counts.items() if weight)
