# SPDX-License-Identifier: Apache-2.0
"""Wide empty margins: blocks of background alone are evaluated once, and nothing else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest

import cnnmetric
from support.metric_images import image_of
from support.metric_images import subject
from support.metric_images import write_small_model

MARGIN = 24  # voxels
PARAMETERS = [1.3, -0.7, 0.4]


def padded(image: Any) -> Any:
    array = itk.array_from_image(image)
    array[array < 0.05] = 0.0
    return image_of(
        np.pad(array, MARGIN),
        spacing=(1.0,) * 3,
        origin=[value - MARGIN for value in image.GetOrigin()],
        direction=np.eye(3),
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    return write_small_model(folder / "clips.onnx", quantiles=(0.01, 0.999))


def metric_of(model: Path, *, block_size: int) -> cnnmetric.MetricOnImages:
    fixed = padded(subject("T1", size=(28, 26, 24), spacing=(1.0,) * 3, angle=0.0))
    moving = padded(subject("T2", size=(28, 26, 24), spacing=(1.0,) * 3, angle=0.0))
    return cnnmetric.MetricOnImages(
        fixed, moving, model=model, device="cpu", number_of_threads=2, block_size=block_size
    )


def test_small_blocks_give_the_result_of_one_large_block(model: Path) -> None:
    # One block of the whole image is not background, and small blocks at the border are.
    small, large = (metric_of(model, block_size=size) for size in (21, 17 + 4 * 50))
    (value, derivative), (expected, expected_derivative) = (
        metric.value_and_derivative(PARAMETERS) for metric in (small, large)
    )
    assert value == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(derivative, expected_derivative, rtol=1e-4, atol=1e-9)
    assert small.value(PARAMETERS) == pytest.approx(value, rel=1e-12)
    maps, expected_maps = small.maps(PARAMETERS), large.maps(PARAMETERS)
    for name in ("dissimilarity", "derivative"):
        np.testing.assert_allclose(
            itk.array_from_image(getattr(maps, name)),
            itk.array_from_image(getattr(expected_maps, name)),
            rtol=1e-4,
            atol=1e-6,
        )


def test_value_of_background_is_that_of_the_network(model: Path) -> None:
    dissimilarity = itk.array_from_image(
        metric_of(model, block_size=21).maps(PARAMETERS).dissimilarity
    )
    nothing = np.zeros((17, 17, 17), dtype=np.float32)
    expected = cnnmetric.DissimilarityNetwork(model, device="cpu")(
        nothing, nothing, normalised=True
    )
    assert dissimilarity[0, 0, 0] == pytest.approx(float(expected[0, 0, 0]), rel=1e-5)
    assert np.unique(dissimilarity[0]).size == 1
