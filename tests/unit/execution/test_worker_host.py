"""What a worker does in whatever process it finds itself."""

from pathlib import Path

import pytest

from heuresis.errors import PoolError
from heuresis.execution.actor import HeuresisWorker
from heuresis.execution.worker import Report, WorkerHost
from heuresis.records import Evaluation, Failure, FailureCause, Observation
from heuresis.tasks import EvaluateResult, LearnResult, PoolSpec, ProposeResult, ProposeTask, Result
from heuresis.testing.executor_contract import evaluate, learn, oracle_pool, propose, proposer_pool
from heuresis.testing.fakes import (
    OBSERVING_PROPOSER,
    PLUGINS,
    SCRIPTED_ORACLE,
    TEXT_SPACE,
    ObservingProposer,
    candidate,
)


def host(pool: PoolSpec, scratch_root: Path | None = None) -> WorkerHost:
    return WorkerHost(pool, plugins=PLUGINS, scratch_root=scratch_root)


def test_dotted_paths_mean_nothing_to_the_installed_plugins() -> None:
    with pytest.raises(PoolError, match=f"unknown oracle kind '{SCRIPTED_ORACLE}'"):
        WorkerHost(oracle_pool())


def test_scratch_is_empty_for_each_call_and_gone_afterwards(tmp_path: Path) -> None:
    worker = host(oracle_pool(), tmp_path)
    for name in ("a", "b"):
        result = worker.run(evaluate(name, "x", "raise")).result
        assert isinstance(result, EvaluateResult)
    worker.close()
    assert list(tmp_path.iterdir()) == []


def test_a_cleaned_away_scratch_root_comes_back(tmp_path: Path) -> None:
    result = host(oracle_pool(), tmp_path / "gone").run(evaluate("a", "x")).result
    assert isinstance(result, EvaluateResult)
    assert isinstance(result.outcomes[0], Evaluation)


def test_an_exception_costs_one_candidate_of_a_batch() -> None:
    report = host(oracle_pool()).run(evaluate("a", "x", "raise", "yy", "setup"))
    assert isinstance(report.result, EvaluateResult)
    causes = [o.cause if isinstance(o, Failure) else None for o in report.result.outcomes]
    assert causes == [None, FailureCause.CALCULATION, None, FailureCause.SETUP]
    assert report.started_at <= report.ended_at


def test_only_the_time_inside_the_plugin_counts() -> None:
    report = host(oracle_pool(config={"call_s": 0.05})).run(evaluate("a", "x", "yy"))
    assert 0.05 <= report.duration_s <= report.ended_at - report.started_at + 0.01
    assert report.cpu_s is not None
    assert report.cpu_s < 0.05, "it slept"


def test_start_errors_name_the_key() -> None:
    with pytest.raises(PoolError, match=r"pool 'measured' cannot start: Config\.call_s: Input"):
        host(oracle_pool(config={"call_s": "long"}))
    with pytest.raises(PoolError, match=r"Config\.longest"):
        host(proposer_pool(space_config={"longest": None}))


@pytest.mark.parametrize("name", ["../escape", "", "..", "a/b", "/tmp/x"])
def test_checkpoints_stay_below_their_root(tmp_path: Path, name: str) -> None:
    worker = host(proposer_pool(checkpoint_root=str(tmp_path / "root")))
    task = learn("a", "x").model_copy(update={"checkpoint": name})
    result = worker.run(task).result
    assert isinstance(result, Failure)
    assert "one plain folder name" in result.message
    assert worker.run(propose("b")).result.model_dump()["model_version"] == "lessons-0"
    assert not (tmp_path / "escape").exists()


def test_a_repeated_lesson_replaces_its_checkpoint(tmp_path: Path) -> None:
    saved = tmp_path / "one" / "lessons.json"
    first = host(proposer_pool(checkpoint_root=str(tmp_path)))
    assert isinstance(first.run(learn("one", "x")).result, LearnResult)
    content = saved.read_text()
    resumed = host(proposer_pool(checkpoint_root=str(tmp_path)))
    assert isinstance(resumed.run(learn("one", "x")).result, LearnResult)
    assert saved.read_text() == content, "same key, same lesson"
    assert resumed.checkpoint == str(tmp_path / "one")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_learning_without_a_place_to_save_is_refused() -> None:
    result = host(proposer_pool()).run(learn("a", "x")).result
    assert isinstance(result, Failure)
    assert result.cause is FailureCause.CONTRACT


def test_space_and_oracle_must_fit() -> None:
    with pytest.raises(PoolError, match=f"measures crystal, not '{TEXT_SPACE}'"):
        host(oracle_pool(config={"spaces": ("crystal",)}))


def test_a_full_disk_is_no_fault_of_the_candidates(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = host(oracle_pool(), tmp_path / "file").run(evaluate("a", "x", "y")).result
    assert isinstance(result, EvaluateResult)
    assert [o.cause for o in result.outcomes if isinstance(o, Failure)] == [FailureCause.LOST] * 2


HISTORY = tuple(
    Observation(candidate=candidate(text), verdict="completed", score=0.5, bound=0.5)
    for text in ("a", "b", "c", "d", "e")
)


def ask(name: str, first: int, observed: int, *exemplars: str) -> ProposeTask:
    """Return an ask that brings the history from ``first`` up to ``observed``."""
    told = {"observed": observed, "news_from": first, "news": HISTORY[first:observed]}
    return propose(name, *exemplars).model_copy(update=told)


def knows(result: Result) -> str:
    """Return the digest of what the proposer knew."""
    assert isinstance(result, ProposeResult), result
    marks = {screened.canonical.rpartition("-")[2] for screened in result.proposals}
    assert len(marks) == 1
    return marks.pop()


def digest(observed: int) -> str:
    return ObservingProposer.digest(HISTORY[:observed])


def test_an_observing_proposer_is_told_the_news_and_never_twice() -> None:
    worker = host(proposer_pool(kind=OBSERVING_PROPOSER))
    assert knows(worker.run(ask("a", 0, 2)).result) == digest(2)
    assert knows(worker.run(ask("b", 2, 4)).result) == digest(4)
    assert knows(worker.run(ask("c", 4, 4)).result) == digest(4)
    assert knows(worker.run(ask("d", 0, 5)).result) == digest(5), "sent again, told once"


@pytest.mark.parametrize(("first", "observed"), [(3, 5), (1, 1)])
def test_a_gap_is_lost_and_everything_heals_it(first: int, observed: int) -> None:
    worker = host(proposer_pool(kind=OBSERVING_PROPOSER))
    gap = worker.run(ask("a", first, observed)).result
    assert isinstance(gap, Failure)
    assert gap.cause is FailureCause.LOST
    assert "knows the first 0 of" in gap.message
    assert knows(worker.run(ask("b", 0, 5)).result) == digest(5)


def test_one_that_knows_more_than_it_may_starts_anew() -> None:
    worker = host(proposer_pool(kind=OBSERVING_PROPOSER))
    worker.run(ask("a", 0, 4))
    early = worker.run(ask("b", 0, 2)).result
    assert isinstance(early, Failure)
    assert early.cause is FailureCause.LOST
    assert knows(worker.run(ask("c", 0, 2)).result) == digest(2)


def test_one_that_broke_while_observing_or_proposing_starts_anew(tmp_path: Path) -> None:
    worker = host(proposer_pool(kind=OBSERVING_PROPOSER, checkpoint_root=str(tmp_path)))
    bad = Observation(candidate=candidate("raise"), verdict="failed")
    news = ask("a", 0, 2).model_copy(update={"news": (HISTORY[0], bad)})
    for breaking in (news, ask("b", 3, 3, "raise")):
        failure = worker.run(breaking).result
        assert isinstance(failure, Failure)
        assert failure.cause is FailureCause.CALCULATION
        assert isinstance(worker.run(ask("c", 3, 4)).result, Failure), "it knows nothing"
        assert knows(worker.run(ask("d", 0, 3)).result) == digest(3)
    assert isinstance(worker.run(learn("e", "raise")).result, Failure)
    assert isinstance(worker.run(ask("f", 3, 4)).result, Failure), "it was rebuilt"


def test_an_actor_is_told_in_text_and_its_successor_knows_nothing() -> None:
    pool = proposer_pool(kind=OBSERVING_PROPOSER).model_dump_json()

    def answer(worker: HeuresisWorker, task: ProposeTask) -> Result:
        complaint, report = worker.run(task.model_dump_json())
        assert complaint == ""
        return Report.model_validate_json(report).result

    first = HeuresisWorker(pool, "proposer:words", PLUGINS)
    assert knows(answer(first, ask("a", 0, 2))) == digest(2)
    assert knows(answer(first, ask("b", 2, 3))) == digest(3)
    successor = HeuresisWorker(pool, "proposer:words", PLUGINS)
    lost = answer(successor, ask("c", 3, 5))
    assert isinstance(lost, Failure)
    assert lost.cause is FailureCause.LOST
    assert knows(answer(successor, ask("d", 0, 5))) == digest(5)
