"""The saved folder loads in Hugging Face transformers and tokenizers without conversion."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

from heuresis_models.checkpoint import save_model
from heuresis_models.transformer import Transformer
from heuresis_models.vocabulary import Vocabulary


@pytest.mark.filterwarnings("ignore")
def test_transformers_llama_gives_equal_logits(
    random_model: Transformer, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    pytest.importorskip("transformers", reason="the package 'transformers' is not installed")
    save_model(tmp_path, random_model, vocabulary)
    transformers = importlib.import_module("transformers")
    other = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    token_BT = torch.randint(3, len(vocabulary), (3, 40))
    with torch.no_grad():
        wanted, got = random_model(token_BT), other(token_BT).logits
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))


@pytest.mark.filterwarnings("ignore")
def test_tokenizers_cuts_alike(vocabulary: Vocabulary, tmp_path: Path) -> None:
    pytest.importorskip("tokenizers", reason="the package 'tokenizers' is not installed")
    vocabulary.save(tmp_path / "tokenizer.json")
    library = importlib.import_module("tokenizers")
    other = library.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for smiles in ("CSn1cccc1", "C[Sn](C)C", "[13CH3][C@@H](F)Cl", "[Fe+2]", "C%12CCCC%12"):
        encoding = other.encode(smiles)
        assert encoding.ids == vocabulary.encode(smiles)
        assert other.decode(encoding.ids) == smiles
