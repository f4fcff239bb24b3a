"""Surrogates in files: ``surrogate.json`` and ``surrogate.safetensors``; nothing in them is code.

The language model is named, not copied: the file holds the hash of its weights, and loading with
other weights is an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from heuresis_models.checkpoint import load_tensors, save_tensors
from heuresis_models.embedding import Encoder
from heuresis_models.surrogates.boosting import Boosting
from heuresis_models.surrogates.errors import SurrogateError
from heuresis_models.surrogates.finetuned import FineTuned
from heuresis_models.surrogates.gaussian_process import GaussianProcess
from heuresis_models.surrogates.methods import LinearProbe, MeanValue, Method
from heuresis_models.surrogates.surrogate import Surrogate, Unseen

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA: Final = "heuresis-surrogate-1"
DESCRIPTION_FILE: Final = "surrogate.json"
TENSORS_FILE: Final = "surrogate.safetensors"


def _encoder_of(encoder: Encoder | None, kind: str) -> Encoder:
    if encoder is None:
        raise SurrogateError(f"the method '{kind}' needs a language model; name one")
    return encoder


_BUILDERS: Final[dict[str, Callable[[dict[str, Any], Encoder | None], Method]]] = {
    MeanValue.kind: lambda settings, _: MeanValue(**settings),
    LinearProbe.kind: lambda _, encoder: LinearProbe(_encoder_of(encoder, LinearProbe.kind)),
    Boosting.kind: lambda settings, _: Boosting(**settings),
    GaussianProcess.kind: lambda settings, encoder: GaussianProcess(encoder, **settings),
    FineTuned.kind: lambda settings, encoder: FineTuned(
        _encoder_of(encoder, FineTuned.kind), **settings
    ),
}


def save_surrogate(folder: Path, surrogate: Surrogate) -> None:
    """Write a surrogate into a folder, which is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder = next(
        (found for method in surrogate.methods if (found := getattr(method, "encoder", None))), None
    )
    document = {
        "schema": SCHEMA,
        "methods": [
            {"kind": method.kind, "settings": method.settings()} for method in surrogate.methods
        ],
        "folds": len(surrogate.fitted),
        "encoder": encoder.describe() if encoder is not None else None,
    }
    arrays: dict[str, NDArray[Any]] = {
        "weight": surrogate.weight_M,
        **{f"unseen.{name}": values for name, values in surrogate.unseen._asdict().items()},
    }
    for fold, members in enumerate(surrogate.fitted):
        for index, member in enumerate(members):
            for name, values in member.tensors().items():
                arrays[f"{fold}.{index}.{name}"] = values
    tensors = {name: torch.from_numpy(np.array(values)).clone() for name, values in arrays.items()}
    save_tensors(folder / TENSORS_FILE, tensors)
    text = json.dumps(document, indent=2, sort_keys=True)
    (folder / DESCRIPTION_FILE).write_text(text + "\n", encoding="utf-8")


def load_surrogate(folder: Path, encoder: Encoder | None = None) -> Surrogate:
    """Read a surrogate; it predicts what the saved one predicted.

    Args:
        folder: written by `save_surrogate`.
        encoder: the language model, if it is in memory already; None: load it by its name.

    Raises:
        SurrogateError: a file is missing or damaged, or the language model has other weights.
        WeightsError: the tensors or the language model cannot be read.
    """
    path = folder / DESCRIPTION_FILE
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        schema, folds = document["schema"], int(document["folds"])
        methods = [(str(one["kind"]), dict(one["settings"])) for one in document["methods"]]
        wanted = document["encoder"]
    except FileNotFoundError as error:
        raise SurrogateError(f"{path} is missing; a surrogate's folder needs it") from error
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise SurrogateError(f"{path} does not describe a surrogate: {error!r}") from error
    if schema != SCHEMA:
        raise SurrogateError(f"{path} has schema {schema!r}; expected {SCHEMA!r}: fit it again")
    if wanted is not None:
        encoder = _matching(path, encoder, wanted)
    built = [_built(path, kind, settings, encoder) for kind, settings in methods]
    tensors = {name: one.numpy() for name, one in load_tensors(folder / TENSORS_FILE).items()}
    try:
        fitted = [
            [
                method.restore(
                    {
                        name.removeprefix(f"{fold}.{index}."): values
                        for name, values in tensors.items()
                        if name.startswith(f"{fold}.{index}.")
                    }
                )
                for index, method in enumerate(built)
            ]
            for fold in range(folds)
        ]
        unseen = Unseen(**{name: tensors[f"unseen.{name}"] for name in Unseen._fields})
        return Surrogate(built, fitted, tensors["weight"], unseen)
    except (KeyError, RuntimeError, ValueError, IndexError) as error:
        raise SurrogateError(
            f"{folder / TENSORS_FILE} does not fit {DESCRIPTION_FILE}: {error!r}; fit it again"
        ) from error


def _built(path: Path, kind: str, settings: dict[str, Any], encoder: Encoder | None) -> Method:
    if kind not in _BUILDERS:
        raise SurrogateError(f"{path}: unknown method {kind!r}; known: {', '.join(_BUILDERS)}")
    uses_encoder = bool(settings.pop("uses_encoder", False))
    try:
        return _BUILDERS[kind](settings, encoder if uses_encoder else None)
    except TypeError as error:
        raise SurrogateError(f"{path}: settings of '{kind}' cannot be used: {error}") from error


def _matching(path: Path, encoder: Encoder | None, wanted: dict[str, Any]) -> Encoder:
    """Return the given or the named language model, checked against the description."""
    if encoder is None:
        encoder = Encoder.load(
            wanted["model"], layers=wanted["layers"], randomizations=wanted["randomizations"]
        )
    found = encoder.describe()
    for name in ("weights_sha256", "layers", "randomizations"):
        if found[name] != wanted[name]:
            raise SurrogateError(
                f"{path} was fitted on embeddings with {name} {wanted[name]}, the language model"
                f" '{found['model']}' has {found[name]}; give the model '{wanted['model']}' that it"
                " was fitted with"
            )
    return encoder
