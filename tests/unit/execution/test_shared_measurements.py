"""Measurements that campaigns share: what is answered, what is not, and a file gone bad."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from engine_toys import ToyExecutor, ledger_path, oracle, plan
from mortal_ledger import Killed, MortalLedger

from heuresis.campaign.measurements import shared_file
from heuresis.engine.controller import Controller
from heuresis.engine.plan import CampaignPlan
from heuresis.errors import UserError
from heuresis.execution.measurement_store import Answer, MeasurementStore
from heuresis.execution.sharing import SharingExecutor
from heuresis.ledger import SQLiteLedger
from heuresis.records import (
    Candidate,
    CostClass,
    Evaluation,
    Failure,
    FailureCause,
    Measurement,
    Origin,
    Outcome,
)
from heuresis.tasks import EvaluateResult, EvaluateTask, PoolSpec, Settlement

COSTLY = oracle("costly", CostClass.SECONDS).declaration
ORIGIN = Origin(run="other-1", measured_at=5.0, duration_s=2.0, cpu_s=1.5)


def value(number: float) -> Evaluation:
    return Evaluation(measurements={"value": Measurement(value=number, unit="1")})


class Script(ToyExecutor):
    """Gives the outcome that a function makes of each number, and counts them."""

    def __init__(self, script: Callable[[int], Outcome] | None = None) -> None:
        super().__init__()
        self.script = script

    def outcome(self, task: EvaluateTask, number: int) -> Outcome:
        return super().outcome(task, number) if self.script is None else self.script(number)

    @property
    def measured(self) -> list[str]:
        return [c.text for t in self.log if isinstance(t, EvaluateTask) for c in t.candidates]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "measurements.sqlite"


@pytest.fixture
def sharing(file: Path) -> Iterator[Callable[..., SharingExecutor]]:
    made: list[SharingExecutor] = []

    def make(inner: ToyExecutor, *, pool: dict[str, Any] | None = None, **changes: Any) -> Any:
        declaration = COSTLY.model_copy(update=changes)
        in_order = bool(changes.pop("in_order", True))
        executor = SharingExecutor(
            inner, file, {"costly": declaration}, run="here-1", in_order=in_order, say=said.append
        )
        spec = PoolSpec(
            name="costly", role="oracle", kind="costly", config={}, space_kind="integer",
            space_config={},
        )  # fmt: skip
        executor.start([spec.model_copy(update=pool or {})])
        made.append(executor)
        return executor

    said.clear()
    yield make
    for executor in made:
        executor.close()


said: list[str] = []


def measure(executor: SharingExecutor, *numbers: int, seed: int = 1) -> Settlement:
    candidates = tuple(Candidate.of("integer", str(n)) for n in numbers)
    executor.submit(EvaluateTask(id="t", pool="costly", candidates=candidates, seed=seed))
    settlement = executor.next_settled(1.0)
    assert settlement is not None
    assert settlement.task == "t"
    return settlement


def outcomes(settlement: Settlement) -> tuple[Outcome, ...]:
    assert isinstance(settlement.result, EvaluateResult)
    return settlement.result.outcomes


def test_what_one_measured_another_is_told_with_its_origin(sharing: Any) -> None:
    first = measure(sharing(Script(lambda n: value(n / 7))), 1, 2)
    assert first.origins == {}
    again = Script()
    second = measure(sharing(again), 3, 1, 2)
    assert again.measured == ["3"], "of a batch only what is new is measured"
    known = [Candidate.of("integer", str(n)).id for n in (1, 2)]
    assert outcomes(second)[1:] == outcomes(first)
    assert sorted(second.origins) == sorted(known)
    timing = second.timing_of(known[0])
    assert timing.origin is not None
    assert (timing.origin.run, timing.duration_s, timing.cpu_s) == ("here-1", 0.0, 0.0)
    assert second.timing_of(Candidate.of("integer", "3").id).origin is None


@pytest.mark.parametrize(
    "change",
    [
        {"version": "2"},
        {"kind": "another"},
        {"pool": {"config": {"accuracy": 2}}},
        {"pool": {"repeats": 3}},
        {"pool": {"space_kind": "other"}},
    ],
    ids=str,
)
def test_another_version_or_setting_is_another_question(
    sharing: Any, change: dict[str, Any]
) -> None:
    measure(sharing(Script(value)), 1)
    again = Script(lambda n: value(n + 100))
    assert outcomes(measure(sharing(again, **change), 1)) == (value(101),)


def test_the_seed_counts_where_it_can_change_a_result(sharing: Any) -> None:
    measure(sharing(Script(value)), 1, seed=1)
    other = Script(lambda n: value(n + 100))
    assert outcomes(measure(sharing(other), 1, seed=2)) == (value(101),)
    measure(sharing(Script(value), seeded=False), 5, seed=1)
    assert outcomes(measure(sharing(Script(), seeded=False), 5, seed=2)) == (value(5),)


@pytest.mark.parametrize(
    ("failure", "shared"),
    [
        (Failure(cause=FailureCause.SETUP, message="no parameters for Pu"), True),
        (Failure(cause=FailureCause.CALCULATION, message="no convergence"), True),
        (Failure(cause=FailureCause.IMPLAUSIBLE, message="drift"), True),
        (Failure(cause=FailureCause.CALCULATION, message="OSError", detail="Traceback …"), False),
        (Failure(cause=FailureCause.TIMEOUT, message="too long"), False),
        (Failure(cause=FailureCause.CRASH, message="signal 11"), False),
        (Failure(cause=FailureCause.LOST, message="node gone"), False),
        (Failure(cause=FailureCause.CONTRACT, message="wrong unit"), False),
    ],
    ids=lambda item: (
        f"{item.cause.value}{'+detail' if item.detail else ''}"
        if isinstance(item, Failure)
        else str(item)
    ),
)
def test_failures_of_the_candidate_are_shared_those_of_the_machine_never(
    sharing: Any, failure: Failure, shared: bool
) -> None:
    measure(sharing(Script(lambda _: failure)), 1)
    again = Script(value)
    assert outcomes(measure(sharing(again), 1)) == ((failure,) if shared else (value(1),))


@pytest.mark.parametrize(
    ("cause", "shared"), [(FailureCause.SETUP, False), (FailureCause.IMPLAUSIBLE, True)]
)
def test_of_a_program_only_what_it_calls_implausible_is_shared(
    sharing: Any, cause: FailureCause, shared: bool
) -> None:
    failure = Failure(cause=cause, message="said by a program")
    measure(sharing(Script(lambda _: failure), failures_repeat=False), 1)
    found = outcomes(measure(sharing(Script(value), failures_repeat=False), 1))
    assert found == ((failure,) if shared else (value(1),))


def test_answers_of_a_task_come_in_their_place_when_order_counts(file: Path, sharing: Any) -> None:
    measure(sharing(Script(value)), 2)
    for in_order, expected in ((True, ["a", "b", "c"]), (False, ["b", "a", "c"])):
        executor = SharingExecutor(
            Script(value), file, {"costly": COSTLY}, run="here-1", in_order=in_order
        )
        executor.start([PoolSpec(name="costly", role="oracle", kind="costly", config={},
                                 space_kind="integer", space_config={})])  # fmt: skip
        for name, number in (("a", 10 + in_order), ("b", 2), ("c", 20 + in_order)):
            candidate = Candidate.of("integer", str(number))
            executor.submit(EvaluateTask(id=name, pool="costly", candidates=(candidate,), seed=1))
        if in_order:
            assert executor.next_settled(0.0) is None, "without waiting, nothing is done inline"
        settled = [executor.next_settled(1.0) for _ in range(3)]
        executor.close()
        assert [s.task for s in settled if s is not None] == expected


# -- whole campaigns ---------------------------------------------------------------------------


def run(
    folder: Path,
    campaign: CampaignPlan,
    inner: ToyExecutor,
    *,
    store: Path | None,
    ledger_type: type[SQLiteLedger] = SQLiteLedger,
) -> Controller:
    folder.mkdir(exist_ok=True)
    executor: Any = inner
    if store is not None:
        declared = {o.name: o.declaration for o in campaign.oracles}
        executor = SharingExecutor(inner, store, declared, run=folder.name, in_order=True)
        executor.start(campaign.pools)
    ledger = ledger_type.open(ledger_path(folder), create=True)
    controller = Controller(campaign, ledger, executor, now=lambda: 0.0)
    try:
        controller.replay()
        controller.run()
    finally:
        ledger.close()
        executor.close()
    return controller


def checksum(folder: Path) -> str:
    with closing(SQLiteLedger.open(ledger_path(folder), read_only=True)) as ledger:
        return ledger.checksum


def origins(folder: Path) -> list[Origin]:
    with closing(SQLiteLedger.open(ledger_path(folder), read_only=True)) as ledger:
        return [e.timing.origin for e in ledger.read() if e.timing and e.timing.origin]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the checksum of the campaign that shares nothing."""
    alone = tmp_path_factory.mktemp("alone")
    run(alone, plan(), ToyExecutor(), store=None)
    return checksum(alone)


def test_a_campaign_is_the_same_event_for_event_with_no_an_empty_and_a_full_store(
    tmp_path: Path, file: Path, uninterrupted: str
) -> None:
    run(tmp_path / "first", plan(), ToyExecutor(), store=file)
    inner = Script()
    run(tmp_path / "second", plan(), inner, store=file)
    assert checksum(tmp_path / "first") == checksum(tmp_path / "second") == uninterrupted
    costly = [t for t in inner.log if isinstance(t, EvaluateTask) and t.pool == "costly"]
    assert costly == [], "everything that costs was known"
    assert any(isinstance(t, EvaluateTask) for t in inner.log), "what costs nothing is not shared"
    assert {o.run for o in origins(tmp_path / "second")} == {"first"}
    assert len(origins(tmp_path / "second")) == 60
    assert origins(tmp_path / "first") == []


@pytest.mark.parametrize("killed_at", [4, 61])
@pytest.mark.parametrize("after_writing", [False, True])
def test_killed_anywhere_and_resumed_while_others_fill_the_store_nothing_changes(
    tmp_path: Path, file: Path, uninterrupted: str, killed_at: int, after_writing: bool
) -> None:
    class Mortal(MortalLedger):
        pass

    Mortal.appends_left, Mortal.after_writing = killed_at, after_writing
    with pytest.raises(Killed):
        run(tmp_path / "broken", plan(), ToyExecutor(), store=file, ledger_type=Mortal)
    run(tmp_path / "meanwhile", plan(budget={"evaluations": 40}), ToyExecutor(), store=file)
    run(tmp_path / "broken", plan(), ToyExecutor(), store=file)
    assert checksum(tmp_path / "broken") == uninterrupted


def test_a_ledger_replays_without_the_store(tmp_path: Path, file: Path) -> None:
    run(tmp_path / "first", plan(), ToyExecutor(), store=file)
    run(tmp_path / "second", plan(budget={"evaluations": 30}), ToyExecutor(), store=file)
    for leftover in tmp_path.glob("measurements.sqlite*"):
        leftover.unlink()
    inner = Script()
    controller = run(tmp_path / "second", plan(budget={"evaluations": 30}), inner, store=None)
    assert controller.state.finished == "budget"
    assert inner.log == []


# -- the file ------------------------------------------------------------------------------------


def rewrite(file: Path, statement: str) -> None:
    with closing(sqlite3.connect(file)) as table:
        table.execute(statement)
        table.commit()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE measurements SET answer = replace(answer, '1.0', '9.0')",
        "UPDATE measurements SET question = replace(question, '\"1\"', '\"2\"')",
        "UPDATE measurements SET origin = replace(origin, 'here', 'there')",
        "UPDATE measurements SET answer = 'cos\nsystem\n(S''true''\ntR.'",
        "UPDATE measurements SET checksum = ''",
    ],
)
def test_a_changed_row_is_told_not_used_and_mended(
    sharing: Any, file: Path, statement: str
) -> None:
    measure(sharing(Script(value)), 1)
    rewrite(file, statement)
    again = Script(lambda n: value(n + 0.5))
    assert outcomes(measure(sharing(again), 1)) == (value(1.5),)
    assert len(said) == 1
    assert "does not match its checksum" in said[0]
    assert outcomes(measure(sharing(Script()), 1)) == (value(1.5),)


def test_a_row_whose_checksum_was_made_anew_must_still_be_what_the_oracle_declares(
    sharing: Any, file: Path
) -> None:
    executor = sharing(Script(value))
    candidate = Candidate.of("integer", "1")
    task = EvaluateTask(id="t", pool="costly", candidates=(candidate,), seed=1)
    question = executor._questions(task)[candidate.id]
    for false in (
        Evaluation(measurements={"value": Measurement(value=1.0, unit="eV")}),
        Evaluation(measurements={"other": Measurement(value=1.0, unit="1")}),
        Evaluation(measurements={"value": Measurement(value=1.0, unit="1")}, checks=("made-up",)),
        Failure(cause=FailureCause.LOST, message="never shared"),
    ):
        store = MeasurementStore.open(file)
        store.keep({question: Answer(false, ORIGIN)})
        store.close()
        assert outcomes(measure(executor, 1)) == (value(1),)
        rewrite(file, "DELETE FROM measurements")


@pytest.mark.parametrize(
    "content",
    ["not SQLite at all, but long enough to be read as the header of a database" * 20, "ledger",
     "trigger"],
)  # fmt: skip
def test_a_file_that_is_something_else_is_refused(file: Path, content: str) -> None:
    if content == "ledger":
        SQLiteLedger.open(file, create=True).close()
    elif content == "trigger":
        MeasurementStore.open(file).close()
        rewrite(file, "CREATE TRIGGER t AFTER INSERT ON measurements BEGIN SELECT 1; END")
    else:
        file.write_text(content)
    before = file.read_bytes()
    with pytest.raises(UserError, match="--measurements"):
        shared_file(str(file))
    assert file.read_bytes() == before


def test_a_file_that_goes_bad_under_way_costs_the_sharing_not_the_run(
    sharing: Any, file: Path
) -> None:
    executor = sharing(Script(value))
    measure(executor, 1)
    rewrite(file, "DROP TABLE measurements")
    assert outcomes(measure(executor, 1)) == (value(1),)
    assert outcomes(measure(executor, 2)) == (value(2),)
    assert len(said) == 1
    assert "no longer shared" in said[0]


def test_which_file(tmp_path: Path) -> None:
    named = tmp_path / "deep" / "m.sqlite"
    assert shared_file(None, environment={}) is None
    assert shared_file(None, environment={"HEURESIS_MEASUREMENTS": str(named)}) == named
    assert shared_file("none", environment={"HEURESIS_MEASUREMENTS": str(named)}) is None
    assert shared_file(None, earlier={"measurements": str(named)}, environment={}) == named
    earlier_without = {"executor": "inline"}
    environment = {"HEURESIS_MEASUREMENTS": str(named)}
    assert shared_file(None, earlier=earlier_without, environment=environment) is None
    with pytest.raises(UserError, match="cannot use"):
        shared_file("/proc/none/m.sqlite", environment={})


WRITER = """
import sys
from pathlib import Path
from heuresis.execution.measurement_store import Answer, MeasurementStore
from heuresis.records import Evaluation, Measurement, Origin
store = MeasurementStore.open(Path(sys.argv[1]))
for number in range(300):
    outcome = Evaluation(measurements={"value": Measurement(value=number, unit="1")})
    origin = Origin(run=sys.argv[2], measured_at=0.0, duration_s=1.0)
    store.keep({f"question {number}": Answer(outcome, origin)})
store.close()
"""


def test_two_processes_write_at_once_and_every_answer_is_there_once(file: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(file), name], env=os.environ)
        for name in ("one", "two")
    ]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    store = MeasurementStore.open(file)
    questions = [f"question {number}" for number in range(300)]
    found = store.find(questions)
    store.close()
    assert [found[q].outcome for q in questions] == [value(n) for n in range(300)]
    with closing(sqlite3.connect(file)) as table:
        assert table.execute("SELECT count(*) FROM measurements").fetchone() == (300,)
