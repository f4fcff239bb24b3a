from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from heuresis.errors import UserError
from heuresis_models.checkpoint import load_model, tensors_hash
from heuresis_models.command import train
from heuresis_models.errors import DataError, RecipeError
from heuresis_models.recipe import Recipe


@pytest.fixture
def recipe_path(tiny_recipe: Recipe, tmp_path: Path) -> Path:
    document = tiny_recipe.model_dump(mode="json")
    document["optimization"]["total_tokens"] = 4000
    document["data"]["heldout_share"] = 0.2
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def data_path(molecules: tuple[str, ...], tmp_path: Path) -> Path:
    path = tmp_path / "some.smi"
    path.write_text("\n".join(molecules) + "\n")
    return path


def _run(*arguments: object) -> str:
    app = typer.Typer()
    app.command()(train)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_data_file_to_model_folder_in_one_command(
    recipe_path: Path, data_path: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    _run(recipe_path, "--data", data_path, "--output", output)
    assert load_model(output).model.parameter_count > 10_000
    card = (output / "MODEL_CARD.md").read_text()
    assert "20 distinct molecules of 20 lines" in card
    assert "nats per token canonical" in card
    assert json.loads((output / "metrics.jsonl").read_text())["progress"] == 1.0

    before = tensors_hash(load_model(output).model.state_dict())
    assert "continuing at step" in _run(recipe_path, "--data", data_path, "--output", output)
    assert tensors_hash(load_model(output).model.state_dict()) == before


def test_same_command_same_weights(recipe_path: Path, data_path: Path, tmp_path: Path) -> None:
    hashes = set()
    for name in ("one", "two"):
        _run(recipe_path, "--data", data_path, "--output", tmp_path / name)
        hashes.add(tensors_hash(load_model(tmp_path / name).model.state_dict()))
    assert len(hashes) == 1


def test_user_errors_are_sentences(recipe_path: Path, data_path: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="names no data file"):
        _run(recipe_path)
    with pytest.raises(DataError, match="no file"):
        _run(recipe_path, "--data", tmp_path / "none.smi")
    with pytest.raises(RecipeError, match="did you mean 'heuresis-base'"):
        _run("heuresis-bse", "--data", data_path)
    with pytest.raises(DataError, match=r"has SHA-256 .* the recipe expects"):
        _run("heuresis-base", "--data", data_path)
    one = tmp_path / "one.smi"
    one.write_text("CCO\n")
    with pytest.raises(UserError, match="too few to hold out"):
        _run(recipe_path, "--data", one)


def test_the_allocator_setting_is_safe_to_ask_for() -> None:
    # In a process of its own, because the setting cannot be taken back.
    code = (
        "from heuresis_models.memory import keep_freed_memory; import numpy;"
        "taken = keep_freed_memory(); numpy.ones(10**7).sum(); print(taken)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in {"True", "False"}
