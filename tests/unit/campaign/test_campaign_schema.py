"""The committed editor schema is the generated one, is valid, and takes what we ship."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from heuresis.campaign.resolve import load_campaign
from heuresis.campaign.run_folder import resolved_yaml
from heuresis.campaign.schema import campaign_schema

ROOT = Path(__file__).parents[3]
COMMITTED = ROOT / "docs" / "campaign.schema.json"
SHIPPED = sorted((ROOT / "campaigns").glob("*/*.yaml"))


def validator() -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(json.loads(COMMITTED.read_text()))


def test_the_committed_schema_is_the_generated_one() -> None:
    assert json.loads(COMMITTED.read_text()) == campaign_schema(), "run: make docs"


def test_it_is_draft_07_and_nothing_newer() -> None:
    document = json.loads(COMMITTED.read_text())
    jsonschema.Draft7Validator.check_schema(document)
    text = json.dumps(document)
    for newer in ("$defs", "prefixItems", "discriminator", "unevaluatedProperties"):
        assert newer not in text


def test_campaigns_are_shipped() -> None:
    assert {path.name for path in SHIPPED} >= {"campaign.yaml", "control.yaml"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_shipped_campaigns_are_valid_and_so_is_what_they_resolve_to(path: Path) -> None:
    validator().validate(yaml.safe_load(path.read_text()))
    campaign = load_campaign(path)
    validator().validate(yaml.safe_load(resolved_yaml(campaign)))
    assert path.read_text().startswith("# yaml-language-server: $schema=")


def test_the_control_arm_differs_only_in_who_proposes() -> None:
    loop = load_campaign(ROOT / "campaigns" / "quickstart" / "campaign.yaml").document()
    control = load_campaign(ROOT / "campaigns" / "quickstart" / "control.yaml").document()
    for key in ("space", "oracles", "objectives", "constraints", "budget"):
        assert loop[key] == control[key], key
    (proposer,) = control["proposers"]
    assert proposer["learn_every"] == 0
    assert proposer["regrow_share"] == 0


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("sead",), 7),
        (("oracles", "xtb", "metod"), "GFN2-xTB"),
        (("oracles", "xtb", "method"), "GFN3-xTB"),
        (("oracles", "xtb", "kind"), "xbt"),
        (("budget", "wall_time"), 10),
        (("objectives", "polar", "measure"), None),
        (("space", "heavy_atoms"), "10-28"),
    ],
)
def test_it_refuses_what_the_loader_refuses(path: tuple[str, ...], value: Any) -> None:
    document = yaml.safe_load((ROOT / "campaigns" / "quickstart" / "campaign.yaml").read_text())
    holder = document
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = value
    assert list(validator().iter_errors(document)), f"{path} = {value!r} was accepted"
