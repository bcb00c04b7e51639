# SPDX-License-Identifier: Apache-2.0
"""The derivative of the metric is the derivative of its value: Eq. 5 against finite differences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import cnnmetric
from support.metric_images import ball_mask
from support.metric_images import subject
from support.metric_images import write_small_model

CENTRE = (1.0, 2.0, 3.0)
IDENTITY = tuple(np.eye(3).ravel())
# A B-spline grid of 7 x 7 x 7 control points, 15 mm apart, around the images.
CONTROL_POINTS = (7.0,) * 3 + (-45.0,) * 3 + (15.0,) * 3 + IDENTITY
# Per transform: fixed parameters, and the size of a typical change of each kind of parameter,
# which keeps rotations (radians) and translations (mm) comparable.
TRANSFORMS: dict[str, tuple[tuple[float, ...], list[float]]] = {
    "translation": ((), [1.0] * 3),
    "euler": (CENTRE, [0.03] * 3 + [1.0] * 3),
    "similarity": (CENTRE, [0.03] * 3 + [1.0] * 3 + [0.03]),
    "affine": (CENTRE, [0.03] * 9 + [1.0] * 3),
    "bspline": (CONTROL_POINTS, [1.0] * 1029),
    "recursive_bspline": (CONTROL_POINTS, [1.0] * 1029),
}


@pytest.fixture(scope="module")
def fixed() -> Any:
    return subject("T1", size=(40, 44, 36), spacing=(1.0, 1.1, 1.3), angle=0.3)


@pytest.fixture(scope="module")
def moving() -> Any:
    # Larger than the fixed image: where voxels enter or leave the field of view, the value jumps,
    # as it does for every metric that leaves samples out.
    return subject("T2", size=(64, 70, 76), spacing=(1.2, 1.0, 1.1), angle=-0.2)


def parameters_of(transform: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return parameters away from the identity, and the scale of each."""
    scale = np.array(TRANSFORMS[transform][1])
    parameters = np.random.default_rng(1).normal(size=scale.size) * scale
    if transform == "affine":
        parameters[:9] += np.eye(3).ravel()
    if transform == "similarity":
        parameters[6] += 1.0
    return parameters, scale


def relative_error(
    metric: cnnmetric.MetricOnImages,
    parameters: NDArray[np.float64],
    scale: NDArray[np.float64],
    step: float = 2e-2,
) -> float:
    """Compare analytic and central-difference derivative in the direction of steepest ascent."""
    _, derivative = metric.value_and_derivative(list(parameters))
    direction = derivative * scale**2
    direction /= np.abs(direction / scale).max()
    analytic = float(derivative @ direction)
    ahead = metric.value(list(parameters + step * direction))
    behind = metric.value(list(parameters - step * direction))
    return abs((ahead - behind) / (2.0 * step) - analytic) / abs(analytic)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("sampling", ["Full", "Blocks"])
def test_derivative_equals_finite_differences(
    transform: str, sampling: str, fixed: Any, moving: Any, small_model: Path
) -> None:
    metric = cnnmetric.MetricOnImages(
        fixed,
        moving,
        model=small_model,
        transform=transform,
        transform_fixed_parameters=TRANSFORMS[transform][0],
        interpolation_order=3,
        sampling=sampling,
        number_of_blocks=6,
        block_size=25,
    )
    assert relative_error(metric, *parameters_of(transform)) < 1e-3


@pytest.mark.parametrize("sampling", ["Full", "Blocks"])
def test_derivative_with_masks(sampling: str, fixed: Any, moving: Any, small_model: Path) -> None:
    metric = cnnmetric.MetricOnImages(
        fixed,
        moving,
        model=small_model,
        fixed_mask=ball_mask(fixed, radius=16.0),
        moving_mask=ball_mask(moving, radius=20.0),
        transform="euler",
        transform_fixed_parameters=CENTRE,
        interpolation_order=3,
        sampling=sampling,
        number_of_blocks=6,
        block_size=25,
    )
    assert relative_error(metric, *parameters_of("euler")) < 1e-3


@pytest.mark.parametrize(
    "options",
    [{"fixed_modality": "T2"}, {"grid_spacing": 1.4}],
    ids=["other-modality-moves", "coarser-grid"],
)
def test_derivative_with_other_options(
    options: dict[str, Any], fixed: Any, moving: Any, small_model: Path
) -> None:
    if options.get("fixed_modality") == "T2":
        fixed, moving = (
            subject("T2", size=(40, 44, 36), spacing=(1.0, 1.1, 1.3), angle=0.3),
            subject("T1", size=(64, 70, 76), spacing=(1.2, 1.0, 1.1), angle=-0.2),
        )
    metric = cnnmetric.MetricOnImages(
        fixed,
        moving,
        model=small_model,
        transform="affine",
        transform_fixed_parameters=CENTRE,
        interpolation_order=3,
        **options,
    )
    assert relative_error(metric, *parameters_of("affine")) < 1e-3


def test_a_model_for_any_modality_takes_every_name(
    fixed: Any, moving: Any, small_model: Path, tmp_path: Path
) -> None:
    model = write_small_model(tmp_path / "any.onnx", modalities=("any", "any"))

    def value(model: Path, name: str) -> float:
        metric = cnnmetric.MetricOnImages(
            fixed, moving, model=model, fixed_modality=name, transform="translation"
        )
        found = metric.value_and_derivative([0.5, -0.5, 1.0])[0]
        return float(found)

    assert value(model, "FLAIR") == value(model, "") == value(small_model, "T1")


def test_derivative_with_linear_interpolation(fixed: Any, moving: Any, small_model: Path) -> None:
    metric = cnnmetric.MetricOnImages(
        fixed,
        moving,
        model=small_model,
        transform="affine",
        transform_fixed_parameters=CENTRE,
        interpolation_order=1,
    )
    # The image itself has a kink at every voxel, so finite differences are less exact here.
    assert relative_error(metric, *parameters_of("affine"), step=2e-3) < 1e-2


def test_points_outside_of_a_bspline_grid_have_no_derivative(
    fixed: Any, moving: Any, small_model: Path
) -> None:
    # A grid over one corner only; elastix's RecursiveBSplineTransform leaves the Jacobian of all
    # other points uninitialised, which once made the derivative NaN.
    grid = (5.0,) * 3 + (-24.0,) * 3 + (12.0,) * 3 + IDENTITY
    results = []
    for transform in ("bspline", "recursive_bspline"):
        metric = cnnmetric.MetricOnImages(
            fixed, moving, model=small_model, transform=transform, transform_fixed_parameters=grid
        )
        results.append(metric.value_and_derivative([0.3] * metric.number_of_parameters))
    (plain_value, plain), (recursive_value, recursive) = results
    assert np.isfinite(plain).all()
    assert recursive_value == pytest.approx(plain_value, rel=1e-6)
    np.testing.assert_allclose(recursive, plain, atol=1e-6 * np.abs(plain).max())
