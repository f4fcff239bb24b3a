"""The campaign that the README shows is a valid one."""

from __future__ import annotations

import re
from pathlib import Path

from heuresis.campaign.resolve import load_campaign

README = Path(__file__).parents[3] / "README.md"


def test_the_campaign_in_the_readme_is_valid(tmp_path: Path) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    file = tmp_path / "readme.yaml"
    file.write_text(blocks[0])
    campaign = load_campaign(file)
    assert [oracle.name for oracle in campaign.oracles] == ["descriptors", "xtb", "md"]
