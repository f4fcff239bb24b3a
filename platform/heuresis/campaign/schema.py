"""JSON Schema of a campaign file, for completion and checks in editors.

Editors (yaml-language-server) read draft-07; pydantic writes 2020-12, so its output is rewritten.
The schema follows the plug-ins that are installed: each ``kind`` brings its own settings.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from heuresis import registry
from heuresis.campaign.setting_texts import setting_texts
from heuresis.campaign.spec import CampaignSpec, OracleSection, ProposerSection, SpaceSection

DRAFT = "http://json-schema.org/draft-07/schema#"
_SECTIONS: dict[str, tuple[type[BaseModel], str]] = {
    "SpaceSection": (SpaceSection, registry.SPACES),
    "OracleSection": (OracleSection, registry.ORACLES),
    "ProposerSection": (ProposerSection, registry.PROPOSERS),
}


def campaign_schema() -> dict[str, Any]:
    """Return the schema as plain values, with the installed plug-ins' settings."""
    document = CampaignSpec.model_json_schema()
    definitions: dict[str, Any] = document.pop("$defs")
    for title, (section, group) in _SECTIONS.items():
        definitions[title] = _section(definitions, section, group, definitions[title])
    wall_time = definitions["Budget"]["properties"]["wall_time"]
    wall_time["anyOf"] = [
        {"type": "string", "pattern": r"^\s*[0-9]*\.?[0-9]+\s*(s|sec|min|h|d)\s*$"},
        {"type": "null"},
    ]
    result = {
        "$schema": DRAFT,
        "title": "Heuresis campaign",
        **{key: value for key, value in document.items() if key != "title"},
        "definitions": definitions,
    }
    rewritten: dict[str, Any] = _draft_07(result)
    return rewritten


def _section(
    definitions: dict[str, Any], section: type[BaseModel], group: str, drawn: dict[str, Any]
) -> dict[str, Any]:
    """Return a section as: our keys for all kinds, and per kind the keys of its plug-in."""
    own = drawn["properties"]
    branches = []
    for name in registry.names(group):
        model = registry.load(group, name).Config
        config = model.model_json_schema()
        for key, text in setting_texts(model).items():
            config["properties"].get(key, {}).setdefault("description", text)
        definitions.update(config.pop("$defs", {}))
        settings = {k: v for k, v in config.get("properties", {}).items() if k not in own}
        branches.append(
            {
                "if": {"properties": {"kind": {"const": name}}, "required": ["kind"]},
                "then": {
                    "properties": {**own, **settings},
                    "required": [r for r in config.get("required", []) if r not in own],
                    "additionalProperties": False,
                },
            }
        )
    known = registry.names(group)
    return {
        "type": "object",
        "description": (section.__doc__ or "").strip().partition("\n")[0],
        "properties": {**own, "kind": {**own["kind"], "enum": known}},
        "required": ["kind"],
        "allOf": branches,
    }


def _draft_07(value: Any) -> Any:
    """Rewrite what pydantic writes for 2020-12."""
    if isinstance(value, list):
        return [_draft_07(item) for item in value]
    if not isinstance(value, dict):
        return value
    result: dict[str, Any] = {}
    for key, item in value.items():
        if key == "prefixItems":
            result["items"] = _draft_07(item)
        elif key == "$ref":
            result["$ref"] = str(item).replace("#/$defs/", "#/definitions/")
        elif key not in ("discriminator",):
            result[key] = _draft_07(item)
    if "$ref" in result and len(result) > 1:
        # Draft-07 ignores everything beside a reference.
        reference = {"$ref": result.pop("$ref")}
        result = {**result, "allOf": [reference]}
    return result
