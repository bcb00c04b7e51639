# SPDX-License-Identifier: Apache-2.0
"""Cubic B-splines, which the metric computes by itself, are those of ITK and elastix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest
from numpy.typing import NDArray

import cnnmetric
from support.elastix_runs import final_parameters
from support.elastix_runs import parameters
from support.itkv4_objects import itk_parameters
from support.metric_images import subject
from support.metric_images import write_small_model

# Control points 11 mm apart, turned against the images, that reach over a part of them only.
TURNED = (0.96, -0.28, 0.0, 0.28, 0.96, 0.0, 0.0, 0.0, 1.0)
FLAT_TURNED = (0.96, -0.28, 0.28, 0.96)
SHIFT = (2.0, -1.0, 1.5)


def grid(dimension: int) -> tuple[float, ...]:
    """Return the fixed parameters of elastix's and ITK's B-splines, which are the same."""
    numbers, origin, spacing = (7.0, 6.0, 8.0), (-30.0, -28.0, -33.0), (11.0, 12.0, 10.0)
    turned = TURNED if dimension == 3 else FLAT_TURNED
    return (*numbers[:dimension], *origin[:dimension], *spacing[:dimension], *turned)


@pytest.fixture(scope="module")
def flat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("models") / "2d.onnx", dimension=2)


@pytest.mark.parametrize("dimension", [2, 3])
def test_value_and_derivative_are_those_of_itks_transform(
    dimension: int, small_model: Path, flat_model: Path
) -> None:
    model = small_model if dimension == 3 else flat_model
    fixed, moving = (
        subject(modality, size=size[:dimension], spacing=spacing[:dimension], angle=angle)
        for modality, size, spacing, angle in (
            ("T1", (40, 44, 36), (1.0, 1.1, 1.3), 0.3),
            ("T2", (64, 70, 76), (1.2, 1.0, 1.1), -0.2),
        )
    )
    # By elastix's transform, of which only the coefficients are used.
    by_elastix = cnnmetric.MetricOnImages(
        fixed,
        moving,
        model=model,
        transform="bspline",
        transform_fixed_parameters=grid(dimension),
        device="cpu",
    )
    number = by_elastix.number_of_parameters
    coefficients = 2.0 * np.random.default_rng(1).normal(size=number)
    value, derivative = by_elastix.value_and_derivative(list(coefficients))

    transform = itk.BSplineTransform[itk.D, dimension, 3].New()
    transform.SetFixedParameters(itk_parameters(np.array(grid(dimension))))
    transform.SetParameters(itk_parameters(coefficients))
    itkv4 = cnnmetric.CNNImageToImageMetricv4(model=model, dimension=dimension, device="cpu")
    expected_value, expected = itkv4.value_and_derivative(fixed, moving, transform)

    assert value == pytest.approx(expected_value, rel=1e-5)
    assert np.count_nonzero(expected) > number // 4
    np.testing.assert_allclose(derivative, expected, atol=1e-3 * np.abs(expected).max())


def _shift(fixed: Any, *, by_bspline: bool) -> Any:
    """Return a shift as a transform of elastix from before: as such, or as equal coefficients."""
    direction = itk.array_from_matrix(fixed.GetDirection())
    values: dict[str, str | list[str]] = {
        "Transform": "TranslationTransform",
        "NumberOfParameters": "3",
        "TransformParameters": [str(value) for value in SHIFT],
    }
    if by_bspline:
        values = {
            "Transform": "BSplineTransform",
            "BSplineTransformSplineOrder": "3",
            "UseCyclicTransform": "false",
            "GridSize": ["9"] * 3,
            "GridIndex": ["0"] * 3,
            "GridSpacing": ["20"] * 3,
            "GridOrigin": ["-80"] * 3,
            "GridDirection": [str(value) for value in np.eye(3).ravel()],
            "NumberOfParameters": str(3 * 9**3),
            "TransformParameters": [str(value) for value in np.repeat(SHIFT, 9**3)],
        }
    values |= {
        "InitialTransformParameterFileName": "NoInitialTransform",
        "HowToCombineTransforms": "Compose",
        "FixedImageDimension": "3",
        "MovingImageDimension": "3",
        "FixedInternalImagePixelType": "float",
        "MovingInternalImagePixelType": "float",
        "Size": [str(n) for n in itk.size(fixed)],
        "Index": ["0"] * 3,
        "Spacing": [str(value) for value in fixed.GetSpacing()],
        "Origin": [str(value) for value in fixed.GetOrigin()],
        "Direction": [str(value) for value in direction.T.ravel()],
        "UseDirectionCosines": "true",
    }
    found = itk.ParameterObject.New()
    found.AddParameterMap({key: [v] if isinstance(v, str) else v for key, v in values.items()})
    return found


@pytest.mark.parametrize("threads", [1, 3])
def test_places_after_an_initial_transform_that_bends_are_kept(
    threads: int, small_model: Path
) -> None:
    fixed = subject("T1", size=(40, 44, 36), spacing=(1.0, 1.1, 1.3), angle=0.3)
    moving = subject("T2", size=(64, 70, 76), spacing=(1.2, 1.0, 1.1), angle=-0.2)

    def found(initial: Any) -> NDArray[np.float64]:
        registration = itk.ElastixRegistrationMethod.New(fixed, moving)
        registration.SetParameterObject(
            parameters(
                small_model,
                Transform="BSplineTransform",
                FinalGridSpacingInPhysicalUnits="14",
                AutomaticScalesEstimation="false",
                CNNMetricSampling="Blocks",
                CNNMetricNumberOfBlocks="3",
                MaximumNumberOfIterations="6",
            )
        )
        registration.SetInitialTransformParameterObject(initial)
        registration.SetLogToConsole(False)
        registration.SetNumberOfThreads(threads)
        registration.UpdateLargestPossibleRegion()
        return np.array(final_parameters(registration.GetTransformParameterObject()))

    straight, bent = (found(_shift(fixed, by_bspline=bends)) for bends in (False, True))
    assert np.abs(straight).max() > 0.1
    np.testing.assert_allclose(bent, straight, atol=2e-3 * np.abs(straight).max())
