"""What may change in a run: its budget; in a fork: how it is searched; all else is a new run."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from toy_runs import RUN, events, finished_once, heuresis, settled, write_toy

from heuresis.events import Asked, BudgetExtended, CampaignStarted, Forked, Learned, Settled
from heuresis.ledger.sqlite import SQLiteLedger


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return write_toy(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_once(tmp_path_factory)


@pytest.fixture
def run(toy: Path, tmp_path: Path, finished: Path) -> Path:
    """A finished run of thirty evaluations."""
    return Path(shutil.copytree(finished, tmp_path / "runs" / "toy-1"))


def checksums(run: Path) -> list[str]:
    with closing(SQLiteLedger.open(run / "ledger.sqlite", read_only=True)) as ledger:
        return [ledger.checksum_of(n) for n in range(1, ledger.last_sequence + 1)]


def test_more_budget_is_told_recorded_and_kept(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert heuresis("resume", "toy-1", "--budget", "evaluations=36", "-q") == 0
    assert "budget: 30 evaluations → 36 evaluations" in capsys.readouterr().err
    granted = [e for e in events(run) if isinstance(e, BudgetExtended)]
    assert granted == [BudgetExtended(budget={"evaluations": 36})]
    assert yaml.safe_load((run / "resolved.yaml").read_text())["budget"] == {"evaluations": 36}
    assert len([s for s in settled(run) if s[0] == "slow"]) == 36


@pytest.mark.parametrize("limit", ["evaluations=30", "evaluations=7", "candidates=4"])
def test_a_budget_that_is_spent_already_is_refused_and_not_recorded(
    run: Path, capsys: pytest.CaptureFixture[str], limit: str
) -> None:
    before = checksums(run)
    assert heuresis("resume", "toy-1", "--budget", limit) == 2
    assert f"spent already, so {limit} leaves nothing to do" in capsys.readouterr().err
    assert checksums(run) == before


def test_a_budget_edited_in_the_file_does_not_count_and_is_told(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resolved = run / "resolved.yaml"
    resolved.write_text(resolved.read_text().replace("evaluations: 30", "evaluations: 99"))
    assert heuresis("resume", "toy-1") == 2
    seen = capsys.readouterr()
    assert "is not the one that was granted; the ledger's counts: 30 evaluations" in seen.out
    assert "toy-1 is finished (budget)" in seen.err


def test_changed_settings_are_named_and_the_way_on_is_shown(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = checksums(run)
    assert heuresis("resume", "toy-1", "--set", "seed=8", "--set", "proposers.0.batch=4") == 2
    error = capsys.readouterr().err
    assert "(proposers.words.batch: 16 → 4, seed: 7 → 8)" in error
    assert "only the budget of a run can change" in error
    assert f"heuresis resume {run} --fork" in error
    assert heuresis("resume", "toy-1", "--set", "objectives.size.target=7") == 2
    error = capsys.readouterr().err
    assert "(objectives.size.target: 6.0 → 7)" in error or "6.0 → 7.0)" in error
    assert "start a new run: heuresis run" in error
    assert "--fork" not in error
    for options in (["--at", "9"], ["--run-dir", "x"], ["--set", "budget.evaluations=50"]):
        assert heuresis("resume", "toy-1", *options) == 2
        assert "goes with --fork" in capsys.readouterr().err
    assert checksums(run) == before


def test_a_file_edited_in_the_run_folder_is_found_out_by_key(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resolved = run / "resolved.yaml"
    resolved.write_text(resolved.read_text().replace("seed: 7", "seed: 9"))
    assert heuresis("resume", "toy-1", "--budget", "evaluations=40") == 2
    assert "(seed: 7 → 9)" in capsys.readouterr().err


def test_a_fork_shares_the_history_and_says_where_it_left(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    origin = checksums(run)
    arguments = ["--fork", "--set", "seed=8", "--budget", "evaluations=40", "-q"]
    assert heuresis("resume", "toy-1", *arguments) == 0
    note = capsys.readouterr().err
    assert f"forked from toy-1 after entry {len(origin)}, with" in note
    assert "seed: 7 → 8" in note
    assert checksums(run) == origin, "the origin was touched"
    fork = run.with_name("toy-2")
    assert checksums(fork)[: len(origin)] == origin
    forked = next(e for e in events(fork) if isinstance(e, Forked))
    assert (forked.origin, forked.shared, forked.checksum) == ("toy-1", len(origin), origin[-1])
    assert (forked.seed, forked.changed) == (8, {"seed": 8})
    both = settled(fork)
    assert both[: len(settled(run))] == settled(run)
    assert len(both) == len(set(both)), "something was measured twice"
    assert len([s for s in both if s[0] == "slow"]) == 40
    assert (fork / "campaign.yaml").read_bytes() == (run / "campaign.yaml").read_bytes()
    assert yaml.safe_load((fork / "resolved.yaml").read_text())["seed"] == 8
    assert heuresis("show", "toy-2", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["forked_from"] == {"run": "toy-1", "shared_entries": len(origin)}
    assert heuresis("show", "toy-2") == 0
    assert f"forked from toy-1 after entry {len(origin)}" in capsys.readouterr().out
    assert heuresis("verify", "toy-2") == 0
    assert f"toy-1 after entry {len(origin)}" in (fork / "report.html").read_text()
    # A fork is a run like any other: it is resumed, and forked again.
    assert heuresis("resume", "toy-2", "--budget", "evaluations=42", "-q") == 0
    assert len([s for s in settled(fork) if s[0] == "slow"]) == 42


def test_a_fork_with_the_same_settings_goes_on_as_the_origin_would_have(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert heuresis("run", toy, *RUN, "-q") == 0
    run = tmp_path / "runs" / "toy-1"
    tasks = [e for e in events(run) if isinstance(e, Asked)]
    at = events(run).index(tasks[2])  # the entry before the third ask
    assert heuresis("resume", "toy-1", "--fork", "--at", str(at), "-q") == 0
    fork = run.with_name("toy-2")
    ours = [e for e in events(fork) if not isinstance(e, Forked | BudgetExtended)]
    assert ours == events(run)


def test_a_fork_starts_with_what_was_learned(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learned = [str(e.checkpoint) for e in events(run) if isinstance(e, Learned)]
    assert len(learned) >= 2
    grant = ["--budget", "evaluations=34", "-q"]
    assert heuresis("resume", "toy-1", "--fork", *grant) == 0
    fork = run.with_name("toy-2")
    assert (fork / "checkpoints" / learned[-1] / "lessons.json").is_file()
    shutil.rmtree(run / "checkpoints" / learned[-1])
    assert heuresis("resume", "toy-1", "--fork", *grant) == 2
    assert f"{learned[-1]} of proposer 'words' is missing" in capsys.readouterr().err
    assert not run.with_name("toy-3").exists(), "half a fork was left"


def test_what_a_fork_cannot_change_is_refused_with_what_it_can(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for change, key in (
        ("objectives.size.target=7", "objectives.size.target"),
        ("oracles.slow.call_s=0.1", "oracles.slow.call_s"),
        ("search.islands=5", "search.islands"),
        ("proposers.0.name=other", "proposers.words removed"),
        ("campaign=other", "campaign"),
    ):
        assert heuresis("resume", "toy-1", "--fork", "--set", change) == 2
        error = capsys.readouterr().err
        assert key in error
        assert "cannot change in what goes on from toy-1" in error
        assert "A fork can change seed, question" in error
    assert [p.name for p in run.parent.iterdir()] == ["toy-1"]


def test_a_fork_where_nothing_is_left_to_do_or_in_the_middle_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert heuresis("resume", "toy-1", "--fork") == 2
    assert "toy-1 is finished (budget), so a fork has nothing left" in capsys.readouterr().err
    inside = next(n for n, e in enumerate(events(run), 1) if isinstance(e, Settled))
    assert heuresis("resume", "toy-1", "--fork", "--at", str(inside)) == 2
    assert f"the place before it is --at {inside - 1}" in capsys.readouterr().err
    assert heuresis("resume", "toy-1", "--fork", "--at", "99999") == 2
    assert "has entries 1 to" in capsys.readouterr().err
    assert [p.name for p in run.parent.iterdir()] == ["toy-1"]


def test_the_first_event_stays_that_of_the_origin(run: Path) -> None:
    grant = ["--budget", "evaluations=34", "-q"]
    changed = ["--set", "oracles.slow.workers=2", "--set", "search.reset_every=9"]
    assert heuresis("resume", "toy-1", "--fork", *grant, *changed) == 0
    started = [e for e in events(run.with_name("toy-2")) if isinstance(e, CampaignStarted)]
    assert started == [events(run)[0]]
