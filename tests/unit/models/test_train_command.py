from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import typer
import yaml
from training_toys import many_molecules, tiny_recipe
from typer.testing import CliRunner

from heuresis_models.checkpoint import load_model, tensors_hash
from heuresis_models.command import train
from heuresis_models.corpus import Source
from heuresis_models.errors import DataError, RecipeError
from heuresis_models.language.documents import Entry
from heuresis_models.language.errors import SourceError
from heuresis_models.language.objects import (
    CodingDNA,
    Molecule,
    Peptide,
    Protein,
    Reaction,
    Thing,
)
from heuresis_models.language.split import is_held_out
from heuresis_models.model_card import taught
from heuresis_models.recipe import Recipe, load_recipe, recipe_file

ROOT = Path(__file__).parents[3]


def write_recipe(recipe: Recipe, path: Path) -> Path:
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recipe and its data file in one folder, as a user keeps them."""
    write_recipe(tiny_recipe(total_tokens=3_000), tmp_path / "tiny.yaml")
    (tmp_path / "some.smi").write_text("\n".join(many_molecules()) + "\n")
    return tmp_path


def _run(*arguments: object, code: int = 0) -> str:
    app = typer.Typer()
    app.command()(train)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def _hash(model: Path) -> str:
    return tensors_hash(load_model(model).model.state_dict())


def test_data_file_to_model_folder_in_one_command(folder: Path) -> None:
    output = folder / "out"
    _run(folder / "tiny.yaml", "--output", output)
    assert load_model(output).model.parameter_count > 10_000
    card = (output / "MODEL_CARD.md").read_text()
    assert card.startswith("# tiny\n")
    assert "| molecules | " in card
    assert "`some.smi`" in card
    assert json.loads((output / "metrics.jsonl").read_text())["progress"] == 1.0

    before = _hash(output)
    assert "continuing at step" in _run(folder / "tiny.yaml", "--output", output)
    assert _hash(output) == before


def test_the_example_of_the_documentation_trains_a_model(tmp_path: Path) -> None:
    text = (ROOT / "docs/model/training.md").read_text()
    example = text.split("```yaml\n")[1].split("```")[0]
    document = yaml.safe_load(example)
    assert document["name"] == "mine"
    # The same recipe with less of everything.
    document["optimization"] |= {"total_tokens": 2048, "batch_tokens": 1024}
    document |= {"evaluations": 0, "evaluation_documents": 8}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(document))
    (tmp_path / "mine.smi").write_text("\n".join(many_molecules()) + "\n")
    _run(tmp_path / "mine.yaml", "--output", tmp_path / "mine")
    config = json.loads((tmp_path / "mine" / "config.json").read_text())
    assert config["hidden_size"] == 64
    # Two steps teach nobody to read numbers, and nothing is claimed.
    assert config["heuresis"]["taught"] == ["molecules", "predictions", "exemplars", "quantiles"]


def test_what_a_model_was_taught_follows_from_recipe_and_sources() -> None:
    molecules = Source("molecules", 1.0, training=[Entry(Molecule("CCO"))])
    plain = tiny_recipe()
    assert taught(plain, [molecules]) == ["molecules"]
    base = load_recipe(recipe_file("heuresis-base"))
    things: tuple[Thing, ...] = (
        Molecule("CCO"), Reaction("CC", "CCO"), Protein("MKV"), Peptide("KLA"), CodingDNA("ATG"),
    )  # fmt: skip
    sources = [Source(type(one).__name__, 1.0, training=[Entry(one)]) for one in things]
    assert set(taught(base, sources)) == {
        "molecules", "proteins", "peptides", "coding_dna", "retro", "forward", "conditions",
        "predictions", "exemplars", "quantiles",
    }  # fmt: skip
    # Shown is not taught: a model that does not heed what is stated must not be asked for it.
    assert "conditions" not in taught(base, sources, heeded_nats=0.03)
    assert "conditions" in taught(base, sources, heeded_nats=4.0)
    assert taught(plain, sources[1:2]) == ["retro", "forward"]
    assert "conditions" not in taught(plain, sources[:2])


def test_same_command_same_weights(folder: Path) -> None:
    for name in ("one", "two"):
        _run(folder / "tiny.yaml", "--data", folder, "--output", folder / name)
    assert _hash(folder / "one") == _hash(folder / "two")


def test_a_model_can_be_trained_further(folder: Path) -> None:
    _run(folder / "tiny.yaml", "--output", folder / "first")
    _run(
        folder / "tiny.yaml", "--output", folder / "more",
        "--start-from", folder / "first", "--max-minutes", 5,
    )  # fmt: skip
    first, more = (
        json.loads((folder / name / "metrics.jsonl").read_text()) for name in ("first", "more")
    )
    assert more["heldout_loss"]["molecules"] < first["heldout_loss"]["molecules"]


def test_a_file_too_small_to_hold_anything_out_still_trains(folder: Path) -> None:
    molecules = [m for m in many_molecules() if not is_held_out(f"molecule {m}")][:3]
    (folder / "some.smi").write_text("\n".join(molecules))
    told = _run(folder / "tiny.yaml", "--output", folder / "out")
    assert "held out: nothing" in told
    assert json.loads((folder / "out" / "metrics.jsonl").read_text())["heldout_loss"] == {}


def test_user_errors_are_sentences(folder: Path, tmp_path: Path) -> None:
    recipe = folder / "tiny.yaml"
    with pytest.raises(DataError, match=r"no file .*some\.smi; expected a SMILES file"):
        _run(recipe, "--data", tmp_path / "nowhere")
    with pytest.raises(RecipeError, match="did you mean 'heuresis-base'"):
        _run("heuresis-bse", "--data", folder)
    if not torch.cuda.is_available():
        with pytest.raises(RecipeError, match=r"sees 0 GPU\(s\) here; use --device cpu"):
            _run(recipe, "--device", "cuda")
    (folder / "zinc250k.smi.gz").write_bytes(b"another release")
    with pytest.raises((DataError, SourceError), match="is not the expected file"):
        _run("heuresis-base", "--data", folder, "--output", folder / "base")
    (folder / "some.smi").write_text("CCO\nC1CC(\n")
    with pytest.raises(DataError, match=r"some\.smi:2: expected a SMILES string"):
        _run(recipe, "--output", folder / "out")
    (folder / "some.smi").write_text("")
    with pytest.raises(DataError, match="gives nothing to learn from"):
        _run(recipe, "--output", folder / "out")


def test_ctrl_c_keeps_what_was_learned(folder: Path) -> None:
    write_recipe(
        tiny_recipe(total_tokens=10**8).model_copy(update={"checkpoint_minutes": 0.002}),
        folder / "tiny.yaml",
    )
    command = [sys.executable, "-m", "heuresis_models.command", str(folder / "tiny.yaml")]
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    state = folder / "tiny" / "checkpoint" / "state.json"
    deadline = time.monotonic() + 120
    while not state.is_file() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "the same command continues" in told
    assert "Traceback" not in told
    assert json.loads(state.read_text())["steps"] > 0


def test_the_allocator_setting_is_safe_to_ask_for() -> None:
    # In a process of its own, because the setting cannot be taken back.
    code = (
        "from heuresis_models.memory import keep_freed_memory; import numpy;"
        "taken = keep_freed_memory(); numpy.ones(10**7).sum(); print(taken)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in {"True", "False"}
