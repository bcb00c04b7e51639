# SPDX-License-Identifier: Apache-2.0
"""What tests have several processes do; a module, so that every kind of process can import it."""

from __future__ import annotations

from pathlib import Path

from torch.utils.data import Dataset

import cnnmetric
from support.elastix_runs import final_parameters
from support.elastix_runs import parameters
from support.elastix_runs import register
from support.metric_images import subject


def work(model: Path) -> list[float]:
    """Return the parameters of a registration by elastix, and a value and derivative."""
    fixed = subject("T1", size=(26, 24, 22), spacing=(1.4, 1.5, 1.5), angle=0.1)
    moving = subject("T2", size=(24, 26, 25), spacing=(1.6, 1.5, 1.5), angle=-0.1)
    settings: dict[str, str | list[str]] = {
        "NumberOfResolutions": "1",
        "CNNMetricGridSpacing": "1.5",
        "CNNMetricNumberOfThreads": "2",
        "MaximumNumberOfIterations": "3",
        "NumberOfGradientMeasurements": "2",
    }
    found = final_parameters(register(fixed, moving, parameters(model, **settings)))
    metric = cnnmetric.MetricOnImages(fixed, moving, model=model, device="cpu", grid_spacing=1.5)
    value, derivative = metric.value_and_derivative([0.0] * 3)
    return [*found, value, *derivative]


class Works(Dataset[list[float]]):
    """The same work over and over."""

    def __init__(self, model: Path, number: int) -> None:
        self._model = model
        self._number = number

    def __len__(self) -> int:
        """Return how often."""
        return self._number

    def __getitem__(self, index: int) -> list[float]:
        """Do it once more."""
        return work(self._model)
