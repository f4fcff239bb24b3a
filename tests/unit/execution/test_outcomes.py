"""Exceptions and outcomes at the boundary of a plug-in."""

import errno

import pytest
from pydantic import BaseModel, ValidationError

from heuresis.errors import CalculationError, ImplausibleResultError, OracleSetupError
from heuresis.execution.outcomes import (
    LONGEST_DETAIL,
    LONGEST_MESSAGE,
    failure_from,
    one_line,
    verified,
)
from heuresis.execution.outcomes import tail as tail_of
from heuresis.records import Evaluation, Failure, FailureCause, Measurement
from heuresis.testing.fakes import ScriptedOracle, candidate


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OracleSetupError("no parameters for Xe"), FailureCause.SETUP),
        (CalculationError("no convergence"), FailureCause.CALCULATION),
        (ImplausibleResultError("drift"), FailureCause.IMPLAUSIBLE),
    ],
)
def test_oracle_errors_keep_their_meaning_and_need_no_traceback(
    error: Exception, cause: FailureCause
) -> None:
    failure = failure_from(error)
    assert (failure.cause, failure.message, failure.detail) == (cause, str(error), None)


def test_unexpected_exceptions_bring_their_traceback() -> None:
    energies: dict[str, float] = {}
    try:
        energies["missing"]
    except KeyError as error:
        failure = failure_from(error)
    assert failure.cause is FailureCause.CALCULATION
    assert failure.message == "KeyError: 'missing'"
    assert failure.detail is not None
    assert "test_outcomes.py" in failure.detail


def test_running_out_of_memory_counts_as_a_crash() -> None:
    failure = failure_from(MemoryError())
    assert (failure.cause, failure.message) == (FailureCause.CRASH, "MemoryError")


def test_texts_are_short_and_equal_between_equal_runs() -> None:
    def failure(scratch: str, address: int) -> str:
        text = f"<Atoms at {address:#x}> in {scratch}/opt.log " + "x" * 9000
        return failure_from(RuntimeError(text), scratch=scratch).model_dump_json()

    assert failure("/tmp/a1", 0x7F00AA00) == failure("/tmp/b2", 0x7F00BB00)
    long = failure_from(RuntimeError("x" * 9000))
    assert len(long.message) == LONGEST_MESSAGE
    assert long.detail is not None
    assert len(long.detail) == LONGEST_DETAIL


def test_the_end_of_an_output_is_kept() -> None:
    assert tail_of("a" * 9000 + "the reason").endswith("the reason")
    assert tail_of("short") == "short"


def test_validation_errors_fit_one_line() -> None:
    class Box(BaseModel):
        size_nm: float

    with pytest.raises(ValidationError) as caught:
        Box.model_validate({"size_nm": "big"})
    assert one_line(caught.value).startswith("Box.size_nm: Input should be a valid number")
    assert "\n" not in one_line(RuntimeError("two\nlines"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_lost_work_and_no_fault_of_the_calculation(number: int) -> None:
    failure = failure_from(OSError(number, "No space left on device"))
    assert failure.cause is FailureCause.LOST
    assert "No space left on device" in failure.message
    assert failure_from(OSError(errno.EACCES, "x")).cause is FailureCause.CALCULATION


def test_a_measurement_of_another_candidate_is_refused() -> None:
    asked = [candidate("a"), candidate("b")]
    declaration = ScriptedOracle.declare(ScriptedOracle.Config())

    def measured(of: str | None) -> Evaluation:
        return Evaluation(
            measurements={"length": Measurement(value=1.0, unit="1")}, candidate_id=of
        )

    swapped = verified([measured(asked[1].id), measured(asked[0].id)], declaration, asked)
    for outcome, other in zip(swapped, reversed(asked), strict=True):
        assert isinstance(outcome, Failure)
        assert outcome.cause is FailureCause.CONTRACT
        assert f"measured candidate {other.id}, asked was" in outcome.message
    right = verified([measured(asked[0].id), measured(None)], declaration, asked)
    assert right == (measured(None), measured(None)), "whose it is, is not kept"
    assert "candidate_id" not in right[0].model_dump_json()
