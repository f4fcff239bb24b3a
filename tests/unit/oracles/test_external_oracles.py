"""Programs and services as oracles: what they are told, how they fail, who may run at all."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from external_programs import CONFIG, answering, honest, service, write_program
from pydantic import ValidationError

from heuresis.errors import UserError
from heuresis.records import Candidate, Evaluation, Failure, FailureCause, Outcome
from heuresis.testing.fakes import process_lives
from heuresis_oracles.external.command import Command
from heuresis_oracles.external.http_service import HTTPService

TEXTS = ("CC", "CCO", "CCCO")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("HEURESIS_PROGRAMS", f"/nowhere:{folder}")
    return folder


def run(
    folder: Path, misdeed: str = "", texts: tuple[str, ...] = TEXTS, **settings: Any
) -> list[Outcome]:
    program = write_program(folder, misdeed)
    config = Command.Config(**{**CONFIG, "command": (program.name,), **settings})
    scratch = folder.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    candidates = [Candidate.of("molecule", text) for text in texts]
    return Command(config).evaluate(candidates, seed=1007, workdir=scratch)


def values(outcome: Outcome) -> dict[str, float]:
    assert isinstance(outcome, Evaluation), outcome
    return {name: measured.value for name, measured in outcome.measurements.items()}


def failure(outcome: Outcome) -> Failure:
    assert isinstance(outcome, Failure), outcome
    return outcome


def test_one_call_measures_many_candidates_with_many_values(programs: Path) -> None:
    outcomes = run(programs)
    assert [values(outcome) for outcome in outcomes] == [
        {"length": float(len(text)), "seed": 7.0} for text in TEXTS
    ]


def test_values_may_carry_unit_and_uncertainty(programs: Path) -> None:
    misdeed = """
def one(candidate):
    return {"values": {"length": {"value": 3, "unit": "1", "uncertainty": 0.5}, "seed": 1}}
"""
    (outcome,) = run(programs, misdeed, ("CC",))
    assert isinstance(outcome, Evaluation)
    assert outcome.measurements["length"].uncertainty == 0.5
    assert outcome.measurements["seed"].unit == "1"


def test_chatter_before_the_answer_is_ignored(programs: Path) -> None:
    outcomes = run(programs, "print('loading', {'weights': 1})\n")
    assert len([values(outcome) for outcome in outcomes]) == 3


def test_settings_reach_the_program(programs: Path) -> None:
    misdeed = """
def one(candidate):
    return {"values": {"length": asked["settings"]["scale"] * 2, "seed": len(sys.argv)}}
"""
    (outcome,) = run(
        programs, misdeed, ("CC",), settings={"scale": 21}, command=("measure.py", "--a;rm", "$b")
    )
    assert values(outcome) == {"length": 42.0, "seed": 3.0}


def test_the_environment_is_minimal_and_the_folder_is_the_scratch(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "do not tell")
    monkeypatch.setenv("LICENSE_FILE", "/opt/license")
    misdeed = """
open("note.txt", "w").write(json.dumps([sorted(os.environ), os.environ.get("LICENSE_FILE")]))
"""
    run(programs, misdeed, ("CC",), environment=("LICENSE_FILE",))
    names, license_file = json.loads((programs.parent / "scratch/note.txt").read_text())
    assert "SECRET_TOKEN" not in names
    assert license_file == "/opt/license"
    assert set(names) <= {
        "HOME", "LANG", "LC_CTYPE", "LICENSE_FILE", "OMP_NUM_THREADS", "PATH", "PYTHONHASHSEED",
        "TMPDIR",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("misdeed", "cause", "words"),
    [
        ("raise SystemExit(3)\n", FailureCause.CALCULATION, "exit status 3"),
        ("raise ValueError('no basis set')\n", FailureCause.CALCULATION, "no basis set"),
        ("os.kill(os.getpid(), 11)\n", FailureCause.CRASH, "signal SIGSEGV"),
        ("time.sleep(60)\n", FailureCause.TIMEOUT, "took longer than"),
        ("print('[1, 2]'); raise SystemExit\n", FailureCause.CONTRACT, "no JSON object"),
        ("raise SystemExit\n", FailureCause.CONTRACT, "no JSON object"),
        ("print('{}'); raise SystemExit\n", FailureCause.CONTRACT, "needs a list 'results'"),
        ("print('x' * 20_000_000)\n", FailureCause.CONTRACT, "more than"),
    ],
)
def test_each_way_to_fail_has_its_cause(
    misdeed: str, cause: FailureCause, words: str, programs: Path
) -> None:
    limit_s = 2.0 if cause is FailureCause.TIMEOUT else 100.0
    (outcome,) = run(programs, misdeed, ("CC",), timeout_s=limit_s)
    found = failure(outcome)
    assert found.cause is cause, found
    assert words in found.message + (found.detail or "")


def test_a_candidate_that_breaks_the_program_costs_only_itself(programs: Path) -> None:
    misdeed = """
if any(candidate["text"] == "CCO" for candidate in asked["candidates"]):
    raise ValueError("oxygen")
"""
    outcomes = run(programs, misdeed)
    assert [outcome.kind for outcome in outcomes] == ["evaluation", "failure", "evaluation"]
    assert failure(outcomes[1]).cause is FailureCause.CALCULATION


def test_nothing_that_the_program_started_outlives_it(programs: Path) -> None:
    misdeed = """
import subprocess
child = subprocess.Popen(["sleep", "300"])
open("child.txt", "w").write(str(child.pid))
"""
    (outcome,) = run(programs, misdeed, ("CC",), timeout_s=100.0)
    assert values(outcome)["length"] == 2.0
    child = int((programs.parent / "scratch/child.txt").read_text())
    deadline = time.monotonic() + 5.0
    while process_lives(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not process_lives(child)


@pytest.mark.parametrize(
    ("allowed", "name", "words"),
    [
        (None, "measure.py", "this machine allows no programs; if you trust it, set HEURESIS"),
        ("{folder}", "../measure.py", "without a path"),
        ("{folder}", "/bin/sh", "without a path"),
        ("{folder}", "..", "without a path"),
        ("{folder}", "other.py", "there is no program 'other.py' in"),
        ("{folder}", "data.txt", r"not executable; run: chmod \+x"),
        ("relative", "measure.py", "expected absolute folders, got 'relative'"),
    ],
)
def test_a_program_that_is_not_allowed_never_starts(
    allowed: str | None, name: str, words: str, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(programs)
    (programs / "data.txt").write_text("no program")
    monkeypatch.delenv("HEURESIS_PROGRAMS")
    if allowed is not None:
        monkeypatch.setenv("HEURESIS_PROGRAMS", allowed.format(folder=programs))
    config = Command.Config(**CONFIG, command=(name,))
    Command.declare(config)  # what it would measure can be read all the same
    for refused in (lambda: Command.check_space(config, None), lambda: Command(config)):
        with pytest.raises(UserError, match=words):
            refused()


def test_a_variable_that_is_not_set_is_named(programs: Path) -> None:
    with pytest.raises(UserError, match="NO_SUCH_VARIABLE is not set"):
        run(programs, environment=("NO_SUCH_VARIABLE",))


def ask(url: str, texts: tuple[str, ...] = TEXTS, **settings: Any) -> list[Outcome]:
    config = HTTPService.Config(**{**CONFIG, "url": url, "retry_wait_s": 0.01, **settings})
    candidates = [Candidate.of("molecule", text) for text in texts]
    return HTTPService(config).evaluate(candidates, seed=1007, workdir=Path(os.devnull))


def test_a_service_measures_many_candidates_with_one_request() -> None:
    requests: list[dict[str, Any]] = []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        requests.append(request)
        return honest(request)

    with service(answering(answer)) as url:
        outcomes = ask(url)
    assert [values(outcome)["length"] for outcome in outcomes] == [2.0, 3.0, 4.0]
    assert len(requests) == 1


def test_only_what_can_change_is_asked_again() -> None:
    for status, cause, times in (
        (503, FailureCause.LOST, 3),
        (429, FailureCause.LOST, 3),
        (500, FailureCause.CALCULATION, 1),
        (404, FailureCause.SETUP, 1),
        (302, FailureCause.SETUP, 1),
    ):
        asked: list[Any] = []

        def answer(
            request: dict[str, Any], asked: list[Any] = asked, status: int = status
        ) -> tuple[int, bytes, dict[str, str]]:
            asked.append(request)
            return status, b"not now", {"Location": "http://127.0.0.1:1/elsewhere"}

        with service(answer) as url:
            (outcome,) = ask(url, ("CC",))
        assert failure(outcome).cause is cause
        assert "not now" in failure(outcome).message
        assert len(asked) == times, status


def test_a_service_that_comes_back_is_forgiven() -> None:
    asked: list[Any] = []

    def answer(request: dict[str, Any]) -> tuple[int, bytes, dict[str, str]]:
        asked.append(request)
        if len(asked) < 3:
            return 503, b"", {}
        return 200, json.dumps(honest(request)).encode(), {}

    with service(answer) as url:
        assert [values(outcome)["seed"] for outcome in ask(url, ("CC",))] == [7.0]


def test_a_service_that_is_not_there_is_lost_and_one_that_hangs_times_out() -> None:
    with service(answering(honest)) as url:
        pass
    assert failure(ask(url, ("CC",))[0]).cause is FailureCause.LOST

    def hang(_: dict[str, Any]) -> tuple[int, bytes, dict[str, str]]:
        time.sleep(1.0)
        return 200, b"{}", {}

    with service(hang) as url:
        assert failure(ask(url, ("CC",), timeout_s=0.2)[0]).cause is FailureCause.TIMEOUT


def test_a_request_that_breaks_the_service_costs_one_candidate() -> None:
    def answer(request: dict[str, Any]) -> tuple[int, bytes, dict[str, str]]:
        if any(candidate["text"] == "CCO" for candidate in request["candidates"]):
            return 500, b"oxygen", {}
        return 200, json.dumps(honest(request)).encode(), {}

    with service(answer) as url:
        kinds = [outcome.kind for outcome in ask(url)]
    assert kinds == ["evaluation", "failure", "evaluation"]


def test_other_hosts_must_be_allowed_by_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    config = HTTPService.Config(**CONFIG, url="https://oracle.example.org/measure")
    with pytest.raises(UserError, match="HEURESIS_ORACLE_HOSTS"):
        HTTPService(config)
    with pytest.raises(UserError, match=r"'oracle\.example\.org' is not this machine"):
        HTTPService.check_space(config, None)
    monkeypatch.setenv("HEURESIS_ORACLE_HOSTS", "gpu-box, Oracle.example.org")
    HTTPService(config)
    for host in ("localhost:1", "127.0.0.3", "[::1]:80"):
        HTTPService(HTTPService.Config(**CONFIG, url=f"http://{host}/"))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://127.0.0.1/", "expected a URL such as"),
        ("127.0.0.1:8000", "expected a URL such as"),
        ("http://user:word@127.0.0.1/", "password"),
        ("http://127.0.0.1:99999/", "[Pp]ort"),
    ],
)
def test_urls_that_are_none(url: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        HTTPService.Config(**CONFIG, url=url)
