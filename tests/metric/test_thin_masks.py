# SPDX-License-Identifier: Apache-2.0
"""Masks so thin that the centres of all patches miss them: the grid moves onto them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest

import cnnmetric
from support.elastix_runs import log_of
from support.elastix_runs import parameters
from support.metric_images import ball_mask
from support.metric_images import subject

SHIFT = [0.8, -0.5, 0.3]


@pytest.fixture(scope="module", params=[0.0, 0.2])
def fixed(request: pytest.FixtureRequest) -> Any:
    return subject("T1", size=(44, 45, 41), spacing=(1.0, 1.1, 0.9), angle=request.param)


@pytest.fixture(scope="module")
def moving() -> Any:
    return subject("T2", size=(64, 64, 64), spacing=(1.0,) * 3, angle=0.0)


def layer(image: Any, *, axis: int, index: int) -> Any:
    """Return a mask of one layer of voxels; axis of the array (z, y, x)."""
    mask = ball_mask(image, radius=-1.0)
    array = itk.array_view_from_image(mask)
    array[tuple(index if d == axis else slice(None) for d in range(3))] = 1
    return mask


def counted(fixed: Any, moving: Any, model: Path, mask: Any) -> int:
    """Return how many patches count."""
    metric = cnnmetric.MetricOnImages(
        fixed, moving, model=model, device="cpu", fixed_mask=mask, required_ratio=0.0
    )
    dissimilarity = itk.array_from_image(metric.maps(SHIFT).dissimilarity)
    return int(np.isfinite(dissimilarity).sum())


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("index", [18, 19, 20, 21])
def test_every_layer_is_hit(
    axis: int, index: int, fixed: Any, moving: Any, small_model: Path
) -> None:
    # A whole layer of centres lies in the mask, not one by chance.
    assert counted(fixed, moving, small_model, layer(fixed, axis=axis, index=index)) >= 20


def test_value_and_derivative_agree_on_a_thin_mask(
    fixed: Any, moving: Any, small_model: Path
) -> None:
    for index in (18, 19, 20, 21):
        metric = cnnmetric.MetricOnImages(
            fixed,
            moving,
            model=small_model,
            device="cpu",
            fixed_mask=layer(fixed, axis=0, index=index),
            interpolation_order=3,
        )
        _, derivative = metric.value_and_derivative(SHIFT)
        step = 2e-2  # mm
        differences = [
            (metric.value(np.add(SHIFT, d)) - metric.value(np.subtract(SHIFT, d))) / (2 * step)
            for d in step * np.eye(3)
        ]
        error = np.linalg.norm(derivative - differences)
        assert error < 2e-3 * np.linalg.norm(differences)


def test_a_mask_that_is_hit_leaves_the_grid_as_it_is(
    fixed: Any, moving: Any, small_model: Path
) -> None:
    origins = []
    for mask in (None, ball_mask(fixed, radius=6.0)):
        metric = cnnmetric.MetricOnImages(
            fixed, moving, model=small_model, device="cpu", fixed_mask=mask
        )
        origins.append(list(metric.maps(SHIFT).dissimilarity.GetOrigin()))
    assert origins[0] == origins[1]


def test_one_voxel(moving: Any, small_model: Path) -> None:
    fixed = subject("T1", size=(44, 45, 41), spacing=(1.0, 1.1, 0.9), angle=0.1)
    for z, y, x in ((17, 22, 21), (20, 19, 24), (21, 21, 21)):
        mask = ball_mask(fixed, radius=-1.0)
        itk.array_view_from_image(mask)[z, y, x] = 1
        assert counted(fixed, moving, small_model, mask) == 1


def test_mask_of_smaller_voxels_than_the_image(moving: Any, small_model: Path) -> None:
    # The layer lies between two layers of voxels of the image, which are 2 mm apart.
    fixed = subject("T1", size=(24, 24, 24), spacing=(2.0,) * 3, angle=0.0)
    fine = subject("T1", size=(93, 93, 93), spacing=(0.5,) * 3, angle=0.0)
    values = []
    for index in range(44, 52):  # a stride of 4 mm
        mask = layer(fine, axis=0, index=index)
        metric = cnnmetric.CNNImageToImageMetricv4(model=small_model, device="cpu")
        spatial = itk.ImageMaskSpatialObject[3].New()
        spatial.SetImage(mask)
        spatial.Update()
        metric.SetFixedImageMask(spatial)
        values.append(metric.value(fixed, moving, itk.TranslationTransform[itk.D, 3].New()))
    assert np.isfinite(values).all()


def test_layer_at_the_border_is_refused(fixed: Any, moving: Any, small_model: Path) -> None:
    with pytest.raises(cnnmetric.MetricError, match=r"no other place for one is.*at its border"):
        counted(fixed, moving, small_model, layer(fixed, axis=1, index=1))


def test_elastix_takes_a_thin_mask(moving: Any, small_model: Path, tmp_path: Path) -> None:
    fixed = subject("T1", size=(44, 45, 41), spacing=(1.0, 1.1, 0.9), angle=0.0)
    # elastix's adaptive optimizer has a sampler of its own, which finds no voxel of such a mask.
    optimizer = {"Optimizer": "RegularStepGradientDescent", "MaximumStepLength": "0.5"}
    for index in (18, 19, 20, 21):
        settings = parameters(small_model, ErodeMask="false", **optimizer)
        mask = layer(fixed, axis=0, index=index)
        log = log_of(fixed, moving, settings, tmp_path, fixed_mask=mask)
        assert "Final metric value" in log
