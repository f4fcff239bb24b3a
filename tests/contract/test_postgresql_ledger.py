"""The ledger in PostgreSQL keeps the same promises, on a real server; and campaigns use it."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from postgres_server import PASSWORD, binaries, running_server
from toy_runs import RUN, heuresis, write_toy

from heuresis.campaign.run_folder import RunFolder, open_ledger
from heuresis.errors import LedgerError, UserError
from heuresis.events import Forked
from heuresis.ledger.location import ENVIRONMENT, LedgerURL, chosen_url, parse_url
from heuresis.ledger.sqlite import SQLiteLedger
from heuresis.testing.ledger_contract import LedgerCase, LedgerContract, entry

psycopg = pytest.importorskip("psycopg", reason="the extra 'postgresql' is not installed")
from heuresis.ledger.postgresql import PostgreSQLLedger  # noqa: E402

if binaries() is None:
    pytest.skip(
        "no PostgreSQL server binaries here (Debian, Ubuntu: apt install postgresql)",
        allow_module_level=True,
    )


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_server() as url:
        yield url


@pytest.fixture
def url(server: str) -> LedgerURL:
    return parse_url(server, "the server")


def execute(server: str, run: str, statement: str) -> list[Any]:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'SET search_path TO "heuresis_{run}"')
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description is not None else []


class TestPostgreSQL(LedgerContract):
    @pytest.fixture
    def case(self, server: str, url: LedgerURL) -> LedgerCase:
        run = f"contract-{uuid.uuid4().hex[:8]}"
        return LedgerCase(
            open=partial(PostgreSQLLedger.open, url, run),
            execute=partial(execute, server, run),
            opening="from heuresis.ledger.location import parse_url\n"
            "from heuresis.ledger.postgresql import PostgreSQLLedger\n"
            f"url = parse_url({server!r}, 'the server')\n"
            f"ledger = PostgreSQLLedger.open(url, {run!r}, create=True)",
        )


def test_runs_in_one_database_do_not_see_each_other(url: LedgerURL) -> None:
    for run, count in (("first", 3), ("second", 5)):
        with closing(PostgreSQLLedger.open(url, run, create=True)) as ledger:
            ledger.append([entry(n, reason=run) for n in range(1, count + 1)])
    with closing(PostgreSQLLedger.open(url, "first", read_only=True)) as ledger:
        assert ledger.last_sequence == 3
    with pytest.raises(LedgerError, match="there is no ledger of a run 'third' in postgresql://"):
        PostgreSQLLedger.open(url, "third")


def test_the_same_entries_have_the_same_checksums_as_in_a_file(
    url: LedgerURL, tmp_path: Path
) -> None:
    entries = [entry(n) for n in range(1, 50)]
    with (
        closing(PostgreSQLLedger.open(url, "same", create=True)) as one,
        closing(SQLiteLedger.open(tmp_path / "ledger.sqlite", create=True)) as other,
    ):
        one.append(entries)
        other.append(entries)
        assert one.checksum == other.checksum
        assert list(one.read()) == list(other.read()) == entries


def test_a_later_schema_is_refused(url: LedgerURL, server: str) -> None:
    PostgreSQLLedger.open(url, "later", create=True).close()
    execute(server, "later", "UPDATE meta SET value = '99'")
    with pytest.raises(LedgerError, match="has ledger schema 99; this Heuresis"):
        PostgreSQLLedger.open(url, "later")


def test_a_schema_of_version_one_is_migrated(
    url: LedgerURL, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from heuresis.ledger import postgresql, schema

    with monkeypatch.context() as patched:
        patched.setattr(schema, "LEDGER_SCHEMA", 1)
        patched.setattr(postgresql, "LEDGER_SCHEMA", 1)
        with pytest.raises(LedgerError, match="lease"):  # version 1 had none
            PostgreSQLLedger.open(url, "old", create=True)
    assert execute(server, "old", "SELECT value FROM meta") == [("1",)]
    with closing(PostgreSQLLedger.open(url, "old")) as ledger:
        ledger.append([entry(1)])
    assert execute(server, "old", "SELECT value FROM meta") == [("2",)]


# -- passwords ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:hidden@host/db?password=hidden2",
        "postgresql://u@host/db?password=hidden",
        "mysql://u:hidden@host/db",
        "postgresql://u:hidden@host",
        "postgresql://u:hidden@host:port/db",
        "hidden",
    ],
)
def test_a_wrong_url_is_refused_without_repeating_a_secret(text: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_url(text, "the environment variable HEURESIS_LEDGER")
    assert "hidden" not in str(refused.value)
    assert "postgresql://user" in str(refused.value)


def test_a_password_is_kept_apart_and_refused_on_the_command_line() -> None:
    url = parse_url("postgresql://u:s%40cret@host:1/db?sslmode=require", "x")
    assert url == LedgerURL("postgresql://u@host:1/db?sslmode=require", "s@cret")
    assert "cret" not in repr(url)
    with pytest.raises(UserError, match="every user of this machine can see") as refused:
        chosen_url("postgresql://u:topsecret@host/db", {})
    assert "topsecret" not in str(refused.value)
    environment = {ENVIRONMENT: "postgresql://u:topsecret@host/db"}
    chosen = chosen_url("postgresql://u@host/db", environment)
    assert chosen is not None
    assert chosen.password == "topsecret", "the environment's is for this database"
    other = chosen_url("postgresql://u@elsewhere/db", environment)
    assert other is not None
    assert other.password is None
    assert chosen_url("file", environment) is None
    assert chosen_url(None, {}) is None


def test_a_server_that_refuses_or_is_away_is_one_sentence_without_the_password(
    server: str, url: LedgerURL
) -> None:
    wrong = LedgerURL(url.shown, "not-the-password-7")
    with pytest.raises(LedgerError, match="password authentication failed") as refused:
        PostgreSQLLedger.open(wrong, "x", create=True)
    assert "not-the-password-7" not in str(refused.value)
    away = parse_url("postgresql://heuresis:pw-17@127.0.0.1:1/postgres", "x")
    with pytest.raises(LedgerError, match="cannot open the ledger in postgresql://") as refused:
        PostgreSQLLedger.open(away, "x", create=True)
    assert "pw-17" not in str(refused.value)


# -- campaigns ---------------------------------------------------------------------------------


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str) -> Path:
    monkeypatch.setenv(ENVIRONMENT, server)
    return write_toy(tmp_path, monkeypatch)


def test_a_campaign_runs_is_resumed_forked_damaged_and_mended_in_a_database(
    toy: Path, tmp_path: Path, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert heuresis("run", toy, *RUN, "-q") == 0
    run = tmp_path / "runs" / "toy-1"
    assert not (run / "ledger.sqlite").exists()
    place = json.loads((run / "ledger.json").read_text())
    assert heuresis("resume", "toy-1", "--budget", "evaluations=34", "-q") == 0
    assert heuresis("run", toy, *RUN, "-q", "--ledger", "file", "--run-dir", "in-a-file") == 0
    assert heuresis("resume", "in-a-file", "--budget", "evaluations=34", "-q") == 0
    with (
        closing(open_ledger(RunFolder(run))) as one,
        closing(open_ledger(RunFolder(tmp_path / "in-a-file"))) as other,
    ):
        checksum = one.checksum
        assert checksum == other.checksum, "the database changed what the campaign found"
    capsys.readouterr()
    for command in ("show", "top", "report", "verify"):
        assert heuresis(command, "toy-1") == 0
    assert heuresis("show", "toy-1", "--timeline") == 0
    assert heuresis("resume", "toy-1", "--fork", "--budget", "evaluations=36", "-q") == 0
    with closing(open_ledger(RunFolder(run.with_name("toy-2")))) as ledger:
        assert [e.event.kind for e in ledger.of_kind("forked")] == ["forked"]
        assert isinstance(ledger.of_kind("forked")[0].event, Forked)
    execute(server, place["run"], "UPDATE events SET payload = '{}' WHERE sequence = 100")
    assert heuresis("resume", "toy-1", "--budget", "evaluations=40") == 1
    assert "entry 100 is missing or was changed" in capsys.readouterr().err
    assert heuresis("verify", "toy-1") == 1
    assert heuresis("recover", "toy-1") == 0
    assert "damaged_1" in capsys.readouterr().out
    assert heuresis("resume", "toy-1", "--budget", "evaluations=34", "-q") == 0
    assert heuresis("verify", "toy-1") == 0
    everything = "".join(capsys.readouterr())
    for file in tmp_path.rglob("*"):
        if file.is_file():
            everything += file.read_text(errors="replace")
    assert PASSWORD not in everything
    assert "heuresis@127.0.0.1" in everything


def test_a_folder_that_says_where_its_ledger_is_cannot_say_anything(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert heuresis("run", toy, *RUN, "-q", "--set", "budget.evaluations=4") == 0
    capsys.readouterr()
    place = tmp_path / "runs" / "toy-1" / "ledger.json"
    there = json.loads(place.read_text())
    for changes, says in (
        ({"run": 'x"; DROP SCHEMA public; --'}, "cannot name a run in a database"),
        ({"url": "file:///etc/passwd"}, "expected postgresql://"),
        ({"more": 1}, "does not say where the ledger is"),
    ):
        place.write_text(json.dumps({**there, **changes}))
        assert heuresis("show", "toy-1") == 2
        assert says in capsys.readouterr().err
    assert os.environ[ENVIRONMENT]
