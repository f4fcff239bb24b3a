"""From a campaign file (and ``--set``) to a `CampaignSpec`; every complaint has a place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from heuresis.campaign.places import COMMAND_LINE, Document, KeyPath
from heuresis.campaign.sentences import described, raise_together, spec_errors
from heuresis.campaign.spec import CampaignSpec
from heuresis.campaign.yaml_tree import parse_value, read_yaml
from heuresis.errors import SpecError


def load_document(path: Path, overrides: Sequence[str] = ()) -> Document:
    """Read a campaign file and apply overrides such as ``budget.evaluations=50``.

    Raises:
        SpecError: the file cannot be read as plain YAML, or an override makes no sense.
    """
    document = read_yaml(path)
    for override in overrides:
        _override(document, override)
    return document


def load_spec(document: Document) -> CampaignSpec:
    """Validate the structure of a campaign; plug-in settings are checked by `resolve`.

    Raises:
        SpecError: one or several complaints, each with file, line and key.
    """
    raise_together(_slips(document))
    try:
        # Strict, by way of JSON: the text '3' is no number, but a list may become a tuple.
        return CampaignSpec.model_validate_json(json.dumps(document.data), strict=True)
    except ValidationError as error:
        raise_together(spec_errors(error, document, CampaignSpec))
        raise


def _slips(document: Document) -> list[SpecError]:
    """What the models would accept or explain badly, in words for people."""
    budget = document.data.get("budget")
    if isinstance(budget, dict):
        wall_time = budget.get("wall_time")
        if isinstance(wall_time, int | float) and not isinstance(wall_time, bool):
            message = (
                f"the unit is missing: got {described(wall_time)}, expected a duration such as"
                f" '{wall_time:g} min' (s, min, h, d)"
            )
            return [document.error(("budget", "wall_time"), message)]
        if not any(value is not None for value in budget.values()):
            message = "no limit is given; expected evaluations, candidates, wall_time or several"
            return [document.error(("budget",), message)]
    return []


def _override(document: Document, text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise SpecError(
            f"expected key=value such as budget.evaluations=50, got '{text}'", file=COMMAND_LINE
        )
    path = tuple(part.strip() for part in key.split("."))
    if not all(path):
        raise SpecError(f"'{key}' has an empty part between its dots", file=COMMAND_LINE)
    set_value(document, path, parse_value(value, key))


def set_value(document: Document, path: Sequence[str], value: Any) -> None:
    """Set one value of a document, as the command line asks; numbers address list items.

    Raises:
        SpecError: the path leads through something that has no keys.
    """
    holder: Any = document.data
    done: KeyPath = ()
    for part in path[:-1]:
        holder, done = _step(document, holder, done, part)
    last = path[-1]
    where: KeyPath
    if isinstance(holder, list):
        index = _index(holder, done, last)
        holder[index] = value
        where = (*done, index)
    elif isinstance(holder, dict):
        holder[last] = value
        where = (*done, last)
    else:
        raise _no_keys(done, holder)
    for known in [p for p in document.lines if p[: len(where)] == where]:
        del document.lines[known]
    document.overridden.add(where)


def _step(document: Document, holder: Any, done: KeyPath, part: str) -> tuple[Any, KeyPath]:
    if isinstance(holder, list):
        index = _index(holder, done, part)
        return holder[index], (*done, index)
    if not isinstance(holder, dict):
        raise _no_keys(done, holder)
    if holder.get(part) is None:
        holder[part] = {}
        document.overridden.add((*done, part))
    return holder[part], (*done, part)


def _index(holder: list[Any], done: KeyPath, part: str) -> int:
    if part.isdecimal() and int(part) < len(holder):
        return int(part)
    place = ".".join(map(str, done))
    raise SpecError(
        f"'{place}' is a list of {len(holder)}; expected a position from 0 to {len(holder) - 1},"
        f" got '{part}'",
        file=COMMAND_LINE,
    )


def _no_keys(done: KeyPath, holder: Any) -> SpecError:
    place = ".".join(map(str, done))
    return SpecError(f"'{place}' is {described(holder)}, it has no keys", file=COMMAND_LINE)
