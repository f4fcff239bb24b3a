"""Language models that others trained: any Llama-type folder of Hugging Face, with its own words.

Such a model reads and writes plain text. It is given exemplars as lines of text and asked for the
next line (`LinePrompt`); what it writes is decoded, and the SMILES in it are picked out.

The network is ours (`heuresis_models.transformer`), the vocabulary is read by the ``tokenizers``
library from the folder's ``tokenizer.json``. No code of the folder is run.

Axes: B row, U distinct prompt, T position, V vocabulary entry.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import torch
from torch import Tensor

from heuresis_models.checkpoint import VOCABULARY_FILE, read_configuration
from heuresis_models.errors import WeightsError
from heuresis_models.generation.drawing import distribution, draw
from heuresis_models.hugging_face import shape_from
from heuresis_models.key_value_cache import KeyValueCache
from heuresis_models.language.augmentation import canonical_smiles
from heuresis_models.language.errors import DocumentError, OverlongError
from heuresis_models.transformer import Transformer
from heuresis_models.weight_files import CONFIG_FILE, find_weights, load_weights

if TYPE_CHECKING:
    from numpy.random import Generator

_GENERATION_FILE: Final = "generation_config.json"
_COMPACT_BELOW: Final = 0.75
_WORD: Final = re.compile(r"[A-Za-z0-9@+\-\[\]()=#$/\\%.:*~]+")
_TYPES: Final = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class Completion(NamedTuple):
    """What a hosted model wrote after one prompt."""

    text: str
    tokens: tuple[int, ...]
    """All that was written, the ending included."""
    log_likelihood: float
    """Natural log of the probability of all written tokens, the ending one included, under the
    model itself (temperature 1, nothing cut)."""
    finished: bool
    """False when it was cut off at ``max_tokens``."""


class HostedModel:
    """A network and the words it speaks.

    Args:
        model: the network.
        tokenizer: a ``tokenizers.Tokenizer``.
        ends: ids that end a text.
    """

    def __init__(self, model: Transformer, tokenizer: Any, ends: frozenset[int]) -> None:
        self.model = model
        self.ends = ends
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, with what the model expects before it."""
        ids: list[int] = self._tokenizer.encode(text).ids
        # Some tokenizers also write the token that ends a text; the text is to be continued.
        while ids and ids[-1] in self.ends:
            ids.pop()
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, without control tokens."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def fits(self, text: str, max_tokens: int) -> bool:
        """Say whether a prompt leaves room for ``max_tokens`` more."""
        return len(self.encode(text)) + max_tokens <= self.model.config.max_position_embeddings

    @torch.inference_mode()
    def complete(
        self,
        prompts: Sequence[str],
        rng: Generator,
        *,
        max_tokens: int = 96,
        temperature: float = 1.0,
        top_p: float = 1.0,
        stop: str = "\n",
    ) -> list[Completion]:
        """Continue each prompt; one result for each, in order.

        Args:
            prompts: texts; equal ones are read once.
            rng: source of randomness; advances by one draw for each prompt and token.
            max_tokens: most tokens that are written.
            temperature: below 1 prefers likely tokens.
            top_p: draw from the smallest set of tokens whose probabilities add up to this.
            stop: text that ends a row, besides the model's own ending; it is cut off.

        Raises:
            OverlongError: a prompt leaves no room for ``max_tokens``.
        """
        if not prompts:
            return []
        given = {text: self.encode(text) for text in dict.fromkeys(prompts)}
        self._check(given, max_tokens)
        cache, logits_BV = self._read(list(given.values()), max_tokens)
        places = {text: place for place, text in enumerate(given)}
        index_B = torch.tensor([places[text] for text in prompts], device=logits_BV.device)
        cache.repeat(index_B)
        logits_BV = logits_BV[index_B].float()

        ids: list[list[int]] = [[] for _ in prompts]
        likelihood = [0.0] * len(prompts)
        finished = [False] * len(prompts)
        # Original numbers of the cache's rows, and those of them that are still being written.
        rows = list(range(len(prompts)))
        alive = set(rows)
        uniform_SB = torch.from_numpy(rng.random((max_tokens, len(prompts))))
        for step in range(max_tokens):
            uniform_B = uniform_SB[step][rows].to(logits_BV.device)
            token_B = draw(distribution(logits_BV, temperature, top_p, ()), uniform_B)
            own_B = logits_BV.log_softmax(-1).gather(-1, token_B[:, None]).squeeze(-1)
            for row, token, own in zip(rows, token_B.tolist(), own_B.tolist(), strict=True):
                if row in alive:
                    likelihood[row] += own
                    ids[row].append(token)
                    finished[row] = token in self.ends or stop in self.decode(ids[row])
                    if finished[row]:
                        alive.remove(row)
            if not alive or step + 1 == max_tokens:
                break
            if len(alive) < _COMPACT_BELOW * len(rows):
                kept = [place for place, row in enumerate(rows) if row in alive]
                kept_B = torch.tensor(kept, device=token_B.device)
                cache.keep(kept_B)
                rows, token_B = [rows[place] for place in kept], token_B[kept_B]
            logits_BV = self.model(token_B[:, None], cache=cache)[:, -1].float()
        return [
            Completion(self.decode(row).partition(stop)[0], tuple(row), value, done)
            for row, value, done in zip(ids, likelihood, finished, strict=True)
        ]

    def _check(self, given: dict[str, list[int]], max_tokens: int) -> None:
        limit = self.model.config.max_position_embeddings
        for ids in given.values():
            if not ids:
                raise ValueError("a prompt is empty; give at least one word to begin with")
            if len(ids) + max_tokens > limit:
                raise OverlongError(
                    len(ids) + max_tokens, limit, "prompt and the tokens to be written"
                )

    def _read(self, distinct: list[list[int]], room: int) -> tuple[KeyValueCache, Tensor]:
        """Return a cache of the distinct prompts, padded on the left, and the next logits_UV."""
        device = self.model.lm_head.weight.device
        longest = max(len(ids) for ids in distinct)
        token_UT = torch.zeros((len(distinct), longest), dtype=torch.long)
        padding_UT = torch.ones((len(distinct), longest), dtype=torch.bool)
        for row, ids in enumerate(distinct):
            token_UT[row, longest - len(ids) :] = torch.tensor(ids)
            padding_UT[row, longest - len(ids) :] = False
        padding = padding_UT.to(device) if bool(padding_UT.any()) else None
        cache = self.model.new_cache(len(distinct), longest + room)
        hidden_UTE = self.model.hidden(token_UT.to(device), cache=cache, padding_BT=padding)
        return cache, self.model.lm_head(hidden_UTE[:, -1])


def load_hosted(
    folder: Path, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu"
) -> HostedModel:
    """Open a Llama-type folder of Hugging Face.

    Args:
        folder: with ``config.json``, safetensors (one file or several) and ``tokenizer.json``.
        dtype: of weights and activations; None: as stored.
        device: where to compute.

    Raises:
        WeightsError: a file is missing or damaged, the architecture is another, or the parts do
            not belong together.
    """
    document = read_configuration(folder)
    config = shape_from(document, str(folder / CONFIG_FILE))
    tokenizer = _tokenizer(folder / VOCABULARY_FILE)
    words = tokenizer.get_vocab_size(with_added_tokens=True)
    if words > config.vocab_size:
        raise WeightsError(
            f"{folder}: {VOCABULARY_FILE} has {words} words, the network {config.vocab_size};"
            " restore the file that belongs to the weights"
        )
    stored = _TYPES.get(str(document.get("dtype", document.get("torch_dtype"))), torch.float32)
    model = Transformer(config, device=device, dtype=dtype or stored)
    load_weights(model, find_weights(folder))
    return HostedModel(model.requires_grad_(False), tokenizer, _ends(folder, document))


def _tokenizer(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise WeightsError(
            "a model with words of its own needs the package 'tokenizers';"
            " pip install 'heuresis[interoperability]'"
        ) from error
    if not path.is_file():
        raise WeightsError(f"{path} is missing; a hosted model needs it")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # The library raises nothing narrower.
        raise WeightsError(f"{path} is not a tokenizer: {error}") from error


def _ends(folder: Path, document: dict[str, Any]) -> frozenset[int]:
    stated = document.get("eos_token_id")
    try:
        generation = json.loads((folder / _GENERATION_FILE).read_text(encoding="utf-8"))
        stated = generation.get("eos_token_id", stated)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, AttributeError) as error:
        raise WeightsError(f"{folder / _GENERATION_FILE} cannot be read: {error}") from error
    if stated is None:
        return frozenset()
    return frozenset(stated if isinstance(stated, list) else [stated])


class LinePrompt(NamedTuple):
    """How exemplars become a text that a model goes on with: one line each, best last."""

    head: str = "SMILES of molecules, one per line, from the lowest to the highest score:\n"
    line: str = "{text}\n"
    """Of one exemplar; may use ``{text}``, ``{score:.2f}`` and ``{rank}``."""
    cue: str = ""
    """What stands before the line that the model is to write; may use ``{rank}``."""

    def render(self, exemplars: Sequence[tuple[str, float]]) -> str:
        """Return the prompt for texts with their scores, in rising order."""
        lines = [
            self.line.format(text=text, score=score, rank=rank)
            for rank, (text, score) in enumerate(exemplars, start=1)
        ]
        return self.head + "".join(lines) + self.cue.format(rank=len(exemplars) + 1)


def find_smiles(text: str) -> str | None:
    """Return the SMILES in what a model wrote: the longest word that RDKit reads; None if none.

    Short words of ordinary language are SMILES, too (``I``, ``In``, ``CO``), hence the longest.
    """
    words: set[str] = {word.strip(".:") for word in _WORD.findall(text)}
    for word in sorted(words, key=lambda word: (-len(word), word)):
        try:
            canonical_smiles(word)
        except DocumentError:
            continue
        return word
    return None
