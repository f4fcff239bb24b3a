"""One entry as a row: its payload, its checksum, its clocks; and back, with every check.

The checksum of a row is SHA-256 over the checksum before it and the row's payload, so a changed,
missing or reordered row shows on reading. Clocks (``recorded_at``, ``timing``) stand outside: the
chain of payloads is what two equal runs share byte for byte.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from pydantic import ValidationError

from heuresis.errors import CorruptLedgerError, LedgerError
from heuresis.events import EVENT_ADAPTER, SCHEMA_VERSION, Entry
from heuresis.records import Timing, canonical_json

GENESIS = "0" * 64
"""What the first checksum of every ledger is computed from."""


class Row(NamedTuple):
    """An entry as it is stored; the order is that of the table's columns."""

    sequence: int
    kind: str
    payload: str
    checksum: str
    recorded_at: float
    timing: str | None
    version: int
    """Of the event's form: `heuresis.events.SCHEMA_VERSION` when it was written."""


def chain(previous: str, payload: str) -> str:
    """Return the checksum of a payload that follows ``previous``."""
    return hashlib.sha256(previous.encode() + payload.encode()).hexdigest()


def payload_of(entry: Entry) -> str:
    """Return the reproducible part of an entry as canonical JSON."""
    return canonical_json(entry.event.model_dump(mode="json"))


def row_of(entry: Entry, payload: str, checksum: str) -> Row:
    """Return the row of an entry whose payload and checksum are known."""
    return Row(
        sequence=entry.sequence,
        kind=entry.event.kind,
        payload=payload,
        checksum=checksum,
        recorded_at=entry.recorded_at,
        timing=entry.timing.model_dump_json(exclude_none=True) if entry.timing else None,
        version=SCHEMA_VERSION,
    )


def entry_of(row: Row, place: str, run: str = "RUN") -> Entry:
    """Read a row whose checksum was checked.

    Raises:
        LedgerError: a later Heuresis wrote it.
        CorruptLedgerError: it does not follow the schema.
    """
    if row.version > SCHEMA_VERSION:
        raise LedgerError(
            f"{place}: entry {row.sequence} is an event of version {row.version}, this Heuresis"
            f" reads up to version {SCHEMA_VERSION}; upgrade Heuresis"
        )
    try:
        return Entry(
            sequence=row.sequence,
            event=EVENT_ADAPTER.validate_json(row.payload),
            recorded_at=row.recorded_at,
            timing=Timing.model_validate_json(row.timing) if row.timing else None,
        )
    except ValidationError as error:
        raise CorruptLedgerError(
            f"{place}: entry {row.sequence} does not follow the schema:"
            f" {error.errors()[0]['msg']}{advice(row.sequence - 1, run)}"
        ) from error


def broken_chain(place: str, sequence: int, run: str) -> CorruptLedgerError:
    """Return the error for the first entry that does not follow from the one before it."""
    return CorruptLedgerError(
        f"{place}: entry {sequence} is missing or was changed (its checksum does not follow from"
        f" entry {sequence - 1}){advice(sequence - 1, run)}"
    )


def advice(last_good: int, run: str) -> str:
    """Return what a person can do about a damaged ledger of a run."""
    return (
        f"; entries 1 to {last_good} are good: 'heuresis recover {run}' goes back there"
        if last_good
        else "; nothing before it is readable"
    )
