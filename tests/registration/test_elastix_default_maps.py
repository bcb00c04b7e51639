# SPDX-License-Identifier: Apache-2.0
"""elastix's own default parameter maps with only the metric changed, and images they do not fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import itk
import pytest

import cnnmetric
from support.elastix_runs import log_of
from support.elastix_runs import parameters
from support.elastix_runs import register
from support.elastix_runs import setups
from support.metric_images import subject


@pytest.fixture(scope="module")
def fixed() -> Any:
    # Of a newborn's head: 100 mm along the shortest axis, in few voxels.
    return subject("T1", size=(25, 34, 30), spacing=(4.0,) * 3, angle=0.0)


@pytest.mark.parametrize("transform", ["rigid", "affine", "bspline"])
def test_default_map_registers(
    transform: str, fixed: Any, difference_model: Path, tmp_path: Path
) -> None:
    settings = itk.ParameterObject.New()
    values = dict(settings.GetDefaultParameterMap(transform))
    values |= {
        "Metric": ["CNNMetric"],
        "CNNMetricModel": [str(difference_model)],
        "CNNMetricDevice": ["cpu"],
        "NumberOfSpatialSamples": ["20"],
        "MaximumNumberOfIterations": ["1"],
        "WriteResultImage": ["false"],
        "NumberOfGradientMeasurements": ["1"],
        "NumberOfJacobianMeasurements": ["200"],
    }
    if transform == "bspline":  # without the penalty, and without measurements that take seconds
        values |= {
            "Registration": ["MultiResolutionRegistration"],
            "AutomaticParameterEstimation": ["false"],
        }
    settings.AddParameterMap(values)
    # A patch has 17 voxels; the two levels at 8 and 4 mm would need 136 mm and 68 mm.
    with pytest.warns(UserWarning, match="CNNMetric, resolution 0:") as caught:
        log = log_of(fixed, fixed, settings, tmp_path)
    assert len(caught) == 1
    text = str(caught[0].message)
    assert re.search(r"spacing of 8 mm.*17 voxels.*so the grid spacing is 4\.8 mm", text)
    assert log.count(text) == 1
    spacings = [re.search(r"grid spacing ([\d.]+) mm", line) for line in setups(log)]
    assert [found and float(found[1]) for found in spacings] == [4.8, 4.0, 2.0, 1.0]


def test_warning_may_be_an_error(fixed: Any, difference_model: Path) -> None:
    settings = parameters(difference_model, NumberOfResolutions="4")
    # The tests make errors of all warnings.
    with pytest.raises(UserWarning, match="resolution 0"):
        register(fixed, fixed, settings)


def test_grid_of_the_user_is_not_changed(fixed: Any, difference_model: Path) -> None:
    settings = parameters(
        difference_model, NumberOfResolutions="2", CNNMetricGridSpacing=["8", "1"]
    )
    with pytest.raises(
        cnnmetric.MetricError, match=r"needs 128 mm.*Lower CNNMetricGrid.*largest that fits is 6 mm"
    ):
        register(fixed, fixed, settings)


def test_image_too_small_for_the_models_own_grid(difference_model: Path) -> None:
    small = subject("T1", size=(12, 34, 30), spacing=(1.0,) * 3, angle=0.0)
    settings = parameters(difference_model, NumberOfResolutions="3")
    with pytest.raises(cnnmetric.MetricError, match=r"17 voxels at a grid spacing of 1 mm needs"):
        register(small, small, settings)


@pytest.mark.parametrize("role", ["fixed", "moving"])
def test_two_slices(role: str, fixed: Any, difference_model: Path) -> None:
    flat = subject("T1", size=(30, 34, 2), spacing=(1.0,) * 3, angle=0.0)
    pair = (flat, fixed) if role == "fixed" else (fixed, flat)
    message = rf"The {role} image has 30 x 34 x 2 voxels.*SmoothingImagePyramid needs at least 4"
    with pytest.raises(cnnmetric.MetricError, match=message):
        register(*pair, parameters(difference_model))


def test_moving_image_of_one_slice_in_elastix(fixed: Any, difference_model: Path) -> None:
    flat = subject("T1", size=(30, 34, 1), spacing=(1.0,) * 3, angle=0.0)
    with pytest.raises(cnnmetric.MetricError, match=r"has 30 x 34 x 1 voxels, but .*linear interp"):
        register(fixed, flat, parameters(difference_model))


def test_two_slices_far_apart_that_a_pyramid_leaves_alone(difference_model: Path) -> None:
    apart = subject("T1", size=(30, 34, 2), spacing=(1.0, 1.0, 20.0), angle=0.0)
    settings = parameters(
        difference_model,
        FixedImagePyramid="FixedShrinkingImagePyramid",
        MovingImagePyramid="MovingShrinkingImagePyramid",
        AutomaticScalesEstimation="false",
        Optimizer="RegularStepGradientDescent",
    )
    register(apart, apart, settings)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CNNMetricNumberOfBlocks", "2147483647", "is 2147483647 but .* at most 10000"),
        ("CNNMetricNumberOfThreads", "2147483647", "is 2147483647 but must be at most 1024"),
        ("CNNMetricGridSpacing", "1e-9", "more than 134 million"),
        ("NumberOfSpatialSamples", "2000000000", "asks for 2000000000 patches"),
    ],
)
def test_number_without_end(
    name: str, value: str, message: str, fixed: Any, difference_model: Path
) -> None:
    settings = parameters(
        difference_model, **{name: value, "ImageSampler": "Random", "CNNMetricSampling": "Blocks"}
    )
    with pytest.raises(cnnmetric.MetricError, match=message):
        register(fixed, fixed, settings)


def of_short(image: Any, model: Path) -> Any:
    short = {f"{role}InternalImagePixelType": "short" for role in ("Fixed", "Moving")}
    return register(image, image, parameters(model, **short))


def test_short_internal_pixels_of_an_image_from_0_to_1(fixed: Any, difference_model: Path) -> None:
    scaled = itk.image_duplicator(fixed)
    array = itk.array_view_from_image(scaled)
    array *= 0.9 / array.max()
    message = (
        r'cuts off decimals.*write \(FixedInternalImagePixelType "float"\) and '
        r'\(MovingInternalImagePixelType "float"\)'
    )
    with pytest.raises(cnnmetric.MetricError, match=rf"image is constant.*{message}"):
        of_short(scaled, difference_model)
    array *= 5
    with pytest.warns(UserWarning, match=rf"no more than \d grey levels.*{message}"):
        of_short(scaled, difference_model)
    array *= 100
    of_short(scaled, difference_model)


def test_samples_meant_for_voxels_are_explained(difference_model: Path, tmp_path: Path) -> None:
    image = subject("T1", size=(60, 62, 61), spacing=(1.0,) * 3, angle=0.0)
    settings = parameters(
        difference_model,
        ImageSampler="RandomCoordinate",
        NumberOfSpatialSamples="1500",
        NumberOfResolutions="2",
        MaximumNumberOfIterations="1",
    )
    settings.RemoveParameter("CNNMetricNumberOfBlocks")
    settings.SetParameter("CNNMetricGridSpacing", "1")
    message = r"Samples 1500 counts patches.*12 blocks of 33 voxels.*1\.5 times.*NumberOfBlocks 8\)"
    with pytest.warns(UserWarning, match=message) as caught:
        log = log_of(image, image, settings, tmp_path)
    assert len(caught) == 1
    assert all("sampling 12 blocks" in line for line in setups(log))


def test_wrong_modality_of_a_symmetric_model(
    fixed: Any, difference_model: Path, tmp_path: Path
) -> None:
    values = {"CNNMetricFixedModality": "CT", "NumberOfResolutions": "2"}
    settings = parameters(difference_model, MaximumNumberOfIterations="1", **values)
    settings.SetParameter("CNNMetricGridSpacing", ["4", "4"])
    with pytest.warns(UserWarning, match='"CT" is not a modality of') as caught:
        log_of(fixed, fixed, settings, tmp_path)
    assert len(caught) == 1
