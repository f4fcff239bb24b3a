"""``oracles``, ``proposers``, ``spaces`` and ``schema``: what is installed, what may be written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from heuresis.cli.output import console, print_json
from heuresis.errors import MissingExtraError

if TYPE_CHECKING:
    from pydantic import BaseModel

Kind = Annotated[str | None, typer.Argument(metavar="[KIND]", help="Show one in detail.")]
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


def oracles(kind: Kind = None, as_json: Json = False) -> None:
    """List oracles with their outputs, units and versions; or one in detail."""
    from heuresis.registry import ORACLES

    _show(ORACLES, kind, as_json)


def proposers(kind: Kind = None, as_json: Json = False) -> None:
    """List proposers; or one with its settings."""
    from heuresis.registry import PROPOSERS

    _show(PROPOSERS, kind, as_json)


def spaces(kind: Kind = None, as_json: Json = False) -> None:
    """List design spaces; or one with its settings."""
    from heuresis.registry import SPACES

    _show(SPACES, kind, as_json)


def schema() -> None:
    """Print the JSON Schema of campaign files, for editors."""
    from heuresis.campaign.schema import campaign_schema

    print_json(campaign_schema())


def _show(group: str, kind: str | None, as_json: bool) -> None:
    from heuresis import registry

    found = [_entry(group, name) for name in ([kind] if kind else registry.names(group))]
    if as_json:
        print_json(found[0] if kind else found)
    elif kind:
        _print_one(found[0])
    else:
        _print_list(found)


def _entry(group: str, name: str) -> dict[str, Any]:
    from heuresis import registry

    plugin = registry.load(group, name)
    entry: dict[str, Any] = {
        "kind": name,
        "description": _first_line(plugin),
        "settings": _settings(plugin.Config),
    }
    if group == registry.PROPOSERS:
        entry["learns"] = hasattr(plugin, "learn")
        entry["observes"] = hasattr(plugin, "observe")
    if group == registry.ORACLES:
        # Outputs may depend on settings; these are those of the defaults, and of the first example
        # of what has no default.
        try:
            declaration = plugin.declare(plugin.Config(**_examples(plugin.Config)))
        except MissingExtraError as error:
            entry["description"] = f"{entry['description']} Not usable yet: {error}"
        else:
            entry.update(declaration.model_dump(mode="json"))
    return entry


def _examples(config: type[BaseModel]) -> dict[str, Any]:
    return {
        name: field.examples[0]
        for name, field in config.model_fields.items()
        if field.is_required() and field.examples
    }


def _first_line(plugin: Any) -> str:
    return (plugin.__doc__ or "").strip().partition("\n")[0]


def _settings(config: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """Return each setting with its type, default, limits and meaning."""
    from heuresis.campaign.setting_texts import setting_texts

    texts = setting_texts(config)
    document = config.model_json_schema()
    result = {}
    for name, details in document.get("properties", {}).items():
        limits = {
            word: details[key]
            for key, word in (
                ("minimum", "at least"),
                ("maximum", "at most"),
                ("exclusiveMinimum", "above"),
                ("exclusiveMaximum", "below"),
            )
            if key in details
        }
        result[name] = {
            "type": _type(details),
            "default": details.get("default"),
            "limits": limits,
            "description": texts.get(name, ""),
        }
    return result


def _type(details: dict[str, Any]) -> str:
    if "enum" in details:
        return " | ".join(map(str, details["enum"]))
    if "anyOf" in details:
        kinds = [_type(branch) for branch in details["anyOf"] if branch.get("type") != "null"]
        return " or ".join(kinds) + " or nothing" * any(
            branch.get("type") == "null" for branch in details["anyOf"]
        )
    words = {
        "number": "number", "integer": "whole number", "string": "text", "boolean": "true/false",
        "array": "list", "object": "mapping",
    }  # fmt: skip
    return words.get(str(details.get("type")), "mapping" if "$ref" in details else "any")


def _print_list(found: list[dict[str, Any]]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from heuresis.cli.words import unit_word

    screen = console()
    for entry in found:
        head = Text.assemble((entry["kind"], "bold"), "  ", (entry.get("version", ""), "dim"))
        screen.print(head)
        learns = " It learns from scores." if entry.get("learns") else ""
        observes = " It is told what became of every candidate." if entry.get("observes") else ""
        screen.print(Padding(Text(f"{entry['description']}{learns}{observes}"), (0, 0, 0, 4)))
        if "outputs" in entry:
            units = {name: unit_word(output["unit"]) for name, output in entry["outputs"].items()}
            outputs = [f"{name} [{unit}]" if unit else name for name, unit in units.items()]
            screen.print(Padding(Text(", ".join(outputs), style="cyan"), (0, 0, 0, 4)))


def _print_one(entry: dict[str, Any]) -> None:
    from rich.text import Text

    from heuresis.cli.tables import plain_table

    screen = console()
    screen.print(f"[bold]{entry['kind']}[/bold]  ", end="")
    screen.print(entry["description"], markup=False)
    facts = [
        (key, entry[key])
        for key in ("version", "spaces", "cost_class", "timeout_s", "batch_size", "reference")
        if key in entry
    ]
    for key, value in facts:
        screen.print(f"{key:11}", end="", style="dim")
        shown = ", ".join(value) if isinstance(value, list) else str(value)
        screen.print(shown, markup=False)
    if "outputs" in entry:
        table = plain_table("outputs")
        for heading in ("name", "unit", "meaning"):
            table.add_column(heading, no_wrap=heading != "meaning")
        for name, output in entry["outputs"].items():
            table.add_row(name, output["unit"], Text(output["description"]))
        screen.print(table)
        gates = plain_table("quality gates: a result that fails one is no measurement")
        gates.add_column("name", no_wrap=True)
        gates.add_column("demands")
        for name, demand in entry["checks"].items():
            gates.add_row(name, Text(demand))
        screen.print(gates)
    table = plain_table("settings")
    table.add_column("key", no_wrap=True)
    table.add_column("value", overflow="fold", max_width=30)
    table.add_column("meaning", overflow="fold", min_width=20)
    for name, setting in entry["settings"].items():
        table.add_row(name, Text(_value(setting)), Text(setting["description"]))
    screen.print(table)


def _value(setting: dict[str, Any]) -> str:
    """Write a setting as ``1.0 (number above 0)``."""
    limits = ", ".join(f"{word} {value:g}" for word, value in setting["limits"].items())
    kind = f"{setting['type']} {limits}".strip()
    default = setting["default"]
    if default is None:
        return f"({kind})"
    shown = f"[{', '.join(map(str, default))}]" if isinstance(default, list) else str(default)
    return f"{shown} ({kind})"
