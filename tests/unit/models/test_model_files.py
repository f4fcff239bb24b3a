from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from heuresis_models.checkpoint import (
    load_model,
    model_folder,
    save_model,
    save_tensors,
    shipped_names,
    tensors_hash,
)
from heuresis_models.errors import WeightsError
from heuresis_models.transformer import Transformer
from heuresis_models.vocabulary import CONTROL_TOKENS, Vocabulary


@pytest.fixture
def folder(random_model: Transformer, vocabulary: Vocabulary, tmp_path: Path) -> Path:
    save_model(tmp_path / "m", random_model, vocabulary)
    return tmp_path / "m"


def test_loaded_weights_are_the_saved_ones(folder: Path, random_model: Transformer) -> None:
    again = load_model(folder).model
    assert again.config == random_model.config
    assert tensors_hash(again.state_dict()) == tensors_hash(random_model.state_dict())
    token_BT = torch.tensor([[1, 3, 4, 20, 30]])
    with torch.no_grad():
        assert torch.equal(again(token_BT), random_model(token_BT))


def test_configuration_names_the_llama_architecture(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["num_key_value_heads"] == config["num_attention_heads"]


def test_others_may_read_the_weights(folder: Path) -> None:
    assert stat.S_IMODE((folder / "model.safetensors").stat().st_mode) == 0o644


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _overwrite_header(path: Path) -> None:
    path.write_bytes(b"\xff" * 64 + path.read_bytes()[64:])


def _pickle(path: Path) -> None:
    torch.save({"x": torch.zeros(1)}, path)


@pytest.mark.parametrize("damage", [_cut, _overwrite_header, _pickle, lambda p: p.write_bytes(b"")])
def test_damaged_weights_are_refused(damage: Callable[[Path], object], folder: Path) -> None:
    damage(folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"model\.safetensors is damaged or not a safetensors"):
        load_model(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=f"{name} is missing"):
        load_model(folder)


def test_values_that_are_not_finite_are_refused(folder: Path, random_model: Transformer) -> None:
    tensors = {name: value.clone() for name, value in random_model.state_dict().items()}
    tensors["lm_head.weight"][3, 3] = torch.nan
    save_tensors(folder / "model.safetensors", tensors)
    with pytest.raises(WeightsError, match=r"'lm_head\.weight' holds values that are not finite"):
        load_model(folder)


def test_other_tensors_and_shapes_are_refused(folder: Path, random_model: Transformer) -> None:
    tensors = dict(random_model.state_dict())
    tensors["model.norm.weight"] = torch.ones(5)
    save_tensors(folder / "model.safetensors", tensors)
    with pytest.raises(WeightsError, match=r"'model\.norm\.weight' has shape \(5,\)"):
        load_model(folder)
    del tensors["model.norm.weight"]
    save_tensors(folder / "model.safetensors", {**tensors, "more": torch.ones(1)})
    with pytest.raises(WeightsError, match=r"missing \['model\.norm\.weight'\].*\['more'\]"):
        load_model(folder)


def test_another_vocabulary_is_refused(folder: Path, vocabulary: Vocabulary) -> None:
    others = reversed(vocabulary.tokens[len(CONTROL_TOKENS) :])
    Vocabulary(others).save(folder / "tokenizer.json")
    with pytest.raises(WeightsError, match="another vocabulary"):
        load_model(folder)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"vocab_size": "many"}'])
def test_a_damaged_configuration_is_refused(content: str, folder: Path) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(WeightsError, match=r"config\.json is not a model configuration"):
        load_model(folder)


def test_an_unknown_model_lists_the_shipped_ones(folder: Path) -> None:
    with pytest.raises(WeightsError, match="no model 'nonesuch'") as caught:
        model_folder("nonesuch")
    assert all(name in str(caught.value) for name in shipped_names())
    assert model_folder(str(folder)) == folder
