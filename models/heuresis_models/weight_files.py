"""Safetensors files: written whole or not at all, read with every mismatch named.

Only safetensors is read, because a pickle runs code when it is loaded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from heuresis_models.errors import WeightsError
from heuresis_models.transformer import Transformer

CONFIG_FILE: Final = "config.json"
WEIGHTS_FILE: Final = "model.safetensors"
INDEX_FILE: Final = "model.safetensors.index.json"

_READABLE: Final = (torch.float32, torch.bfloat16, torch.float16)
_OUTPUT: Final = "lm_head.weight"
_PICKLE_STARTS: Final = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""First bytes of what torch.save and pickle write."""


def weights_of(model: Transformer, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
    """Return what a weight file holds: a matrix that is used twice, once; in type ``dtype``."""
    return {
        name: weight.detach().to(dtype or weight.dtype)
        for name, weight in model.state_dict().items()
        if not (name == _OUTPUT and model.config.tie_word_embeddings)
    }


def load_weights(model: Transformer, path: Path) -> None:
    """Read weights into a model in place; names, shapes and finiteness are checked first.

    Args:
        model: keeps its type and device, whatever the file's type.
        path: a safetensors file, or the index of a sharded one.

    Raises:
        WeightsError: a file is missing, damaged, holds other tensors or is not finite.
    """
    tensors = load_shards(path) if path.name.endswith(".json") else load_tensors(path)
    wanted = model.state_dict()
    # Older files of transformers hold a table that is computed now, or the shared matrix twice.
    for name in [name for name in tensors if name.endswith("rotary_emb.inv_freq")]:
        del tensors[name]
    if model.config.tie_word_embeddings:
        del wanted[_OUTPUT]
        tensors.pop(_OUTPUT, None)
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
        if tensor.dtype not in _READABLE:
            raise WeightsError(
                f"{path}: '{name}' holds {tensor.dtype}; expected one of"
                f" {', '.join(str(kind) for kind in _READABLE)} (quantised weights are not read)"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"{path}: '{name}' holds values that are not finite")
    with torch.no_grad():
        for name, tensor in tensors.items():
            wanted[name].copy_(tensor)


def find_weights(folder: Path) -> Path:
    """Return the weight file of a folder, or the index of a sharded one.

    Raises:
        WeightsError: there is neither.
    """
    for name in (WEIGHTS_FILE, INDEX_FILE):
        if (folder / name).is_file():
            return folder / name
    pickles = sorted(path.name for path in folder.glob("*.bin")) + sorted(
        path.name for path in folder.glob("*.pt*")
    )
    if pickles:
        raise WeightsError(
            f"{folder / WEIGHTS_FILE} is missing; {pickles[0]} is a pickle, which can run code when"
            " it is read; convert it to safetensors on a machine that you can lose"
        )
    raise WeightsError(f"{folder / WEIGHTS_FILE} is missing; a model folder needs it")


def load_shards(index: Path) -> dict[str, Tensor]:
    """Read the tensors that an index distributes over several files beside it.

    Raises:
        WeightsError: the index or a file is missing or damaged, or they contradict each other.
    """
    try:
        weight_map: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = sorted(set(weight_map.values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{index} is missing or no index of weight files: {error}") from error
    tensors: dict[str, Tensor] = {}
    for name in files:
        if Path(name).name != name:
            raise WeightsError(f"{index} points to {name!r}; expected files in the same folder")
        tensors.update(load_tensors(index.parent / name))
    if tensors.keys() != weight_map.keys():
        differing = sorted(tensors.keys() ^ weight_map.keys())
        raise WeightsError(f"{index} and its files do not agree on {differing[:3]}")
    return tensors


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
            f"{path} is damaged or not a safetensors file ({_suspicion(path) or error}); copy or"
            " train it again"
        ) from error


def _suspicion(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    if start.startswith(_PICKLE_STARTS):
        return "it looks like a pickle, which can run code and is never read"
    return ""


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
    for name, tensor in _sorted(tensors):
        digest.update(f"{name}\0{tuple(tensor.shape)}\0{tensor.dtype}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _sorted(tensors: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    for name in sorted(tensors):
        yield name, tensors[name].detach().cpu().contiguous()
