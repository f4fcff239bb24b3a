"""What every oracle must do, as tests. Subclass `OracleContract` and override ``case``.

Each promise fails for its own reason: wrong units, undeclared or missing outputs, a wrong count,
values that depend on more than candidate and seed, exceptions that should be failures, heavy
imports at declaration, files left outside the scratch folder.

Example::

    class TestMyOracle(OracleContract):
        @pytest.fixture
        def case(self) -> OracleCase:
            return OracleCase(MyOracle, {"method": "fast"}, measurable=("CCO", "c1ccccc1"))
"""

# The names of the tests are the promises.
# ruff: noqa: D102

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from heuresis.errors import OracleError
from heuresis.execution.outcomes import failure_from, verified
from heuresis.records import (
    Candidate,
    Evaluation,
    Failure,
    FailureCause,
    OracleDeclaration,
    Outcome,
)

SEED = 11
HEAVY = ("torch", "openmm", "ase", "tblite", "pymatgen", "rdkit")
_DECLARE = """
import json, sys
from importlib import import_module
module, name, config, heavy = json.loads(sys.argv[1])
oracle = getattr(import_module(module), name)
oracle.declare(oracle.Config(**config))
print(json.dumps([package for package in heavy if package in sys.modules]))
"""


@dataclass(frozen=True)
class OracleCase:
    """An oracle class, and what to measure with it."""

    oracle: Any
    """The class; it must be importable by name."""
    config: Mapping[str, Any]
    measurable: tuple[str, ...]
    """At least two canonical texts that it can measure, cheap ones."""
    refused: tuple[str, ...] = ("no such thing",)
    """Texts that it cannot measure: each must give a failure, never a number."""
    space: str = "molecule"
    light_packages: tuple[str, ...] = ()
    """Of `HEAVY`, those that its declaration may import."""


def global_state() -> tuple[object, str]:
    """Return the states of the global random generators, which no plug-in may touch."""
    return random.getstate(), repr(np.random.get_state(legacy=False))  # noqa: NPY002


def settings(case: OracleCase) -> Any:
    """Return the case's config as the oracle's own model."""
    return case.oracle.Config(**case.config)


def declaration(case: OracleCase) -> OracleDeclaration:
    """Return what the oracle declares with this config."""
    declared: OracleDeclaration = case.oracle.declare(settings(case))
    return declared


def evaluate(
    case: OracleCase, texts: Sequence[str], workdir: Path, seed: int = SEED
) -> list[Outcome]:
    """Measure with a fresh oracle in a fresh scratch folder."""
    scratch = workdir / f"scratch-{len(list(workdir.iterdir()))}"
    scratch.mkdir()
    outcomes: list[Outcome] = case.oracle(settings(case)).evaluate(
        candidates_of(case, texts), seed=seed, workdir=scratch
    )
    return outcomes


def candidates_of(case: OracleCase, texts: Sequence[str]) -> list[Candidate]:
    """Return the candidates that an oracle is asked about."""
    return [Candidate.of(case.space, text) for text in texts]


class OracleContract:
    """Inherit, and override the fixture ``case``."""

    @pytest.fixture
    def case(self) -> OracleCase:
        raise AssertionError("override the fixture 'case' to name your oracle")

    def test_settings_are_strict_and_frozen(self, case: OracleCase) -> None:
        with pytest.raises(ValidationError):
            case.oracle.Config(**case.config, no_such_setting=1)
        config = case.oracle.Config.model_config
        assert config.get("frozen") is True
        assert config.get("extra") == "forbid"

    def test_the_declaration_says_what_is_measured(self, case: OracleCase) -> None:
        declared = declaration(case)
        assert declared == declaration(case)
        assert OracleDeclaration.model_validate_json(declared.model_dump_json()) == declared
        assert declared.kind
        assert declared.version
        assert declared.reference.strip(), "cite the paper or manual that defines the quantity"
        assert case.space in declared.spaces
        assert declared.outputs, "an oracle without outputs measures nothing"
        for name, output in declared.outputs.items():
            assert name.isidentifier(), f"'{name}' cannot be written as a measure in a campaign"
            assert output.unit.strip(), f"'{name}' has no unit; dimensionless is '1'"
            assert output.description.strip(), f"'{name}' has no description"
        assert all(demand.strip() for demand in declared.checks.values())
        assert declared.batch_size >= 1
        assert declared.timeout_s > 0

    def test_declaring_loads_no_physics(self, case: OracleCase) -> None:
        heavy = [package for package in HEAVY if package not in case.light_packages]
        question = [case.oracle.__module__, case.oracle.__name__, dict(case.config), heavy]
        done = subprocess.run(
            [sys.executable, "-c", _DECLARE, json.dumps(question)],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        assert json.loads(done.stdout.splitlines()[-1]) == [], "import these inside methods"

    def test_every_declared_output_is_given_in_its_unit(
        self, case: OracleCase, tmp_path: Path
    ) -> None:
        declared = declaration(case)
        outcomes = evaluate(case, case.measurable, tmp_path)
        checked = verified(outcomes, declared, candidates_of(case, case.measurable))
        for text, outcome in zip(case.measurable, checked, strict=True):
            assert isinstance(outcome, Evaluation), f"{text}: {outcome}"

    def test_values_depend_on_candidate_and_seed_alone(
        self, case: OracleCase, tmp_path: Path
    ) -> None:
        before = global_state()
        together = evaluate(case, case.measurable, tmp_path)
        assert len(case.measurable) >= 2, "name at least two measurable texts"
        alone = evaluate(case, case.measurable[-1:], tmp_path)
        assert alone == together[-1:], "another run, or its neighbours, changed the values"
        backwards = evaluate(case, case.measurable[::-1], tmp_path)
        assert backwards == together[::-1], "the order of candidates changed the values"
        after = global_state()
        assert before == after, "a global random generator was used"

    def test_what_cannot_be_measured_is_a_failure_with_a_cause(
        self, case: OracleCase, tmp_path: Path
    ) -> None:
        own = {FailureCause.SETUP, FailureCause.CALCULATION, FailureCause.IMPLAUSIBLE}
        assert case.refused, "name a text that cannot be measured"
        for text in case.refused:
            try:
                (outcome,) = evaluate(case, [text], tmp_path)
            except OracleError as error:
                outcome = failure_from(error)
            assert isinstance(outcome, Failure), f"'{text}' was measured: {outcome}"
            assert outcome.cause in own, f"an oracle cannot know of {outcome.cause}"
            assert outcome.message, "say in a sentence why it failed"

    def test_a_failure_leaves_its_neighbours_alone(self, case: OracleCase, tmp_path: Path) -> None:
        good = case.measurable[0]
        outcomes = evaluate(case, [case.refused[0], good], tmp_path)
        asked = candidates_of(case, [case.refused[0], good])
        checked = verified(outcomes, declaration(case), asked)
        assert isinstance(checked[0], Failure)
        assert checked[0].cause is not FailureCause.CONTRACT, checked[0].message
        assert isinstance(checked[1], Evaluation), checked[1]

    def test_nothing_to_measure_gives_nothing(self, case: OracleCase, tmp_path: Path) -> None:
        assert list(evaluate(case, [], tmp_path)) == []

    def test_files_stay_in_the_scratch_folder(
        self, case: OracleCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = tmp_path / "current"
        elsewhere.mkdir()
        scratch = tmp_path / "scratches"
        scratch.mkdir()
        monkeypatch.chdir(elsewhere)
        evaluate(case, case.measurable[:1], scratch)
        assert Path.cwd() == elsewhere, "the working folder of the process was changed"
        assert list(elsewhere.iterdir()) == [], "files were written to the working folder"
