# SPDX-License-Identifier: Apache-2.0
"""Where the steps of a run are taken: batches from the host, or everything on the GPU."""

from __future__ import annotations

import math
from abc import ABC
from abc import abstractmethod
from collections.abc import Generator
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset

from cnnmetric.errors import CNNMetricError
from cnnmetric.training.crop_steps import CropSteps
from cnnmetric.training.data.material import Material
from cnnmetric.training.data.resident import ResidentSampler
from cnnmetric.training.data.resident_crops import ResidentCrops
from cnnmetric.training.data.resident_images import ResidentImages
from cnnmetric.training.data.resident_materials import shapes_of
from cnnmetric.training.interruption import StopRequest
from cnnmetric.training.interruption import leave_signals
from cnnmetric.training.interruption import unless_stopped
from cnnmetric.training.objectives import ContrastiveObjective
from cnnmetric.training.objectives import Objective
from cnnmetric.training.objectives import PatchObjective
from cnnmetric.training.patch_steps import PatchSteps
from cnnmetric.training.processes import Processes
from cnnmetric.training.resident_steps import ResidentSteps
from cnnmetric.training.schedule import learning_rate
from cnnmetric.training.settings import TrainingSettings

# Steps between two looks at the clock, at signals and at the loss, where all is on the GPU.
CHUNK = 60
# Of the GPU's free memory, what images may fill.
SHARE_OF_MEMORY = 0.6


@dataclass(frozen=True)
class Taken:
    """Steps that were taken: their losses and accuracies, and whether a signal came."""

    losses: list[float]
    accuracies: list[float]
    stop: bool


class Steps(ABC):
    """The steps of a run, which change network and optimizer in place."""

    # Where batches are drawn, "host" or "GPU".
    sampling: str

    @abstractmethod
    def take(self, start: int, request: StopRequest) -> Generator[Taken]:
        """Take the steps from this one on, some at a time."""


class _Sent(Dataset[Any]):
    """Batches, or the error by which there is none: PyTorch gives what is raised other words."""

    def __init__(self, sampler: Dataset[Any]) -> None:
        self._sampler = sampler

    def __getitem__(self, step: int) -> Any:
        try:
            return self._sampler[step]
        except CNNMetricError as error:
            return type(error)(str(error))  # without traceback, which keeps frames alive


class HostSteps(Steps):
    """One step after the other, with batches that other processes sample."""

    sampling = "host"

    def __init__(
        self,
        settings: TrainingSettings,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        materials: Sequence[Material],
        processes: Processes,
    ) -> None:
        self._settings = settings
        self._objective = objective
        self._optimizer = optimizer
        self._processes = processes
        self._sampler = objective.sampler(materials, settings)

    def take(self, start: int, request: StopRequest) -> Generator[Taken]:
        """Take one step at a time.

        Raises
        ------
        CNNMetricError
            If a batch cannot be drawn.
        """
        settings = self._settings
        batches = DataLoader(
            _Sent(self._sampler),
            batch_size=None,
            sampler=self._processes.steps(start, settings.steps),
            num_workers=settings.workers,
            worker_init_fn=leave_signals,
        )
        # Closed whatever happens: processes that leave signals alone would outlive an error.
        with closing(unless_stopped(batches, request)) as loaded:
            for number, batch in enumerate(loaded, start):
                if isinstance(batch, CNNMetricError):
                    raise batch
                yield self._step(batch, number, request)

    def _step(self, batch: Any, step: int, request: StopRequest) -> Taken:
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self._settings, step)
        network = self._objective.network
        loss, right = self._objective.loss(batch, next(network.parameters()).device)
        asked = torch.full_like(right, bool(request.signal))
        measures = torch.stack([loss.detach(), right, asked])
        self._processes.average([measures])
        value, accuracy, stop = measures.tolist()
        if math.isfinite(value):  # the same in all processes
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._processes.average(weight.grad for weight in network.parameters())
            self._optimizer.step()
        return Taken([value], [accuracy], bool(stop))


class GraphSteps(Steps):
    """Many steps at a time, of which the host only hears the loss."""

    sampling = "GPU"

    def __init__(self, settings: TrainingSettings, steps: ResidentSteps) -> None:
        self._settings = settings
        self._steps = steps

    def take(self, start: int, request: StopRequest) -> Generator[Taken]:
        """Take the steps up to the next multiple of `CHUNK` at a time.

        So that a run that goes on is validated after the same steps as one that never stopped.
        """
        while start < self._settings.steps:
            count = min(CHUNK - start % CHUNK, self._settings.steps - start)
            self._steps.start(start, count)
            losses, accuracies = self._steps.finish()
            yield Taken(losses, accuracies, bool(request.signal))
            start += count


def steps_of(
    settings: TrainingSettings,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    materials: Sequence[Material],
    processes: Processes,
) -> Steps:
    """Return the steps of a run; the network is on its device.

    Patches and crops are drawn on a GPU that has room for all images, in a run of one process.
    """
    device = next(objective.network.parameters()).device
    if device.type != "cuda" or processes.size > 1:
        return HostSteps(settings, objective, optimizer, materials, processes)
    needed = ResidentImages.memory(shapes_of(materials))
    if needed > SHARE_OF_MEMORY * torch.cuda.mem_get_info(device)[0]:
        return HostSteps(settings, objective, optimizer, materials, processes)
    return graph_steps(settings, objective, optimizer, materials)


def graph_steps(
    settings: TrainingSettings,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    materials: Sequence[Material],
) -> GraphSteps:
    """Return steps that are taken where the network is, with all images there.

    Raises
    ------
    DataError
        If a pair has no room for a patch, as `sampling.PatchSampler` says.
    """
    resident = resident_steps(
        settings,
        objective,
        optimizer,
        materials,
        rate=lambda step: learning_rate(settings, step),
        most=CHUNK,
    )
    return GraphSteps(settings, resident)


def resident_steps(
    settings: TrainingSettings,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    materials: Sequence[Material],
    **options: Any,
) -> ResidentSteps:
    """Return steps of the objective's kind, with all images where the network is.

    The options are those of `PatchSteps` or `CropSteps`.
    """
    device = next(objective.network.parameters()).device
    if isinstance(objective, ContrastiveObjective):
        crops = ResidentCrops(materials, settings, device=device)
        return CropSteps(settings, objective, optimizer, crops, **options)
    assert isinstance(objective, PatchObjective)
    objective.sampler(materials, settings)  # looks for room in every pair
    patches = ResidentSampler(
        materials, settings, edge=objective.network.receptive_field, device=device
    )
    return PatchSteps(settings, objective, optimizer, patches, **options)
