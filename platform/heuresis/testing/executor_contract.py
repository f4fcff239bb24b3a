"""What every executor must do, as tests. Subclass `ExecutorContract` and name your executor.

Example::

    class TestMyExecutor(ExecutorContract):
        def make_executor(self) -> Executor:
            return MyExecutor(plugins=PLUGINS)
"""

# The names of the tests are the promises.
# ruff: noqa: D102

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heuresis.errors import PoolError
from heuresis.ports import Executor
from heuresis.records import (
    Evaluation,
    Failure,
    FailureCause,
    Observation,
    Outcome,
    Prompt,
    ScoredCandidate,
)
from heuresis.tasks import (
    EvaluateResult,
    EvaluateTask,
    LearnResult,
    LearnTask,
    PoolSpec,
    ProposeResult,
    ProposeTask,
    Settlement,
    Task,
)
from heuresis.testing.fakes import (
    OBSERVING_PROPOSER,
    SCRIPTED_ORACLE,
    SCRIPTED_PROPOSER,
    TEXT_SPACE,
    ObservingProposer,
    candidate,
    process_lives,
)

PATIENCE_S = 120.0
TIME_LIMIT_S = 2.0
MEMORY_LIMIT_MiB = 300


def oracle_pool(name: str = "measured", **changes: Any) -> PoolSpec:
    """Return a pool of one isolated scripted oracle."""
    fields: dict[str, Any] = {
        "name": name,
        "role": "oracle",
        "kind": SCRIPTED_ORACLE,
        "config": {},
        "space_kind": TEXT_SPACE,
        "space_config": {},
        "isolated": True,
        "timeout_s": TIME_LIMIT_S,
        "memory_limit_MiB": MEMORY_LIMIT_MiB,
    }
    return PoolSpec(**(fields | changes))


def proposer_pool(name: str = "words", **changes: Any) -> PoolSpec:
    """Return a pool of one scripted proposer."""
    fields: dict[str, Any] = {
        "name": name,
        "role": "proposer",
        "kind": SCRIPTED_PROPOSER,
        "config": {},
        "space_kind": TEXT_SPACE,
        "space_config": {},
    }
    return PoolSpec(**(fields | changes))


def evaluate(name: str, *texts: str, pool: str = "measured") -> EvaluateTask:
    """Return a task that measures scripted texts."""
    return EvaluateTask(id=name, pool=pool, candidates=tuple(map(candidate, texts)), seed=7)


def propose(name: str, *exemplars: str, count: int = 4, index: int = 0) -> ProposeTask:
    """Return a task that asks the scripted proposer."""
    scored = tuple(ScoredCandidate(candidate=candidate(text), score=0.5) for text in exemplars)
    prompt = Prompt(island=0, epoch=0, exemplars=scored)
    key = (7, "propose", index)
    return ProposeTask(id=name, pool="words", prompt=prompt, count=count, random_key=key)


def learn(name: str, text: str) -> LearnTask:
    """Return a task that teaches the scripted proposer one text, saved under the task's name."""
    examples = (ScoredCandidate(candidate=candidate(text), score=0.5),)
    key = (7, "learn", 0)
    return LearnTask(id=name, pool="words", examples=examples, checkpoint=name, random_key=key)


def settle_all(executor: Executor, tasks: list[Task]) -> dict[str, Settlement]:
    """Submit tasks and wait for all of them; none may settle twice or be made up."""
    for task in tasks:
        executor.submit(task)
    settled: dict[str, Settlement] = {}
    deadline = time.monotonic() + PATIENCE_S
    while len(settled) < len(tasks):
        assert time.monotonic() < deadline, f"only {sorted(settled)} settled"
        settlement = executor.next_settled(1.0)
        if settlement is not None:
            assert settlement.task not in settled, "settled twice"
            settled[settlement.task] = settlement
    assert settled.keys() == {task.id for task in tasks}
    assert executor.next_settled(0.05) is None
    return settled


def outcomes_of(settlement: Settlement) -> tuple[Outcome, ...]:
    """Return the outcomes of a settled measuring task."""
    assert isinstance(settlement.result, EvaluateResult), settlement.result
    return settlement.result.outcomes


def causes_of(settlement: Settlement) -> list[str]:
    """Return ``ok`` or the cause of failure of each outcome."""
    return [
        outcome.cause.value if isinstance(outcome, Failure) else "ok"
        for outcome in outcomes_of(settlement)
    ]


def value_of(outcome: Outcome) -> float:
    """Return what the scripted oracle measured."""
    assert isinstance(outcome, Evaluation), outcome
    return outcome.measurements["length"].value


def await_end(process: int) -> None:
    """Wait until a process has ended; it must do so within seconds."""
    deadline = time.monotonic() + 10.0
    while process_lives(process):
        assert time.monotonic() < deadline, f"process {process} lives on"
        time.sleep(0.02)


class ExecutorContract:
    """Promises of `heuresis.ports.Executor`; every test starts its own pools."""

    def make_executor(self) -> Executor:
        """Return a new executor that loads plug-ins from `heuresis.testing.fakes`."""
        raise AssertionError("a contract class is subclassed, and make_executor overridden")

    @pytest.fixture
    def executor(self) -> Iterator[Executor]:
        """One executor per test, closed afterwards."""
        executor = self.make_executor()
        with contextlib.closing(executor):
            yield executor

    def test_settles_each_task_exactly_once(self, executor: Executor, tmp_path: Path) -> None:
        pure = oracle_pool("pure", isolated=False)
        words = proposer_pool(checkpoint_root=str(tmp_path))
        executor.start([oracle_pool(), pure, words])
        tasks: list[Task] = []
        for number in range(12):
            tasks.append(evaluate(f"m{number}", "x" * (number + 1), "noise", "raise"))
            tasks.append(evaluate(f"p{number}", "x", "calculation", pool="pure"))
            tasks.append(propose(f"w{number}", index=number))
        settled = settle_all(executor, tasks)
        for number in range(12):
            assert causes_of(settled[f"m{number}"]) == ["ok", "ok", "calculation"]
            assert value_of(outcomes_of(settled[f"m{number}"])[0]) == number + 1
            assert causes_of(settled[f"p{number}"]) == ["ok", "calculation"]
            assert isinstance(settled[f"w{number}"].result, ProposeResult)

    def test_tells_when_and_how_long(self, executor: Executor) -> None:
        executor.start([oracle_pool()])
        before = time.time()
        timing = settle_all(executor, [evaluate("a", "sleep:0.2")])["a"].timing
        assert before <= timing.submitted_at <= timing.started_at <= timing.ended_at <= time.time()
        assert 0.2 <= timing.duration_s <= time.time() - before
        assert timing.cpu_s is not None
        assert timing.cpu_s < 0.2
        assert timing.worker == "measured[1]"
        assert timing.host

    def test_faults_are_values_with_causes(self, executor: Executor) -> None:
        expected = {
            "raise": "calculation",
            "calculation:no convergence": "calculation",
            "nan": "calculation",
            "setup": "setup",
            "implausible": "implausible",
            "miscount": "contract",
            "unit": "contract",
            "output": "contract",
            "check": "contract",
            "infinite-uncertainty": "contract",
            "wrong": "contract",
            "full-disk": "lost",
            "segfault": "crash",
            "leave:3": "crash",
            "memory": "crash",
            "hang": "timeout",
        }
        executor.start([oracle_pool()])
        settled = settle_all(executor, [evaluate(text, text) for text in expected])
        found = {text: causes_of(settled[text])[0] for text in expected}
        assert found == expected, found
        by_text = {text: outcomes_of(settled[text])[0] for text in expected}
        assert "RuntimeError: unexpected in <scratch>" in by_text["raise"].model_dump_json()
        assert "SIGSEGV" in by_text["segfault"].model_dump_json()
        assert "out of licences" in by_text["leave:3"].model_dump_json()
        assert TIME_LIMIT_S <= settled["hang"].timing.duration_s < TIME_LIMIT_S + 5.0

    def test_a_crash_costs_one_candidate_of_a_batch(self, executor: Executor) -> None:
        executor.start([oracle_pool()])
        texts = ("a", "segfault", "bb", "hang", "ccc")
        settled = settle_all(executor, [evaluate("batch", *texts)])
        assert causes_of(settled["batch"]) == ["ok", "crash", "ok", "timeout", "ok"], settled
        assert value_of(outcomes_of(settled["batch"])[4]) == 3

    def test_a_helper_process_of_a_hung_oracle_dies_too(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        executor.start([oracle_pool()])
        note = tmp_path / "helper"
        settled = settle_all(executor, [evaluate("a", f"hang-with-helper:{note}")])
        assert causes_of(settled["a"]) == ["timeout"]
        assert not process_lives(int(note.read_text()))

    def test_survives_a_worker_killed_from_outside(self, executor: Executor) -> None:
        executor.start([oracle_pool(timeout_s=30.0)])
        first = settle_all(executor, [evaluate("a", "process")])
        process = int(value_of(outcomes_of(first["a"])[0]))
        os.kill(process, signal.SIGKILL)
        await_end(process)
        again = settle_all(executor, [evaluate("b", "process"), evaluate("c", "kill:9")])
        assert causes_of(again["b"]) == ["ok"], "it was idle: nobody's fault"
        assert causes_of(again["c"]) == ["crash"]
        assert "SIGKILL" in str(outcomes_of(again["c"])[0])

    def test_closing_leaves_no_process(self) -> None:
        executor = self.make_executor()
        executor.start([oracle_pool()])
        settled = settle_all(executor, [evaluate("a", "process")])
        process = int(value_of(outcomes_of(settled["a"])[0]))
        assert process_lives(process)
        executor.close()
        executor.close()
        await_end(process)

    def test_bounds_threads_and_hides_secrets(
        self, executor: Executor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HEURESIS_TEST_API_KEY", "1234")
        executor.start([oracle_pool(threads=3)])
        texts = ("environment:OMP_NUM_THREADS", "environment:HEURESIS_TEST_API_KEY")
        settled = settle_all(executor, [evaluate("a", *texts)])
        assert [value_of(outcome) for outcome in outcomes_of(settled["a"])] == [3.0, -1.0]

    def test_screens_proposals(self, executor: Executor) -> None:
        says = ("Abc", "abc ", "!x", "?", "y" * 101)
        executor.start([proposer_pool(config={"says": says})])
        result = settle_all(executor, [propose("a", count=7)])["a"].result
        assert isinstance(result, ProposeResult)
        assert result.proposals[0].canonical == "abc"
        assert len(result.proposals) == 3
        expected = {"duplicate": 1, "error:RuntimeError": 1, "size": 1, "syntax": 1}
        assert result.rejected == expected
        assert result.model_version == "lessons-0"

    def test_proposes_the_same_from_the_same_key(self, executor: Executor) -> None:
        executor.start([proposer_pool()])
        tasks: list[Task] = [propose("a"), propose("b"), propose("c", index=1)]
        results = {name: s.result for name, s in settle_all(executor, tasks).items()}
        assert results["a"] == results["b"] != results["c"]

    def test_learns_and_proposes_in_the_order_given(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        executor.start([proposer_pool(checkpoint_root=str(tmp_path))])
        tasks: list[Task] = []
        for number in range(4):
            tasks += [propose(f"p{number}"), learn(f"l{number}", "x")]
        settled = settle_all(executor, [*tasks, learn("bad", "raise"), propose("last")])
        for number in range(4):
            proposed, learned = settled[f"p{number}"].result, settled[f"l{number}"].result
            assert isinstance(proposed, ProposeResult)
            assert isinstance(learned, LearnResult)
            assert proposed.model_version == f"lessons-{number}"
            assert learned.report.model_version == f"lessons-{number + 1}"
            assert (tmp_path / f"l{number}" / "lessons.json").is_file()
        failure, last = settled["bad"].result, settled["last"].result
        assert isinstance(failure, Failure)
        assert failure.cause is FailureCause.CALCULATION
        assert isinstance(last, ProposeResult)
        assert last.model_version == "lessons-4", "half a lesson is forgotten"
        assert {path.name for path in tmp_path.iterdir()} == {"l0", "l1", "l2", "l3"}

    def test_starts_from_a_checkpoint(self, executor: Executor, tmp_path: Path) -> None:
        (tmp_path / "lessons.json").write_text('["x:1", "y:2"]')
        executor.start([proposer_pool(checkpoint=str(tmp_path))])
        result = settle_all(executor, [propose("a")])["a"].result
        assert isinstance(result, ProposeResult)
        assert result.model_version == "lessons-2"

    def test_an_observer_knows_the_news_or_says_that_it_does_not(self, executor: Executor) -> None:
        executor.start([proposer_pool(kind=OBSERVING_PROPOSER)])
        history = tuple(
            Observation(candidate=candidate(text), verdict="completed", score=0.5, bound=0.5)
            for text in ("a", "b", "c", "d")
        )

        def knows(name: str, first: int, observed: int) -> str:
            told = {"observed": observed, "news_from": first, "news": history[first:observed]}
            task = propose(name).model_copy(update=told)
            result = settle_all(executor, [task])[name].result
            if isinstance(result, Failure):
                return result.cause.value
            assert isinstance(result, ProposeResult)
            return result.proposals[0].canonical.rpartition("-")[2]

        digests = [ObservingProposer.digest(history[:n]) for n in range(5)]
        assert knows("gap", 2, 3) == "lost"
        assert knows("all", 0, 2) == digests[2]
        assert knows("news", 2, 4) == digests[4]
        assert knows("again", 0, 4) == digests[4]

    def test_a_proposer_that_fails_or_breaks_its_contract(self, executor: Executor) -> None:
        executor.start([proposer_pool(config={"too_many": True}), proposer_pool("other")])
        raising = propose("b", "raise").model_copy(update={"pool": "other"})
        settled = settle_all(executor, [propose("a"), raising])
        contract, calculation = settled["a"].result, settled["b"].result
        assert isinstance(contract, Failure)
        assert contract.cause is FailureCause.CONTRACT
        assert isinstance(calculation, Failure)
        assert calculation.message == "RuntimeError: the model lost its mind"

    @pytest.mark.parametrize(
        ("pool", "message"),
        [
            (oracle_pool(config={"start_error": "no parameters"}), "no parameters"),
            (oracle_pool(config={"die_at_start": True}), "no luck today"),
            (oracle_pool(config={"spaces": ("crystal",)}), "measures crystal, not"),
            (oracle_pool(kind="no-such-oracle"), "unknown oracle kind 'no-such-oracle'"),
            (proposer_pool("measured", config={"size": 3}), "size: Extra inputs"),
        ],
        ids=["raises", "dies", "space", "unknown", "config"],
    )
    def test_a_plugin_that_cannot_start_is_one_clear_error(
        self, executor: Executor, pool: PoolSpec, message: str
    ) -> None:
        task: Task = evaluate("a", "x")
        if pool.role == "proposer":
            task = propose("a").model_copy(update={"pool": "measured"})
        with pytest.raises(PoolError, match=message) as caught:
            self._start_and_wait(executor, pool, task)
        assert "pool 'measured' cannot start" in str(caught.value)

    def _start_and_wait(self, executor: Executor, pool: PoolSpec, task: Task) -> None:
        executor.start([pool])
        executor.submit(task)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            executor.next_settled(1.0)

    def test_refuses_what_cannot_be_meant(self, executor: Executor) -> None:
        executor.start([oracle_pool(isolated=False), proposer_pool()])
        executor.submit(evaluate("a", "sleep:0.2"))
        with pytest.raises(ValueError, match="submitted before"):
            executor.submit(evaluate("a", "x"))
        with pytest.raises(ValueError, match="known pools: measured, words"):
            executor.submit(evaluate("b", "x", pool="elsewhere"))
        with pytest.raises(ValueError, match="asks the oracle pool 'measured' to propose"):
            executor.submit(propose("c").model_copy(update={"pool": "measured"}))
        with pytest.raises(ValueError, match="two pools are named 'words'"):
            executor.start([proposer_pool()])
        with pytest.raises(ValueError, match="would learn different things"):
            executor.start([proposer_pool("twins", workers=2)])

    def test_a_poll_does_not_wait(self, executor: Executor) -> None:
        executor.start([oracle_pool(isolated=False, timeout_s=30.0)])
        assert executor.next_settled(0.0) is None
        executor.submit(evaluate("a", "sleep:0.5"))
        began = time.monotonic()
        assert executor.next_settled(0.0) is None
        assert time.monotonic() - began < 0.3
