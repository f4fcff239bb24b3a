"""From a pydantic error to one sentence that says what we got, what we expected and what to do."""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from heuresis.campaign.places import Document, KeyPath
from heuresis.errors import SpecError

SHOWN = 5
_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "tuple_type": "a list",
    "list_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
}
_NUMBER_WITH_UNIT = re.compile(r"^\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([^\d\s].*)?$")
_PATTERNS = {
    "^[a-z0-9][a-z0-9-]*$": "lower-case letters, digits and dashes, e.g. 'blue-emitters'",
    "^[a-z][a-z0-9_-]*$": "a lower-case letter, then letters, digits, '_' or '-', e.g. 'xtb'",
}


def spec_errors(
    error: ValidationError,
    document: Document,
    model: type[BaseModel],
    *,
    at: KeyPath = (),
    also_known: Sequence[str] = (),
) -> list[SpecError]:
    """Turn the errors of a validated section into complaints with file, line and key.

    Args:
        error: what pydantic raised for the value at ``at``.
        document: the values with their places.
        model: the model that was validated.
        at: where the section stands in the document.
        also_known: further keys that are allowed beside the model's own.
    """
    grouped: dict[KeyPath, list[ErrorDetails]] = {}
    for details in error.errors():
        grouped.setdefault((*at, *_real_path(details, document, at)), []).append(details)
    result = []
    for path, group in grouped.items():
        message = _sentence(group, path, document, model, path[len(at) :], also_known)
        if path == at and at:
            path = _key_in_question(message, document, at)
        result.append(document.error(path, message))
    return result


def raise_together(errors: Sequence[SpecError]) -> None:
    """Raise all complaints as one: the first carries the place, the others follow in lines.

    Raises:
        SpecError: there is at least one complaint.
    """
    if not errors:
        return
    ordered = sorted(errors, key=lambda e: (e.line is None, e.line or 0))
    first, others = ordered[0], ordered[1:]
    if not others:
        raise first
    lines = [str(other) for other in others[: SHOWN - 1]]
    if len(others) > SHOWN - 1:
        lines.append(f"… and {len(others) - SHOWN + 1} more")
    raise SpecError(
        "\n".join([first.message, *lines]), file=first.file, line=first.line, key=first.key
    )


def closest(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for a known name, preferring the same word with a unit."""
    names = list(known)
    folded = name.lower()
    with_unit = [k for k in names if k.lower().startswith(f"{folded}_")]
    without_unit = [k for k in names if folded.startswith(f"{k.lower()}_")]
    same = [k for k in names if k.lower() == folded]
    stem = folded.rpartition("_")[0]
    other_unit = [k for k in names if stem and k.lower().rpartition("_")[0] == stem]
    close = same or with_unit or without_unit or other_unit
    close = close or get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def described(value: Any) -> str:
    """Say what a value is, for "got …"."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text '{value[:60]}'"
        case int() | float():
            return f"{value!r}"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return "a mapping" if value else "an empty mapping"
    return repr(value)[:60]


def _real_path(details: ErrorDetails, document: Document, at: KeyPath) -> KeyPath:
    """Strip the parts that name branches of a union: they stand in no file."""
    path: KeyPath = ()
    parts = details["loc"]
    for number, part in enumerate(parts):
        last_missing = details["type"] == "missing" and number == len(parts) - 1
        if last_missing or document.has((*at, *path, part)):
            path = (*path, part)
    return path


def _key_in_question(message: str, document: Document, at: KeyPath) -> KeyPath:
    """Return the first key of a section that a complaint about the section as a whole names."""
    section = document.value(at)
    keys = [k for k in section if k in re.findall(r"\w+", message)] if section else []
    return (*at, min(keys, key=message.index)) if keys else at


def _sentence(
    group: Sequence[ErrorDetails],
    path: KeyPath,
    document: Document,
    model: type[BaseModel],
    inside: KeyPath,
    also_known: Sequence[str],
) -> str:
    details = group[0]
    kind = details["type"]
    context: Mapping[str, Any] = details.get("ctx", {})
    value = document.value(path) if document.has(path) else None
    if kind == "extra_forbidden":
        ours = also_known if len(inside) == 1 else ()
        known = list(dict.fromkeys([*ours, *known_keys(model, inside[:-1])]))
        name = str(path[-1])
        return f"unknown key{closest(name, known)}; known: {', '.join(known) or 'none'}"
    if kind == "missing":
        return f"this key is missing{_meaning(model, inside)}"
    if all(d["type"] in _TYPES for d in group):
        expected = " or ".join(dict.fromkeys(_TYPES[d["type"]] for d in group))
        return f"expected {expected}, got {described(value)}{_advice(value, expected)}"
    if kind in ("literal_error", "enum"):
        options = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        shown = str(context.get("expected", "")).replace(" or ", ", ")
        return f"expected one of {shown}, got {described(value)}{closest(str(value), options)}"
    if kind == "string_pattern_mismatch":
        expected = _PATTERNS.get(str(context.get("pattern")), f"text like {context.get('pattern')}")
        return f"expected {expected}, got {described(value)}"
    if kind in ("too_short", "too_long") and inside and not value:
        return f"this is empty{_meaning(model, inside)}"
    if kind == "value_error":
        return str(context.get("error", details["msg"]))
    bounds = {
        "greater_than": f"more than {context.get('gt')}",
        "greater_than_equal": f"at least {context.get('ge')}",
        "less_than": f"less than {context.get('lt')}",
        "less_than_equal": f"at most {context.get('le')}",
    }
    if kind in bounds:
        return f"expected {bounds[kind]}, got {described(value)}"
    message = details["msg"]
    return f"{message[:1].lower()}{message[1:]}, got {described(value)}"


def _advice(value: Any, expected: str) -> str:
    if not isinstance(value, str) or "number" not in expected:
        return ""
    match = _NUMBER_WITH_UNIT.match(value)
    if match is None:
        return ""
    if match[2]:
        return f"; write the number alone ({match[1]}): the unit stands in the key"
    return f"; write it without quotes: {match[1]}"


def known_keys(model: Any, inside: KeyPath) -> list[str]:
    """Return the keys that may stand at a place inside a model."""
    found = _model_at(model, inside)
    return list(found.model_fields) if found is not None else []


def _meaning(model: Any, inside: KeyPath) -> str:
    holder = _model_at(model, inside[:-1])
    field = holder.model_fields.get(str(inside[-1])) if holder is not None and inside else None
    return f"; expected {field.description}" if field is not None and field.description else ""


def _model_at(annotation: Any, inside: KeyPath) -> type[BaseModel] | None:
    for branch in _branches(annotation):
        if isinstance(branch, type) and issubclass(branch, BaseModel):
            if not inside:
                return branch
            field = branch.model_fields.get(str(inside[0]))
            found = _model_at(field.annotation, inside[1:]) if field else None
        elif inside and get_origin(branch) in (dict, list, tuple, Mapping, Sequence):
            arguments = [a for a in get_args(branch) if a is not Ellipsis]
            found = _model_at(arguments[-1], inside[1:]) if arguments else None
        else:
            found = None
        if found is not None:
            return found
    return None


def _branches(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _branches(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [b for argument in get_args(annotation) for b in _branches(argument)]
    return [annotation]
