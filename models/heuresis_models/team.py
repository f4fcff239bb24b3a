"""Several processes that train one model: each keeps a part of it and reads a part of each batch.

The weights, gradients and optimiser states are sharded by torch's FSDP2 (`fully_shard`): each
process keeps a slice of the first axis of every tensor and gathers a layer just before it is used.
Who starts the processes and connects them is none of this module's business: it finds a default
process group or works alone, and alone all of it does nothing.

Everything that decides (time, checkpoints, stopping) is said by the first process, the lead, to the
others through the CPU, so that they never disagree.

Sources: Rajbhandari et al., "ZeRO", arXiv:1910.02054; Zhao et al., "PyTorch FSDP",
arXiv:2304.11277.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed

from heuresis_models.errors import RecipeError
from heuresis_models.packing import Batch
from heuresis_models.transformer import Transformer

PATIENCE: Final = timedelta(hours=2)
"""How long the others wait for the lead, which alone evaluates and writes files."""


class Team:
    """The processes of the default group of `torch.distributed`, or this one alone.

    Args:
        device: where this process computes.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        together = distributed.is_available() and distributed.is_initialized()
        self.size: int = distributed.get_world_size() if together else 1
        self.rank: int = distributed.get_rank() if together else 0
        self._control: Any = None
        self._mesh: Any = None
        if self.size > 1:
            from torch.distributed.device_mesh import init_device_mesh

            # What is decided does not wait for the accelerator.
            self._control = distributed.new_group(backend="gloo", timeout=PATIENCE)
            self._mesh = init_device_mesh(device.type, (self.size,))

    @property
    def leads(self) -> bool:
        """Whether this process decides, evaluates and writes files."""
        return self.rank == 0

    def check(self, rows: int) -> None:
        """Refuse batches that cannot be dealt out evenly.

        Raises:
            RecipeError: the rows of a batch are no multiple of the processes.
        """
        if rows % self.size:
            raise RecipeError(
                f"a batch of {rows} rows cannot be dealt out to {self.size} workers; make"
                " optimization.batch_tokens a multiple of optimization.row_length times the workers"
            )

    def shard(self, model: Transformer) -> Transformer:
        """Move a model to the device and keep this process's part of it.

        All processes must hold equal weights. The same object is returned.
        """
        if self.size == 1:
            return model.to(self.device)
        from torch.distributed.fsdp import fully_shard

        for block in model.model.layers:
            fully_shard(block, mesh=self._mesh)
        fully_shard(model, mesh=self._mesh)
        return model

    def share(self, batch: Batch) -> Batch:
        """Return this process's rows of a batch; the token count stays that of the whole batch."""
        if self.size == 1:
            return batch
        mine = slice(self.rank, None, self.size)
        return replace(
            batch,
            token_BT=batch.token_BT[mine],
            target_BT=batch.target_BT[mine],
            document_BT=batch.document_BT[mine],
        )

    def total(self, value: Tensor) -> Tensor:
        """Return the sum over the processes of a number on the device."""
        if self.size > 1:
            value = value.clone()
            distributed.all_reduce(value)
        return value

    def agree(self, numbers: Sequence[float]) -> list[float]:
        """Return the lead's numbers; every process must ask at the same place."""
        if self.size == 1:
            return list(numbers)
        said = torch.tensor(numbers, dtype=torch.float64)
        distributed.broadcast(said, 0, group=self._control)
        return [float(number) for number in said]

    def hand_round(self, arrays: Sequence[NDArray[Any]], owner: int) -> list[NDArray[Any]]:
        """Return the arrays of one worker, on all; every one's have as many axes and equal types.

        Not for texts or objects: nothing that a worker sends is ever executed.
        """
        received = []
        for array in arrays:
            shape = torch.tensor(array.shape)
            distributed.broadcast(shape, owner, group=self._control)
            # As bytes: gloo does not know numbers of 16 bits.
            content = torch.from_numpy(
                np.ascontiguousarray(array)
                if owner == self.rank
                else np.empty(tuple(shape.tolist()), array.dtype)
            )
            distributed.broadcast(content.view(torch.uint8), owner, group=self._control)
            received.append(content.numpy())
        return received

    def whole(self, model: Transformer) -> Transformer | None:
        """Gather a model; the lead gets a plain copy on its device, the others None."""
        if self.size == 1:
            return model
        copy = Transformer(model.config) if self.leads else None
        for name, weight in model.named_parameters():
            full = whole_tensor(weight.detach())
            if copy is not None:
                copy.get_parameter(name).data.copy_(full)
        return None if copy is None else copy.to(self.device)


def whole_tensor(tensor: Tensor) -> Tensor:
    """Return all of a sharded tensor, on every process; a plain one comes back as it is."""
    if not _is_sharded(tensor):
        return tensor
    full: Tensor = tensor.full_tensor()  # type: ignore[attr-defined]
    return full


def part_of(full: Tensor, like: Tensor) -> Tensor:
    """Return a full tensor, known to every process, in the way that ``like`` is sharded."""
    if not _is_sharded(like):
        return full
    from torch.distributed.tensor import distribute_tensor

    mesh, placements = like.device_mesh, like.placements  # type: ignore[attr-defined]
    return distribute_tensor(full, mesh, placements, src_data_rank=None)


def _is_sharded(tensor: Tensor) -> bool:
    if not (distributed.is_available() and distributed.is_initialized()):
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)
