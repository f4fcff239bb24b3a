"""A run folder that somebody changed gives an error that names the place; nothing in it is run."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from toy_runs import RUN, events, finished_once, heuresis, settled, write_toy

from heuresis.campaign.run_folder import find_run
from heuresis.errors import RunError
from heuresis.events import Learned
from heuresis.ledger.rows import GENESIS, chain
from heuresis.ledger.sqlite import SQLiteLedger, head_path
from heuresis.testing.ledger_contract import ELSEWHERE

GRANT = ["--budget", "evaluations=34", "-q"]


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


def execute(run: Path, *statements: str) -> None:
    with closing(sqlite3.connect(run / "ledger.sqlite", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def checksum(run: Path) -> str:
    with closing(SQLiteLedger.open(run / "ledger.sqlite", read_only=True)) as ledger:
        return ledger.checksum


def test_damage_is_named_mended_on_order_and_the_run_ends_as_it_would_have(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, before = checksum(run), settled(run)
    assert heuresis("verify", "toy-1", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["good"], found["checksum"]) == (True, whole)
    execute(run, "UPDATE events SET payload = replace(payload, '0', '1') WHERE sequence = 120")
    for command in (["show"], ["top"], ["report"], ["resume", "--budget", "evaluations=40"]):
        assert heuresis(command[0], "toy-1", *command[1:]) == 1
        error = capsys.readouterr().err
        assert "entry 120 is missing or was changed" in error
        assert "entries 1 to 119 are good" in error
    assert f"heuresis recover {run}" in error
    assert heuresis("verify", "toy-1") == 1
    out = capsys.readouterr().out
    assert out.startswith("damaged")
    assert f"heuresis recover {run}" in out
    assert heuresis("recover", "toy-1") == 0
    out = capsys.readouterr().out
    assert "kept     entries 1 to 11" in out
    assert f"of {len(events_before(run))} that had been written" in out
    assert (run / "ledger.sqlite.damaged-1").is_file()
    assert heuresis("recover", "toy-1") == 0
    assert "is whole; nothing was changed" in capsys.readouterr().out
    assert heuresis("resume", "toy-1", "-q") == 0
    assert settled(run) == before
    assert checksum(run) == whole, "it did not end as it would have without the damage"


def events_before(run: Path) -> list[object]:
    with closing(sqlite3.connect(run / "ledger.sqlite.damaged-1")) as connection:
        return connection.execute("SELECT sequence FROM events").fetchall()


def test_a_run_whose_lease_is_taken_over_stops_before_it_writes(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "runs" / "toy-1"
    taken: list[SQLiteLedger] = []

    def take_over() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if len(settled(run)) > 6:
                    taken.append(SQLiteLedger.open(run / "ledger.sqlite", take_over=True))
                    return
            except Exception:  # the ledger is not there yet
                pass
            time.sleep(0.05)

    thread = threading.Thread(target=take_over)
    thread.start()
    slow = ["--set", "oracles.slow.call_s=0.05", "--set", "budget.evaluations=500"]
    assert heuresis("run", toy, *RUN, *slow) == 1
    thread.join()
    error = capsys.readouterr().err
    assert "was taken over by process" in error
    assert "has written nothing since" in error
    assert "Traceback" not in error
    with closing(SQLiteLedger.open(run / "ledger.sqlite", read_only=True)) as ledger:
        assert ledger.last_sequence == taken[0].last_sequence
        assert ledger.lease().token == 2
    # The winner is another thread of this process; its connection belongs to that thread.
    taken.clear()


def test_a_run_held_elsewhere_is_taken_over_only_on_order(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(run, ELSEWHERE, f"UPDATE lease SET renewed_at = {time.time()}")
    assert heuresis("resume", "toy-1", *GRANT) == 2
    error = capsys.readouterr().err
    assert "in use by process 7 on elsewhere since" in error
    assert "--take-over" in error
    assert heuresis("verify", "toy-1") == 0
    assert "process 7 on elsewhere" in capsys.readouterr().out
    assert heuresis("resume", "toy-1", "--take-over", *GRANT) == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"executor": "os.system"}', "executor is not what a session writes"),
        ('{"tracking_uri": ["x"]}', "tracking_uri is not what a session writes"),
        ('{"mlflow_run_id": "../../x"}', "mlflow_run_id is not what a session writes"),
        ("[1]", "the whole is not what a session writes"),
    ],
)
def test_changed_facts_are_refused(
    run: Path, capsys: pytest.CaptureFixture[str], content: str, says: str
) -> None:
    (run / "run.json").write_text(content)
    assert heuresis("resume", "toy-1", *GRANT) == 2
    assert says in capsys.readouterr().err


def test_settings_that_would_run_code_are_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proof = tmp_path / "was-run"
    resolved = run / "resolved.yaml"
    resolved.write_text(
        resolved.read_text().replace("seed: 7", f"seed: !!python/object/apply:os.mkdir ['{proof}']")
    )
    assert heuresis("resume", "toy-1", *GRANT) == 2
    assert "resolved.yaml" in capsys.readouterr().err
    assert not proof.exists()


def test_a_changed_or_linked_learned_state_is_refused(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learned = [str(e.checkpoint) for e in events(run) if isinstance(e, Learned)][-1]
    folder = run / "checkpoints" / learned
    state = folder / "lessons.json"
    state.write_text(state.read_text().replace(":", ";", 1))
    assert heuresis("resume", "toy-1", *GRANT) == 2
    error = capsys.readouterr().err
    assert f"the learned state {folder} of proposer 'words' is not the one that was saved" in error
    assert heuresis("verify", "toy-1") == 1
    assert "is not the one that was saved" in capsys.readouterr().out
    outside = tmp_path / "outside"
    folder.rename(outside)
    folder.symlink_to(outside)
    execute(run, "DELETE FROM artifacts")
    assert heuresis("resume", "toy-1", *GRANT) == 2
    assert "is a link; learned states hold plain files only" in capsys.readouterr().err


def test_a_learned_state_cannot_be_named_outside_the_run_even_with_good_checksums(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(run / "ledger.sqlite", isolation_level=None)) as connection:
        checksum = GENESIS
        rows = connection.execute("SELECT sequence, payload FROM events ORDER BY sequence")
        for sequence, payload in rows.fetchall():
            payload = payload.replace('"checkpoint":"', '"checkpoint":"../../../outside/')
            checksum = chain(checksum, payload)
            connection.execute(
                "UPDATE events SET payload = ?, checksum = ? WHERE sequence = ?",
                (payload, checksum, sequence),
            )
    # Whoever can write both files can forge a history, but not where it reads.
    head_path(run / "ledger.sqlite").unlink()
    assert heuresis("resume", "toy-1", *GRANT) == 1
    error = capsys.readouterr().err
    assert "names a learned state '../../../outside/" in error
    assert "expected one plain folder name" in error
    assert heuresis("verify", "toy-1") == 1


def test_a_ledger_with_something_built_in_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(run, "CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM sessions; END")
    assert heuresis("resume", "toy-1", *GRANT) == 2
    assert "holds a trigger 't', which no ledger has" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../secret", "runs/../../secret", "..", ".", "", "a/../../b"])
def test_a_run_name_leads_nowhere_but_to_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    there = tmp_path / "there"
    (there / "runs" / "a").mkdir(parents=True)
    for folder in (there / "secret", there / "b", there / "runs"):
        folder.mkdir(exist_ok=True)
        SQLiteLedger.open(folder / "ledger.sqlite", create=True).close()
    (there / "far" / "away").mkdir(parents=True)
    monkeypatch.chdir(there / "far" / "away")  # what is meant as a path is looked for from here
    with pytest.raises(RunError, match="no run at"):
        find_run(name, runs=there / "runs")


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", "/tmp/evil"])
def test_a_campaign_cannot_be_called_like_a_way_out(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert heuresis("run", toy, *RUN, "--set", f"campaign={name}") == 2
    assert "campaign" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
