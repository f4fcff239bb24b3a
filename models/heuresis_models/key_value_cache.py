"""Keys and values of the positions computed so far, so that each token is computed once.

Axes: B row, S position, K key-value head, D channel of a head; P position in the model's count.
"""

from __future__ import annotations

import torch
from torch import Tensor

from heuresis_models.network_shape import TransformerConfig


class KeyValueCache:
    """Memory that is reserved at the start and filled by each forward pass.

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
        shape = (batch, config.key_value_heads, capacity, config.head_size)
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
        """Bytes reserved for keys and values."""
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

    def allowed(self, length: int, device: torch.device) -> Tensor | None:
        """Return which positions the ``length`` new ones may see, (B or 1, 1, T, S).

        None where the plain rules hold: one new position sees all, the first ones are causal.
        """
        end = self.length + length
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
        """Store new positions of one layer; return all keys and values up to them (BKSD)."""
        end = self.length + k_BKTD.shape[2]
        keys, values = self._keys[layer][: self.batch], self._values[layer][: self.batch]
        keys[:, :, self.length : end] = k_BKTD
        values[:, :, self.length : end] = v_BKTD
        return keys[:, :, :end], values[:, :, :end]

    def advance(self, positions: int) -> None:
        """Count positions as held; called once per forward pass, after the last layer."""
        self.length += positions

    def keep(self, rows: Tensor) -> None:
        """Move the listed rows to the front and forget all others."""
        for stored in (*self._keys, *self._values):
            stored[: len(rows), :, : self.length] = stored[rows, :, : self.length]
        self._carry(rows)

    def repeat(self, rows: Tensor) -> None:
        """Replace the rows by copies: new row i continues old row ``rows[i]``.

        Prefill a prompt once in a cache of one row, then ``repeat(torch.zeros(64, dtype=long))``.
        """
        for storage in (self._keys, self._values):
            for layer, stored in enumerate(storage):
                storage[layer] = stored.new_empty((len(rows), *stored.shape[1:]))
                storage[layer][:, :, : self.length] = stored[rows, :, : self.length]
        self._carry(rows)

    def _carry(self, rows: Tensor) -> None:
        if self._padding_BS is not None and self._count_B is not None:
            self._padding_BS = self._padding_BS[rows]
            self._count_B = self._count_B[rows]
        self.batch = len(rows)
