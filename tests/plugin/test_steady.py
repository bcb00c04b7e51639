# SPDX-License-Identifier: Apache-2.0
"""The same input gives the same output: repeated, on other threads, side by side, and for long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnnmetric import train
from support.elastix_runs import final_parameters
from support.elastix_runs import parameters
from support.elastix_runs import register
from support.metric_images import subject
from support.metric_images import write_small_model
from support.resident_memory import resident_memory
from support.training_images import write_pairs


@pytest.fixture(scope="module")
def fixed() -> Any:
    return subject("T1", size=(36, 34, 32), spacing=(1.4, 1.5, 1.5), angle=0.1)


@pytest.fixture(scope="module")
def moving() -> Any:
    return subject("T2", size=(34, 36, 35), spacing=(1.6, 1.5, 1.5), angle=-0.1)


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("models") / "other.onnx", seed=7)


def run(fixed: Any, moving: Any, model: Path, **changes: str | list[str]) -> list[float]:
    """Register in two resolutions with random blocks and return the parameters found."""
    settings: dict[str, str | list[str]] = {
        "NumberOfResolutions": "2",
        "CNNMetricGridSpacing": ["2.0", "1.5"],
        "CNNMetricBlockSize": "21",
        "CNNMetricNumberOfBlocks": "5",
        "MaximumNumberOfIterations": "4",
        "NumberOfGradientMeasurements": "2",
    }
    return final_parameters(register(fixed, moving, parameters(model, **settings | changes)))


@pytest.mark.parametrize("threads", ["1", "2", "3"])
@pytest.mark.parametrize("transform", ["EulerTransform", "RecursiveBSplineTransform"])
def test_same_seed_and_threads_give_the_same_bits(
    transform: str, threads: str, fixed: Any, moving: Any, small_model: Path
) -> None:
    settings = {"Transform": transform, "FinalGridSpacingInPhysicalUnits": "20"}
    first, second = (
        run(fixed, moving, small_model, CNNMetricNumberOfThreads=threads, **settings)
        for _ in range(2)
    )
    assert first == second
    assert np.abs(first).max() > 1e-3  # it moved


def test_number_of_threads_hardly_matters(fixed: Any, moving: Any, small_model: Path) -> None:
    one, two, three = (
        np.array(run(fixed, moving, small_model, CNNMetricNumberOfThreads=threads))
        for threads in ("1", "2", "3")
    )
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(three, one, rtol=1e-5, atol=1e-5)


def at_once(*jobs: Callable[[], list[float]]) -> list[list[float]]:
    """Start every job in a thread of its own, at the same moment, and return their results."""
    results: list[list[float]] = [[] for _ in jobs]
    start = threading.Barrier(len(jobs))

    def work(index: int) -> None:
        start.wait(timeout=60.0)
        results[index] = jobs[index]()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120.0)
    return results


@pytest.mark.parametrize(
    "optimizer", ["RegularStepGradientDescent", "AdaptiveStochasticGradientDescent"]
)
def test_two_registrations_at_once_are_as_one_after_the_other(
    optimizer: str, fixed: Any, moving: Any, small_model: Path, other_model: Path
) -> None:
    def job(model: Path, seed: str) -> Callable[[], list[float]]:
        return lambda: run(
            fixed,
            moving,
            model,
            RandomSeed=seed,
            Optimizer=optimizer,
            MaximumStepLength="0.5",
        )

    jobs = [job(small_model, "1"), job(other_model, "2")]
    one_after_the_other = [work() for work in jobs]
    assert one_after_the_other[0] != one_after_the_other[1]
    for _ in range(3):
        assert at_once(*jobs) == one_after_the_other
    twins = at_once(jobs[0], jobs[0])
    assert twins == [one_after_the_other[0]] * 2


def memory_after_registrations(
    number: int, fixed: Any, moving: Any, models: list[Path]
) -> list[float]:
    """Return the memory held after each tenth registration, in MB."""
    memory = []
    for index in range(number):
        model = models[index % len(models)]
        one = {"NumberOfResolutions": "1", "CNNMetricGridSpacing": "2.0"}
        run(fixed, moving, model, MaximumNumberOfIterations="1", **one)
        if (index + 1) % 10 == 0:
            memory.append(resident_memory())
    return memory


def test_memory_stays_flat(fixed: Any, moving: Any, small_model: Path, other_model: Path) -> None:
    memory = memory_after_registrations(60, fixed, moving, [small_model, other_model])
    print("MB after each tenth registration:", [round(value) for value in memory])
    after_warm_up = memory[1]
    assert memory[-1] - after_warm_up < 20.0


def test_trained_2d_network_registers(tmp_path: Path) -> None:
    table = write_pairs(tmp_path, shape=(40, 44))
    model = tmp_path / "net.onnx"
    words = [str(table), "--modalities", "T1,T2", "--out", str(model), "--dimension", "2"]
    words += ["--preset", "simonovsky2016", "--hold-out", "none"]
    words += ["--channels", "4", "--kernels", "5", "3", "--strides", "2", "1"]
    words += ["--steps", "20", "--batch-size", "8", "--device", "cpu"]
    assert train.main(words) == 0
    fixed = subject("T1", size=(48, 50), spacing=(1.0, 1.0), angle=0.1)
    moving = subject("T2", size=(50, 50), spacing=(1.1, 1.0), angle=0.0)
    size = {"CNNMetricSampling": "Full", "CNNMetricGridSpacing": "1.0"}
    settings = parameters(model, Transform="AffineTransform", CNNMetricBlockSize="21", **size)
    found = final_parameters(register(fixed, moving, settings))
    assert np.isfinite(found).all()
    assert np.abs(np.array(found) - [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]).max() > 1e-6
