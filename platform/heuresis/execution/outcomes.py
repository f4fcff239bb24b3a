"""The boundary between plug-in code and the campaign: exceptions and outcomes become values."""

from __future__ import annotations

import errno
import math
import re
import traceback
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from heuresis.errors import CalculationError, ImplausibleResultError, OracleSetupError
from heuresis.records import (
    Candidate,
    Evaluation,
    Failure,
    FailureCause,
    OracleDeclaration,
    Outcome,
)

LONGEST_MESSAGE = 500
LONGEST_DETAIL = 4000
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{4,}")
_CAUSES: tuple[tuple[type[BaseException], FailureCause], ...] = (
    (OracleSetupError, FailureCause.SETUP),
    (ImplausibleResultError, FailureCause.IMPLAUSIBLE),
    (CalculationError, FailureCause.CALCULATION),
    (MemoryError, FailureCause.CRASH),
)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def failure_from(error: BaseException, *, scratch: str | None = None) -> Failure:
    """Turn an exception out of plug-in code into a value.

    The three oracle errors keep their meaning and need no traceback. Running out of memory counts
    as a crash: the process may be damaged. A full disk is lost work: its scratch folder is removed,
    so another try may find room. Anything else is a calculation that broke.

    Args:
        error: what was raised.
        scratch: path of the scratch folder; it is random, so it is masked in the texts.
    """
    cause = next((c for kind, c in _CAUSES if isinstance(error, kind)), FailureCause.CALCULATION)
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        cause = FailureCause.LOST
    expected = isinstance(error, OracleSetupError | ImplausibleResultError | CalculationError)
    return Failure(
        cause=cause,
        message=_head(reproducible(str(error) if expected else one_line(error), scratch)),
        detail=None if expected else tail(reproducible(_traceback(error), scratch)),
    )


def one_line(error: BaseException) -> str:
    """Say what was raised in one line: the type and its text, or what a validation first saw."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return (
            f"{error.title}.{place}: {first['msg']}" if place else f"{error.title}: {first['msg']}"
        )
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _head(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else text[: LONGEST_MESSAGE - 1] + "…"


def tail(text: str) -> str:
    """Keep the end of a long text: the last lines of an output say what went wrong."""
    return text if len(text) <= LONGEST_DETAIL else "…" + text[1 - LONGEST_DETAIL :]


def reproducible(text: str, scratch: str | None = None) -> str:
    """Mask what differs between equal runs: memory addresses and the random scratch path."""
    if scratch:
        text = text.replace(scratch, "<scratch>")
    return _ADDRESS.sub("0x…", text)


def broken_contract(message: str) -> Failure:
    """Return the failure of a plug-in that did not do what it declared."""
    return Failure(cause=FailureCause.CONTRACT, message=_head(message))


def verified(
    returned: Any, declaration: OracleDeclaration, candidates: Sequence[Candidate]
) -> tuple[Outcome, ...]:
    """Check what an oracle returned against its declaration.

    Args:
        returned: whatever ``Oracle.evaluate`` gave back.
        declaration: what the oracle promised.
        candidates: what it was given.

    Returns:
        An outcome per candidate; each that breaks the contract is replaced by a `Failure`.
    """
    count = len(candidates)
    if not isinstance(returned, Sequence) or isinstance(returned, str):
        failure = broken_contract(
            f"oracle '{declaration.kind}' returned {type(returned).__name__},"
            f" expected a list of {count} outcomes"
        )
        return (failure,) * count
    if len(returned) != count:
        failure = broken_contract(
            f"oracle '{declaration.kind}' returned {len(returned)} outcomes for {count} candidates"
        )
        return (failure,) * count
    return tuple(
        _verified_one(outcome, declaration, candidate)
        for outcome, candidate in zip(returned, candidates, strict=True)
    )


def _verified_one(outcome: Any, declaration: OracleDeclaration, candidate: Candidate) -> Outcome:
    if isinstance(outcome, Failure):
        return outcome
    if not isinstance(outcome, Evaluation):
        return broken_contract(
            f"oracle '{declaration.kind}' returned a {type(outcome).__name__},"
            " expected an Evaluation or a Failure"
        )
    if outcome.candidate_id not in (None, candidate.id):
        return broken_contract(
            f"oracle '{declaration.kind}' measured candidate {outcome.candidate_id},"
            f" asked was {candidate.id}"
        )
    given, promised = set(outcome.measurements), set(declaration.outputs)
    if given != promised:
        missing = ", ".join(sorted(promised - given)) or "none"
        undeclared = ", ".join(sorted(given - promised)) or "none"
        return broken_contract(
            f"oracle '{declaration.kind}' must give all declared outputs and no others;"
            f" missing: {missing}; undeclared: {undeclared}"
        )
    for name, measurement in outcome.measurements.items():
        unit = declaration.outputs[name].unit
        if measurement.unit != unit:
            return broken_contract(
                f"oracle '{declaration.kind}' gave '{name}' in '{measurement.unit}',"
                f" declared '{unit}'"
            )
        if not math.isfinite(measurement.value):
            return broken_contract(
                f"oracle '{declaration.kind}' gave {measurement.value} for '{name}';"
                " a value that is not finite must be a Failure"
            )
        spread = measurement.uncertainty
        if spread is not None and not (math.isfinite(spread) and spread >= 0):
            return broken_contract(
                f"oracle '{declaration.kind}' gave an uncertainty of {spread} for '{name}';"
                " expected a finite number of at least 0, or None"
            )
    undeclared_checks = set(outcome.checks) - set(declaration.checks)
    if undeclared_checks:
        return broken_contract(
            f"oracle '{declaration.kind}' names undeclared quality gates:"
            f" {', '.join(sorted(undeclared_checks))};"
            f" declared: {', '.join(sorted(declaration.checks)) or 'none'}"
        )
    return outcome.model_copy(update={"candidate_id": None})
