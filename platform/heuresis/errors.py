"""Every exception that Heuresis raises on purpose, by who can fix it.

HeuresisError
├── UserError                  the person at the keyboard can fix it: exit code 2, no stack trace
│   ├── SpecError              a campaign file is wrong; carries file, line and key
│   ├── UnknownNameError       a plug-in name nobody registered; lists the known ones
│   ├── MissingExtraError      an optional dependency is not installed; says what to install
│   ├── RunError               a run folder is missing, locked, unwritable or finished
│   └── PoolError              workers cannot run: a plug-in does not start
│       └── PoolBrokenError    they could, but keep dying: the campaign pauses
├── InvalidCandidate           a text is not a member of the design space (a value, not a crash)
├── OracleError                raised inside an oracle, recorded as a `Failure`
│   ├── OracleSetupError       the calculation never ran: unsupported element, bad settings
│   ├── CalculationError       it ran and broke: no convergence, NaN, embedding failed
│   └── ImplausibleResultError it ran, and a quality gate rejected the result: inconclusive
└── LedgerError
    ├── CorruptLedgerError     an event fails its checksum or cannot be read
    ├── LedgerInUseError       another process holds the lease: it alone may write
    └── LeaseLostError         another process took the lease: this one may write no more
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class HeuresisError(Exception):
    """Base of all errors raised on purpose."""


class UserError(HeuresisError):
    """Something the user wrote or chose; shown as one sentence, exit code 2."""


class SpecError(UserError):
    """A campaign file is wrong.

    Args:
        message: one sentence: what we got, what we expected, what to do.
        file: the YAML file, if the spec came from one.
        line: 1-based line of the offending key.
        key: dotted path of the offending key, e.g. ``oracles.xtb.timeout_s``.
    """

    def __init__(
        self,
        message: str,
        *,
        file: Path | None = None,
        line: int | None = None,
        key: str | None = None,
    ) -> None:
        self.message = message
        self.file = file
        self.line = line
        self.key = key
        super().__init__(self.__str__())

    def __str__(self) -> str:
        place = ""
        if self.file is not None:
            place = f"{self.file}:{self.line}: " if self.line is not None else f"{self.file}: "
        key = f"{self.key}: " if self.key else ""
        return f"{place}{key}{self.message}"


class UnknownNameError(UserError):
    """A name that no installed plug-in registered."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        self.what = what
        self.name = name
        self.known = sorted(known)
        super().__init__(
            f"unknown {what} '{name}'{did_you_mean(name, self.known)};"
            f" known: {', '.join(self.known) or 'none installed'}"
        )


class MissingExtraError(UserError):
    """An optional dependency is needed for what the campaign asks."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the package '{package}', which is not installed;"
            f" run: pip install 'heuresis[{extra}]'"
        )


class RunError(UserError):
    """A run folder is missing, locked, unwritable, or already finished."""


class PoolError(UserError):
    """A pool of workers cannot run: its plug-in does not start, or its workers keep dying.

    Tasks of that pool which had not settled stay unsettled; a resumed campaign issues them again.
    """


class PoolBrokenError(PoolError):
    """The workers of a pool died again and again without a result between; others may go on."""


class InvalidCandidate(HeuresisError):  # noqa: N818 - a verdict about a text, not a defect
    """A text is not a member of the design space.

    Args:
        reason: short stable code that is counted in the funnel, e.g. ``syntax``, ``valence``,
            ``element``, ``size``, ``alert:PAINS``.
        message: one sentence for a person.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class OracleError(HeuresisError):
    """Base of what an oracle raises; the worker turns it into a `Failure`."""


class OracleSetupError(OracleError):
    """The calculation never ran; trying again cannot help."""


class CalculationError(OracleError):
    """The calculation ran and broke; another seed may help."""


class ImplausibleResultError(OracleError):
    """The calculation ended, but a quality gate rejected it: inconclusive."""


class LedgerError(HeuresisError):
    """The ledger could not be read or written."""


class CorruptLedgerError(LedgerError):
    """An event fails its checksum, is missing, or does not follow the schema."""


class LedgerInUseError(LedgerError):
    """Another process holds the lease of this ledger; names it, and what to do."""


class LeaseLostError(LedgerError):
    """Another process took this ledger over; raised before anything more is written."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest known name, or an empty string."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""
