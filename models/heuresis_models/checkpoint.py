"""Saving and loading: ``config.json``, ``model.safetensors`` and ``tokenizer.json`` in one folder.

Only safetensors is read: a weight file cannot run code. Every mismatch is an error that names the
file, never a model that silently starts from other weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from heuresis_models.errors import WeightsError
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.transformer import Transformer, TransformerConfig

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
VOCABULARY_FILE = "tokenizer.json"
VOCABULARY_HASH = "vocabulary_sha256"

SHIPPED_WEIGHTS = Path(__file__).parent / "weights"


class Checkpoint(NamedTuple):
    """A model with the vocabulary it speaks."""

    model: Transformer
    vocabulary: Vocabulary


def shipped_names() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(path.parent.name for path in SHIPPED_WEIGHTS.glob(f"*/{CONFIG_FILE}"))


def model_folder(name_or_path: str) -> Path:
    """Return the folder of a shipped model or of a path.

    Raises:
        WeightsError: neither; lists the shipped names.
    """
    shipped = SHIPPED_WEIGHTS / name_or_path
    if os.sep not in name_or_path and (shipped / CONFIG_FILE).is_file():
        return shipped
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return folder
    raise WeightsError(
        f"no model '{name_or_path}': expected a folder with {CONFIG_FILE}, {WEIGHTS_FILE} and"
        f" {VOCABULARY_FILE}, or a shipped model ({', '.join(shipped_names()) or 'none'})"
    )


def save_model(folder: Path, model: Transformer, vocabulary: Vocabulary) -> None:
    """Write a model folder; an existing one keeps its other files."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **model.config.model_dump(),
        "num_key_value_heads": model.config.num_attention_heads,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        VOCABULARY_HASH: vocabulary.content_hash,
    }
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    vocabulary.save(folder / VOCABULARY_FILE)
    save_tensors(folder / WEIGHTS_FILE, model.state_dict())


def load_model(folder: Path) -> Checkpoint:
    """Read a model folder and check that its parts belong together.

    Raises:
        WeightsError: a file is missing or damaged, or shape, names or vocabulary do not match.
    """
    path = folder / CONFIG_FILE
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        fields = {name: document[name] for name in TransformerConfig.model_fields}
        config = TransformerConfig.model_validate(fields)
        vocabulary_hash = document[VOCABULARY_HASH]
    except FileNotFoundError as error:
        raise WeightsError(f"{path} is missing; a model folder needs it") from error
    except (KeyError, TypeError, ValueError, ValidationError, OSError) as error:
        raise WeightsError(f"{path} is not a model configuration: {error}") from error
    vocabulary = Vocabulary.load(folder / VOCABULARY_FILE)
    if vocabulary.content_hash != vocabulary_hash or len(vocabulary) != config.vocab_size:
        raise WeightsError(
            f"{folder}: the weights were trained with another vocabulary than {VOCABULARY_FILE}"
            f" ({config.vocab_size} tokens, hash {str(vocabulary_hash)[:12]}; the file has"
            f" {len(vocabulary)}, {vocabulary.content_hash[:12]}); restore the file that"
            " belongs to the weights"
        )
    model = Transformer(config)
    load_weights(model, folder / WEIGHTS_FILE)
    return Checkpoint(model, vocabulary)


def load_weights(model: Transformer, path: Path) -> None:
    """Read weights into a model in place; names, shapes and finiteness are checked first.

    Raises:
        WeightsError: the file is missing, damaged, holds other tensors or is not finite.
    """
    tensors = load_tensors(path)
    wanted = model.state_dict()
    missing, surplus = (
        sorted(wanted.keys() - tensors.keys()),
        sorted(tensors.keys() - wanted.keys()),
    )
    if missing or surplus:
        raise WeightsError(
            f"{path}: tensors do not match {CONFIG_FILE}; missing {missing[:3] or 'none'},"
            f" unexpected {surplus[:3] or 'none'}"
        )
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise WeightsError(
                f"{path}: '{name}' has shape {tuple(tensor.shape)}, {CONFIG_FILE} says"
                f" {tuple(wanted[name].shape)}"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"{path}: '{name}' holds values that are not finite")
    model.load_state_dict(tensors)


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        partial,
        # An empty table of contents is unreadable, so there is always one entry.
        metadata={"format": "pt", **(metadata or {})},
    )
    # safetensors creates files that only their owner can read.
    partial.chmod(0o644)
    partial.replace(path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    if not path.is_file():
        raise WeightsError(f"{path} is missing; a model folder needs it")
    try:
        tensors: dict[str, Tensor] = load_file(path)
        return tensors
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"{path} is damaged or not a safetensors file ({error}); copy or train it again"
        ) from error


def tensor_metadata(path: Path) -> dict[str, str]:
    """Return the text fields that were stored in a safetensors file."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} is missing, damaged or not safetensors ({error})") from error


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes, types and bytes: equal exactly when all values are equal."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous()
        digest.update(f"{name}\0{tuple(tensor.shape)}\0{tensor.dtype}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


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
