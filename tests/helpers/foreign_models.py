"""A tiny model as others would save it: another library, other words, several weight files."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch

TEXTS = (
    "SMILES of molecules, one per line, from the lowest to the highest score:\n",
    "CC(=O)Oc1ccccc1C(=O)O\nCN1CCC(Oc2ccc3[nH]ccc3c2)CC1\nN#Cc1ccc(-c2ccsc2)cc1\n",
    "CCO\nCCN\nCCCC\nc1ccccc1\nC1CCNCC1\nCC(C)O\nCCOC(C)=O\nOCCO\nNCCO\nCCCl\n",
)


def save_foreign_model(folder: Path, **changes: Any) -> Any:
    """Write a random Llama with a byte-pair tokenizer trained on a few lines; return the model.

    Skips the test where the two libraries are not installed.
    """
    reason = "the packages of the extra 'interoperability' are not installed"
    pytest.importorskip("transformers", reason=reason)
    pytest.importorskip("tokenizers", reason=reason)
    transformers = importlib.import_module("transformers")
    tokenizers: Any = importlib.import_module("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    config = {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 48,
        "intermediate_size": 80,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "initializer_range": 0.1,
        **changes,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config))
    model.save_pretrained(folder, max_shard_size="80KB")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    return model
