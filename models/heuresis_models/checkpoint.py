"""A model folder: ``config.json``, ``model.safetensors``, ``tokenizer.json`` and two small ones.

The layout is that of Hugging Face, so that `AutoModelForCausalLM` and `AutoTokenizer` open the
folder without our code. Every mismatch is an error that names the file, never a model that silently
starts from other weights.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from heuresis_models.errors import WeightsError
from heuresis_models.hugging_face import document_of, shape_from
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.model_folders import model_folder, shipped_names
from heuresis_models.transformer import Transformer
from heuresis_models.weight_files import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    find_weights,
    load_tensors,
    load_weights,
    save_tensors,
    tensor_metadata,
    tensors_hash,
    weights_of,
)

__all__ = [
    "CONFIG_FILE",
    "VOCABULARY_FILE",
    "WEIGHTS_FILE",
    "Checkpoint",
    "load_model",
    "load_tensors",
    "load_weights",
    "model_folder",
    "recover_folder",
    "replace_folder",
    "save_model",
    "save_tensors",
    "shipped_names",
    "tensor_metadata",
    "tensors_hash",
]

VOCABULARY_FILE: Final = "tokenizer.json"
TOKENIZER_SETTINGS_FILE: Final = "tokenizer_config.json"
GENERATION_FILE: Final = "generation_config.json"
VOCABULARY_HASH: Final = "vocabulary_sha256"


class Checkpoint(NamedTuple):
    """A model with the vocabulary it speaks."""

    model: Transformer
    vocabulary: Vocabulary


def save_model(
    folder: Path,
    model: Transformer,
    vocabulary: Vocabulary,
    dtype: torch.dtype | None = None,
    *,
    taught: Sequence[str] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    values: str | None = None,
) -> None:
    """Write a model folder; an existing one keeps its other files.

    Args:
        folder: made if it is missing.
        model: the weights.
        vocabulary: the language they speak.
        dtype: of the stored weights, ``torch.bfloat16`` halves the file; None: as they are.
        taught: domains and skills, kept in the configuration (`model_card.taught`); None: unknown.
        ranges: property that can be stated → least and greatest value seen; None: unknown.
        values: whether these are stated as ``levels`` or as ``numbers``; None: unknown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = weights_of(model, dtype)
    ends = {
        "pad_token_id": vocabulary["<pad>"],
        "bos_token_id": vocabulary["<bos>"],
        "eos_token_id": vocabulary["<eos>"],
    }
    stored = str(weights["model.norm.weight"].dtype).removeprefix("torch.")
    known: dict[str, object] = {}
    if taught is not None:
        known["taught"] = list(taught)
    if ranges is not None:
        known["ranges"] = {name: list(limits) for name, limits in ranges.items()}
    if values is not None:
        known["values"] = values
    _write_json(
        folder / CONFIG_FILE,
        {
            **document_of(model.config),
            "dtype": stored,
            **ends,
            VOCABULARY_HASH: vocabulary.content_hash,
            **({"heuresis": known} if known else {}),
        },
    )
    # Sampling as our own does it: from the whole distribution.
    _write_json(
        folder / GENERATION_FILE,
        {
            **ends,
            "do_sample": True,
            "temperature": 1.0,
            "top_k": 0,
            "top_p": 1.0,
            "max_length": model.config.max_position_embeddings,
        },
    )
    _write_json(
        folder / TOKENIZER_SETTINGS_FILE,
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<bos>",
            "eos_token": "<eos>",
            "pad_token": "<pad>",
            # A text is its tokens: nothing may be added, dropped or tidied.
            "add_bos_token": False,
            "add_eos_token": False,
            "clean_up_tokenization_spaces": False,
            "model_max_length": model.config.max_position_embeddings,
        },
    )
    vocabulary.save(folder / VOCABULARY_FILE)
    save_tensors(folder / WEIGHTS_FILE, weights)


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def read_configuration(folder: Path) -> dict[str, Any]:
    """Return the parsed ``config.json`` of a folder.

    Raises:
        WeightsError: the file is missing or no JSON object.
    """
    path = folder / CONFIG_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(f"{path} is missing; a model folder needs it") from error
    except (ValueError, OSError) as error:
        raise WeightsError(f"{path} is not a model configuration: {error}") from error
    if not isinstance(document, dict):
        raise WeightsError(f"{path} is not a model configuration: expected keys and values")
    return document


def load_model(folder: Path) -> Checkpoint:
    """Read a folder that `save_model` wrote and check that its parts belong together.

    The weights become 32-bit, whatever their stored type.

    Raises:
        WeightsError: a file is missing or damaged, or shape, names or vocabulary do not match.
    """
    document = read_configuration(folder)
    config = shape_from(document, str(folder / CONFIG_FILE))
    if VOCABULARY_HASH not in document:
        raise WeightsError(
            f"{folder / CONFIG_FILE} names no {VOCABULARY_HASH}: the model speaks another language"
            " than ours; host it with heuresis_models.hosting.load_hosted"
        )
    vocabulary = Vocabulary.load(folder / VOCABULARY_FILE)
    stated = str(document[VOCABULARY_HASH])
    if vocabulary.content_hash != stated or len(vocabulary) != config.vocab_size:
        raise WeightsError(
            f"{folder}: the weights were trained with another vocabulary than {VOCABULARY_FILE}"
            f" ({config.vocab_size} tokens, hash {stated[:12]}; the file has"
            f" {len(vocabulary)}, {vocabulary.content_hash[:12]}); restore the file that"
            " belongs to the weights"
        )
    model = Transformer(config)
    load_weights(model, find_weights(folder))
    return Checkpoint(model, vocabulary)


def recover_folder(final: Path) -> None:
    """Undo a `replace_folder` that a crash cut in half."""
    old = final.with_name(final.name + ".old")
    if old.exists() and not final.exists():
        old.rename(final)


def replace_folder(partial: Path, final: Path) -> None:
    """Put a completely written folder in the place of another; a crash leaves one of the two."""
    old = final.with_name(final.name + ".old")
    if old.exists():
        shutil.rmtree(old)
    if final.exists():
        final.rename(old)
    partial.rename(final)
    if old.exists():
        shutil.rmtree(old)
