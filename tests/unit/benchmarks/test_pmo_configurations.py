"""Configurations of the PMO benchmark: all load as campaigns; complaints help."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from benchmarks.pmo.configuration import (
    FOLDER,
    choose_tasks,
    load_configuration,
    names,
)

from heuresis.campaign.resolve import load_campaign
from heuresis.errors import UserError
from heuresis_oracles.pmo.tasks import TASKS


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "zinc250k.smi.gz"
    path.write_bytes(gzip.compress(b"smiles\nCCOc1ccccc1\nCCN\nCC(=O)NC1CC1\n"))
    return path


def test_every_shipped_configuration_is_a_campaign(library: Path) -> None:
    assert {"graph-moves", "policy", "random"} <= set(names())
    for name in names():
        configuration = load_configuration(name, library=library)
        changes = configuration.overrides("qed", 5, 123)
        campaign = load_campaign(configuration.file, changes)
        document = campaign.document()
        assert document["oracles"][configuration.oracle]["task"] == "qed"
        assert document["seed"] == 5
        assert document["budget"] == {"evaluations": 123}
        # The score of the campaign is the score of the task, not a desirability of it.
        [term] = campaign.spec.objectives.values()
        for value in (0.0, 0.3, 1.0):
            assert term.desirability(value) == pytest.approx(value, abs=1e-12)


def test_no_configuration_is_made_for_a_task() -> None:
    checked = 0
    for file in FOLDER.glob("*.yaml"):
        text = file.read_text()
        named = [task for task in TASKS if f"task: {task}" in text]
        assert named == ["zaleplon_mpo"], f"{file.name}: the task is replaced in every run"
        checked += 1
    assert checked >= 3


def test_the_library_is_found_wherever_the_file_names_it(library: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    text = (FOLDER / "random.yaml").read_text()
    file.write_text(text)
    configuration = load_configuration(str(file), library=library, changes=["search.islands=2"])
    assert configuration.changes == ("search.islands=2", f"proposers.0.file={library}")
    assert configuration.honesty == "a"
    # Where the library lies is no part of what is compared; what the caller changed is.
    assert configuration.identity != load_configuration(str(file), library=library).identity
    elsewhere = tmp_path / "elsewhere" / library.name
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(library.read_bytes())
    moved = load_configuration(str(file), library=elsewhere, changes=["search.islands=2"])
    assert moved.identity == configuration.identity
    file.write_text(f"# another comment\n{text}")
    plain = load_configuration(str(file), library=library)
    file.write_text(text)
    assert plain.identity == load_configuration(str(file), library=library).identity
    file.write_text(text.replace("batch: 64", "batch: 32"))
    assert plain.identity != load_configuration(str(file), library=library).identity


def test_complaints_say_what_to_do(library: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"did you mean 'random'\?; known: .*graph-moves"):
        load_configuration("randon", library=library)
    with pytest.raises(UserError, match="say where it is with --library"):
        load_configuration("random")
    with pytest.raises(UserError, match="there is no file"):
        load_configuration("random", library=tmp_path / "missing.gz")
    text = (FOLDER / "random.yaml").read_text()
    file = tmp_path / "own.yaml"
    file.write_text(text.replace("# honesty class: a", ""))
    with pytest.raises(UserError, match=r"state what the method knew .* known: a: prior"):
        load_configuration(str(file), library=library)
    file.write_text(text.replace("kind: pmo", "kind: rdkit-descriptors"))
    with pytest.raises(UserError, match="one oracle of kind pmo, got 0"):
        load_configuration(str(file), library=library)


def test_tasks_by_name_and_in_groups() -> None:
    assert choose_tasks(["all"]) == list(TASKS)
    assert choose_tasks(["qed", "tuning", "qed"]) == ["qed", "perindopril_mpo", "zaleplon_mpo"]
    with pytest.raises(UserError, match="did you mean 'zaleplon_mpo'"):
        choose_tasks(["zaleplon_mpe"])
