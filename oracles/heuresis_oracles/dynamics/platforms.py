"""Which processor OpenMM computes on, and a context on it."""

from __future__ import annotations

from typing import Any, Literal

from heuresis.errors import OracleSetupError

PlatformName = Literal["auto", "Reference", "CPU", "CUDA", "OpenCL"]
_ON_A_GPU = ("CUDA", "OpenCL")
_PROPERTIES: dict[str, dict[str, str]] = {
    "CPU": {"Threads": "1"},  # reproducible, and workers do not fight for cores
    "CUDA": {"Precision": "mixed", "DeterministicForces": "true"},
    "OpenCL": {"Precision": "mixed"},
}


def make_context(
    system: Any, integrator: Any, wanted: PlatformName, otherwise: Literal["Reference", "CPU"]
) -> Any:
    """Return an OpenMM context on the platform that is wanted.

    Args:
        system: OpenMM system.
        integrator: OpenMM integrator.
        wanted: ``auto`` takes a graphics processor when there is one that works.
        otherwise: what ``auto`` takes when there is none.

    Raises:
        OracleSetupError: a platform that was asked for by name is not there, or does not work.
    """
    import openmm

    names = _ON_A_GPU if wanted == "auto" else (wanted,)
    known = [
        openmm.Platform.getPlatform(index).getName()
        for index in range(openmm.Platform.getNumPlatforms())
    ]
    for name in names:
        if name not in known:
            continue
        try:
            return openmm.Context(
                system, integrator, openmm.Platform.getPlatform(name), _PROPERTIES.get(name, {})
            )
        except openmm.OpenMMException as error:
            if wanted != "auto":
                raise OracleSetupError(
                    f"OpenMM's platform {name} does not work here: {error}; set platform: auto"
                ) from error
    if wanted != "auto":
        raise OracleSetupError(
            f"OpenMM has no platform {wanted} here; there are {', '.join(known)}: set one of"
            " these, or platform: auto"
        )
    return openmm.Context(
        system,
        integrator,
        openmm.Platform.getPlatform(otherwise),
        _PROPERTIES.get(otherwise, {}),
    )


def platform_of(context: Any) -> str:
    """Return the name of the platform that a context is on."""
    return str(context.getPlatform().getName())
