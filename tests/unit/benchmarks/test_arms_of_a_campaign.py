"""Arms of a campaign: which files are run, and who won."""

from __future__ import annotations

import pytest
from benchmarks import arms

ROOT = arms.ROOT


def test_every_shipped_campaign_has_a_control_arm() -> None:
    for folder in sorted((ROOT / "campaigns").iterdir()):
        found = arms.arms_of(folder, None)
        assert {"campaign", arms.CONTROL} <= set(found), folder


def test_an_unknown_arm_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SystemExit, match="has no loop; it has campaign, control, guided"):
        arms.arms_of(ROOT / "campaigns" / "quickstart", ["campaign", "loop"])


def test_wins_count_only_seeds_that_both_arms_have() -> None:
    results = {
        ("campaign", 1): {"best": 0.5},
        ("campaign", 2): {"best": 0.4},
        ("campaign", 3): {"best": 0.9},
        ("control", 1): {"best": 0.4},
        ("control", 2): {"best": 0.4},
    }
    assert arms.wins(results, "campaign", "best") == (1, 2)
