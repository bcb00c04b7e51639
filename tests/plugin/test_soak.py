# SPDX-License-Identifier: Apache-2.0
"""Hundreds of registrations by every entry point in one process; its memory stays flat.

`make soak` runs it. Each entry point has its turn in a process of its own, so that one that keeps
memory does not hide behind another one that gives it back.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import itk
import pytest

import cnnmetric
from cnnmetric.registration.field_level import FieldLevel
from support.elastix_runs import parameters
from support.elastix_runs import register
from support.metric_images import subject
from support.metric_images import write_small_model
from support.resident_memory import resident_memory

NUMBER = int(os.environ.get("CNNMETRIC_SOAK", "500"))
# Of the registrations, how many libraries may set themselves up in.
WARM_UP = 0.2
# What memory may grow by after these, in MB.
ALLOWED = 20.0
FloatImage = itk.Image[itk.F, 3]


def by_function(fixed: Any, moving: Any, model: Path) -> None:
    register(fixed, moving, parameters(model, MaximumNumberOfIterations="1"))


def by_object(fixed: Any, moving: Any, model: Path) -> None:
    found = itk.ElastixRegistrationMethod[FloatImage, FloatImage].New(fixed, moving)
    found.SetParameterObject(parameters(model, Transform="AffineTransform"))
    found.SetLogToConsole(False)
    found.UpdateLargestPossibleRegion()


def by_register(fixed: Any, moving: Any, model: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        maps = dict(parameters(model).GetParameterMap(0).items())
        result = cnnmetric.register(fixed, moving, model=model, device="cpu", parameters=maps)
        result.save(Path(folder) / "result")


def by_field(fixed: Any, moving: Any, model: Path) -> None:
    levels = [FieldLevel(grid_spacing=2.0, iterations=2)]
    cnnmetric.register_displacement_field(fixed, moving, model=model, device="cpu", levels=levels)


def by_itkv4(fixed: Any, moving: Any, model: Path) -> None:
    metric = cnnmetric.CNNImageToImageMetricv4(model=model, device="cpu")
    optimizer = itk.RegularStepGradientDescentOptimizerv4.New()
    optimizer.SetNumberOfIterations(1)
    registration = itk.ImageRegistrationMethodv4[FloatImage, FloatImage].New()
    registration.SetFixedImage(fixed)
    registration.SetMovingImage(moving)
    registration.SetMetric(metric)
    registration.SetOptimizer(optimizer)
    registration.SetInitialTransform(itk.Euler3DTransform[itk.D].New())
    registration.SetNumberOfLevels(1)
    registration.SetShrinkFactorsPerLevel([1])
    registration.SetSmoothingSigmasPerLevel([0])
    registration.Update()


def by_metric(fixed: Any, moving: Any, model: Path) -> None:
    metric = cnnmetric.MetricOnImages(fixed, moving, model=model, device="cpu")
    metric.value_and_derivative([0.0] * 3)


def by_network(fixed: Any, moving: Any, model: Path) -> None:
    network = cnnmetric.DissimilarityNetwork(model, device="cpu")
    network.map_and_gradient(
        *(itk.array_from_image(image)[:21, :21, :21] for image in (fixed, moving))
    )


def refused(fixed: Any, moving: Any, model: Path) -> None:
    with pytest.raises(cnnmetric.MetricError, match="CNNMetricBlokSize"):
        register(fixed, moving, parameters(model, CNNMetricBlokSize="21"))


EVERY = {
    work.__name__: work
    for work in (
        by_function,
        by_object,
        by_register,
        by_field,
        by_itkv4,
        by_metric,
        by_network,
        refused,
    )
}


def held(name: str, model: Path, number: int) -> list[float]:
    """Return the memory held after each twentieth of so many registrations, in MB."""
    work: Callable[[Any, Any, Path], None] = EVERY[name]
    fixed = subject("T1", size=(26, 24, 25), spacing=(1.5,) * 3, angle=0.1)
    moving = subject("T2", size=(24, 26, 25), spacing=(1.5,) * 3, angle=-0.1)
    found = []
    for index in range(number):
        work(fixed, moving, model)
        if (index + 1) % max(number // 20, 1) == 0:
            gc.collect()
            # Memory that is free but in pieces is no loss.
            ctypes.CDLL(None).malloc_trim(0)
            found.append(resident_memory())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_memory_stays_flat_by_every_entry_point(name: str, tmp_path: Path) -> None:
    model = write_small_model(tmp_path / "small.onnx")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        memory = pool.apply(held, (name, model, NUMBER))
    print(f"{name}, MB after each twentieth of {NUMBER}:", [round(value) for value in memory])
    assert memory[-1] - memory[int(WARM_UP * len(memory))] < ALLOWED
