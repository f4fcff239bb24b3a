"""Repeats on several seeds: mean, standard error, and what a single failure makes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from heuresis.execution.repeats import joined, repeat_seed, repeated
from heuresis.execution.worker import WorkerHost
from heuresis.records import Candidate, Evaluation, Failure, FailureCause, Measurement, Outcome
from heuresis.tasks import EvaluateResult, EvaluateTask, PoolSpec

FAILURE = Failure(cause=FailureCause.IMPLAUSIBLE, message="no minimum")
CANDIDATES = [Candidate.of("molecule", text) for text in ("C", "CC")]


def evaluation(
    value: float, uncertainty: float | None = None, checks: tuple[str, ...] = ("finite",)
) -> Evaluation:
    measured = Measurement(value=value, unit="eV", uncertainty=uncertainty)
    return Evaluation(measurements={"gap_eV": measured}, checks=checks)


def test_mean_and_standard_error_of_three() -> None:
    outcome = joined([evaluation(1.0), evaluation(2.0), evaluation(3.0)], 3)
    assert isinstance(outcome, Evaluation)
    found = outcome.measurements["gap_eV"]
    assert found.value == 2.0
    assert found.unit == "eV"
    assert found.uncertainty == pytest.approx(1.0 / math.sqrt(3.0))
    assert outcome.checks == ("finite",)


def test_agreeing_repeats_do_not_hide_what_each_said_of_itself() -> None:
    outcome = joined([evaluation(2.0, 0.3), evaluation(2.0, 0.3)], 2)
    assert isinstance(outcome, Evaluation)
    assert outcome.measurements["gap_eV"].uncertainty == pytest.approx(0.3 / math.sqrt(2.0))


def test_a_gate_counts_only_if_every_repeat_passed_it() -> None:
    outcome = joined([evaluation(1.0, None, ("finite", "minimum")), evaluation(1.0)], 2)
    assert isinstance(outcome, Evaluation)
    assert outcome.checks == ("finite",)


def test_one_failure_makes_the_whole_inconclusive_and_says_why() -> None:
    outcome = joined([evaluation(1.0), FAILURE], 3)
    assert isinstance(outcome, Failure)
    assert outcome.cause is FailureCause.IMPLAUSIBLE
    assert outcome.message == "repeat 2 of 3: no minimum"


def test_a_candidate_that_failed_is_not_repeated_and_costs_its_neighbour_nothing() -> None:
    asked: list[tuple[list[str], int]] = []

    def evaluate(candidates: Sequence[Candidate], seed: int) -> list[Outcome]:
        asked.append(([candidate.text for candidate in candidates], seed))
        return [FAILURE if c.text == "C" else evaluation(float(len(asked))) for c in candidates]

    outcomes = repeated(evaluate, CANDIDATES, 7, 3)
    assert [texts for texts, _ in asked] == [["C", "CC"], ["CC"], ["CC"]]
    assert [seed for _, seed in asked] == [repeat_seed(7, repeat) for repeat in range(3)]
    assert len({seed for _, seed in asked}) == 3
    assert isinstance(outcomes[0], Failure)
    assert outcomes[0].message.startswith("repeat 1 of 3")
    assert isinstance(outcomes[1], Evaluation)
    assert outcomes[1].measurements["gap_eV"].value == 2.0


def test_without_repeats_nothing_changes() -> None:
    given: list[Outcome] = [FAILURE, evaluation(1.0)]
    assert repeated(lambda *_: given, CANDIDATES, 7, 1) == tuple(given)
    assert repeat_seed(7, 0) == 7


def test_a_worker_repeats_real_physics_reproducibly(tmp_path: Path) -> None:
    def measure(**more: Any) -> Evaluation:
        pool = PoolSpec(
            name="md", role="oracle", kind="openmm-md", space_kind="molecule", space_config={},
            config={
                "duration_ps": 1.0, "equilibration_ps": 0.1, "conservation_check_ps": 0.1,
                "conformers": 1,
            },
            **more,
        )  # fmt: skip
        task = EvaluateTask(
            id="t", pool="md", candidates=(Candidate.of("molecule", "CCO"),), seed=3
        )
        result = WorkerHost(pool, scratch_root=tmp_path).run(task).result
        assert isinstance(result, EvaluateResult)
        (outcome,) = result.outcomes
        assert isinstance(outcome, Evaluation), outcome
        return outcome

    once, thrice = measure(), measure(repeats=3)
    assert measure(repeats=3) == thrice
    assert once != thrice
    spread = thrice.measurements["rmsf_angstrom"].uncertainty
    assert spread is not None
    assert spread > 0.0
