"""Where in which file a key of a campaign stands, so that every complaint can say so."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heuresis.errors import SpecError

KeyPath = tuple[str | int, ...]
"""Keys and list positions from the root to a value, e.g. ``("oracles", "xtb", "timeout_s")``."""
COMMAND_LINE = Path("--set")


@dataclass(kw_only=True)
class Document:
    """Plain values (dict, list, str, int, float, bool, None) and where each of them stands."""

    data: dict[str, Any]
    file: Path | None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    """1-based line of each key and list item of the file."""
    overridden: set[KeyPath] = field(default_factory=set)
    """Keys that the command line has set."""

    def error(self, path: KeyPath, message: str) -> SpecError:
        """Return a complaint about ``path``, placed at it or at the nearest key above it."""
        key = dotted(path)
        for length in range(len(path), -1, -1):
            above = path[:length]
            if above in self.overridden:
                return SpecError(message, file=COMMAND_LINE, key=key)
            if above in self.lines:
                return SpecError(message, file=self.file, line=self.lines[above], key=key)
        return SpecError(message, file=self.file, line=1 if self.file else None, key=key or None)

    def value(self, path: KeyPath) -> Any:
        """Return the value at a path.

        Raises:
            KeyError: there is none.
        """
        found: Any = self.data
        for part in path:
            try:
                found = found[part]
            except (TypeError, IndexError, KeyError) as error:
                raise KeyError(path) from error
        return found

    def has(self, path: KeyPath) -> bool:
        """Return whether there is a value at a path."""
        try:
            self.value(path)
        except KeyError:
            return False
        return True


def dotted(path: KeyPath) -> str:
    """Write a path as people do: ``proposers.0.batch``."""
    return ".".join(str(part) for part in path)
