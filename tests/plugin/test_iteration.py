# SPDX-License-Identifier: Apache-2.0
"""Following and stopping a registration from Python while it runs."""

from __future__ import annotations

import math
import os
import subprocess
from pathlib import Path
from typing import Any

import itk
import pytest

import cnnmetric
from support.elastix_runs import parameters
from support.elastix_runs import register
from support.metric_images import subject


@pytest.fixture(scope="module")
def images() -> tuple[Any, Any]:
    options: dict[str, Any] = {"size": (36, 36, 36), "spacing": (1.0,) * 3}
    return subject("T1", angle=0.0, **options), subject("T1", angle=0.05, **options)


@pytest.mark.parametrize(
    ("optimizer", "has_step"),
    [
        ("AdaptiveStochasticGradientDescent", True),
        ("RegularStepGradientDescent", True),
        ("QuasiNewtonLBFGS", True),
        ("ConjugateGradient", True),
        ("Simplex", False),
    ],
)
def test_callback_sees_every_iteration(
    optimizer: str, has_step: bool, images: tuple[Any, Any], difference_model: Path
) -> None:
    seen: list[cnnmetric.Iteration] = []
    settings = parameters(
        difference_model,
        Optimizer=optimizer,
        NumberOfResolutions="2",
        CNNMetricGridSpacing="1.0",
        CNNMetricSampling="Full",
        MaximumNumberOfIterations="3",
        MinimumStepLength="0.0001",
    )
    with cnnmetric.on_iteration(seen.append):
        register(*images, settings)
    assert [iteration.level for iteration in seen] == sorted(iteration.level for iteration in seen)
    assert {iteration.level for iteration in seen} == {0, 1}
    first_level = [iteration.number for iteration in seen if iteration.level == 0]
    assert first_level == list(range(len(first_level)))
    assert all(0.0 < iteration.value < 1.0 for iteration in seen)
    assert all(math.isnan(iteration.step_size) != has_step for iteration in seen)


def test_callback_gets_what_the_log_shows(
    images: tuple[Any, Any], difference_model: Path, tmp_path: Path
) -> None:
    seen: list[cnnmetric.Iteration] = []
    with cnnmetric.on_iteration(seen.append):
        register(
            *images,
            parameters(difference_model, MaximumNumberOfIterations="4"),
            log_to_file=True,
            output_directory=str(tmp_path),
            log_file_name="log",
        )
    rows = [
        line.split("\t") for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    ]
    header = next(row for row in rows if row[0] == "1:ItNr")
    table = [row for row in rows if len(row) == len(header) and row[0].isdigit()]
    assert len(seen) == len(table) == 4
    for iteration, row in zip(seen, table, strict=True):
        assert iteration.number == int(row[0])
        assert iteration.value == pytest.approx(float(row[header.index("2:Metric")]), abs=1e-5)
        shown = float(row[header.index("3b:StepSize")])
        assert iteration.step_size == pytest.approx(shown, rel=1e-4)


def test_no_callback_after_the_block(images: tuple[Any, Any], difference_model: Path) -> None:
    seen: list[cnnmetric.Iteration] = []
    with cnnmetric.on_iteration(seen.append):
        pass
    register(*images, parameters(difference_model))
    assert not seen


def test_exception_of_a_callback_stops_the_registration(
    images: tuple[Any, Any], difference_model: Path
) -> None:
    seen = []

    def stop(iteration: cnnmetric.Iteration) -> None:
        seen.append(iteration)
        if iteration.number == 1:
            raise LookupError("seen enough")

    settings = parameters(difference_model, MaximumNumberOfIterations="50")
    with cnnmetric.on_iteration(stop), pytest.raises(LookupError, match="seen enough"):
        register(*images, settings)
    assert len(seen) == 2
    register(*images, parameters(difference_model))  # the next one is not affected


def interrupt_soon() -> subprocess.Popen[bytes]:
    """Press Ctrl-C in a second, from another process: a thread might not get its turn."""
    return subprocess.Popen(["sh", "-c", f"sleep 1; kill -INT {os.getpid()}"])


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_stops_an_elastix_registration(
    images: tuple[Any, Any], difference_model: Path
) -> None:
    seen: list[cnnmetric.Iteration] = []
    senders: list[subprocess.Popen[bytes]] = []

    def interrupt_soon_after_the_first(iteration: cnnmetric.Iteration) -> None:
        if not seen:
            senders.append(interrupt_soon())
        seen.append(iteration)

    settings = parameters(difference_model, MaximumNumberOfIterations="20000")
    with (
        cnnmetric.on_iteration(interrupt_soon_after_the_first),
        pytest.raises(KeyboardInterrupt),
    ):
        register(*images, settings)
    senders[0].wait()
    assert 0 < len(seen) < 20000


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_stops_an_itkv4_registration(
    images: tuple[Any, Any], difference_model: Path
) -> None:
    type_ = itk.Image[itk.F, 3]
    registration = itk.ImageRegistrationMethodv4[type_, type_].New()
    registration.SetFixedImage(images[0])
    registration.SetMovingImage(images[1])
    registration.SetInitialTransform(itk.TranslationTransform[itk.D, 3].New())
    registration.SetMetric(cnnmetric.CNNImageToImageMetricv4(model=difference_model))
    optimizer = itk.GradientDescentOptimizerv4.New()
    optimizer.SetNumberOfIterations(20000)
    optimizer.SetMinimumConvergenceValue(-1.0)
    optimizer.SetLearningRate(1e-6)
    registration.SetOptimizer(optimizer)
    sender = interrupt_soon()
    with pytest.raises(KeyboardInterrupt):
        registration.Update()
    sender.wait()
    assert optimizer.GetCurrentIteration() < 20000
