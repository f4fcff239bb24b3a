"""What is said to a program or service that measures, and what is understood of its answer.

The request is one JSON object::

    {"protocol": "heuresis-oracle/1", "seed": 7, "settings": {...},
     "candidates": [{"id": "3f…", "space": "molecule", "text": "CCO"}, …]}

The answer is one JSON object with one result per candidate, in order::

    {"results": [
        {"values": {"gap_eV": 2.9, "rmsf": {"value": 0.4, "uncertainty": 0.1, "unit": "angstrom"}},
         "checks": ["converged"]},
        {"failure": {"cause": "setup", "message": "no parameters for Pu"}}]}

A result may carry the ``id`` of the candidate that it is of; one that is not the candidate's asked
about is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field, JsonValue

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

PROTOCOL = "heuresis-oracle/1"
LARGEST_ANSWER_BYTES = 16 * 1024 * 1024
_CAUSES = ("setup", "calculation", "implausible")
"""What an oracle can know; timeouts, crashes and lost nodes are for the platform to tell."""
_EXCERPT = 200


class ExternalOutput(PluginConfig):
    """One number that the program or service gives."""

    unit: str = Field(min_length=1, description="unit of the value; `1` for dimensionless")
    description: str = Field(min_length=1, description="what it is, in a few words")
    has_uncertainty: bool = Field(False, description="it comes with its standard error")


class ExternalConfig(PluginConfig):
    """What the file must say of an oracle that cannot be asked before it runs."""

    outputs: dict[str, ExternalOutput] = Field(
        min_length=1,
        description="name → unit and description of every number that it gives",
        examples=[{"length": {"unit": "1", "description": "characters of the text"}}],
    )
    reference: str = Field(
        min_length=1,
        description="paper or manual that defines the quantities",
        examples=["own script"],
    )
    version: str = Field(
        "1", min_length=1, description="change it when the values change: it is part of their id"
    )
    spaces: tuple[str, ...] = Field(
        ("molecule",), min_length=1, description="kinds of design space that it can measure"
    )
    checks: dict[str, str] = Field(
        default_factory=dict, description="quality gates that it reports: name → what it demands"
    )
    cost: Literal["negligible", "seconds", "minutes", "hours"] = Field(
        "seconds", description="order of magnitude of one evaluation"
    )
    batch_size: int = Field(1, ge=1, le=10_000, description="candidates per call")
    timeout_s: float = Field(60.0, gt=0, description="limit per candidate")
    settings: dict[str, JsonValue] = Field(
        default_factory=dict, description="handed on with every request, as it stands"
    )


def declaration(kind: str, config: ExternalConfig, version: str) -> OracleDeclaration:
    """Return what the settings say that the oracle measures."""
    return OracleDeclaration(
        kind=kind,
        version=version,
        spaces=config.spaces,
        outputs={
            name: OutputDeclaration(**output.model_dump())
            for name, output in config.outputs.items()
        },
        checks=config.checks,
        cost_class=CostClass(config.cost),
        isolated=True,
        failures_repeat=False,
        batch_size=config.batch_size,
        timeout_s=config.timeout_s,
        reference=config.reference,
    )


def request(candidates: Sequence[Candidate], seed: int, config: ExternalConfig) -> bytes:
    """Return the request as UTF-8 JSON."""
    return json.dumps(
        {
            "protocol": PROTOCOL,
            "seed": seed,
            "settings": config.settings,
            "candidates": [candidate.model_dump() for candidate in candidates],
        }
    ).encode()


def understood(answer: bytes, count: int, config: ExternalConfig) -> list[Outcome]:
    """Return the outcomes of an answer; what breaks the exchange is a failure of that kind.

    Args:
        answer: what came back; lines before the last one are ignored if the whole is no JSON, for
            programs that cannot keep quiet.
        count: number of candidates asked about.
        config: says the units of values that come without one.
    """
    try:
        document = _document(answer)
    except ValueError as error:
        return [_broken(f"the answer is no JSON object ({error}): {_excerpt(answer)}")] * count
    results = document.get("results")
    if not isinstance(results, list):
        known = ", ".join(document) or "nothing"
        return [_broken(f"the answer needs a list 'results'; it has: {known}")] * count
    if len(results) != count:
        return [_broken(f"{len(results)} results for {count} candidates")] * count
    return [_outcome(result, config) for result in results]


def _document(answer: bytes) -> dict[str, Any]:
    text = answer.decode(errors="replace").strip()
    try:
        document = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError:
        last = text.rpartition("\n")[2]
        if last == text:
            raise
        document = json.loads(last, parse_constant=_refuse)
    if not isinstance(document, dict):
        raise ValueError(f"a {type(document).__name__}")
    return document


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number; report a failure instead")


def _outcome(result: Any, config: ExternalConfig) -> Outcome:
    if not isinstance(result, dict) or ("values" in result) == ("failure" in result):
        return _broken("a result is an object with either 'values' or 'failure'")
    if "failure" in result:
        return _failure(result["failure"])
    values, checks = result["values"], result.get("checks", [])
    if not isinstance(values, dict):
        return _broken(f"'values' is a {type(values).__name__}, expected name → number")
    if not isinstance(checks, list) or not all(isinstance(check, str) for check in checks):
        return _broken("'checks' is a list of names of gates that were passed")
    measurements = {}
    for name, given in values.items():
        measured = _measurement(name, given, config)
        if isinstance(measured, Failure):
            return measured
        measurements[name] = measured
    candidate_id = result.get("id")
    if not isinstance(candidate_id, str | None):
        return _broken(f"'id' is a {type(candidate_id).__name__}, expected that of a candidate")
    return Evaluation(measurements=measurements, checks=tuple(checks), candidate_id=candidate_id)


def _measurement(name: str, given: Any, config: ExternalConfig) -> Measurement | Failure:
    parts = given if isinstance(given, dict) else {"value": given}
    unknown = set(parts) - {"value", "unit", "uncertainty"}
    if unknown or "value" not in parts:
        return _broken(f"'{name}' needs 'value', and may have 'unit' and 'uncertainty'")
    for part in ("value", "uncertainty"):
        number = parts.get(part)
        if part == "uncertainty" and number is None:
            continue
        if isinstance(number, bool) or not isinstance(number, int | float):
            return _broken(f"{part} of '{name}' is a {type(number).__name__}, expected a number")
        if not math.isfinite(number):
            return _broken(f"{part} of '{name}' is {number}; report a failure instead")
    declared = config.outputs.get(name)
    unit = parts.get("unit", declared.unit if declared else "undeclared")
    if not isinstance(unit, str):
        return _broken(f"unit of '{name}' is a {type(unit).__name__}, expected a text")
    return Measurement(value=parts["value"], unit=unit, uncertainty=parts.get("uncertainty"))


def _failure(given: Any) -> Failure:
    if (
        not isinstance(given, dict)
        or given.get("cause") not in _CAUSES
        or not isinstance(given.get("message"), str)
        or not given["message"].strip()
    ):
        return _broken(
            f"a failure needs 'cause' ({', '.join(_CAUSES)}) and 'message' in a sentence"
        )
    return Failure(cause=FailureCause(given["cause"]), message=given["message"].strip())


def _broken(message: str) -> Failure:
    return Failure(cause=FailureCause.CONTRACT, message=message)


def _excerpt(answer: bytes) -> str:
    text = " ".join(answer.decode(errors="replace").split())
    return repr(text if len(text) <= _EXCERPT else text[:_EXCERPT] + "…")
