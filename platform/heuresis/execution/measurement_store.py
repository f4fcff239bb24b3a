"""Measurements that campaigns share: one SQLite file, asked before work is handed out.

The file is a convenience, never a source of truth: whatever is wrong with a row makes it a question
without an answer, and the candidate is measured. A row holds the whole question (candidate, oracle,
version, settings, seed), so an answer to another question is never given; and a checksum over
question, answer and origin, so a damaged row is noticed. Rows are JSON and checked like everything
that comes from outside; nothing in the file can run.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from pydantic import TypeAdapter

from heuresis.errors import UserError
from heuresis.records import Origin, Outcome

BUSY_TIMEOUT_s = 5.0
_TABLE = (
    "CREATE TABLE measurements (key TEXT PRIMARY KEY, question TEXT NOT NULL, answer TEXT NOT NULL,"
    " origin TEXT NOT NULL, checksum TEXT NOT NULL) STRICT, WITHOUT ROWID"
)
_OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)


class Answer(NamedTuple):
    """What came of one measurement, and where it was made."""

    outcome: Outcome
    origin: Origin


class MeasurementStore:
    """Answers by question. Several processes may use one file at the same time.

    Open with `MeasurementStore.open`. After that it never raises: a file that can no longer be
    read or written is said once and left alone.

    Args:
        connection: to a file with the right table.
        path: that file.
        say: called with one line for the user when something is wrong with the file.
    """

    def __init__(
        self, connection: sqlite3.Connection, path: Path, say: Callable[[str], None]
    ) -> None:
        self._connection: sqlite3.Connection | None = connection
        self.path = path
        self._say = say
        self._said: set[str] = set()
        self._damaged: set[str] = set()

    @classmethod
    def open(cls, path: Path, *, say: Callable[[str], None] = print) -> Self:
        """Open the file, make it if it does not exist.

        Raises:
            UserError: it cannot be written, or is something else.
        """
        connection: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_s)
            # A file from elsewhere may be crafted: its schema runs no functions, its cells are
            # checked before they are used.
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA cell_size_check=ON")
            _require_table(connection, path)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")  # losing an end costs time, not truth
        except (OSError, sqlite3.Error) as error:
            if connection is not None:
                connection.close()
            why = getattr(error, "strerror", None) or error
            raise UserError(
                f"cannot use {path} to share measurements: {why}; name another file with"
                " --measurements, or move it away and a new one is made"
            ) from error
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        return cls(connection, path, say)

    def find(self, questions: Sequence[str]) -> dict[str, Answer]:
        """Return the answers that are there and sound, by question."""
        keys = {_key(question): question for question in questions}
        found: dict[str, Answer] = {}
        if self._connection is None or not keys:
            return found
        rows: list[tuple[str, str, str, str, str]] = []
        try:
            for key in keys:
                rows += self._connection.execute(
                    "SELECT key, question, answer, origin, checksum FROM measurements"
                    " WHERE key = ?",
                    (key,),
                )
        except sqlite3.Error as error:
            self._gave_up("read", error)
            return found
        for key, question, answer, origin, checksum in rows:
            sound = question == keys[key] and checksum == _checksum(question, answer, origin)
            try:
                if not sound:
                    raise ValueError("checksum")
                found[question] = Answer(
                    _OUTCOME.validate_json(answer), Origin.model_validate_json(origin)
                )
            except ValueError:  # a ValidationError is one
                self._damaged.add(key)
                self._once(
                    f"{self.path}: a shared measurement does not match its checksum or form;"
                    " it is not used, and measured again"
                )
        return found

    def keep(self, answers: dict[str, Answer]) -> None:
        """Add answers; those that are there already stay, unless they were found damaged."""
        if self._connection is None or not answers:
            return
        rows = []
        for question, (outcome, origin) in answers.items():
            texts = (question, outcome.model_dump_json(), origin.model_dump_json())
            rows.append((_key(question), *texts, _checksum(*texts)))
        damaged = [(row[0],) for row in rows if row[0] in self._damaged]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany("DELETE FROM measurements WHERE key = ?", damaged)
                self._connection.executemany(
                    "INSERT INTO measurements (key, question, answer, origin, checksum)"
                    " VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
                    rows,
                )
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            self._gave_up("written", error)
            return
        self._damaged.difference_update(key for (key,) in damaged)

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _gave_up(self, what: str, error: sqlite3.Error) -> None:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            self._once(f"{self.path} is busy: some measurements are not shared")
            return
        self._once(f"{self.path} cannot be {what} ({error}); measurements are no longer shared")
        self.close()

    def _once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say(line)


def _require_table(connection: sqlite3.Connection, path: Path) -> None:
    """Make the table of an empty file, or refuse a file that holds anything else."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = connection.execute("SELECT name, sql FROM sqlite_master").fetchall()
        if not found:
            connection.execute(_TABLE)
        elif found != [("measurements", _TABLE)]:
            raise UserError(
                f"{path} is an SQLite file, but not one of shared measurements; name another file"
                " with --measurements"
            )
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _key(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()


def _checksum(question: str, answer: str, origin: str) -> str:
    return _key("\0".join((question, answer, origin)))
