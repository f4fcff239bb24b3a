"""The tables of a ledger, version by version. A step, once released, never changes.

Version 1 was the journal and its sessions. Version 2 adds the lease (one writer), the version of
each event's form, the resolved campaign by its hash, and digests of learned states.
"""

from __future__ import annotations

LEDGER_SCHEMA = 2
"""The version that is written; older files are migrated when opened for writing."""

TABLES = frozenset({"meta", "events", "sessions", "lease", "specs", "artifacts"})

_STEPS: dict[int, tuple[str, ...]] = {
    1: (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL){strict}",
        """CREATE TABLE events (
            sequence {integer} PRIMARY KEY,
            kind TEXT NOT NULL,
            payload TEXT NOT NULL,
            checksum TEXT NOT NULL,
            recorded_at {real} NOT NULL,
            timing TEXT
        ){strict}""",
        """CREATE TABLE sessions (
            number {integer} PRIMARY KEY,
            started_at {real} NOT NULL,
            ended_at {real},
            seconds {real} NOT NULL DEFAULT 0,
            details TEXT NOT NULL,
            ending TEXT
        ){strict}""",
        "INSERT INTO meta VALUES ('schema_version', '1')",
    ),
    2: (
        "ALTER TABLE events ADD COLUMN version {integer} NOT NULL DEFAULT 1",
        """CREATE TABLE lease (
            id {integer} PRIMARY KEY CHECK (id = 1),
            token {integer} NOT NULL,
            holder TEXT,
            taken_at {real} NOT NULL,
            renewed_at {real} NOT NULL
        ){strict}""",
        "INSERT INTO lease VALUES (1, 0, NULL, 0.0, 0.0)",
        "CREATE TABLE specs (hash TEXT PRIMARY KEY, document TEXT NOT NULL){strict}",
        "CREATE TABLE artifacts (name TEXT PRIMARY KEY, digest TEXT NOT NULL){strict}",
        "UPDATE meta SET value = '2' WHERE key = 'schema_version'",
    ),
}


def steps(after: int, *, integer: str, real: str, strict: str) -> list[str]:
    """Return the statements that bring a ledger of version ``after`` (0: nothing) up to date.

    Args:
        after: the version it has.
        integer: name of the 64-bit integer type.
        real: name of the double-precision type.
        strict: what ends a CREATE TABLE.
    """
    return [
        statement.format(integer=integer, real=real, strict=strict)
        for version in range(after + 1, LEDGER_SCHEMA + 1)
        for statement in _STEPS[version]
    ]
