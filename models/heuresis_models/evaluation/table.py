"""The one table: a value or the reason why there is none, and what to compare it with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from rich.table import Table

Kind = Literal["share", "score", "nats"]

_DIGITS: Final[dict[Kind, str]] = {"share": ".2%", "score": ".4f", "nats": ".3f"}
_COLUMNS: Final = ("domain", "measure", "value", "beside it", "measured on")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        domain: molecules, crystals, reactions or language.
        measure: what is measured.
        value: None when it was not measured.
        kind: how the value is written: a share, a plain score, nats per token.
        beside: what to compare with, in words.
        on: sample, data and split.
        reason: why there is no value; never empty then.
    """

    domain: str
    measure: str
    value: float | None
    kind: Kind = "share"
    beside: str = ""
    on: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.reason):
            raise ValueError(f"{self.measure}: give a value or the reason why there is none")

    @property
    def text(self) -> str:
        """The value as a person reads it."""
        if self.value is None:
            return f"not measured: {self.reason}"
        return format(self.value, _DIGITS[self.kind])

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """The texts of all columns."""
        return self.domain, self.measure, self.text, self.beside, self.on


@dataclass(frozen=True)
class Report:
    """All rows about one model, and what was measured how."""

    title: str
    facts: dict[str, Any]
    rows: tuple[Row, ...]

    def rich(self) -> Table:
        """Return the table for a terminal."""
        table = Table(title=self.title, caption=self.caption, caption_justify="left")
        for name in _COLUMNS:
            right = name == "value"
            table.add_column(name, justify="right" if right else "left", overflow="fold")
        last = ""
        for row in self.rows:
            if last and row.domain != last:
                table.add_section()
            domain, *rest = row.cells
            table.add_row(domain if domain != last else "", *rest)
            last = row.domain
        return table

    @property
    def caption(self) -> str:
        """Return the facts in one line."""
        return "; ".join(f"{name}: {value}" for name, value in self.facts.items())

    def markdown(self) -> str:
        """Return the table as Markdown."""
        lines = [f"**{self.title}** ({self.caption})", "", _line(_COLUMNS)]
        lines.append("| --- | --- | --: | --- | --- |")
        lines += [_line(row.cells) for row in self.rows]
        return "\n".join(lines)

    def json(self) -> str:
        """Return title, facts and rows as JSON."""
        rows = [
            {
                "domain": row.domain, "measure": row.measure, "value": row.value,
                "kind": row.kind, "beside": row.beside, "on": row.on, "reason": row.reason,
            }
            for row in self.rows
        ]  # fmt: skip
        document = {"title": self.title, **self.facts, "rows": rows}
        return json.dumps(document, indent=2, ensure_ascii=False)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
