"""Each way of getting a campaign wrong: exit code 2, one sentence with file, line and key."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from heuresis.cli.main import main

GOOD = """\
campaign: blue
question: Which one?
space:
  kind: molecule
  heavy_atoms: [10, 28]
oracles:
  descriptors: {kind: rdkit-descriptors}
  xtb:
    kind: xtb
    method: GFN2-xTB
    timeout_s: 120
objectives:
  gap: {measure: xtb.gap_eV, target: 2.9, tolerance: 0.3}
  makeable: {measure: descriptors.sa_score, below: 3.5}
constraints:
  small: {measure: descriptors.heavy_atoms, max: 30}
proposers:
  - {kind: language-model, learn_every: 24}
budget: {evaluations: 30, wall_time: 10 min}
seed: 7
"""


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    captured = capsys.readouterr()
    assert ended.value.code == 2, captured.err + captured.out
    assert "Traceback" not in captured.err + captured.out
    assert captured.err.startswith("error: ")
    return captured.err.removeprefix("error: ")


def test_the_good_file_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text(GOOD)
    main_ok(["check", str(file)])
    assert "blue is valid" in capsys.readouterr().out


def main_ok(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code in (0, None)


# (name, what to replace, by what, text of the line it is about, what the sentence must hold)
EDITS = [
    (
        "unknown key at the top",
        "seed: 7", "sead: 7", "sead: 7",
        ["sead: unknown key", "did you mean 'seed'?", "known: ", "budget"],
    ),
    (
        "unknown key of a plug-in, unit missing",
        "timeout_s: 120", "timeout: 120", "timeout: 120",
        ["oracles.xtb.timeout: unknown key", "did you mean 'timeout_s'?", "method"],
    ),
    (
        "wrong unit in the key",
        "timeout_s: 120", "timeout_min: 2", "timeout_min",
        ["oracles.xtb.timeout_min: unknown key", "did you mean 'timeout_s'?"],
    ),
    (
        "unit left out of a plug-in's key",
        "method: GFN2-xTB", "electronic_temperature: 300", "electronic_temperature",
        ["unknown key", "did you mean 'electronic_temperature_K'?"],
    ),
    (
        "unknown key of the objective",
        "target: 2.9, tolerance", "target: 2.9, tolerence", "gap:",
        ["objectives.gap.tolerence: unknown key", "did you mean 'tolerance'?"],
    ),
    (
        "duration without unit",
        "wall_time: 10 min", "wall_time: 10", "budget:",
        ["budget.wall_time: the unit is missing: got 10", "'10 min' (s, min, h, d)"],
    ),
    (
        "duration with unknown unit",
        "wall_time: 10 min", "wall_time: 10 fortnights", "budget:",
        ["budget.wall_time: expected a duration", "'10 min'", "'10 fortnights'"],
    ),
    (
        "number as text",
        "seed: 7", "seed: '7'", "seed:",
        ["seed: expected a whole number, got the text '7'; write it without quotes: 7"],
    ),
    (
        "number with unit",
        "target: 2.9,", "target: 2.9 eV,", "gap:",
        ["objectives.gap.target: expected a number, got the text '2.9 eV'",
         "write the number alone (2.9)"],
    ),
    (
        "fraction where a count is expected",
        "evaluations: 30", "evaluations: 30.5", "budget:",
        ["budget.evaluations: expected a whole number", "got 30.5"],
    ),
    (
        "negative budget",
        "evaluations: 30", "evaluations: -3", "budget:",
        ["budget.evaluations: ", "at least 1", "-3"],
    ),
    (
        "list where a mapping is expected",
        "budget: {evaluations: 30, wall_time: 10 min}", "budget: [30]", "budget:",
        ["budget: expected a mapping (key: value), got a list of 1"],
    ),
    (
        "no limit at all",
        "{evaluations: 30, wall_time: 10 min}", "{}", "budget:",
        ["budget: no limit is given", "evaluations", "wall_time"],
    ),
    (
        "budget for an oracle that is not there",
        "evaluations: 30,", "evaluations: {xbt: 5},", "budget:",
        ["budget.evaluations.xbt: no oracle is named 'xbt'", "descriptors, xtb"],
    ),
    (
        "unknown oracle kind",
        "    kind: xtb", "    kind: xbt", "kind: xbt",
        ["oracles.xtb.kind: unknown oracle kind 'xbt'; did you mean 'xtb'?", "rdkit-descriptors"],
    ),
    (
        "unknown proposer kind",
        "kind: language-model", "kind: languge-model", "languge",
        ["proposers.0.kind: unknown proposer kind", "did you mean 'language-model'"],
    ),
    (
        "unknown space kind",
        "kind: molecule", "kind: molecules", "molecules",
        ["space.kind: unknown space kind 'molecules'; did you mean 'molecule'?"],
    ),
    (
        "code as a kind",
        "    kind: xtb", "    kind: os:system", "os:system",
        ["oracles.xtb.kind: unknown oracle kind 'os:system'"],
    ),
    (
        "option that does not exist",
        "GFN2-xTB", "GFN3-xTB", "GFN3",
        ["oracles.xtb.method: expected one of 'GFN2-xTB', 'GFN1-xTB', got the text 'GFN3-xTB'"],
    ),
    (
        "measure without its unit",
        "xtb.gap_eV", "xtb.gap", "gap:",
        ["objectives.gap.measure: oracle 'xtb' gives no 'gap'", "did you mean 'xtb.gap_eV'?",
         "homo_eV"],
    ),
    (
        "measure of an oracle that is not there",
        "xtb.gap_eV", "tbx.gap_eV", "gap:",
        ["objectives.gap.measure: no oracle is named 'tbx'", "known: descriptors, xtb"],
    ),
    (
        "measure without an oracle",
        "xtb.gap_eV", "gap_eV", "gap:",
        ["objectives.gap.measure: expected oracle.output", "did you mean 'xtb.gap_eV'?"],
    ),
    (
        "constraint on a measure that no oracle gives",
        "descriptors.heavy_atoms", "descriptors.heavy_atom", "small:",
        ["constraints.small.measure", "did you mean 'descriptors.heavy_atoms'?"],
    ),
    (
        "impossible constraint",
        "max: 30}", "min: 40, max: 30}", "small:",
        ["constraints.small", "impossible constraint: min 40 is above max 30"],
    ),
    (
        "two constraints that exclude each other",
        "proposers:", "  big: {measure: descriptors.heavy_atoms, min: 40}\nproposers:", "big:",
        ["constraints.big: impossible constraint", "at least 40", "at most 30", "'small'"],
    ),
    (
        "a target outside a constraint",
        "proposers:", "  narrow: {measure: xtb.gap_eV, max: 2}\nproposers:", "narrow:",
        ["constraints.narrow: impossible constraint", "objective 'gap' wants 2.9"],
    ),
    (
        "space that admits nothing",
        "heavy_atoms: [10, 28]", "heavy_atoms: [28, 10]", "heavy_atoms",
        ["space.heavy_atoms: impossible constraint: heavy_atoms", "[28, 10]"],
    ),
    (
        "two wishes in one objective",
        "below: 3.5", "below: 3.5, above: 2", "makeable:",
        ["objectives.makeable: expected exactly one of target, above, below, between"],
    ),
    (
        "weight of zero",
        "below: 3.5", "below: 3.5, weight: 0", "makeable:",
        ["objectives.makeable.weight: expected more than 0", "got 0"],
    ),
    (
        "no objectives",
        "objectives:\n  gap: {measure: xtb.gap_eV, target: 2.9, tolerance: 0.3}\n"
        "  makeable: {measure: descriptors.sa_score, below: 3.5}\n",
        "objectives: {}\n", "objectives:",
        ["objectives: this is empty; expected what is wanted"],
    ),
    (
        "no proposers",
        "proposers:\n  - {kind: language-model, learn_every: 24}\n", "", None,
        ["proposers: this key is missing; expected who proposes candidates"],
    ),
    (
        "two proposers of one name",
        "proposers:", "proposers:\n  - {kind: language-model}", "language-model, learn",
        ["proposers.1.kind: the name 'language-model' is taken", "name: language-model-2"],
    ),
    (
        "proposer named as an oracle",
        "kind: language-model,", "kind: language-model, name: xtb,", "language-model",
        ["proposers.0.name: the name 'xtb' is taken by oracle 'xtb'"],
    ),
    (
        "name that would leave the folder",
        "campaign: blue", "campaign: ../../etc", "campaign:",
        ["campaign: expected lower-case letters, digits and dashes", "'../../etc'"],
    ),
    (
        "duplicate key",
        "seed: 7", "seed: 7\nseed: 8", "seed: 8",
        ["seed: this key stands twice, first in line 20"],
    ),
    (
        "python tag",
        "seed: 7", "seed: !!python/object/apply:os.system ['true']", "seed:",
        ["seed: the tag '!!python/object/apply:os.system' is refused", "plain values"],
    ),
    (
        "python tag on a scalar",
        "seed: 7", "seed: !!python/name:os.system ''", "seed:",
        ["seed: the tag '!!python/name:os.system' is refused"],
    ),
    (
        "infinite number",
        "target: 2.9,", "target: .inf,", "gap:",
        ["objectives.gap.target: expected a finite number, got .inf"],
    ),
    (
        "tab",
        "    kind: xtb", "\tkind: xtb", "\tkind",
        ["not valid YAML", "a tab where blanks are expected"],
    ),
    (
        "two colons",
        "question: Which one?", "question: Which one: this?", "question:",
        ["not valid YAML", "put texts with ':' into quotes"],
    ),
    (
        "two documents",
        "seed: 7", "seed: 7\n---\nseed: 8", "---",
        ["not valid YAML", "a second document"],
    ),
    (
        "control character",
        "question: Which one?", "question: Which\x07 one?", "question:",
        ["control character 0x07"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "line_text", "parts"),
    [pytest.param(*row[1:], id=row[0].replace(" ", "-")) for row in EDITS],
)
def test_a_mistake_in_the_file(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    line_text: str | None,
    parts: list[str],
) -> None:
    assert GOOD.count(old) == 1, "the edit must be unambiguous"
    text = GOOD.replace(old, new)
    file = tmp_path / "campaign.yaml"
    file.write_text(text)
    message = complaint(capsys, "check", str(file))
    lines = text.splitlines()
    place = str(file)
    if line_text is not None:
        numbers = [n for n, line in enumerate(lines, 1) if line_text in line]
        place = f"{file}:{numbers[0]}: "
    assert message.startswith(place), message
    for part in parts:
        assert part in message
    assert message.count("\n") == 1, "one sentence, one line"


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(f'*{before}' for _ in range(9))}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
FILES: list[tuple[str, bytes, list[str]]] = [
    ("empty", b"", ["the file is empty", "campaign: NAME"]),
    ("only a comment", b"# nothing\n", ["the file is empty"]),
    ("a list", b"- campaign\n", ["expected keys and values", "got a list"]),
    ("a sentence", b"find me a molecule\n", ["expected keys and values", "find me a molecule"]),
    ("huge", b"question: " + b"x" * 2**20, ["1.0 MiB", "a campaign file may have 1 MiB"]),
    ("latin-1", GOOD.replace("Which", "Wélche").encode("latin-1"),
     ["campaign.yaml:2: the file is not UTF-8 text (byte 0xe9)", "encoding UTF-8"]),
    ("utf-16", GOOD.encode("utf-16"), ["not UTF-8 text (UTF-16)"]),
    ("an anchor bomb", BOMB.encode(), ["anchors and aliases expand to more than 20000 values"]),
    ("an anchor to itself", b"campaign: &a [*a]\n", ["anchors and aliases expand"]),
    ("nested too deep", b"a: " + b"[" * 50_000, ["nested more than 32 levels"]),
    ("too many values", b"a: [" + b"1," * 60_000 + b"1]", ["more than 20000 values"]),
    ("merge keys", b"a: &a {b: 1}\nc:\n  <<: *a\n", ["merge keys ('<<') are not read"]),
    ("binary", bytes(range(256)), ["the file is not UTF-8"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "parts"),
    [pytest.param(*row[1:], id=row[0].replace(" ", "-")) for row in FILES],
)
def test_a_file_that_is_no_campaign(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, parts: list[str]
) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_bytes(content)
    message = complaint(capsys, "check", str(file))
    assert message.startswith(str(file))
    for part in parts:
        assert part in message


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "campaign.yaml").write_text(GOOD)
    missing = tmp_path / "campain.yaml"
    message = complaint(capsys, "run", str(missing))
    assert message == (
        f"{missing}: there is no such file; YAML files in {tmp_path}: campaign.yaml\n"
    )
    nowhere = tmp_path / "nowhere" / "campaign.yaml"
    assert "does not exist either" in complaint(capsys, "run", str(nowhere))


def test_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "this is a folder, expected a YAML file" in complaint(capsys, "check", str(tmp_path))


def test_several_mistakes_are_all_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = GOOD.replace("xtb.gap_eV", "xtb.gap").replace("descriptors.sa_score", "descriptors.sa")
    file = tmp_path / "campaign.yaml"
    file.write_text(text)
    first, second = complaint(capsys, "check", str(file)).splitlines()
    assert first.startswith(f"{file}:13: objectives.gap.measure: ")
    assert second.startswith(f"{file}:14: objectives.makeable.measure: ")


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("budget.evaluations=many", ["--set: budget.evaluations: expected a whole number"]),
        ("oracles.xtb.metod=GFN1-xTB", ["--set: oracles.xtb.metod: unknown key", "'method'"]),
        ("budget.evaluations", ["--set: expected key=value such as budget.evaluations=50"]),
        ("seed.x=3", ["--set: 'seed' is 7, it has no keys"]),
        ("proposers.4.share=2", ["--set: 'proposers' is a list of 1; expected a position"]),
        ("seed=[1", ["--set: seed: cannot read the value '[1'"]),
        ("a..b=1", ["--set: 'a..b' has an empty part"]),
        ("seed=!!python/name:os.system ''", ["--set", "is refused"]),
    ],
)
def test_a_mistake_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, parts: list[str]
) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text(GOOD)
    message = complaint(capsys, "check", str(file), "--set", override)
    for part in parts:
        assert part in message


def test_an_override_that_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text(GOOD)
    main_ok(["check", str(file), "--set", "budget.evaluations=77", "--set", "search.islands=9"])
    out = capsys.readouterr().out
    assert "77 evaluations" in out
    assert "9 islands" in out


def test_a_run_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text(GOOD)
    (tmp_path / "taken").write_text("a file")
    run_dir = tmp_path / "taken" / "run"
    message = complaint(capsys, "run", str(file), "--run-dir", str(run_dir), "--no-mlflow")
    assert message.startswith(f"cannot write the run folder {run_dir}: Not a directory")
    assert "--run-dir" in message


def test_runs_is_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "campaign.yaml").write_text(GOOD)
    (tmp_path / "runs").write_text("a file")
    monkeypatch.chdir(tmp_path)
    message = complaint(capsys, "run", "campaign.yaml", "--no-mlflow")
    assert "cannot write" in message
    assert "--run-dir" in message


def test_a_run_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in ("resume", "top", "show", "report", "publish"):
        message = complaint(capsys, command, "blue-1")
        assert "no run at 'blue-1'" in message
        assert "there are no runs here yet" in message


def test_a_ledger_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"no database at all, certainly not" * 40)
    message = complaint(capsys, "top", str(tmp_path))
    assert "cannot open the ledger" in message


def test_a_port_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        message = complaint(
            capsys, "ui", "--port", str(port), "--tracking-uri", f"sqlite:///{tmp_path}/m.sqlite"
        )
    assert f"127.0.0.1:{port}" in message
    assert "--port" in message


def test_no_mlflow_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"sqlite:///{tmp_path}/none/mlflow.sqlite"
    assert "there is no MLflow store" in complaint(capsys, "ui", "--tracking-uri", uri)


@pytest.mark.parametrize(
    "arguments",
    [["run"], ["rum"], ["run", "x.yaml", "--executor", "slurm"], ["top", "x", "-n", "0"]],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "Usage: heuresis" in capsys.readouterr().err


def test_unknown_plug_ins_in_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean 'xtb'?" in complaint(capsys, "oracles", "xtbb")
    assert "unknown proposer kind" in complaint(capsys, "proposers", "nobody")


def test_as_a_real_process(tmp_path: Path) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text(GOOD.replace("    kind: xtb", "    kind: xbt"))
    command = [str(Path(sys.executable).with_name("heuresis")), "run", str(file)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "COLUMNS": "60"}
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(
        rf"error: {re.escape(str(file))}:9: oracles\.xtb\.kind: unknown oracle kind 'xbt';"
        r" did you mean 'xtb'\?; known: .*\n",
        done.stderr,
    ), done.stderr
    assert not (tmp_path / "runs").exists(), "nothing is left behind by a campaign that is refused"
