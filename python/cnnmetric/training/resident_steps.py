# SPDX-License-Identifier: Apache-2.0
"""Steps of gradient descent that need nothing of the host: draw, judge, descend.

On a GPU a few steps are captured once as a CUDA graph and replayed; elsewhere they run as they are.
"""

from __future__ import annotations

from abc import ABC
from abc import abstractmethod
from collections.abc import Callable

import torch

from cnnmetric.training.objectives import Objective
from cnnmetric.training.settings import TrainingSettings

# Steps before a graph is captured, which libraries use to set themselves up.
WARM_UP = 3


class ResidentSteps(ABC):
    """Batches of steps on one device, each a function of seed and step alone.

    Parameters
    ----------
    settings
        Of the run.
    objective
        Network and loss; the network is on the device.
    optimizer
        What descends; its state is used and kept.
    rate
        Learning rate of a step.
    most
        The largest number of steps taken at a time.
    """

    # Steps whose batches are drawn at once, which takes hardly longer than for one.
    at_once: int

    def __init__(
        self,
        settings: TrainingSettings,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        *,
        rate: Callable[[int], float],
        most: int,
    ) -> None:
        self._settings = settings
        self._optimizer = optimizer
        self._rate = rate
        self._weights: list[torch.Tensor] = [
            item for item in objective.network.parameters() if item.requires_grad
        ]
        self._device = self._weights[0].device
        self._generator = torch.Generator(self._device)
        self._number = torch.zeros(1, dtype=torch.long, device=self._device)
        self._rates = torch.zeros(most, device=self._device)
        self._measures = torch.zeros(most, 2, device=self._device)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._stream = _stream(self._device)
        self._wants_graph = self._stream is not None
        self._taken = 0

    @abstractmethod
    def _steps(self, place: int, count: int) -> None:
        """Draw `at_once` batches, and take so many steps with those from this place on.

        All are drawn, since the random numbers of a batch depend on how many are drawn with it.
        """

    @abstractmethod
    def _prepare(self, step: int) -> None:
        """Do what comes before the steps from this one on and is no part of a graph."""

    def start(self, first: int, count: int) -> None:
        """Begin to take so many steps; returns before they are done on a GPU."""
        self._taken = count
        rates = torch.tensor([self._rate(step) for step in range(first, first + count)])
        if self._stream is None:
            self._take(first, rates)
            return
        if self._wants_graph and self._graph is None:
            self._graph = self._captured(self._stream, first)
        with torch.cuda.stream(self._stream):
            self._take(first, rates)

    def without_graph(self) -> None:
        """Take the steps kernel by kernel, to compare; to be called before the first."""
        self._wants_graph = False

    def finish(self) -> tuple[list[float], list[float]]:
        """Wait for the steps begun; return their losses and accuracies."""
        if self._stream is not None:
            self._stream.synchronize()
        losses, accuracies = self._measures[: self._taken].T.tolist()
        return losses, accuracies

    def state(self) -> dict[tuple[int, str], torch.Tensor]:
        """Return a copy of the weights and of the optimizer's tensors."""
        return {name: item.detach().clone() for name, item in self._tensors().items()}

    def restore(self, state: dict[tuple[int, str], torch.Tensor]) -> None:
        """Write back what :meth:`state` has returned."""
        with torch.no_grad():
            for name, item in self._tensors().items():
                if name in state:
                    item.copy_(state[name])
                else:  # of an optimizer before its first step
                    item.zero_()

    def _take(self, first: int, rates: torch.Tensor) -> None:
        self._begin(rates)
        step, end = first, first + len(rates)
        while step < end:
            place = step % self.at_once
            count = min(self.at_once - place, end - step)
            self._prepare(step)
            # Wherever a run begins or ends, batches drawn at once begin at the same steps.
            self._generator.manual_seed(self._settings.seed * 2**32 + step - place)
            if self._graph is not None and count == self.at_once:
                self._graph.replay()
            else:
                self._steps(place, count)
            step += count

    def _begin(self, rates: torch.Tensor) -> None:
        self._number.zero_()
        self._rates[: len(rates)] = rates.to(self._device)

    def _rate_now(self) -> torch.Tensor:
        return self._rates.index_select(0, self._number)[0]

    def _end_step(self, loss: torch.Tensor, accuracy: torch.Tensor) -> None:
        """Keep what was measured, and go on to the next step."""
        measured = torch.stack([loss.detach(), accuracy.to(loss.dtype)])
        self._measures.index_copy_(0, self._number, measured[None])
        self._number += 1

    def _tensors(self) -> dict[tuple[int, str], torch.Tensor]:
        """Return weights and the optimizer's tensors."""
        found: dict[tuple[int, str], torch.Tensor] = {
            (number, ""): weight for number, weight in enumerate(self._weights)
        }
        for number, weight in enumerate(self._weights):
            for name, value in self._optimizer.state[weight].items():
                if isinstance(value, torch.Tensor):
                    found[number, name] = value
        return found

    def _captured(self, stream: torch.cuda.Stream, first: int) -> torch.cuda.CUDAGraph:
        """Return a graph of steps; network and optimizer are as before."""
        before = self.state()
        stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(stream):
            self._begin(torch.zeros(len(self._rates)))
            self._prepare(first)
            for _ in range(WARM_UP):
                self._number.zero_()
                self._steps(0, self.at_once)
        stream.synchronize()
        self._number.zero_()
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        with torch.cuda.graph(graph, stream=stream):
            self._steps(0, self.at_once)
        self.restore(before)
        torch.cuda.synchronize(self._device)
        return graph


def _stream(device: torch.device) -> torch.cuda.Stream | None:
    if device.type != "cuda":
        return None
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
