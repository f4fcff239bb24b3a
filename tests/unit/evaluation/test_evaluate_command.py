"""``heuresis evaluate``: one table; what cannot be measured says why."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from heuresis.cli.main import main
from heuresis_models.evaluation.table import Report, Row


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", *arguments])
    return int(ended.value.code or 0)


def test_without_data_the_rest_is_measured_and_nothing_is_silent(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code = _run(
        "heuresis-zinc", "--samples", "24", "--data", str(tmp_path / "nowhere"), "--json",
        "--domains", "molecules,reactions,language",
    )  # fmt: skip
    captured = capsys.readouterr()
    assert code == 0
    assert "what needs data is not measured" in captured.err
    document = json.loads(captured.out)
    assert document["data"] == "none"
    assert document["samples"] == "24"
    rows = {(row["domain"], row["measure"]): row for row in document["rows"]}
    assert rows["molecules", "valid"]["value"] > 0.5
    assert rows["molecules", "valid, grammar mask"]["value"] > 0.95
    assert "needed" in rows["molecules", "unique@1k"]["reason"]
    for row in document["rows"]:
        assert (row["value"] is None) == bool(row["reason"])
        if row["domain"] in ("reactions", "language") or row["measure"] == "novel":
            assert row["reason"] == "no data"


def test_the_same_seed_gives_the_same_table(capsys: pytest.CaptureFixture[str]) -> None:
    tables = []
    for _ in range(2):
        assert _run("heuresis-zinc", "--samples", "8", "--domains", "molecules", "--markdown") == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] == tables[1]
    assert "| molecules | valid |" in tables[0]
    assert "heuresis-split-1" in tables[0]


def test_a_cooler_model_writes_other_texts_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    tables = []
    for temperature in ("1.0", "0.3"):
        asked = ["heuresis-zinc", "--samples", "24", "--domains", "molecules", "--json"]
        assert _run(*asked, "--temperature", temperature) == 0
        tables.append(json.loads(capsys.readouterr().out))
    assert [table["temperature"] for table in tables] == ["1", "0.3"]
    warm, cool = (
        {row["measure"]: row["value"] for row in table["rows"]}["valid"] for table in tables
    )
    assert cool >= warm


def test_an_unknown_domain_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("heuresis-zinc", "--domains", "molecule") == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "did you mean 'molecules'" in error
    assert _run("heuresis-zinc", "--domains", ",") == 2


def test_a_row_has_a_value_or_a_reason() -> None:
    with pytest.raises(ValueError, match="value or the reason"):
        Row("molecules", "valid", None)
    with pytest.raises(ValueError, match="value or the reason"):
        Row("molecules", "valid", 0.5, reason="no data")


def test_the_table_shows_every_cell() -> None:
    report = Report(
        "a model",
        {"seed": 3},
        (
            Row("molecules", "valid", 0.925, beside="best 1", on="10 | 20"),
            Row("language", "loss", 1.2345, "nats"),
            Row("language", "other", None, reason="no data"),
        ),
    )
    written = io.StringIO()
    Console(width=140, file=written).print(report.rich())
    shown = written.getvalue()
    for text in ("92.50%", "best 1", "1.234", "not measured: no data", "seed: 3"):
        assert text in shown
    assert "| 10 \\| 20 |" in report.markdown()
