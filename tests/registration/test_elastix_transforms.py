# SPDX-License-Identifier: Apache-2.0
"""Transforms of elastix that ITK does not have, or combines otherwise, end as elastix has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest

import cnnmetric
from cnnmetric.images import warping
from cnnmetric.registration import elastix_transforms
from support.known_pair import LANDMARK

FIRST = (np.diag([1.1, 0.95, 1.0]), np.array([3.0, -2.0, 1.0]))
SECOND = (
    np.array([[1.0, 0.1, 0.0], [0.0, 1.0, 0.0], [0.0, 0.05, 0.9]]),
    np.array([1.0, 4.0, -2.0]),
)


def affine_chain(combination: str) -> Any:
    chain = itk.ParameterObject.New()
    for matrix, shift in (FIRST, SECOND):
        chain.AddParameterMap(
            {
                "Transform": ["AffineTransform"],
                "NumberOfParameters": ["12"],
                "TransformParameters": [str(value) for value in [*matrix.ravel(), *shift]],
                "CenterOfRotationPoint": ["0", "0", "0"],
                "HowToCombineTransforms": [combination],
                "FixedImageDimension": ["3"],
                "MovingImageDimension": ["3"],
            }
        )
    return chain


@pytest.mark.parametrize(("combination", "parts"), [("Compose", 2), ("Add", 1)])
def test_two_transforms_are_combined_as_they_say(combination: str, parts: int, fixed: Any) -> None:
    found = elastix_transforms.to_itk(affine_chain(combination), fixed)
    assert len(found) == parts
    (a, shift), (b, further) = FIRST, SECOND
    then = LANDMARK @ a.T + shift
    if combination == "Compose":
        expected = then @ b.T + further
    else:
        expected = then + (LANDMARK @ b.T + further) - LANDMARK
    whole = warping.composite_transform(found, 3)
    np.testing.assert_allclose(warping.map_points(whole, LANDMARK), expected, atol=1e-4)


def stage(transform: str, model: Path, **changes: str) -> dict[str, str]:
    return {
        "Transform": transform,
        "Metric": "CNNMetric",
        "CNNMetricModel": str(model),
        "CNNMetricGridSpacing": "2",
        "CNNMetricNumberOfBlocks": "2",
        "NumberOfResolutions": "1",
        "FixedImagePyramid": "FixedSmoothingImagePyramid",
        "MovingImagePyramid": "MovingSmoothingImagePyramid",
        "Optimizer": "RegularStepGradientDescent",
        "MaximumNumberOfIterations": "2",
        "MaximumStepLength": "1",
        "AutomaticScalesEstimation": "true",
        **changes,
    }


@pytest.mark.parametrize(
    ("initial", "second"),
    [
        (False, ("AffineTransform", "Compose")),
        (True, ("AffineTransform", "Add")),
        (True, ("AffineLogTransform", "Compose")),
    ],
)
def test_a_result_is_saved_as_elastix_has_it(
    initial: bool,
    second: tuple[str, str],
    fixed: Any,
    moving: Any,
    difference_model: Path,
    tmp_path: Path,
) -> None:
    start = itk.Euler3DTransform[itk.D].New()
    start.SetRotation(0.05, -0.05, 0.1)
    transform, combination = second
    result = cnnmetric.register(
        fixed,
        moving,
        initial=start if initial else None,
        parameters=[
            stage("EulerTransform", difference_model),
            stage(transform, difference_model, HowToCombineTransforms=combination),
        ],
        threads=1,
    )
    files = result.save(tmp_path)
    chain = elastix_transforms.read_chain(
        max(file for file in files if file.name.startswith("TransformParameters"))
    )
    np.testing.assert_allclose(
        elastix_transforms.sampled(chain, fixed),
        itk.array_from_image(result.displacement),
        atol=2e-3,
    )


def test_a_transform_that_is_changed_later_leaves_the_result_alone(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    start = itk.TranslationTransform[itk.D, 3].New()
    composite = itk.CompositeTransform[itk.D, 3].New()
    composite.AddTransform(start)
    result = cnnmetric.register(
        fixed,
        moving,
        initial=composite,
        parameters=stage("EulerTransform", difference_model),
        threads=1,
    )
    before = result.apply(LANDMARK)
    start.SetOffset([9.0, 9.0, 9.0])
    np.testing.assert_array_equal(result.apply(LANDMARK), before)
