# SPDX-License-Identifier: Apache-2.0
"""Threads that share an object take turns: each gets its own result."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import itk
import numpy as np
import pytest

import cnnmetric
from support.scripts import run_script

ITKV4 = """
import sys, threading
import itk, numpy as np, cnnmetric
rng = np.random.default_rng(0)
images = [itk.image_from_array(rng.random((n,) * 3).astype(np.float32)) for n in (20, 22, 24)]
transform = itk.TranslationTransform[itk.D, 3].New()
metric = cnnmetric.CNNImageToImageMetricv4(model=sys.argv[1], device="cpu", number_of_threads=1)
pairs = [(images[0], images[1]), (images[1], images[2]), (images[2], images[0])]
expected = [metric.value(*pair, transform) for pair in pairs]
right = []
def work(index):
    for _ in range(30):
        right.append(metric.value(*pairs[index], transform) == expected[index])
        metric.draw_new_blocks(), metric.describe()
threads = [threading.Thread(target=work, args=(index,)) for index in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len(set(expected)), len(right), all(right))
"""


def test_threads_share_a_metric_for_itkv4(small_model: Path) -> None:
    run = run_script(ITKV4, small_model)
    assert (run.returncode, run.stdout) == (0, "3 90 True\n"), run.stderr


WARNING = """
import sys, warnings
import itk, numpy as np, cnnmetric
rng = np.random.default_rng(0)
image = itk.image_from_array(rng.random((40,) * 3).astype(np.float32))
domain = itk.image_from_array(np.zeros((5,) * 3, np.float32))
domain.SetSpacing([8.0] * 3)
metric = cnnmetric.CNNImageToImageMetricv4(model=sys.argv[1], device="cpu", number_of_threads=1)
told = []
def ask(message, *_, **__):
    metric.draw_new_blocks()
    told.append(str(message))
warnings.showwarning = ask
warnings.simplefilter("always")
metric.value(image, image, itk.TranslationTransform[itk.D, 3].New(), virtual_domain=domain)
print(len(told), "grid spacing" in told[0])
"""


def test_a_warning_may_use_the_metric_that_warns(small_model: Path) -> None:
    run = run_script(WARNING, small_model, timeout=120.0)
    assert (run.returncode, run.stdout) == (0, "1 True\n"), run.stderr


def in_threads(*jobs: Callable[[], object]) -> None:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60.0)
        assert not thread.is_alive()


@pytest.mark.parametrize("transform", ["translation", "bspline"])
def test_threads_share_a_metric_on_images(transform: str, small_model: Path) -> None:
    rng = np.random.default_rng(1)
    images = [itk.image_from_array(rng.random((24,) * 3).astype(np.float32)) for _ in range(2)]
    metric = cnnmetric.MetricOnImages(
        *images,
        model=small_model,
        transform=transform,
        transform_fixed_parameters=[]
        if transform == "translation"
        else [5.0] * 3 + [-10.0] * 3 + [10.0] * 3 + np.eye(3).ravel().tolist(),
        number_of_threads=1,
    )
    places = [np.full(metric.number_of_parameters, shift) for shift in (0.0, 0.7, -1.3)]
    expected = [metric.value(list(place)) for place in places]
    assert len(set(expected)) == 3
    right: list[bool] = []

    def work(index: int) -> None:
        for _ in range(15):
            right.append(metric.value(list(places[index])) == expected[index])
            metric.draw_new_blocks()
            metric.describe()

    in_threads(*[lambda index=index: work(index) for index in range(3)])
    assert len(right) == 45
    assert all(right)


def test_registration_takes_one_turn(difference_model: Path) -> None:
    rng = np.random.default_rng(2)
    images = [itk.image_from_array(rng.random((22,) * 3).astype(np.float32)) for _ in range(3)]
    identity = itk.TranslationTransform[itk.D, 3].New()
    metric = cnnmetric.CNNImageToImageMetricv4(model=difference_model, number_of_threads=1)
    alone = metric.value(images[2], images[1], identity)
    values: list[float] = []

    def register() -> list[float]:
        optimizer = itk.RegularStepGradientDescentOptimizerv4.New()
        optimizer.SetNumberOfIterations(4)
        optimizer.SetLearningRate(0.5)
        image_type = type(images[0])
        registration = itk.ImageRegistrationMethodv4[image_type, image_type].New()
        registration.SetFixedImage(images[0])
        registration.SetMovingImage(images[1])
        registration.SetOptimizer(optimizer)
        registration.SetMetric(metric)
        registration.SetInitialTransform(itk.TranslationTransform[itk.D, 3].New())
        registration.SetNumberOfLevels(1)
        registration.SetShrinkFactorsPerLevel([1])
        registration.SetSmoothingSigmasPerLevel([0.0])
        # An observer runs inside of the registration's turn.
        optimizer.AddObserver(itk.IterationEvent(), lambda: values.append(metric.GetValue()))
        registration.Update()
        return list(registration.GetTransform().GetParameters())

    expected = register()
    assert values
    found: list[list[float]] = []
    others: list[float] = []
    in_threads(
        lambda: found.append(register()),
        lambda: others.extend(metric.value(images[2], images[1], identity) for _ in range(10)),
    )
    assert found == [expected]
    assert others == [alone] * 10
