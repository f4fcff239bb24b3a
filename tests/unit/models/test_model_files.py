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
from heuresis_models.hugging_face import document_of, shape_from
from heuresis_models.language.errors import TokenizerFileError
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.network_shape import RotaryScaling, TransformerConfig
from heuresis_models.transformer import Transformer
from heuresis_models.weight_files import load_tensors


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
    assert (config["bos_token_id"], config["eos_token_id"]) == (1, 2)


def test_others_may_read_the_weights(folder: Path) -> None:
    assert stat.S_IMODE((folder / "model.safetensors").stat().st_mode) == 0o644


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _overwrite_header(path: Path) -> None:
    path.write_bytes(b"\xff" * 64 + path.read_bytes()[64:])


def _pickle(path: Path) -> None:
    torch.save({"x": torch.zeros(1)}, path)


def test_a_pickle_in_place_of_weights_is_called_one(folder: Path) -> None:
    _pickle(folder / "model.safetensors")
    with pytest.raises(WeightsError, match="looks like a pickle, which can run code"):
        load_model(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"pytorch_model\.bin is a pickle"):
        load_model(folder)


@pytest.mark.parametrize("damage", [_cut, _overwrite_header, _pickle, lambda p: p.write_bytes(b"")])
def test_damaged_weights_are_refused(damage: Callable[[Path], object], folder: Path) -> None:
    damage(folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"model\.safetensors is damaged or not a safetensors"):
        load_model(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises((WeightsError, TokenizerFileError), match=f"{name} is missing"):
        load_model(folder)


def test_half_precision_halves_the_file_and_loads(folder: Path, random_model: Transformer) -> None:
    whole = (folder / "model.safetensors").stat().st_size
    save_model(folder, random_model, Vocabulary.default(), dtype=torch.bfloat16)
    assert (folder / "model.safetensors").stat().st_size < 0.51 * whole
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    again = load_model(folder).model
    for name, weight in random_model.state_dict().items():
        assert again.state_dict()[name].dtype == torch.float32
        assert torch.equal(again.state_dict()[name], weight.bfloat16().float())


def test_a_matrix_that_is_used_twice_is_saved_once(tmp_path: Path) -> None:
    config = TransformerConfig(
        vocab_size=900,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
        rope_scaling=RotaryScaling(rope_type="linear", factor=2.0),
    )
    model = Transformer(config, torch.Generator().manual_seed(0))
    save_model(tmp_path, model, Vocabulary.default())
    assert "lm_head.weight" not in load_tensors(tmp_path / "model.safetensors")
    again = load_model(tmp_path).model
    assert again.config == config
    assert again.lm_head.weight is again.model.embed_tokens.weight
    token_BT = torch.tensor([[1, 3, 4, 20, 30]])
    assert torch.equal(again(token_BT), model(token_BT))


def _shard(folder: Path) -> dict[str, str]:
    tensors = load_tensors(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"model-1-of-2.safetensors": names[::2], "model-2-of-2.safetensors": names[1::2]}
    for file, held in parts.items():
        save_tensors(folder / file, {name: tensors[name] for name in held})
    weight_map = {name: file for file, held in parts.items() for name in held}
    _write_index(folder, weight_map)
    return weight_map


def _write_index(folder: Path, weight_map: dict[str, str]) -> None:
    index = json.dumps({"metadata": {}, "weight_map": weight_map})
    (folder / "model.safetensors.index.json").write_text(index)


def test_weights_in_several_files_are_read(folder: Path, random_model: Transformer) -> None:
    _shard(folder)
    again = load_model(folder).model
    assert tensors_hash(again.state_dict()) == tensors_hash(random_model.state_dict())


def test_a_wrong_index_is_refused(folder: Path) -> None:
    weight_map = _shard(folder)
    _write_index(folder, {**weight_map, "more": "model-1-of-2.safetensors"})
    with pytest.raises(WeightsError, match=r"do not agree on \['more'\]"):
        load_model(folder)
    _write_index(folder, {**weight_map, "more": "../elsewhere.safetensors"})
    with pytest.raises(WeightsError, match="expected files in the same folder"):
        load_model(folder)
    (folder / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(WeightsError, match="no index of weight files"):
        load_model(folder)


def test_quantised_weights_are_refused(folder: Path) -> None:
    tensors = load_tensors(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["lm_head.weight"].to(torch.int8)
    save_tensors(folder / "model.safetensors", tensors)
    with pytest.raises(WeightsError, match=r"holds torch\.int8.*quantised weights are not read"):
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
    path = folder / "config.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "vocabulary_sha256": "0" * 64}))
    with pytest.raises(WeightsError, match="another vocabulary"):
        load_model(folder)
    del document["vocabulary_sha256"]
    path.write_text(json.dumps(document))
    with pytest.raises(WeightsError, match="speaks another language"):
        load_model(folder)


@pytest.mark.parametrize(
    "content", ["", "{}", "[1]", '{"hidden_size": 2, "vocab_size": "many"}', "\x00"]
)
def test_a_damaged_configuration_is_refused(content: str, folder: Path) -> None:
    (folder / "config.json").write_text(content)
    with pytest.raises(WeightsError, match=r"config\.json is not a model configuration"):
        load_model(folder)


LLAMA = {
    "model_type": "llama",
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
SLOWED = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 512,
}


def test_both_layouts_of_rotary_settings_are_read() -> None:
    old = {"rope_theta": 5e5, "rope_scaling": {"type": "llama3", **SLOWED}}
    new = {"rope_parameters": {"rope_theta": 5e5, "rope_type": "llama3", **SLOWED}}
    read = [shape_from({**LLAMA, **layout}, "x") for layout in (old, new)]
    assert read[0] == read[1]
    assert (read[0].rope_theta, read[0].max_position_embeddings) == (5e5, 2048)
    assert read[0].rope_scaling == RotaryScaling(rope_type="llama3", **SLOWED)
    assert shape_from(document_of(read[0]), "x") == read[0]


def test_a_window_limits_the_positions() -> None:
    shape = shape_from({**LLAMA, "model_type": "mistral", "num_key_value_heads": 2}, "x")
    assert (shape.max_position_embeddings, shape.num_key_value_heads) == (4096, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "qwen3"}, "model_type is 'qwen3'; known: llama, mistral"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'; this network computes only silu"),
        ({"quantization_config": {"bits": 4}}, "quantization_config is"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_scaling.rope_type: Input"),
        ({"num_attention_heads": 5}, "hidden_size 32 must be num_attention_heads 5"),
        ({"hidden_size": -1}, "hidden_size: Input should be greater than 0"),
        ({"rope_scaling": "fast"}, "is not a model configuration"),
    ],
)
def test_what_the_network_does_not_compute_is_refused(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(WeightsError, match=message):
        shape_from({**LLAMA, **changes}, "config.json")


def test_an_unknown_model_lists_the_shipped_ones(folder: Path) -> None:
    with pytest.raises(WeightsError, match="no model 'nonesuch'") as caught:
        model_folder("nonesuch")
    assert all(name in str(caught.value) for name in shipped_names())
    assert model_folder(str(folder)) == folder
