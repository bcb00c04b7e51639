# SPDX-License-Identifier: Apache-2.0
"""Eq. 5 against finite differences on geometries, masks and transforms that nobody chose."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import cnnmetric
from support.metric_images import ball_mask
from support.metric_images import subject
from support.metric_images import write_small_model

TRANSFORMS = ("translation", "euler", "similarity", "affine", "bspline", "recursive_bspline")
# Where a unit of the network switches on or off between the two evaluations, the difference
# quotient measures the kink. Another step misses it; a wrong derivative is wrong with all of them.
STEPS = (4e-2, 2e-2, 1e-2)
TOLERANCE = 4e-3  # the values are of float32
# The fixed image, mm: room for a few patches of 17 mm.
EXTENT = 27.0
# The moving image is larger by what the transforms below can move a corner, so that no voxel
# enters or leaves between the two evaluations: the value would jump.
MARGIN = 30.0


@dataclass(frozen=True)
class Situation:
    """Two images, perhaps masks, and a transform with its parameters.

    Attributes
    ----------
    dimension
        2 or 3.
    fixed_spacing, moving_spacing
        Voxel size in mm (x, y, z).
    fixed_angle, moving_angle
        Rotation of the image axes in radians.
    seed
        Of the parameters.
    """

    dimension: int
    fixed_spacing: tuple[float, ...]
    moving_spacing: tuple[float, ...]
    fixed_angle: float
    moving_angle: float
    fixed_modality: str
    fixed_mask: bool
    moving_mask: bool
    transform: str
    sampling: str
    seed: int


@st.composite
def situations(draw: st.DrawFn, dimension: int) -> Situation:
    spacing = st.tuples(*[st.floats(0.8, 1.6)] * dimension)
    # Not st.floats: hypothesis likes 1e-308, with which ITK cannot invert the direction cosines.
    angle = st.integers(-60, 60).map(lambda hundredths: hundredths / 100)
    return Situation(
        dimension=dimension,
        fixed_spacing=draw(spacing),
        moving_spacing=draw(spacing),
        fixed_angle=draw(angle),
        moving_angle=draw(angle),
        fixed_modality=draw(st.sampled_from(["T1", "T2"])),
        fixed_mask=draw(st.booleans()),
        moving_mask=draw(st.booleans()),
        transform=draw(st.sampled_from(TRANSFORMS)),
        sampling=draw(st.sampled_from(["Full", "Blocks"])),
        seed=draw(st.integers(0, 2**31)),
    )


def image(modality: str, spacing: tuple[float, ...], angle: float, extent: float) -> Any:
    size = [int(np.ceil(extent / step)) for step in spacing]
    return subject(modality, size=size, spacing=spacing, angle=angle)


def fixed_parameters(transform: str, dimension: int) -> list[float]:
    if transform == "translation":
        return []
    if not transform.endswith("bspline"):
        return [1.0, 2.0, 3.0][:dimension]
    # 7 control points per axis, 14 mm apart, around the images.
    grid = [7.0] * dimension + [-42.0] * dimension + [14.0] * dimension
    return grid + list(np.eye(dimension).ravel())


def parameters_of(situation: Situation, number: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return random parameters near the identity, and the scale of each (radians and mm)."""
    dimension, transform = situation.dimension, situation.transform
    small, identity = 0.03, np.zeros(number)
    if transform == "translation" or transform.endswith("bspline"):
        scale = np.ones(number)
    elif transform == "affine":
        scale = np.array([small] * dimension**2 + [1.0] * dimension)
        identity[: dimension**2] = np.eye(dimension).ravel()
    elif transform == "similarity" and dimension == 2:
        scale = np.array([small, small, 1.0, 1.0])
        identity[0] = 1.0
    else:  # angles and translation; a similarity in 3D has its scale last
        angles = 1 if dimension == 2 else 3
        scale = np.array([small] * angles + [1.0] * dimension + [small])[:number]
        identity[angles + dimension :] = 1.0
    noise = np.random.default_rng(situation.seed).uniform(-1.0, 1.0, size=number)
    return identity + noise * scale, scale


def relative_error(situation: Situation, model: Path) -> float:
    """Compare analytic and central-difference derivative in the direction of steepest ascent."""
    modalities = ("T1", "T2") if situation.fixed_modality == "T1" else ("T2", "T1")
    fixed = image(modalities[0], situation.fixed_spacing, situation.fixed_angle, EXTENT)
    moving = image(modalities[1], situation.moving_spacing, situation.moving_angle, EXTENT + MARGIN)
    metric = cnnmetric.MetricOnImages(
        fixed,
        moving,
        model=model,
        fixed_modality=situation.fixed_modality,
        fixed_mask=ball_mask(fixed, radius=11.0) if situation.fixed_mask else None,
        moving_mask=ball_mask(moving, radius=24.0) if situation.moving_mask else None,
        transform=situation.transform,
        transform_fixed_parameters=fixed_parameters(situation.transform, situation.dimension),
        interpolation_order=3,
        sampling=situation.sampling,
        number_of_blocks=2,
        block_size=21,
        device="cpu",
    )
    parameters, scale = parameters_of(situation, metric.number_of_parameters)
    _, derivative = metric.value_and_derivative(list(parameters))
    direction = derivative * scale**2
    direction /= np.abs(direction / scale).max()
    analytic = float(derivative @ direction)

    def numeric(step: float) -> float:
        ahead = metric.value(list(parameters + step * direction))
        behind = metric.value(list(parameters - step * direction))
        return (ahead - behind) / (2.0 * step)

    return min(abs(numeric(step) - analytic) for step in STEPS) / abs(analytic)


RANDOM = settings(
    derandomize=True,
    max_examples=10,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def model_2d(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("models") / "2d.onnx", dimension=2)


@RANDOM
@given(situation=situations(2))
def test_derivative_in_2d(situation: Situation, model_2d: Path) -> None:
    assert relative_error(situation, model_2d) < TOLERANCE


@RANDOM
@given(situation=situations(3))
def test_derivative_in_3d(situation: Situation, small_model: Path) -> None:
    assert relative_error(situation, small_model) < TOLERANCE


@RANDOM
@given(situation=situations(3))
def test_itkv4_has_value_and_derivative_of_elastix(situation: Situation, small_model: Path) -> None:
    situation = replace(situation, transform="affine")
    fixed = image("T1", situation.fixed_spacing, situation.fixed_angle, EXTENT)
    moving = image("T2", situation.moving_spacing, situation.moving_angle, EXTENT + MARGIN)
    fixed_mask = ball_mask(fixed, radius=11.0) if situation.fixed_mask else None
    moving_mask = ball_mask(moving, radius=24.0) if situation.moving_mask else None
    centre = fixed_parameters("affine", 3)
    parameters, scale = parameters_of(situation, 12)
    value, derivative = cnnmetric.MetricOnImages(
        fixed,
        moving,
        model=small_model,
        fixed_mask=fixed_mask,
        moving_mask=moving_mask,
        transform="affine",
        transform_fixed_parameters=centre,
        device="cpu",
    ).value_and_derivative(list(parameters))

    metric = cnnmetric.CNNImageToImageMetricv4(model=small_model, device="cpu")
    for role, mask in (("Fixed", fixed_mask), ("Moving", moving_mask)):
        if mask is not None:
            spatial_object = itk.ImageMaskSpatialObject[3].New()
            spatial_object.SetImage(mask)
            spatial_object.Update()
            getattr(metric, f"Set{role}ImageMask")(spatial_object)
    transform = itk.AffineTransform[itk.D, 3].New()
    transform.SetCenter(centre)
    as_itk = itk.OptimizerParameters[itk.D](12)
    for index, parameter in enumerate(parameters):
        as_itk.SetElement(index, float(parameter))
    transform.SetParameters(as_itk)
    found_value, found_derivative = metric.value_and_derivative(fixed, moving, transform)
    assert found_value == pytest.approx(value, rel=1e-5)
    expected = derivative * scale
    np.testing.assert_allclose(found_derivative * scale, expected, atol=1e-3 * abs(expected).max())
