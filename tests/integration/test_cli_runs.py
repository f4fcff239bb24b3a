"""The commands around a run, in this process, with toy plug-ins and the inline executor."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from toy_runs import RUN, TOY, events, heuresis, settled, write_toy

from heuresis.campaign.run_folder import RunFolder, open_writer
from heuresis.events import Finished
from heuresis.ledger.sqlite import SQLiteLedger
from heuresis.testing.fakes import OBSERVING_PROPOSER, SCRIPTED_PROPOSER


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return write_toy(tmp_path, monkeypatch)


def test_a_whole_run_and_what_can_be_read_of_it(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert heuresis("run", toy, *RUN) == 0
    run = tmp_path / "runs" / "toy-1"
    out = capsys.readouterr().out
    for part in ("finished (budget)", "score", "30/30 evaluations", str(run), "learned"):
        assert part in out
    assert "Traceback" not in out
    names = {path.name for path in run.iterdir()}
    assert {
        "ledger.sqlite", "campaign.yaml", "resolved.yaml", "run.json", "report.html", "checkpoints",
    } <= names  # fmt: skip
    assert (run / "campaign.yaml").read_text() == TOY
    assert len([s for s in settled(run) if s[0] == "slow"]) == 30

    assert heuresis("top", "toy-1", "-n", "3", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 3
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert rows[0]["measurements"]["slow.length"]["unit"] == "1"
    assert rows[0]["desirabilities"]["size"] == pytest.approx(scores[0])

    assert heuresis("show", "toy-1", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["evaluations"] == 30, "negligible oracles do not count"
    assert summary["finished"] == "budget"
    assert summary["stages"]["slow"]["evaluated"] == 30

    for wanted in (rows[0]["id"][:6], rows[0]["text"], rows[0]["text"].upper()):
        assert heuresis("show", "toy-1", wanted, "--json") == 0
        one = json.loads(capsys.readouterr().out)
        assert one["id"] == rows[0]["id"]
    assert [e["oracle"] for e in one["evaluations"]] == ["quick", "slow"]
    assert one["verdicts"][-1]["score"] == scores[0]
    assert one["proposer"] == "words"
    assert heuresis("show", "toy-1", rows[0]["id"]) == 0
    assert "completed after slow" in capsys.readouterr().out
    assert heuresis("show", "toy-1", "no-such-word") == 2
    assert "this run has no candidate" in capsys.readouterr().err

    assert heuresis("report", "toy-1", "-o", tmp_path / "r.html") == 0
    assert "How long is a word?" in (tmp_path / "r.html").read_text()


def test_the_same_seed_gives_the_same_ledger_and_another_does_not(
    toy: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        assert heuresis("run", toy, "--run-dir", tmp_path / name, "--seed", seed, "-q", *RUN) == 0

    def checksum(name: str) -> str:
        ledger = SQLiteLedger.open(tmp_path / name / "ledger.sqlite", read_only=True)
        head = ledger.checksum
        ledger.close()
        return head

    assert checksum("a") == checksum("b") != checksum("c")


def test_a_finished_run_is_continued_only_with_more_budget(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert heuresis("run", toy, "--json", *RUN) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["ending"] == "finished"
    assert result["summary"]["evaluations"] == 30
    assert len(result["top"]) == 10
    assert heuresis("resume", "toy-1") == 2
    assert "toy-1 is finished (budget)" in capsys.readouterr().err
    before = settled(tmp_path / "runs" / "toy-1")
    assert heuresis("resume", "toy-1", "--budget", "evaluations=40", "-q") == 0
    after = settled(tmp_path / "runs" / "toy-1")
    assert after[: len(before)] == before
    assert len([s for s in after if s[0] == "slow"]) == 40
    assert heuresis("run", toy, "--run-dir", "runs/toy-1", *RUN) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert heuresis("resume", "toy-1", "--budget", "evaluation=50") == 2
    assert "did you mean 'evaluations'?" in capsys.readouterr().err


def test_a_run_that_was_changed_is_refused(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert heuresis("run", toy, *RUN, "-q") == 0
    resolved = tmp_path / "runs" / "toy-1" / "resolved.yaml"
    resolved.write_text(resolved.read_text().replace("target: 6.0", "target: 7.0"))
    assert heuresis("resume", "toy-1", "--budget", "evaluations=50") == 2
    assert "only the budget of a run can change" in capsys.readouterr().err


def test_wall_time_ends_a_campaign_for_good(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = ["--set", "oracles.slow.call_s=0.2", "--set", "budget={wall_time: 1.5 s}"]
    assert heuresis("run", toy, *RUN, *slow) == 0
    assert "finished (budget: wall time)" in capsys.readouterr().out
    assert events(tmp_path / "runs" / "toy-1")[-1] == Finished(reason="budget: wall time")
    assert heuresis("resume", "toy-1") == 2
    capsys.readouterr()
    # The same limit again is used up already.
    assert heuresis("resume", "toy-1", "--budget", "wall_time=1 s") == 2
    assert "has used its wall time" in capsys.readouterr().err


def interrupt_when_there_is_work(run: Path, times: int = 1) -> threading.Thread:
    def wait_and_interrupt() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if len(settled(run)) > 6:
                    break
            except Exception:  # the ledger is not there yet
                pass
            time.sleep(0.05)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.1)

    thread = threading.Thread(target=wait_and_interrupt)
    thread.start()
    return thread


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupted_run_continues_without_repeating(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], times: int
) -> None:
    run = tmp_path / "runs" / "toy-1"
    thread = interrupt_when_there_is_work(run, times)
    slow = ["--set", "oracles.slow.call_s=0.05", "--set", "budget.evaluations=20"]
    # What comes after the run has given its handlers back must not hit the test runner.
    runners_own = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        assert heuresis("run", toy, *RUN, *slow) == 130
        thread.join()
    finally:
        signal.signal(signal.SIGINT, runners_own)
    seen = capsys.readouterr()
    assert "letting running work settle" in seen.out
    # The second Ctrl-C may come at any moment of the ending; the way on is shown all the same.
    assert f"heuresis resume {run}" in seen.out + seen.err
    first = settled(run)
    assert len(first) > 6
    assert not any(isinstance(e, Finished) for e in events(run))
    assert heuresis("show", "toy-1") == 0
    assert "not finished" in capsys.readouterr().out
    assert heuresis("resume", run, "-q") == 0
    everything = settled(run)
    assert everything[: len(first)] == first
    assert len(everything) == len(set(everything)), "something was measured twice"
    assert len([s for s in everything if s[0] == "slow"]) == 20


def test_a_campaign_whose_oracle_only_fails_pauses(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    says = ", ".join(f"'setup:no parameters#{n}'" for n in range(16))
    assert heuresis("run", toy, *RUN, "--set", f"proposers.0.says=[{says}]") == 3
    out = capsys.readouterr().out
    assert "paused: quick failed 12 times in a row; last cause: setup: no parameters" in out
    assert "heuresis resume" in out
    assert "quick: 1" in out


def test_a_plug_in_that_cannot_start_is_one_sentence(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert heuresis("run", toy, *RUN, "--set", "oracles.slow.start_error=no licence") == 2
    error = capsys.readouterr().err
    assert "no licence" in error
    assert "Traceback" not in error


def test_two_processes_do_not_work_in_one_run(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert heuresis("run", toy, *RUN, "-q") == 0
    with closing(open_writer(RunFolder(tmp_path / "runs" / "toy-1"))):
        assert heuresis("resume", "toy-1", "--budget", "evaluations=50") == 2
    error = capsys.readouterr().err
    assert f"is in use by process {os.getpid()} on " in error


def test_a_lost_checkpoint_is_not_silently_replaced(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert heuresis("run", toy, *RUN, "-q") == 0
    folder = tmp_path / "runs" / "toy-1" / "checkpoints"
    learned = sorted(folder.iterdir())[-1]
    learned.rename(tmp_path / "elsewhere")
    assert heuresis("resume", "toy-1", "--budget", "evaluations=50") == 2
    assert f"the learned state {learned} of proposer 'words' is missing" in capsys.readouterr().err


def test_a_defect_is_told_in_one_line_and_kept_in_the_run_folder(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("heuresis.engine.controller.next_decision", broken)
    assert heuresis("run", toy, *RUN) == 1
    kept = tmp_path / "runs" / "toy-1" / "error.txt"
    captured = capsys.readouterr()
    assert "unexpected ZeroDivisionError: a defect; " in captured.err
    assert str(kept) in captured.err
    assert "Traceback" not in captured.err + captured.out
    assert "Traceback" in kept.read_text()


def test_check_says_what_will_happen(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert heuresis("check", toy) == 0
    out = capsys.readouterr().out
    for part in ("toy is valid", "near 6 (± 3)", "30 evaluations", "every 10", "oracle 'quick' is"):
        assert part in out
    assert heuresis("check", toy, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["valid"] is True
    assert document["resolved"]["oracles"]["slow"]["timeout_s"] == 5.0
    assert len(document["spec_hash"]) == 64
    assert document["proposers"] == {"words": {"learn_every": 10, "observes": False}}


def test_check_knows_who_observes_and_what_a_ranking_needs(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    observing = TOY.replace(SCRIPTED_PROPOSER, OBSERVING_PROPOSER)
    pareto = "search: {islands: 2, ranking: pareto, proposer_choice: bandit}"
    toy.write_text(observing.replace("search: {islands: 2}", pareto))
    assert heuresis("check", toy) == 2
    assert "search.ranking: a Pareto ranking compares 2 to 4" in capsys.readouterr().err
    second = "  length: {measure: quick.length, below: 9}\nproposers:"
    toy.write_text(toy.read_text().replace("proposers:", second))
    assert heuresis("check", toy) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "is told what became of every candidate" in out
    assert "selection by Pareto front" in out
    assert "90% of the asks go by who succeeds" in out
    assert "the cascade drops by the score" in out
    assert heuresis("check", toy, "--json") == 0
    assert json.loads(capsys.readouterr().out)["proposers"]["words"]["observes"] is True


def test_a_pareto_campaign_with_a_bandit_and_an_observer_end_to_end(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = TOY.replace(SCRIPTED_PROPOSER, OBSERVING_PROPOSER)
    text = text.replace(
        "budget:",
        f'  - {{kind: "{SCRIPTED_PROPOSER}", name: plain, learn_every: 0, batch: 4}}\nbudget:',
    ).replace("proposers:", "  length: {measure: quick.length, below: 9}\nproposers:")
    search = "search: {ranking: pareto, proposer_choice: bandit, bandit: {top: 5}}"
    toy.write_text(text.replace("search: {islands: 2}", search))
    assert heuresis("run", toy, *RUN) == 0
    out = capsys.readouterr().out
    assert "% of the asks |" in out
    assert heuresis("show", "toy-1", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["front_size"] >= 1
    assert 0.0 < summary["hypervolume"] <= 1.0
    assert sum(summary["asks"].values()) > 2
    assert set(summary["asks"]) == {"words", "plain"}
    assert heuresis("show", "toy-1") == 0
    assert "on the Pareto front, hypervolume" in capsys.readouterr().out
    assert heuresis("top", "toy-1", "-n", "3", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 3
