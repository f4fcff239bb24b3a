from __future__ import annotations

from pathlib import Path

from heuresis.campaign.build import environment
from heuresis.campaign.resolve import load_campaign

CAMPAIGN = Path(__file__).parents[3] / "campaigns" / "quickstart" / "campaign.yaml"


def test_the_environment_names_what_a_result_depends_on() -> None:
    found = environment(load_campaign(CAMPAIGN))
    assert found["python"].startswith("3.")
    for name in ("torch", "rdkit", "openmm", "tblite", "ray", "mlflow"):
        assert found[f"package:{name}"][0].isdigit()
    assert found["xtb"].startswith("xtb@")
