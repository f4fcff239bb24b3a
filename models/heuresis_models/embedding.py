"""The language model as an encoder: one vector for any object of the language.

An object is written as a document without its end, ``<bos><molecule><canonical>CCO</molecule>``,
and read once. The vector is the mean over its positions (``<bos>`` aside) of the residual stream
after chosen layers, the layers side by side. Letters at the ends of names: N texts, B rows of a
batch, T positions, E channels, L layers, W = L x E channels of an embedding.

A molecule has many SMILES and a small model does not read them all alike; the mean over several
random ones is steadier and costs as many passes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import torch
from torch import Tensor

from heuresis.randomness import random_generator
from heuresis_models.checkpoint import load_model, model_folder, tensors_hash
from heuresis_models.language.augmentation import canonical_smiles, randomized_smiles
from heuresis_models.language.documents import Entry
from heuresis_models.language.errors import DocumentError
from heuresis_models.language.objects import Form, Molecule
from heuresis_models.language.parsing import read_text
from heuresis_models.language.tokens import BEGIN, END
from heuresis_models.language.vocabulary import Vocabulary
from heuresis_models.transformer import Transformer

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_LAYERS: Final = 6
"""Layers taken when none are named: all of a small model, evenly spaced ones of a deep one."""
BATCH_TOKENS: Final = 4096
"""Positions computed at once, padding included; bounds the memory, hardly changes the speed."""
REMEMBERED: Final = 20_000
"""Texts whose embedding is kept; a search asks for the same ones at every refit."""
_RANDOM_STREAM: Final = "embedding"


def entry_of(text: str) -> Entry:
    """Return what a text stands for: an object of the language, or a molecule by its SMILES.

    Args:
        text: object text such as ``<crystal>…</crystal>`` (conditions before and annotations after
            it are allowed and are read, too), or, without a leading ``<``, a SMILES.

    Raises:
        DocumentError: it does not follow the grammar, or RDKit cannot read the SMILES.
        UnknownTokenError: something in it is no token.
    """
    if text.startswith("<"):
        return read_text(f"{BEGIN}{text}{END}").entry
    return Entry(Molecule(canonical_smiles(text), Form.CANONICAL))


class Encoder:
    """Turns texts into vectors with a trained language model.

    Deterministic: the random SMILES of a text depend on that text alone. Texts that were seen
    lately are not computed again. Results of one text in different batches agree to rounding.

    Args:
        model: the network; it is only read.
        vocabulary: the language it speaks.
        layers: 0-based layers whose output is taken; None: up to `MOST_LAYERS`, evenly spaced, the
            last included.
        randomizations: random SMILES that are averaged with the canonical one; molecules only.
        name: what the model is called in files that refer to it.

    Raises:
        DocumentError: a layer that the model does not have, or fewer than 0 randomisations.
    """

    def __init__(
        self,
        model: Transformer,
        vocabulary: Vocabulary,
        *,
        layers: Sequence[int] | None = None,
        randomizations: int = 0,
        name: str = "",
    ) -> None:
        depth = model.config.num_hidden_layers
        if layers is None:
            count = min(depth, MOST_LAYERS)
            layers = [round((index + 1) * depth / count) - 1 for index in range(count)]
        if not layers or any(not 0 <= layer < depth for layer in layers) or randomizations < 0:
            raise DocumentError(
                f"got layers {list(layers)} and {randomizations} randomisations; expected layers"
                f" within 0 and {depth - 1} (at least one) and 0 or more randomisations"
            )
        self.model = model
        self.vocabulary = vocabulary
        self.layers = tuple(sorted(set(layers)))
        self.randomizations = randomizations
        self.name = name
        self._remembered: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    @classmethod
    def load(
        cls, name_or_path: str, *, layers: Sequence[int] | None = None, randomizations: int = 0
    ) -> Self:
        """Load a shipped model by name, or a model folder.

        Raises:
            WeightsError: there is no such model, or its files are damaged.
        """
        model, vocabulary = load_model(model_folder(name_or_path))
        model.eval()
        return cls(
            model, vocabulary, layers=layers, randomizations=randomizations, name=name_or_path
        )

    @property
    def width(self) -> int:
        """Channels W of an embedding."""
        return len(self.layers) * self.model.config.hidden_size

    @cached_property
    def weights_hash(self) -> str:
        """SHA-256 of all weights; a surrogate remembers which model its vectors came from."""
        return tensors_hash(self.model.state_dict())

    def describe(self) -> dict[str, Any]:
        """Return what must be equal for two encoders to give equal vectors, and the name."""
        return {
            "model": self.name,
            "weights_sha256": self.weights_hash,
            "layers": list(self.layers),
            "randomizations": self.randomizations,
        }

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector per text, shape (N, W), in the order of the texts.

        Raises:
            DocumentError: a text is no object of the language.
            UnknownTokenError: a text holds something that is no token.
            OverlongError: a text has more tokens than the model has positions.
        """
        missing = [text for text in dict.fromkeys(texts) if text not in self._remembered]
        fresh = dict(zip(missing, self._embed(missing), strict=True)) if missing else {}
        found_NW = np.zeros((len(texts), self.width), np.float32)
        for row, text in enumerate(texts):
            found_NW[row] = fresh[text] if text in fresh else self._remembered[text]
        self._remembered.update(fresh)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)
        return found_NW

    def views(self, text: str, randomizations: int) -> list[list[int]]:
        """Return the token ids of the ways in which a text is read: canonical, then random ones.

        Raises: see `embed`.
        """
        entry = entry_of(text)
        entries = [entry]
        if isinstance(entry.thing, Molecule):
            for index in range(randomizations):
                rng = random_generator(0, f"{_RANDOM_STREAM} {entry.thing.smiles}", index)
                other = Molecule(randomized_smiles(entry.thing.smiles, rng), Form.RANDOMIZED)
                entries.append(Entry(other, entry.conditions, entry.annotations))
        return [self.row(one, where=repr(text)) for one in entries]

    def row(self, entry: Entry, *, where: str = "") -> list[int]:
        """Return the token ids of an entry as it is read: ``<bos>``, but no ``<eos>``.

        Raises: see `embed`.
        """
        limit = self.model.config.max_position_embeddings
        text = "".join([BEGIN, *entry.tokens()])
        return self.vocabulary.encode(text, limit=limit, where=where)

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows: list[list[int]] = []
        owner: list[int] = []
        for index, text in enumerate(texts):
            views = self.views(text, self.randomizations)
            rows += views
            owner += [index] * len(views)
        mean_NW = np.zeros((len(texts), self.width))
        count_N = np.bincount(owner, minlength=len(texts))
        # Rows of like length share a batch, so that little is padded.
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        with torch.no_grad():
            for batch in batches(order, [len(row) for row in rows]):
                pooled = self.pool([rows[row] for row in batch]).float().cpu().numpy()
                for row, vector in zip(batch, pooled, strict=True):
                    mean_NW[owner[row]] += vector
        return (mean_NW / count_N[:, None]).astype(np.float32)

    def pool(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Return the mean over positions of the chosen layers, shape (B, W); keeps gradients.

        Args:
            rows: token ids, each beginning with ``<bos>``. Shorter rows are padded at the end,
                where causal attention cannot see it, and the padding is left out of the mean.
        """
        device = self.model.lm_head.weight.device
        longest = max(map(len, rows))
        token_BT = torch.zeros((len(rows), longest), dtype=torch.long)
        for index, row in enumerate(rows):
            token_BT[index, : len(row)] = torch.tensor(row)
        length_B = torch.tensor([len(row) for row in rows])
        counted_BT = torch.arange(longest)[None] < length_B[:, None]
        counted_BT[:, 0] = False
        weight_BT = (counted_BT / counted_BT.sum(-1, keepdim=True)).to(device)
        with self._residual_streams() as streams:
            self.model.hidden(token_BT.to(device))
        return torch.cat(
            [(weight_BT[:, :, None].type_as(x_BTE) * x_BTE).sum(1) for x_BTE in streams], dim=-1
        )

    @contextmanager
    def _residual_streams(self) -> Iterator[list[Tensor]]:
        """Collect the output of each chosen layer during one pass, first layer first."""
        streams: list[Tensor] = []
        hooks = [
            self.model.model.layers[layer].register_forward_hook(
                lambda _module, _inputs, x_BTE: streams.append(x_BTE)
            )
            for layer in self.layers
        ]
        try:
            yield streams
        finally:
            for hook in hooks:
                hook.remove()


def batches(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield runs of ``order`` that hold at most `BATCH_TOKENS` positions when padded.

    Args:
        order: rows in rising order of length.
        lengths: of each row, by its number.
    """
    batch: list[int] = []
    for row in order:
        if batch and (len(batch) + 1) * lengths[row] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
