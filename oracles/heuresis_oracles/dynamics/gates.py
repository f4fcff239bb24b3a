"""When the sampling of a trajectory can be trusted, whatever was simulated."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from heuresis.errors import ImplausibleResultError

if TYPE_CHECKING:
    from heuresis_oracles.dynamics.simulation import Protocol, Trajectory

_DRIFT_LIMIT_kT_PER_DOF_PER_PS = 0.02
_TEMPERATURE_SIGMAS = 5.0
_TEMPERATURE_SLACK = 0.03


def sampling_checks(temperature_K: float) -> dict[str, str]:
    """Return what `require_sound_sampling`, and the simulation before it, find out, by name."""
    return {
        "finite": "no coordinate or velocity became NaN",
        "energy-conserved": (
            "at constant energy the drift stays below"
            f" {_DRIFT_LIMIT_kT_PER_DOF_PER_PS} kT per degree of freedom and ps"
        ),
        "temperature": (
            f"mean kinetic temperature within {_TEMPERATURE_SIGMAS:g} standard errors and"
            f" {_TEMPERATURE_SLACK:.0%} of {temperature_K:g} K"
        ),
    }


def require_sound_sampling(trajectory: Trajectory, protocol: Protocol) -> None:
    """Check energy and temperature.

    Raises:
        ImplausibleResultError: they say that the sampling cannot be trusted.
    """
    drift = trajectory.energy_drift_kT_per_dof_per_ps
    if not abs(drift) <= _DRIFT_LIMIT_kT_PER_DOF_PER_PS:
        raise ImplausibleResultError(
            f"total energy drifts by {drift:.2g} kT per degree of freedom and ps at constant"
            f" energy; the limit is {_DRIFT_LIMIT_kT_PER_DOF_PER_PS}: reduce timestep_fs"
            f" ({protocol.timestep_fs})"
        )
    mean_K = float(np.mean(trajectory.temperatures_K))
    # Kinetic energy decorrelates within about one friction time.
    independent = max(protocol.duration_ps * protocol.friction_per_ps / 2.0, 1.0)
    expected_error_K = protocol.temperature_K * math.sqrt(
        2.0 / (trajectory.degrees_of_freedom * independent)
    )
    allowed_K = _TEMPERATURE_SIGMAS * expected_error_K + _TEMPERATURE_SLACK * protocol.temperature_K
    if not abs(mean_K - protocol.temperature_K) <= allowed_K:
        raise ImplausibleResultError(
            f"mean kinetic temperature {mean_K:.0f} K is not within {allowed_K:.0f} K of"
            f" {protocol.temperature_K:g} K"
        )
