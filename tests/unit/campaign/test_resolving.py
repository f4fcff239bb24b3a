from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heuresis.campaign.build import build_plan, versions
from heuresis.campaign.plugins import Plugins
from heuresis.campaign.resolve import ResolvedCampaign, load_campaign
from heuresis.campaign.run_folder import RunFolder, create_run, find_run, resolved_yaml
from heuresis.engine.budget import Budget
from heuresis.errors import RunError, SpecError
from heuresis.testing.fakes import PLUGINS, SCRIPTED_ORACLE, SCRIPTED_PROPOSER, TEXT_SPACE

TOY = f"""\
campaign: toy
space: {{kind: "{TEXT_SPACE}"}}
oracles:
  quick: {{kind: "{SCRIPTED_ORACLE}", isolated: false, cost_class: negligible, workers: 2}}
  slow: {{kind: "{SCRIPTED_ORACLE}", timeout_s: 9}}
objectives:
  size: {{measure: slow.length, target: 6, tolerance: 3}}
proposers:
  - {{kind: "{SCRIPTED_PROPOSER}", name: words}}
  - {{kind: "{SCRIPTED_PROPOSER}", name: still, learn_every: 0, share: 2}}
budget: {{evaluations: 30, wall_time: 10 min}}
"""


def resolved(folder: Path, *overrides: str) -> ResolvedCampaign:
    file = folder / "toy.yaml"
    file.write_text(TOY)
    return load_campaign(file, overrides, plugins=Plugins(PLUGINS))


def test_a_resolved_campaign_resolves_to_itself(tmp_path: Path) -> None:
    campaign = resolved(tmp_path)
    again = tmp_path / "resolved.yaml"
    again.write_text(resolved_yaml(campaign))
    second = load_campaign(again, plugins=Plugins(PLUGINS))
    assert second.document() == campaign.document()
    assert second.spec_hash == campaign.spec_hash


@pytest.mark.parametrize(
    "override",
    [
        "objectives.size.judge_by=probability",
        "objectives.size.judge_by=lower-bound",
        "oracles.slow.repeats=3",
    ],
)
def test_uncertainty_survives_resolution(override: str, tmp_path: Path) -> None:
    campaign = resolved(tmp_path, "objectives.size.judge_by=lower-bound",
                        "objectives.size.uncertainty=0.5", override)  # fmt: skip
    again = tmp_path / "resolved.yaml"
    again.write_text(resolved_yaml(campaign))
    second = load_campaign(again, plugins=Plugins(PLUGINS))
    assert second.document() == campaign.document()


def test_repeats_reach_the_workers_with_their_time(tmp_path: Path) -> None:
    plan = build_plan(resolved(tmp_path, "oracles.slow.repeats=3"))
    assert [pool.repeats for pool in plan.pools if pool.role == "oracle"] == [1, 3]
    assert [pool.timeout_s for pool in plan.pools if pool.name == "slow"] == [27.0]


def test_judging_by_an_uncertainty_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"comes without one.*oracles\.slow\.repeats: 3"):
        resolved(tmp_path, "objectives.size.judge_by=probability")


@pytest.mark.parametrize(
    ("override", "same"),
    [
        ("budget.evaluations=31", True),
        ("budget={candidates: 5}", True),
        ("oracles.slow.timeout_s=9.0", True),
        ("oracles.quick.call_s=0.0", True),
        ("seed=1", False),
        ("oracles.slow.timeout_s=10", False),
        ("oracles.slow.call_s=0.5", False),
        ("objectives.size.target=7", False),
        ("search.islands=5", False),
        ("proposers.0.share=2", False),
    ],
)
def test_the_hash_is_of_everything_but_the_budget(
    tmp_path: Path, override: str, same: bool
) -> None:
    changed = resolved(tmp_path, override).spec_hash
    assert (changed == resolved(tmp_path).spec_hash) is same


def test_more_budget_is_the_same_campaign(tmp_path: Path) -> None:
    campaign = resolved(tmp_path)
    more = campaign.with_budget(Budget(evaluations=99))
    assert more.spec_hash == campaign.spec_hash
    assert more.document()["budget"] == {"evaluations": 99}
    assert campaign.document()["budget"] == {"evaluations": 30, "wall_time": "600 s"}


def test_the_plan(tmp_path: Path) -> None:
    plan = build_plan(resolved(tmp_path), checkpoints=tmp_path)
    quick, slow = plan.oracles
    assert (quick.pool.isolated, quick.pool.workers, quick.pool.timeout_s) == (False, 2, 5.0)
    assert (slow.pool.isolated, slow.pool.workers, slow.pool.timeout_s) == (True, 1, 9.0)
    assert (quick.metered, slow.metered) == (False, True)
    words, still = plan.proposers
    assert words.learn_every == 24, "a proposer that can learn does"
    assert still.learn_every is None
    assert still.share == 2.0
    assert words.pool.checkpoint_root == str(tmp_path)
    assert plan.budget.wall_time == 600.0
    assert versions(resolved(tmp_path))["slow"] == f"{SCRIPTED_ORACLE}@1"


class Mute:
    """A proposer that cannot learn."""

    from heuresis.testing.fakes import ScriptedProposer as _Scripted

    Config = _Scripted.Config


def test_learning_is_refused_where_nothing_can_learn(tmp_path: Path) -> None:
    class WithMute(Plugins):
        def load(self, group: str, name: str) -> Any:
            return Mute if name == "mute" else super().load(group, name)

    file = tmp_path / "toy.yaml"
    file.write_text(TOY)
    changes = ["proposers.0={kind: mute, learn_every: 5}"]
    with pytest.raises(SpecError, match=r"proposers\.0\.learn_every: .*'mute' cannot learn"):
        load_campaign(file, changes, plugins=WithMute(PLUGINS))
    quiet = load_campaign(file, ["proposers.0={kind: mute}"], plugins=WithMute(PLUGINS))
    assert quiet.proposers[0].learn_every is None


def test_an_oracle_of_another_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="measures crystal, not"):
        resolved(tmp_path, "oracles.slow.spaces=[crystal]")


def test_run_folders_count_up_and_are_found_by_name(tmp_path: Path) -> None:
    campaign = resolved(tmp_path)
    runs = tmp_path / "runs"
    first, second = (create_run(campaign, runs=runs) for _ in range(2))
    assert (first.path.name, second.path.name) == ("toy-1", "toy-2")
    first.ledger.touch()
    assert find_run("toy-1", runs=runs) == first
    assert find_run(str(first.path), runs=runs) == first
    with pytest.raises(RunError, match="runs here: toy-1"):
        find_run("toy-2", runs=runs)


def test_facts_survive_and_a_damaged_file_does_not_matter(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.read_facts() == {}
    folder.note_facts(a=1)
    folder.note_facts(b=2)
    assert folder.read_facts() == {"a": 1, "b": 2}
    folder.facts.write_text("{")
    assert folder.read_facts() == {}
