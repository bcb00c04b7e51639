# SPDX-License-Identifier: Apache-2.0
"""Steps of a network of patches, which are drawn where it is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import torch

from cnnmetric.training.data.resident import ResidentSampler
from cnnmetric.training.objectives import PatchObjective
from cnnmetric.training.resident_steps import ResidentSteps
from cnnmetric.training.settings import TrainingSettings


class PatchSteps(ResidentSteps):
    """Gradient descent with momentum.

    Parameters
    ----------
    settings, objective, optimizer, rate, most
        Of `ResidentSteps`.
    sampler
        The patches.
    as_products
        As of `PatchObjective.scores`; by default where the network allows it.
    """

    at_once = 10

    def __init__(
        self,
        settings: TrainingSettings,
        objective: PatchObjective,
        optimizer: torch.optim.Optimizer,
        sampler: ResidentSampler,
        *,
        rate: Callable[[int], float],
        most: int,
        as_products: bool | None = None,
    ) -> None:
        super().__init__(settings, objective, optimizer, rate=rate, most=most)
        self._objective = objective
        self._sampler = sampler
        network = objective.network
        self._as_products = network.has_products if as_products is None else as_products
        self._momenta = [_momentum(optimizer, weight) for weight in self._weights]

    def _prepare(self, step: int) -> None:
        self._sampler.render(step)

    def _steps(self, place: int, count: int) -> None:
        drawn = self._sampler.draw(self._generator, self.at_once)
        batches = zip(*(item.chunk(self.at_once) for item in drawn), strict=True)
        for patches, labels in islice(batches, place, place + count):
            self._step(patches, labels)

    def _step(self, patches: torch.Tensor, labels: torch.Tensor) -> None:
        scores = self._objective.scores(patches, as_products=self._as_products)
        loss, right = self._objective.judge(scores, labels)
        gradients = torch.autograd.grad(loss, self._weights)
        with torch.no_grad():
            # As PyTorch's optimizer, which cannot take a rate from the device into a graph.
            torch._foreach_mul_(self._momenta, self._settings.momentum)
            torch._foreach_add_(self._momenta, gradients)
            steps = torch._foreach_mul(self._momenta, self._rate_now())
            torch._foreach_add_(self._weights, list(steps), alpha=-1)
            self._end_step(loss, right)


def _momentum(optimizer: torch.optim.Optimizer, weight: torch.Tensor) -> torch.Tensor:
    """Return a weight's momentum, which the optimizer keeps; 0 before the first step."""
    state = optimizer.state[weight]
    if state.get("momentum_buffer") is None:
        state["momentum_buffer"] = torch.zeros_like(weight)
    found: torch.Tensor = state["momentum_buffer"]
    return found
