"""From what an oracle raises to what it returns: one `Evaluation` or `Failure` per candidate."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version

from heuresis.errors import (
    CalculationError,
    ImplausibleResultError,
    OracleSetupError,
    UserError,
)
from heuresis.records import Candidate, Evaluation, Failure, FailureCause, Outcome

_CAUSES: tuple[tuple[type[Exception], FailureCause], ...] = (
    (OracleSetupError, FailureCause.SETUP),
    (ImplausibleResultError, FailureCause.IMPLAUSIBLE),
    (CalculationError, FailureCause.CALCULATION),
)


def evaluate_each(
    candidates: Sequence[Candidate], measure: Callable[[Candidate], Evaluation]
) -> list[Outcome]:
    """Measure candidates one by one; an exception costs its own candidate only.

    An exception that no oracle raises on purpose is a broken calculation: it keeps its traceback
    as ``detail`` so that a person can find the defect.
    """
    outcomes: list[Outcome] = []
    for candidate in candidates:
        try:
            outcomes.append(measure(candidate))
        except Exception as error:  # noqa: BLE001, RUF100 - the boundary where errors become values
            outcomes.append(failure_of(error))
    return outcomes


def failure_of(error: Exception) -> Failure:
    """Return the `Failure` that describes an exception raised while measuring."""
    for kind, cause in _CAUSES:
        if isinstance(error, kind):
            return Failure(cause=cause, message=str(error))
    return Failure(
        cause=FailureCause.CALCULATION,
        message=f"unexpected {type(error).__name__}: {error}",
        detail="".join(traceback.format_exception(error)),
    )


def version_with(own: str, *packages: str) -> str:
    """Return an oracle version that changes with the codes beneath, e.g. ``1+tblite-0.8.0``.

    Reads package metadata only, so it imports no physics.

    Raises:
        UserError: one of the packages is not installed; says what to run.
    """
    parts = [own]
    for package in packages:
        try:
            parts.append(f"{package}-{version(package)}")
        except PackageNotFoundError:
            raise UserError(
                f"this oracle computes with the package '{package}', which is not installed;"
                f" run: pip install {package}"
            ) from None
    return "+".join(parts)
