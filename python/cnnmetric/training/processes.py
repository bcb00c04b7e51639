# SPDX-License-Identifier: Apache-2.0
"""Several processes that train one network, each on batches of its own (``torchrun``)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import distributed


@dataclass(frozen=True)
class Processes:
    """One process among all that train together.

    Gradients are averaged after every step, so that n processes with a batch of B train as one
    would with a batch of n B. Not by `DistributedDataParallel`: that follows a network's
    ``forward``, and descriptors are not trained through it.

    Attributes
    ----------
    rank
        Number of this process; 0 writes the files.
    size
        How many there are.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def of_environment(cls, device: torch.device) -> Processes:
        """Join the processes that ``torchrun`` has started; without it, be the only one."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(rank=distributed.get_rank(), size=distributed.get_world_size())

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def steps(self, start: int, stop: int) -> range:
        """Return the numbers of this process's batches for these steps; no two share one."""
        return range(start * self.size + self.rank, stop * self.size, self.size)

    def average(self, tensors: Iterable[torch.Tensor | None]) -> None:
        """Replace every tensor by its mean over the processes, in place."""
        if self.size == 1:
            return
        for tensor in tensors:
            if tensor is not None:
                distributed.all_reduce(tensor)
                tensor /= self.size

    def wait(self) -> None:
        """Wait until all processes are here, as before reading what the first one writes."""
        if self.size > 1:
            distributed.barrier()


ALONE = Processes()


def is_first() -> bool:
    """Whether this is the process that tells, before or after all have joined."""
    return os.environ.get("RANK", "0") == "0"  # of torchrun
