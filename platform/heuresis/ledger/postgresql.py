"""The ledger in PostgreSQL: one schema of the database per run, the same tables as in a file.

A schema per run keeps what a file per run gives: statements without a run's name in them, versions
and migrations run by run, ``DROP SCHEMA`` to forget one and ``pg_dump -n`` to archive one.

Durability is the server's: `append` returns after COMMIT, which PostgreSQL answers when its own
write-ahead log is on disk (``synchronous_commit = on`` is set for every connection). Leases are
judged by the server's clock, so hosts whose clocks differ agree.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

from heuresis import __version__
from heuresis.errors import LedgerError, MissingExtraError
from heuresis.ledger.journal import JournalLedger, Values
from heuresis.ledger.location import LedgerURL, require_run_id
from heuresis.ledger.rows import Row
from heuresis.ledger.schema import LEDGER_SCHEMA, steps

try:
    import psycopg
    from psycopg import sql
except ModuleNotFoundError as error:
    raise MissingExtraError("a ledger in PostgreSQL", "psycopg", "postgresql") from error

CONNECT_TIMEOUT_S = 10
SCHEMA_PREFIX = "heuresis_"


class PostgreSQLLedger(JournalLedger):
    """Implements the `Ledger` port. Open with `PostgreSQLLedger.open`, close when done."""

    lock_clause: ClassVar[str] = " FOR UPDATE"

    def __init__(
        self, connection: psycopg.Connection, url: LedgerURL, run: str, *, schema: int
    ) -> None:
        super().__init__(f"{url.shown} run {run}", schema=schema)
        self._connection = connection
        self._url = url
        self._run = run

    @classmethod
    def open(
        cls,
        url: LedgerURL,
        run: str,
        *,
        create: bool = False,
        read_only: bool = False,
        take_over: bool = False,
    ) -> Self:
        """Open a run's ledger. Unless ``read_only``, this process becomes its only writer.

        Args:
            url: the database.
            run: name of the run in it.
            create: make it if it does not exist.
            read_only: only look; several may, also while one writes.
            take_over: take the lease, whoever holds it.

        Raises:
            LedgerInUseError: another process writes it.
            LedgerError: missing, not reachable, or written by a later version.
        """
        connection = _connect(url, require_run_id(run), read_only=read_only)
        try:
            schema = _prepare(connection, url, run, create=create, read_only=read_only)
            ledger = cls(connection, url, run, schema=schema)
            ledger._begin(write=not read_only, take_over=take_over)
        except psycopg.Error as error:
            connection.close()
            raise LedgerError(f"{url.shown}: {_sentence(error, url)}") from None
        except BaseException:
            connection.close()
            raise
        return ledger

    def now(self) -> float:
        """Return the server's time, Unix seconds."""
        return float(self._query("SELECT extract(epoch FROM clock_timestamp())")[0][0])

    # -- what `JournalLedger` asks for -------------------------------------------------------------

    def _query(self, statement: str, values: Values = ()) -> list[tuple[Any, ...]]:
        try:
            cursor = self._connection.execute(_translated(statement), values)
            return cursor.fetchall() if cursor.description is not None else []
        except psycopg.Error as error:
            raise LedgerError(f"{self.place}: {_sentence(error, self._url)}") from None

    def _insert_rows(self, rows: Sequence[Row]) -> None:
        columns = "(sequence, kind, payload, checksum, recorded_at, timing, version)"
        copy = f"COPY events {columns} FROM STDIN"
        with self._connection.cursor() as cursor, cursor.copy(copy) as target:
            for row in rows:
                target.write_row(row)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self._connection.transaction():
                yield
        except psycopg.Error as error:
            raise LedgerError(
                f"cannot append to the ledger {self.place}: {_sentence(error, self._url)}"
            ) from None

    def _apart(self, statement: str, values: Values) -> int:
        try:
            with contextlib.closing(_connect(self._url, self._run)) as connection:
                return connection.execute(_translated(statement), values).rowcount
        except psycopg.Error as error:
            raise LedgerError(f"{self.place}: {_sentence(error, self._url)}") from None

    def _disconnect(self) -> None:
        self._connection.close()

    def put_aside(self, last: int) -> str:
        """Move all entries above ``last`` into a table of their own; return its name.

        Raises:
            LeaseLostError: another process writes this ledger.
        """
        with self._transaction():
            self._require_lease()
            there = {name for (name,) in self._query(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = ?",
                (SCHEMA_PREFIX + self._run,),
            )}  # fmt: skip
            number = next(n for n in itertools.count(1) if f"damaged_{n}" not in there)
            name = f"damaged_{number}"
            self._query(
                f"CREATE TABLE {name} AS SELECT * FROM events WHERE sequence > {last:d}"  # noqa: S608
            )
            self._query("DELETE FROM events WHERE sequence > ?", (last,))
            self._find_end()
        return name


def _connect(url: LedgerURL, run: str, *, read_only: bool = False) -> psycopg.Connection:
    """Connect so that plain table names mean those of the run.

    Raises:
        LedgerError: the server cannot be reached or refuses; without the password in it.
    """
    try:
        connection = psycopg.connect(
            url.shown,
            password=url.password,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            application_name=f"heuresis {__version__}",
        )
        # Only the run's own schema: nothing that another user puts into a shared one is found.
        path = sql.Identifier(SCHEMA_PREFIX + run)
        connection.execute(sql.SQL("SET search_path TO {}").format(path))
        connection.execute("SET synchronous_commit TO on")
        if read_only:
            connection.execute("SET default_transaction_read_only TO on")
    except psycopg.Error as error:
        raise LedgerError(
            f"cannot open the ledger in {url.shown}: {_sentence(error, url)}"
        ) from None
    return connection


def _prepare(
    connection: psycopg.Connection, url: LedgerURL, run: str, *, create: bool, read_only: bool
) -> int:
    """Create or migrate the run's schema where that is asked for; return its version."""
    version = _version(connection, run)
    if version is None and not create:
        raise LedgerError(f"there is no ledger of a run '{run}' in {url.shown}")
    if version is not None and version > LEDGER_SCHEMA:
        raise LedgerError(
            f"run '{run}' in {url.shown} has ledger schema {version}; this Heuresis"
            f" ({__version__}) knows schemas 1 to {LEDGER_SCHEMA}: upgrade Heuresis"
        )
    if read_only or version == LEDGER_SCHEMA:
        return version or 0
    with connection.transaction():
        # One at a time: who comes second finds the work done.
        connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (SCHEMA_PREFIX + run,))
        name = sql.Identifier(SCHEMA_PREFIX + run)
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
        version = _version(connection, run) or 0
        for statement in steps(version, integer="BIGINT", real="DOUBLE PRECISION", strict=""):
            connection.execute(statement.encode())
    return LEDGER_SCHEMA


def _version(connection: psycopg.Connection, run: str) -> int | None:
    found = connection.execute(
        "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = 'meta'",
        (SCHEMA_PREFIX + run,),
    ).fetchone()
    if found is None:
        return None
    row = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    return int(row[0]) if row is not None and row[0].isdecimal() else None


def _translated(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()


def _sentence(error: Exception, url: LedgerURL) -> str:
    """Return the cause in one line, without the password, should a driver ever repeat it."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    text = lines[0]
    return text.replace(url.password, "***") if url.password else text
