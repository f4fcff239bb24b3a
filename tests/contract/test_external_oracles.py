"""Oracles that are programs or services keep the same promises, and broken ones are caught."""

# The rewriting of assertions must be asked for before the import.
# ruff: noqa: E402

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from external_programs import CONFIG, HONEST, answering, honest, service, write_program

pytest.register_assert_rewrite("heuresis.testing.oracle_contract")

from heuresis import registry
from heuresis.testing.oracle_contract import OracleCase, OracleContract

MEASURES = OracleContract.test_every_declared_output_is_given_in_its_unit
DEPENDS = OracleContract.test_values_depend_on_candidate_and_seed_alone
REFUSES = OracleContract.test_what_cannot_be_measured_is_a_failure_with_a_cause
NEIGHBOURS = OracleContract.test_a_failure_leaves_its_neighbours_alone


def command_case(program: Path, monkeypatch: pytest.MonkeyPatch) -> OracleCase:
    monkeypatch.setenv("HEURESIS_PROGRAMS", str(program.parent))
    oracle = registry.load(registry.ORACLES, "command")
    return OracleCase(oracle, {**CONFIG, "command": [program.name]}, ("CC", "CCO"))


class TestCommand(OracleContract):
    @pytest.fixture
    def case(
        self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> OracleCase:
        return command_case(write_program(tmp_path_factory.mktemp("programs")), monkeypatch)


class TestHTTPService(OracleContract):
    @pytest.fixture
    def case(self) -> Iterator[OracleCase]:
        oracle = registry.load(registry.ORACLES, "http")
        with service(answering(honest)) as url:
            yield OracleCase(oracle, {**CONFIG, "url": url}, ("CC", "CCO"))


WRONG_UNIT = """
honest = one
def one(candidate):
    result = honest(candidate)
    if "values" in result:
        result["values"]["length"] = {"value": 2.0, "unit": "eV"}
    return result
"""
A_LIST = """
honest = one
def one(candidate):
    result = honest(candidate)
    if "values" in result:
        result["values"]["length"] = [1.0, 2.0]
    return result
"""
MISSING = """
def one(candidate):
    return {"values": {"length": 1.0}}
"""
DICE = """
def one(candidate):
    return {"values": {"length": random.random(), "seed": 0}}
"""
BY_POSITION = """
places = {candidate["id"]: place for place, candidate in enumerate(asked["candidates"])}
def one(candidate):
    return {"values": {"length": places[candidate["id"]], "seed": 0}}
"""
NOT_A_NUMBER = """
def one(candidate):
    return {"values": {"length": float("nan"), "seed": 0}}
"""
TOO_FEW = """
asked["candidates"] = asked["candidates"][1:]
"""
ZERO = """
def one(candidate):
    return {"values": {"length": 0.0, "seed": 0}}
"""
NO_CAUSE = """
def one(candidate):
    return {"failure": {"message": "something went wrong"}}
"""
SILENT = """
def one(candidate):
    return {"failure": {"cause": "setup", "message": "  "}}
"""
GATE = """
def one(candidate):
    return {"values": {"length": 1.0, "seed": 0}, "checks": ["converged"]}
"""
SWAPPED = """
ids = [candidate["id"] for candidate in asked["candidates"]]
def one(candidate):
    other = ids[ids.index(candidate["id"]) - 1]
    return {"id": other, "values": {"length": 1.0, "seed": 0}}
"""


@pytest.mark.parametrize("promise", [MEASURES, DEPENDS, REFUSES, NEIGHBOURS])
def test_an_honest_program_passes(
    promise: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    promise(OracleContract(), command_case(write_program(programs, HONEST), monkeypatch), tmp_path)


@pytest.mark.parametrize(
    ("misdeed", "promise", "message"),
    [
        (WRONG_UNIT, MEASURES, "in 'eV', declared '1'"),
        (A_LIST, MEASURES, "value of 'length' is a list, expected a number"),
        (MISSING, MEASURES, "missing: seed"),
        (NOT_A_NUMBER, MEASURES, "NaN is no number"),
        (TOO_FEW, MEASURES, "1 results for 2 candidates"),
        (SWAPPED, MEASURES, r"measured candidate \w+, asked was \w+"),
        (GATE, MEASURES, "names undeclared quality gates: converged"),
        (DICE, DEPENDS, "changed the values"),
        (BY_POSITION, DEPENDS, "changed the values"),
        (ZERO, REFUSES, "was measured"),
        (NO_CAUSE, REFUSES, "an oracle cannot know of contract"),
        (SILENT, REFUSES, "an oracle cannot know of contract"),
    ],
)
def test_a_broken_program_is_caught(
    misdeed: str, promise: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    case = command_case(write_program(programs, misdeed), monkeypatch)
    with pytest.raises(AssertionError, match=message):
        promise(OracleContract(), case, tmp_path)
