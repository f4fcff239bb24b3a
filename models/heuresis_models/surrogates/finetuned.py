"""The whole language model, trained on to one property.

The head starts as the linear probe on the untouched model, then head and network learn together:
probing first keeps fine-tuning from tearing up features that were good (Kumar et al.,
arXiv:2202.10054). Every epoch shows another random SMILES of each molecule.

Letters at the ends of names: N texts, B rows of a batch, W channels of an embedding.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from heuresis_models.embedding import Encoder, batches, entry_of
from heuresis_models.language.augmentation import randomized_smiles
from heuresis_models.language.documents import Entry
from heuresis_models.language.objects import Form, Molecule
from heuresis_models.surrogates.methods import Estimate, Fitted, Tensors, bayesian_ridge

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

_CLIP_NORM = 1.0
_WARM_UP = 0.1
_PROBE_VIEWS = 2
_HEAD_SHARE = 0.3
"""The head, which starts at its optimum, learns this much more slowly than the network."""


class FineTuned:
    """Network and linear head, learned together with a small learning rate.

    Cost of a fit: epochs x tokens of the training texts, each three times a reading; minutes for a
    thousand molecules on one core, so rather a last step than part of a loop. It gives no deviation
    of its own: its intervals are equally wide everywhere.

    Args:
        encoder: the model to start from; it is copied, not changed.
        epochs: passes over the training texts.
        learning_rate: highest; it rises over the first tenth and falls linearly to 0.
        batch: texts per step.
        views: random SMILES that are averaged with the canonical one in a prediction.
    """

    kind: ClassVar[str] = "fine-tuned"

    def __init__(
        self,
        encoder: Encoder,
        *,
        epochs: int = 6,
        learning_rate: float = 1e-3,
        batch: int = 32,
        views: int = 4,
    ) -> None:
        self.encoder = encoder
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch = batch
        self.views = views

    def settings(self) -> dict[str, Any]:
        """Return the settings."""
        return {
            "uses_encoder": True,
            "epochs": self.epochs,
            "learning_rate": self.learning_rate,
            "batch": self.batch,
            "views": self.views,
        }

    def fit(self, texts: Sequence[str], values_N: NDArray[np.float64], rng: Generator) -> Fitted:
        """Probe, then fine-tune."""
        network = self._network()
        offset, scale = float(values_N.mean()), max(float(values_N.std()), 1e-12)
        # The probe learns from single views, for those are what the network will be shown.
        rows, owner = _views(self.encoder, texts, _PROBE_VIEWS)
        pooled = _in_batches(lambda some: network.encoder.pool(some), rows)
        probe = bayesian_ridge(pooled, values_N[owner])
        network.set_probe(probe, offset, scale)
        target_N = torch.from_numpy((values_N - offset) / scale).float()
        self._train(network, texts, target_N, rng)
        return _FittedNetwork(network, self.views, offset, scale)

    def _network(self) -> _Network:
        return _Network(
            Encoder(
                copy.deepcopy(self.encoder.model).float(),
                self.encoder.vocabulary,
                layers=self.encoder.layers,
                name=self.encoder.name,
            )
        )

    def _train(
        self, network: _Network, texts: Sequence[str], target_N: Tensor, rng: Generator
    ) -> None:
        device = network.head.weight.device
        shares = [1.0, _HEAD_SHARE]
        optimizer = torch.optim.AdamW(
            [{"params": list(part.parameters())} for part in (network.transformer, network.head)],
            lr=self.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=0.01,
        )
        per_epoch = -(-len(texts) // self.batch)
        total = self.epochs * per_epoch
        entries = [entry_of(text) for text in texts]
        step = 0
        for _ in range(self.epochs):
            order = rng.permutation(len(texts))
            for start in range(0, len(order), self.batch):
                chosen = order[start : start + self.batch]
                share = min((step + 1) / (_WARM_UP * total), (total - step) / total)
                for group, part in zip(optimizer.param_groups, shares, strict=True):
                    group["lr"] = self.learning_rate * part * min(share, 1.0)
                rows = [self._drawn(network.encoder, entries[index], rng) for index in chosen]
                guess_B = network(rows)
                loss = ((guess_B - target_N[chosen].to(device)) ** 2).mean()
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), _CLIP_NORM)
                optimizer.step()
                step += 1

    def _drawn(self, encoder: Encoder, entry: Entry, rng: Generator) -> list[int]:
        """Write a molecule in a random way, or, every other time, canonically."""
        if isinstance(entry.thing, Molecule) and rng.random() < 0.5:
            thing = Molecule(randomized_smiles(entry.thing.smiles, rng), Form.RANDOMIZED)
            entry = Entry(thing, entry.conditions, entry.annotations)
        return encoder.row(entry)

    def restore(self, tensors: Tensors) -> Fitted:
        """Return the fitted model."""
        network = self._network()
        state = {
            name.removeprefix("network."): torch.from_numpy(np.array(values))
            for name, values in tensors.items()
            if name.startswith("network.")
        }
        network.load_state_dict(state)
        return _FittedNetwork(
            network, self.views, float(tensors["offset"]), float(tensors["scale"])
        )


class _Network(nn.Module):
    """The transformer, pooled, and a linear head on standardised channels."""

    centre_W: Tensor
    scale_W: Tensor

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.transformer = encoder.model
        device = encoder.model.lm_head.weight.device
        self.head = nn.Linear(encoder.width, 1, device=device)
        self.register_buffer("centre_W", torch.zeros(encoder.width, device=device))
        self.register_buffer("scale_W", torch.ones(encoder.width, device=device))

    @torch.no_grad()
    def set_probe(self, probe: Tensors, offset: float, scale: float) -> None:
        """Start from a linear probe of values with this offset and scale.

        Channels are standardised once and for all: the residual stream of a trained model varies a
        hundredfold between channels, and one step of a raw head would throw the probe away.
        """
        self.centre_W.copy_(torch.from_numpy(probe["centre"]))
        self.scale_W.copy_(torch.from_numpy(probe["scale"]))
        self.head.weight.copy_(torch.from_numpy(probe["weight"] / scale)[None])
        self.head.bias.fill_((float(probe["offset"]) - offset) / scale)

    def forward(self, rows: Sequence[Sequence[int]]) -> Tensor:
        z_BW = (self.encoder.pool(rows) - self.centre_W) / self.scale_W
        output_B: Tensor = self.head(z_BW)[:, 0]
        return output_B


def _views(
    encoder: Encoder, texts: Sequence[str], randomizations: int
) -> tuple[list[list[int]], NDArray[np.int64]]:
    """Return the rows in which the texts are read, and the number of the text of each."""
    views = [encoder.views(text, randomizations) for text in texts]
    owner = np.repeat(np.arange(len(texts)), [len(rows) for rows in views])
    return [row for rows in views for row in rows], owner


def _in_batches(
    compute: Callable[[list[list[int]]], Tensor], rows: list[list[int]]
) -> NDArray[np.float64]:
    """Compute without gradients, rows of like length together; results in the order of the rows."""
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    with torch.no_grad():
        found = [
            compute([rows[row] for row in batch]).double().cpu().numpy()
            for batch in batches(order, [len(row) for row in rows])
        ]
    back = np.empty(len(rows), np.int64)
    back[order] = np.arange(len(rows))
    joined: NDArray[np.float64] = np.concatenate(found)[back]
    return joined


class _FittedNetwork:
    def __init__(self, network: _Network, views: int, offset: float, scale: float) -> None:
        self._network = network
        self._views = views
        self._offset = offset
        self._scale = scale

    def predict(self, texts: Sequence[str]) -> Estimate:
        rows, owner = _views(self._network.encoder, texts, self._views)
        guess = _in_batches(self._network, rows)
        mean_N = np.bincount(owner, guess, len(texts)) / np.bincount(owner, minlength=len(texts))
        return Estimate(self._offset + self._scale * mean_N, None)

    def tensors(self) -> dict[str, NDArray[Any]]:
        state = self._network.state_dict()
        found: dict[str, NDArray[Any]] = {
            f"network.{name}": tensor.detach().cpu().numpy() for name, tensor in state.items()
        }
        return {**found, "offset": np.array(self._offset), "scale": np.array(self._scale)}
