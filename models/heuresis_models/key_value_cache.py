"""Keys and values of the positions computed so far, so that each token is computed once.

Axes: B row, S position, K key-value head, D channel of a head.

On a CPU the memory grows in blocks of positions and is read up to the end of the last block, the
unwritten part hidden by a bias. Reserved for the whole length at the start, it has a gap behind
each head, and reading is three times slower (measured: 64 of 80 positions, 5.3 ms against 1.8 ms a
layer at 512 rows of 4 x 32 channels). Other devices reserve it all at once.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from heuresis_models.network_shape import TransformerConfig

BLOCK: Final = 16
"""Positions by which a cache on a CPU grows."""


class KeyValueCache:
    """Memory of the earlier positions, filled by each forward pass.

    Rows may hold padding anywhere (prefixes of different length): padded positions are invisible to
    all others and are not counted, so a row reads and writes as if it stood alone.

    Args:
        config: shape of the network.
        batch: rows.
        capacity: most positions that will ever be held, padding included.
        dtype: of the activations, that is, of the weights.
        device: where the model is.
    """

    def __init__(
        self,
        config: TransformerConfig,
        batch: int,
        capacity: int,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
    ) -> None:
        self._in_blocks = torch.device(device).type == "cpu"
        self._reserved = 0 if self._in_blocks else capacity
        shape = (batch, config.key_value_heads, self._reserved, config.head_size)
        self._keys, self._values = (
            [
                torch.empty(shape, dtype=dtype, device=device)
                for _ in range(config.num_hidden_layers)
            ]
            for _ in range(2)
        )
        self.batch = batch
        self.capacity = capacity
        self.length = 0
        # Both stay None until a row has padding, because a mask costs time at every step.
        self._padding_BS: Tensor | None = None
        self._count_B: Tensor | None = None
        self.longest = 0

    @property
    def memory_bytes(self) -> int:
        """Bytes held for keys and values now."""
        return sum(stored.nbytes for stored in (*self._keys, *self._values))

    def place(self, batch: int, length: int, padding_BT: Tensor | None) -> Tensor | None:
        """Prepare for new positions; return position_BT of each, None when all rows stand alike.

        Raises:
            ValueError: another number of rows, or more positions than the cache can hold.
        """
        if batch != self.batch:
            raise ValueError(f"{batch} rows given, but the cache holds {self.batch}")
        if self.length + length > self.capacity:
            raise ValueError(
                f"{self.length} + {length} positions, but the cache holds {self.capacity}"
            )
        self._reserve(self.length + length)
        if self._count_B is None:
            if padding_BT is None:
                self.longest = self.length + length
                return None
            device = padding_BT.device
            self._padding_BS = torch.zeros(
                (self.batch, self.capacity), dtype=torch.bool, device=device
            )
            self._count_B = torch.full((self.batch,), self.length, device=device)
        assert self._padding_BS is not None
        if padding_BT is None:
            new_BT = torch.arange(1, length + 1, device=self._count_B.device).expand(batch, -1)
            self.longest += length
        else:
            self._padding_BS[:, self.length : self.length + length] = padding_BT
            new_BT = (~padding_BT).cumsum(1)
            self.longest = int((self._count_B + new_BT[:, -1]).max())
        position_BT = (self._count_B[:, None] + new_BT - 1).clamp(min=0)
        self._count_B = self._count_B + new_BT[:, -1]
        return position_BT

    def _reserve(self, positions: int) -> None:
        if positions <= self._reserved:
            return
        self._reserved = min(self.capacity, -(-positions // BLOCK) * BLOCK)
        for storage in (self._keys, self._values):
            for layer, stored in enumerate(storage):
                rows, heads, _, size = stored.shape
                grown = stored.new_empty((rows, heads, self._reserved, size))
                grown[:, :, : self.length] = stored[:, :, : self.length]
                # Zeros, because what is hidden is still multiplied, by nought.
                grown[:, :, self.length :] = 0.0
                storage[layer] = grown

    def _end(self, length: int) -> int:
        """Return how many positions are read when ``length`` new ones are computed."""
        return self._reserved if self._in_blocks and length == 1 else self.length + length

    def mask(self, length: int, device: torch.device) -> Tensor | None:
        """Return what the ``length`` new positions may see, (B or 1, 1, T, S).

        Boolean for several new positions (True: may see). For a single one on a CPU a bias, added
        to the scores. None where the plain rules hold: one sees all, the first ones are causal.
        """
        end = self.length + length
        if self._in_blocks and length == 1:
            rows = 1 if self._padding_BS is None else self.batch
            bias_B11S = torch.zeros((rows, 1, 1, self._reserved), dtype=self._keys[0].dtype)
            bias_B11S[..., end:] = -torch.inf
            if self._padding_BS is not None:
                hidden_B11S = self._padding_BS[:, None, None, : self._reserved]
                bias_B11S.masked_fill_(hidden_B11S, -torch.inf)
                bias_B11S[..., self.length] = 0.0
            return bias_B11S
        if self._padding_BS is None and (length == 1 or self.length == 0):
            return None
        causal_TS = torch.ones((length, end), dtype=torch.bool, device=device).tril(self.length)
        if self._padding_BS is None:
            return causal_TS[None, None]
        allowed_B1TS = ~self._padding_BS[:, None, None, :end] & causal_TS
        # A padded position sees itself: the mean over nothing would not be a number.
        allowed_B1TS.diagonal(offset=self.length, dim1=-2, dim2=-1).fill_(True)
        return allowed_B1TS

    def extend(self, layer: int, k_BKTD: Tensor, v_BKTD: Tensor) -> tuple[Tensor, Tensor]:
        """Store new positions of one layer; return the keys and values to read (BKSD)."""
        length = k_BKTD.shape[2]
        there = slice(self.length, self.length + length)
        keys, values = self._keys[layer], self._values[layer]
        keys[:, :, there], values[:, :, there] = k_BKTD, v_BKTD
        end = self._end(length)
        return keys[:, :, :end], values[:, :, :end]

    def advance(self, positions: int) -> None:
        """Count positions as held; called once per forward pass, after the last layer."""
        self.length += positions

    def keep(self, rows: Tensor) -> None:
        """Move the listed rows to the front and forget all others."""
        self.repeat(rows)

    def repeat(self, rows: Tensor) -> None:
        """Replace the rows by copies: new row i continues old row ``rows[i]``.

        Prefill a prompt once in a cache of one row, then ``repeat(torch.zeros(64, dtype=long))``.
        """
        for storage in (self._keys, self._values):
            for layer, stored in enumerate(storage):
                storage[layer] = stored[rows]
        if self._padding_BS is not None and self._count_B is not None:
            self._padding_BS = self._padding_BS[rows]
            self._count_B = self._count_B[rows]
            self.longest = int(self._count_B.max()) if len(rows) else 0
        self.batch = len(rows)
