"""The oracle contract is only worth what it catches: each test here is one way to break it."""

# The rewriting of assertions must be asked for before the import.
# ruff: noqa: E402

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

pytest.register_assert_rewrite("heuresis.testing.oracle_contract")

from heuresis.errors import CalculationError
from heuresis.ports import PluginConfig
from heuresis.records import (
    Candidate,
    CostClass,
    Evaluation,
    Failure,
    FailureCause,
    Measurement,
    OracleDeclaration,
    Outcome,
    OutputDeclaration,
)
from heuresis.testing.oracle_contract import OracleCase, OracleContract

MEASURES = OracleContract.test_every_declared_output_is_given_in_its_unit
DEPENDS = OracleContract.test_values_depend_on_candidate_and_seed_alone
REFUSES = OracleContract.test_what_cannot_be_measured_is_a_failure_with_a_cause
NEIGHBOURS = OracleContract.test_a_failure_leaves_its_neighbours_alone


class Honest:
    """Counts characters; refuses texts with a blank."""

    class Config(PluginConfig):
        """No settings."""

    unit: ClassVar[str] = "1"

    def __init__(self, config: Config) -> None:
        self.config = config

    @classmethod
    def declare(cls, config: Config) -> OracleDeclaration:
        return OracleDeclaration(
            kind="honest",
            version="1",
            spaces=("molecule",),
            outputs={"length": OutputDeclaration(unit="1", description="characters")},
            cost_class=CostClass.NEGLIGIBLE,
            reference="none",
        )

    def evaluate(
        self, candidates: Sequence[Candidate], *, seed: int, workdir: Path
    ) -> list[Outcome]:
        return [self.one(candidate.text) for candidate in candidates]

    def one(self, text: str) -> Outcome:
        if " " in text:
            return Failure(cause=FailureCause.SETUP, message="a blank")
        return Evaluation(measurements=self.measurements(float(len(text))))

    def measurements(self, value: float) -> dict[str, Measurement]:
        return {"length": Measurement(value=value, unit=self.unit)}


class WrongUnit(Honest):
    unit = "eV"


class Undeclared(Honest):
    def measurements(self, value: float) -> dict[str, Measurement]:
        return super().measurements(value) | {"more": Measurement(value=value, unit="1")}


class Missing(Honest):
    def measurements(self, value: float) -> dict[str, Measurement]:
        return {}


class WrongCount(Honest):
    def evaluate(self, candidates: Sequence[Candidate], **more: Any) -> list[Outcome]:
        return super().evaluate(candidates, **more)[1:]


class UndeclaredCheck(Honest):
    def one(self, text: str) -> Outcome:
        return Evaluation(measurements=self.measurements(1.0), checks=("converged",))


class Dice(Honest):
    def measurements(self, value: float) -> dict[str, Measurement]:
        return super().measurements(float(np.random.default_rng().random()))


class ByPosition(Honest):
    def evaluate(self, candidates: Sequence[Candidate], **more: Any) -> list[Outcome]:
        return [
            Evaluation(measurements=self.measurements(float(position)))
            for position, _ in enumerate(candidates)
        ]


class GlobalDice(Honest):
    def one(self, text: str) -> Outcome:
        np.random.random()  # noqa: NPY002 - the misdeed
        return super().one(text)


class Zero(Honest):
    def one(self, text: str) -> Outcome:
        return Evaluation(measurements=self.measurements(0.0 if " " in text else 1.0))


class Raises(Honest):
    def one(self, text: str) -> Outcome:
        if " " in text:
            raise ValueError("an exception that is no failure")
        return super().one(text)


class SpoilsTheBatch(Honest):
    def one(self, text: str) -> Outcome:
        if " " in text:
            raise CalculationError("raised instead of returned")
        return super().one(text)


class Litters(Honest):
    def one(self, text: str) -> Outcome:
        Path("litter.txt").write_text(text)
        return super().one(text)


def case(oracle: Any) -> OracleCase:
    return OracleCase(oracle, {}, ("CC", "CCO"))


@pytest.mark.parametrize("promise", [MEASURES, DEPENDS, REFUSES, NEIGHBOURS])
def test_an_honest_oracle_passes(promise: Any, tmp_path: Path) -> None:
    promise(OracleContract(), case(Honest), tmp_path)


@pytest.mark.parametrize(
    ("oracle", "promise", "error", "message"),
    [
        (WrongUnit, MEASURES, AssertionError, "in 'eV', declared '1'"),
        (Undeclared, MEASURES, AssertionError, "undeclared: more"),
        (Missing, MEASURES, AssertionError, "missing: length"),
        (WrongCount, MEASURES, AssertionError, "returned 1 outcomes for 2"),
        (UndeclaredCheck, MEASURES, AssertionError, "names undeclared quality gates: converged"),
        (Dice, DEPENDS, AssertionError, "changed the values"),
        (ByPosition, DEPENDS, AssertionError, "changed the values"),
        (GlobalDice, DEPENDS, AssertionError, "a global random generator was used"),
        (Zero, REFUSES, AssertionError, "was measured"),
        (Raises, REFUSES, ValueError, "an exception that is no failure"),
        (SpoilsTheBatch, NEIGHBOURS, CalculationError, "raised instead of returned"),
    ],
)
def test_a_broken_oracle_is_caught(
    oracle: Any, promise: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        promise(OracleContract(), case(oracle), tmp_path)


def test_litter_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="files were written"):
        OracleContract().test_files_stay_in_the_scratch_folder(case(Litters), tmp_path, monkeypatch)
