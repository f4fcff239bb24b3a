"""Do objectives and constraints name measures that the oracles give, and can they be met?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from heuresis.campaign.places import Document
from heuresis.campaign.sentences import closest
from heuresis.campaign.spec import CampaignSpec
from heuresis.errors import SpecError
from heuresis.records import OracleDeclaration
from heuresis.search.objective import DesirabilityTerm


def measure_errors(
    document: Document, spec: CampaignSpec, declared: Mapping[str, OracleDeclaration]
) -> list[SpecError]:
    """Return the complaints about measures and limits, in the order of the file."""
    errors = []
    wishes = {("objectives", n): t.measure for n, t in spec.objectives.items()}
    limits = {("constraints", n): c.measure for n, c in spec.constraints.items()}
    for path, measure in {**wishes, **limits}.items():
        message = unknown_measure(measure, declared)
        if message is not None:
            errors.append(document.error((*path, "measure"), message))
    for name, term in spec.objectives.items():
        message = _without_uncertainty(spec, term, declared)
        if message is not None:
            errors.append(document.error(("objectives", name, "judge_by"), message))
    for name, message in _contradictions(spec):
        errors.append(document.error(("constraints", name), message))
    return errors


def unknown_measure(measure: str, declared: Mapping[str, OracleDeclaration]) -> str | None:
    """Return why no oracle gives this measure, or None if one does."""
    oracle, dot, output = measure.partition(".")
    everything = [f"{n}.{o}" for n, declaration in declared.items() for o in declaration.outputs]
    if measure in everything:
        return None
    if not dot or oracle not in declared:
        same = [m for m in everything if m.partition(".")[2] == (output or oracle)]
        if not dot:
            hint = f"; did you mean '{same[0]}'?" if same else closest(measure, everything)
            return (
                f"expected oracle.output such as '{everything[0]}', got '{measure}'{hint}"
                f"; oracles: {', '.join(declared)}"
            )
        hint = closest(oracle, declared) or (f"; did you mean '{same[0]}'?" if same else "")
        return f"no oracle is named '{oracle}'{hint}; known: {', '.join(declared)}"
    outputs = declared[oracle].outputs
    hint = closest(output, outputs).replace("mean '", f"mean '{oracle}.")
    return f"oracle '{oracle}' gives no '{output}'{hint}; it gives: {', '.join(outputs)}"


def _without_uncertainty(
    spec: CampaignSpec, term: DesirabilityTerm, declared: Mapping[str, OracleDeclaration]
) -> str | None:
    """Return why a term cannot be judged by an uncertainty, or None if it can."""
    oracle, _, output = term.measure.partition(".")
    if term.judge_by == "mean" or term.uncertainty is not None:
        return None
    if oracle not in declared or output not in declared[oracle].outputs:
        return None  # another complaint says so
    if declared[oracle].outputs[output].has_uncertainty or spec.oracles[oracle].repeats > 1:
        return None
    return (
        f"judge_by: {term.judge_by} needs an uncertainty, and '{term.measure}' comes without one;"
        f" give 'uncertainty' here, or measure with several seeds (oracles.{oracle}.repeats: 3)"
    )


def _contradictions(spec: CampaignSpec) -> Iterator[tuple[str, str]]:
    lowest: dict[str, tuple[float, str]] = {}
    highest: dict[str, tuple[float, str]] = {}
    for name, constraint in spec.constraints.items():
        measure = constraint.measure
        if constraint.min is not None:
            lowest[measure] = max(
                lowest.get(measure, (constraint.min, name)), (constraint.min, name)
            )
        if constraint.max is not None:
            highest[measure] = min(
                highest.get(measure, (constraint.max, name)), (constraint.max, name)
            )
    for measure, (low, low_name) in lowest.items():
        high, high_name = highest.get(measure, (low, low_name))
        if low > high:
            yield (
                low_name,
                f"impossible constraint: {measure} must be at least {low:g} here, but at most"
                f" {high:g} in constraint '{high_name}'",
            )
            continue
        for title, term in spec.objectives.items():
            if term.measure == measure and term.target is not None and term.target < low:
                yield low_name, _unreachable(measure, title, term.target, f"at least {low:g}")
    for measure, (high, high_name) in highest.items():
        for title, term in spec.objectives.items():
            if term.measure == measure and term.target is not None and term.target > high:
                yield high_name, _unreachable(measure, title, term.target, f"at most {high:g}")


def _unreachable(measure: str, title: str, target: float, limit: str) -> str:
    return (
        f"impossible constraint: it demands {measure} of {limit}, but objective '{title}' wants"
        f" {target:g}"
    )
