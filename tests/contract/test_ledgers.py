"""The same promises, kept by every ledger we ship."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from heuresis.ledger import SQLiteLedger
from heuresis.testing.ledger_contract import LedgerCase, LedgerContract


def execute(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


class TestSQLite(LedgerContract):
    @pytest.fixture
    def case(self, tmp_path: Path) -> LedgerCase:
        path = tmp_path / "ledger.sqlite"
        return LedgerCase(
            open=partial(SQLiteLedger.open, path),
            execute=partial(execute, path),
            opening="from pathlib import Path\n"
            "from heuresis.ledger import SQLiteLedger\n"
            f"ledger = SQLiteLedger.open(Path({str(path)!r}), create=True)",
        )
