# SPDX-License-Identifier: Apache-2.0
"""Steps of a network of descriptors, whose crops are drawn where it is."""

from __future__ import annotations

from collections.abc import Callable

import torch

from cnnmetric.training.data.crops import RENDER_EVERY
from cnnmetric.training.data.resident_crops import ResidentCrops
from cnnmetric.training.objectives import ContrastiveObjective
from cnnmetric.training.resident_steps import ResidentSteps
from cnnmetric.training.settings import TrainingSettings


class CropSteps(ResidentSteps):
    """Steps of AdamW.

    Parameters
    ----------
    settings, objective, optimizer, rate, most
        Of `ResidentSteps`.
    sampler
        The crops.
    """

    at_once = RENDER_EVERY

    def __init__(
        self,
        settings: TrainingSettings,
        objective: ContrastiveObjective,
        optimizer: torch.optim.Optimizer,
        sampler: ResidentCrops,
        *,
        rate: Callable[[int], float],
        most: int,
    ) -> None:
        super().__init__(settings, objective, optimizer, rate=rate, most=most)
        self._objective = objective
        self._sampler = sampler
        self._graphed = self._device.type == "cuda"
        for group in optimizer.param_groups:
            group["capturable"] = self._graphed
            # A graph reads its rate where it lies.
            group["lr"] = torch.zeros((), device=self._device) if self._graphed else 0.0

    def _prepare(self, step: int) -> None:
        self._sampler.render(step)

    def _steps(self, place: int, count: int) -> None:
        batches = self._sampler.draw(self._generator, self.at_once).chunk(self.at_once)
        for crops in batches[place : place + count]:
            self._step(crops)

    def _step(self, crops: torch.Tensor) -> None:
        loss, found = self._objective.loss(crops, self._device)
        gradients = torch.autograd.grad(loss, self._weights)
        for weight, gradient in zip(self._weights, gradients, strict=True):
            weight.grad = gradient
        for group in self._optimizer.param_groups:
            if self._graphed:
                group["lr"].copy_(self._rate_now())
            else:
                group["lr"] = float(self._rate_now())
        self._optimizer.step()
        self._end_step(loss, found)
