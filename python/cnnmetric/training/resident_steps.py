# SPDX-License-Identifier: Apache-2.0
"""Steps of gradient descent that need nothing of the host: sample, judge, descend.

On a GPU a step is captured once as a CUDA graph and replayed; elsewhere it runs as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from cnnmetric.training.data.resident import ResidentSampler
from cnnmetric.training.objectives import PatchObjective
from cnnmetric.training.settings import TrainingSettings

# Steps before a graph is captured, which libraries use to set themselves up.
WARM_UP = 3
# Steps whose patches are drawn at once, which takes hardly longer than for one.
AT_ONCE = 10


class ResidentSteps:
    """Batches of steps on one device, each a function of seed and first step.

    Parameters
    ----------
    settings
        Of the run.
    objective
        Network and loss; the network is on the sampler's device.
    optimizer
        Gradient descent with momentum, whose state is used and kept.
    sampler
        The patches.
    rate
        Learning rate of a step.
    most
        The largest number of steps taken at a time.
    as_products
        As of `PatchObjective.scores`; by default where the network allows it.
    """

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
        self._settings = settings
        self._objective = objective
        self._sampler = sampler
        self._rate = rate
        network = objective.network
        self._as_products = network.has_products if as_products is None else as_products
        self._weights: list[torch.Tensor] = list(network.parameters())
        self._device = self._weights[0].device
        self._momenta = [_momentum(optimizer, weight) for weight in self._weights]
        self._generator = torch.Generator(self._device)
        self._number = torch.zeros(1, dtype=torch.long, device=self._device)
        self._rates = torch.zeros(most, device=self._device)
        self._measures = torch.zeros(most, 2, device=self._device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._stream = _stream(self._device)
        self._taken = 0
        if self._stream is not None:
            self._capture(self._stream)

    def start(self, first: int, count: int) -> None:
        """Begin to take so many steps; returns before they are done on a GPU."""
        self._taken = count
        rates = torch.tensor([self._rate(step) for step in range(first, first + count)])
        if self._stream is None:
            self._begin(first, rates)
            self._steps(count)
            return
        with torch.cuda.stream(self._stream):
            self._begin(first, rates)
            for _ in range(count // AT_ONCE):
                if self._graph is None:
                    self._steps(AT_ONCE)
                else:
                    self._graph.replay()
            if count % AT_ONCE:
                self._steps(count % AT_ONCE)

    def without_graph(self) -> None:
        """Take the steps that follow kernel by kernel, to compare."""
        self._graph = None

    def finish(self) -> tuple[list[float], list[float]]:
        """Wait for the steps begun; return their losses and accuracies."""
        if self._stream is not None:
            self._stream.synchronize()
        losses, accuracies = self._measures[: self._taken].T.tolist()
        return losses, accuracies

    def _begin(self, first: int, rates: torch.Tensor) -> None:
        # Any run that takes the same steps at a time draws the same patches.
        self._generator.manual_seed(self._settings.seed * 2**32 + first)
        self._number.zero_()
        self._rates[: len(rates)] = rates.to(self._device)

    def _steps(self, count: int) -> None:
        """Draw the patches of so many steps and take them."""
        patches, labels = self._sampler.draw(self._generator, count)
        for batch in zip(patches.chunk(count), labels.chunk(count), strict=True):
            self._step(*batch)

    def _step(self, patches: torch.Tensor, labels: torch.Tensor) -> None:
        scores = self._objective.scores(patches, as_products=self._as_products)
        loss, right = self._objective.judge(scores, labels)
        gradients = torch.autograd.grad(loss, self._weights)
        with torch.no_grad():
            rate = self._rates.index_select(0, self._number)[0]
            # As PyTorch's optimizer, which cannot take a rate from the device into a graph.
            torch._foreach_mul_(self._momenta, self._settings.momentum)
            torch._foreach_add_(self._momenta, gradients)
            steps = torch._foreach_mul(self._momenta, rate)
            torch._foreach_add_(self._weights, list(steps), alpha=-1)
            self._measures.index_copy_(
                0, self._number, torch.stack([loss.detach(), right.to(loss.dtype)])[None]
            )
            self._number += 1

    def _capture(self, stream: torch.cuda.Stream) -> None:
        state = [item.detach().clone() for item in (*self._weights, *self._momenta)]
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            self._begin(0, torch.zeros(len(self._rates)))
            for _ in range(WARM_UP):
                self._number.zero_()
                self._steps(AT_ONCE)
        stream.synchronize()
        self._number.zero_()
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        with torch.cuda.graph(graph, stream=stream):
            self._steps(AT_ONCE)
        self._graph = graph
        with torch.no_grad():
            for item, before in zip((*self._weights, *self._momenta), state, strict=True):
                item.copy_(before)
        torch.cuda.synchronize(self._device)


def _momentum(optimizer: torch.optim.Optimizer, weight: torch.Tensor) -> torch.Tensor:
    """Return a weight's momentum, which the optimizer keeps; 0 before the first step."""
    state = optimizer.state[weight]
    if state.get("momentum_buffer") is None:
        state["momentum_buffer"] = torch.zeros_like(weight)
    found: torch.Tensor = state["momentum_buffer"]
    return found


def _stream(device: torch.device) -> torch.cuda.Stream | None:
    if device.type != "cuda":
        return None
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
