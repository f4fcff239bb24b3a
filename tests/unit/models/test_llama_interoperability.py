"""The saved folder opens in Hugging Face transformers without our code, and theirs opens here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from heuresis_models.checkpoint import load_model, read_configuration, save_model
from heuresis_models.hugging_face import shape_from
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.network_shape import RotaryScaling, TransformerConfig
from heuresis_models.transformer import Transformer
from heuresis_models.weight_files import find_weights, load_weights

transformers: Any = pytest.importorskip(
    "transformers", reason="the package 'transformers' is not installed (extra: interoperability)"
)
pytestmark = pytest.mark.filterwarnings("ignore")

DOCUMENTS = (
    "<bos><molecule><canonical>CC(=O)Oc1ccccc1C(=O)O</molecule><eos>",
    "<bos><molecule><randomized>[13CH3][C@@H](F)C%12CCCC%12</molecule><eos>",
    "<bos><logp><+>'1'3'1<e+0><molecule><canonical>CCO</molecule><tpsa><+>'2'0'2<e+1><eos>",
    "<bos><crystal><sg:225>'0'5'6'4{Na}|a{Cl}|b</crystal><eos>",
    "<bos><reaction><canonical>CC(=O)Cl.OC<yields>COC(C)=O</reaction><eos>",
    "<bos><protein>_M_K</protein><secondary><ss:c><ss:h></secondary><eos>",
    "<bos><coding>^ATG^A^N^T^TAA</coding><eos>",
)

SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "shared heads, wide, tied": {
        "num_key_value_heads": 2,
        "head_dim": 20,
        "tie_word_embeddings": True,
        "rms_norm_eps": 1e-3,
    },
    "biased, slowed": {
        "attention_bias": True,
        "mlp_bias": True,
        "rope_theta": 500.0,
        "rope_scaling": RotaryScaling(
            rope_type="llama3", factor=8.0, original_max_position_embeddings=32
        ),
    },
    "linear": {"rope_scaling": RotaryScaling(rope_type="linear", factor=3.0)},
}


def _model(**changes: Any) -> Transformer:
    shape: dict[str, Any] = {
        "vocab_size": 900,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 128,
    }
    generator = torch.Generator().manual_seed(5)
    model = Transformer(TransformerConfig(**{**shape, **changes}), generator)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return model


def _tokens(vocabulary_size: int, length: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(3, vocabulary_size, (2, length), generator=generator)


@torch.no_grad()
@pytest.mark.parametrize("shape", SHAPES)
def test_our_folder_gives_equal_logits_in_transformers(shape: str, tmp_path: Path) -> None:
    model = _model(**SHAPES[shape])
    save_model(tmp_path, model, Vocabulary.default())
    other = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    token_BT = _tokens(900, 100)
    wanted_BTV, got_BTV = model(token_BT), other(token_BT).logits
    scale = float(wanted_BTV.abs().max())
    torch.testing.assert_close(got_BTV, wanted_BTV, rtol=1e-5, atol=1e-5 * scale)


def test_their_tokenizer_cuts_our_documents_alike(tmp_path: Path) -> None:
    vocabulary = Vocabulary.default()
    save_model(tmp_path, _model(), vocabulary)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) == len(vocabulary)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 0)
    for text in DOCUMENTS:
        ids = tokenizer(text)["input_ids"]
        assert ids == vocabulary.encode(text)
        assert tokenizer.decode(ids) == text


@torch.no_grad()
def test_they_write_with_our_weights(tmp_path: Path) -> None:
    """Greedy decoding over there, with its own cache, takes the likeliest tokens of ours."""
    model = _model()
    save_model(tmp_path, model, Vocabulary.default())
    other = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    prompt_BT = torch.tensor([Vocabulary.default().encode("<bos><molecule><canonical>")])
    written_BT = other.generate(
        prompt_BT,
        attention_mask=torch.ones_like(prompt_BT),
        do_sample=False,
        max_new_tokens=20,
        eos_token_id=None,
    )
    likeliest_BT = model(written_BT[:, :-1]).argmax(-1)
    assert torch.equal(written_BT[:, 3:], likeliest_BT[:, 2:])


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_their_folder_gives_equal_logits_here(dtype: torch.dtype, tmp_path: Path) -> None:
    torch.manual_seed(0)
    other = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=120,
            hidden_size=48,
            intermediate_size=80,
            num_hidden_layers=2,
            num_attention_heads=6,
            num_key_value_heads=2,
            max_position_embeddings=256,
            tie_word_embeddings=True,
            initializer_range=0.2,
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 10_000.0,
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            },
        )
    ).to(dtype)
    other.save_pretrained(tmp_path, max_shard_size="60KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    config = shape_from(read_configuration(tmp_path), "config.json")
    model = Transformer(config, dtype=dtype)
    load_weights(model, find_weights(tmp_path))
    token_BT = _tokens(120, 200)
    wanted_BTV, got_BTV = other(token_BT).logits.float(), model(token_BT).float()
    scale = float(wanted_BTV.abs().max())
    tolerance = 1e-5 if dtype is torch.float32 else 0.03
    torch.testing.assert_close(got_BTV, wanted_BTV, rtol=tolerance, atol=tolerance * scale)


def test_saving_what_was_loaded_changes_nothing(tmp_path: Path) -> None:
    """What is in the package is what was saved by the same function."""
    model = _model()
    save_model(tmp_path / "one", model, Vocabulary.default())
    save_model(tmp_path / "two", load_model(tmp_path / "one").model, Vocabulary.default())
    for name in ("config.json", "model.safetensors", "tokenizer.json", "generation_config.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
