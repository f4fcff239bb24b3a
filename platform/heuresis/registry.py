"""Plug-ins by name: entry points of installed packages. The only place that loads them."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from heuresis.errors import MissingExtraError, UnknownNameError

SPACES = "heuresis.spaces"
ORACLES = "heuresis.oracles"
PROPOSERS = "heuresis.proposers"
COMMANDS = "heuresis.commands"
_WORDS = {
    SPACES: "space kind",
    ORACLES: "oracle kind",
    PROPOSERS: "proposer kind",
    COMMANDS: "command",
}


@cache
def _found(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


def names(group: str) -> list[str]:
    """Return the registered names of a group, sorted; loads nothing."""
    return sorted(_found(group))


def load(group: str, name: str) -> Any:
    """Return the class registered under ``name``.

    Raises:
        UnknownNameError: nobody registered it; lists the known names and the closest.
        MissingExtraError: its module needs a package that is not installed.
    """
    found = _found(group)
    if name not in found:
        raise UnknownNameError(_WORDS.get(group, group), name, found)
    try:
        return found[name].load()
    except ModuleNotFoundError as error:
        package = error.name or "unknown"
        raise MissingExtraError(f"{_WORDS.get(group, group)} '{name}'", package, package) from error
