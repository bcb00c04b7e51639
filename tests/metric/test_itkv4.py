# SPDX-License-Identifier: Apache-2.0
"""The metric for ITKv4 on its own: value, derivative and maps with ITK's transforms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest
from numpy.typing import NDArray

import cnnmetric
from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from support.itkv4_objects import affine
from support.itkv4_objects import bspline
from support.itkv4_objects import displacement_field
from support.itkv4_objects import itk_parameters
from support.metric_images import ball_mask
from support.metric_images import empty_image
from support.metric_images import moved_subject
from support.metric_images import rotation
from support.metric_images import subject
from support.metric_images import write_difference_model
from support.metric_images import write_small_model

ROTATION = 0.06
TRANSLATION = np.array([1.5, -1.0, 0.8])
FloatImage = itk.Image[itk.F, 3]


@pytest.fixture(scope="module")
def fixed() -> Any:
    return subject("T1", size=(40, 44, 38), spacing=(1.1, 1.0, 1.2), angle=0.2)


@pytest.fixture(scope="module")
def moving() -> Any:
    """Return the same anatomy, turned and shifted, on another grid."""
    return moved_subject(angle=ROTATION, shift=TRANSLATION)


@pytest.fixture(scope="module")
def other_contrast() -> Any:
    return subject("T2", size=(64, 66, 70), spacing=(1.1, 1.0, 1.0), angle=-0.2)


def mask_of(image: Any, *, radius: float) -> Any:
    mask = itk.ImageMaskSpatialObject[3].New()
    mask.SetImage(ball_mask(image, radius=radius))
    mask.Update()
    return mask


def relative_error(
    metric: cnnmetric.CNNImageToImageMetricv4,
    images: tuple[Any, Any],
    transform: Any,
    scale: NDArray[np.float64],
    *,
    step: float = 2e-2,
    **options: Any,
) -> float:
    """Compare analytic and central-difference derivative in the direction of steepest ascent."""
    start = np.array(list(transform.GetParameters()))
    _, derivative = metric.value_and_derivative(*images, transform, **options)
    direction = derivative * scale**2
    direction /= np.abs(direction / scale).max()

    def value(distance: float) -> float:
        transform.SetParameters(itk_parameters(start + distance * direction))
        return metric.value(*images, transform, **options)

    numerical = (value(step) - value(-step)) / (2.0 * step)
    transform.SetParameters(itk_parameters(start))
    analytic = float(derivative @ direction)
    assert analytic != 0.0
    return abs(numerical - analytic) / abs(analytic)


def cubic(metric: cnnmetric.CNNImageToImageMetricv4) -> cnnmetric.CNNImageToImageMetricv4:
    """Interpolate with cubic B-splines, which have no kinks for finite differences to meet."""
    metric.SetMovingInterpolator(
        itk.BSplineInterpolateImageFunction[FloatImage, itk.D, itk.F].New()
    )
    return metric


@pytest.mark.parametrize("kind", ["translation", "affine", "bspline", "displacement-field"])
def test_derivative_equals_finite_differences(
    kind: str, fixed: Any, other_contrast: Any, small_model: Path
) -> None:
    rng = np.random.default_rng(2)
    if kind == "translation":
        transform = itk.TranslationTransform[itk.D, 3].New()
        scale = np.ones(3)
    elif kind == "affine":
        transform = affine()
        scale = np.array([0.03] * 9 + [1.0] * 3)
    elif kind == "bspline":
        transform = bspline(fixed)
        scale = np.ones(transform.GetNumberOfParameters())
    else:
        transform = displacement_field(fixed)
        scale = np.ones(transform.GetNumberOfParameters())
    start = np.array(list(transform.GetParameters()))
    noise = rng.normal(size=scale.size) * scale
    if kind == "displacement-field":
        noise *= 0.2  # neighbouring voxels are displaced independently
    transform.SetParameters(itk_parameters(start + noise))
    metric = cubic(cnnmetric.CNNImageToImageMetricv4(model=small_model))
    # A displacement field is as fine as the grid; its single steps are small beside rounding.
    limit = 5e-3 if kind == "displacement-field" else 1e-3
    assert relative_error(metric, (fixed, other_contrast), transform, scale) < limit


@pytest.mark.parametrize("kind", ["bspline", "displacement-field"])
def test_derivative_before_a_transform_that_stays(
    kind: str, fixed: Any, other_contrast: Any, small_model: Path
) -> None:
    # As a registration method composes them: the optimised one first, then the initial one.
    initial = affine()
    matrix = rotation(0.15) @ np.diag([1.1, 0.95, 1.05])
    initial.SetParameters(itk_parameters(np.append(matrix.ravel(), [0.5, -1.0, 1.5])))
    optimised = bspline(fixed) if kind == "bspline" else displacement_field(fixed)
    noise = np.random.default_rng(3).normal(size=optimised.GetNumberOfParameters())
    optimised.SetParameters(itk_parameters(noise if kind == "bspline" else 0.2 * noise))
    composite = itk.CompositeTransform[itk.D, 3].New()
    composite.AddTransform(initial)
    composite.AddTransform(optimised)
    composite.SetOnlyMostRecentTransformToOptimizeOn()
    metric = cubic(cnnmetric.CNNImageToImageMetricv4(model=small_model))
    error = relative_error(metric, (fixed, other_contrast), composite, np.ones(noise.size))
    assert error < 5e-3


def test_linear_interpolation_has_the_derivative_of_its_value(
    fixed: Any, other_contrast: Any, small_model: Path
) -> None:
    metric = cnnmetric.CNNImageToImageMetricv4(model=small_model)
    scale = np.array([0.03] * 9 + [1.0] * 3)
    # The image itself has a kink at every voxel, so finite differences are less exact here.
    assert relative_error(metric, (fixed, other_contrast), affine(), scale, step=2e-3) < 1e-2


def test_same_value_as_in_elastix(fixed: Any, other_contrast: Any, small_model: Path) -> None:
    shift = [1.0, -0.5, 0.7]
    transform = itk.TranslationTransform[itk.D, 3].New()
    transform.SetParameters(itk_parameters(np.array(shift)))
    options: dict[str, Any] = {"model": small_model, "grid_spacing": 1.3, "block_size": 21}
    expected = cnnmetric.MetricOnImages(
        fixed, other_contrast, transform="translation", **options
    ).value_and_derivative(shift)
    found = cnnmetric.CNNImageToImageMetricv4(**options).value_and_derivative(
        fixed, other_contrast, transform
    )
    assert found[0] == pytest.approx(expected[0], rel=1e-5)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-3, atol=1e-6)


def test_masks_select_patches(fixed: Any, other_contrast: Any, small_model: Path) -> None:
    def counted(**masks: Any) -> int:
        metric = cubic(cnnmetric.CNNImageToImageMetricv4(model=small_model, required_ratio=0.1))
        for role, mask in masks.items():
            getattr(metric, f"Set{role}ImageMask")(mask)
        maps = metric.maps(fixed, other_contrast, affine())
        scale = np.array([0.03] * 9 + [1.0] * 3)
        # Steps so small that no patch enters or leaves a mask, where the value jumps.
        error = relative_error(metric, (fixed, other_contrast), affine(), scale, step=5e-3)
        assert error < 5e-3
        return int(np.isfinite(itk.array_from_image(maps.dissimilarity)).sum())

    everything = counted()
    inside_fixed = counted(Fixed=mask_of(fixed, radius=11.0))
    inside_moving = counted(Moving=mask_of(other_contrast, radius=11.0))
    inside_both = counted(
        Fixed=mask_of(fixed, radius=11.0), Moving=mask_of(other_contrast, radius=9.0)
    )
    assert 0 < inside_both < min(inside_fixed, inside_moving)
    assert max(inside_fixed, inside_moving) < everything


def test_maps_of_a_transform_without_parameters(
    fixed: Any, other_contrast: Any, small_model: Path
) -> None:
    metric = cnnmetric.CNNImageToImageMetricv4(model=small_model)
    nothing = itk.TranslationTransform[itk.D, 3].New()
    found, expected = (
        metric.maps(fixed, other_contrast, transform)
        for transform in (itk.IdentityTransform[itk.D, 3].New(), nothing)
    )
    derivative = itk.array_from_image(expected.derivative)
    assert np.abs(derivative).max() > 0.0
    np.testing.assert_array_equal(itk.array_from_image(found.derivative), derivative)


def test_virtual_domain_carries_the_grid(fixed: Any, moving: Any, small_model: Path) -> None:
    domain = empty_image((30, 32, 34), spacing=(1.3, 1.3, 1.3), angle=0.5)
    metric = cubic(cnnmetric.CNNImageToImageMetricv4(model=small_model))
    maps = metric.maps(fixed, moving, affine(), virtual_domain=domain)
    np.testing.assert_allclose(
        np.asarray(maps.derivative.GetDirection()), np.asarray(domain.GetDirection())
    )
    # 1.3 mm is coarser than the fixed image's finest axis by 1.3 / 1.2 at least.
    assert maps.derivative.GetSpacing()[0] == pytest.approx(1.3 / 1.2, rel=1e-6)
    error = relative_error(
        metric,
        (fixed, moving),
        affine(),
        np.array([0.03] * 9 + [1.0] * 3),
        virtual_domain=domain,
    )
    assert error < 1e-3


def test_fixed_transform_is_honoured(fixed: Any, moving: Any, small_model: Path) -> None:
    # Moving both images in the same way changes nothing but the place.
    metric = cnnmetric.CNNImageToImageMetricv4(model=small_model)
    identity = itk.TranslationTransform[itk.D, 3].New()
    before = metric.value(fixed, moving, identity)
    shifted = itk.image_duplicator(fixed)
    shifted.SetOrigin([value + 7.0 for value in fixed.GetOrigin()])
    to_shifted = itk.TranslationTransform[itk.D, 3].New()
    to_shifted.SetParameters(itk_parameters(np.array([7.0, 7.0, 7.0])))
    metric.SetFixedTransform(to_shifted)
    after = metric.value(shifted, moving, identity, virtual_domain=fixed)
    assert after == pytest.approx(before, rel=1e-4)


def test_2d(tmp_path: Path) -> None:
    model = write_small_model(tmp_path / "small2d.onnx", dimension=2)
    fixed = subject("T1", size=(40, 44), spacing=(1.0, 1.1), angle=0.3)
    moving = subject("T2", size=(64, 70), spacing=(1.2, 1.0), angle=-0.2)
    metric = cnnmetric.CNNImageToImageMetricv4(dimension=2, model=model)
    metric.SetMovingInterpolator(
        itk.BSplineInterpolateImageFunction[itk.Image[itk.F, 2], itk.D, itk.F].New()
    )
    transform = itk.AffineTransform[itk.D, 2].New()
    scale = np.array([0.03] * 4 + [1.0] * 2)
    assert relative_error(metric, (fixed, moving), transform, scale) < 1e-3


def test_errors_name_the_input(
    fixed: Any, moving: Any, difference_model: Path, tmp_path: Path
) -> None:
    identity = itk.TranslationTransform[itk.D, 3].New()
    with pytest.raises(SettingsError, match="dimension is 4"):
        cnnmetric.CNNImageToImageMetricv4(dimension=4)
    with pytest.raises(SettingsError, match="sampling is 'Some'"):
        cnnmetric.CNNImageToImageMetricv4(sampling="Some")
    with pytest.raises(cnnmetric.ModelError, match="not an installed model"):
        cnnmetric.CNNImageToImageMetricv4(model="nobody")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(cnnmetric.ModelError, match=r"text\.onnx' is not a readable ONNX file"):
        cnnmetric.CNNImageToImageMetricv4(model=tmp_path / "text.onnx")
    metric = cnnmetric.CNNImageToImageMetricv4(model=difference_model)
    with pytest.raises(DataError, match="moving image is a itkImageSS3"):
        metric.value(
            fixed, itk.cast_image_filter(moving, ttype=(FloatImage, itk.Image[itk.SS, 3])), identity
        )
    with pytest.raises(cnnmetric.MetricError, match="fixed image is a str but must be"):
        metric.set_original_images("fixed.nii", moving)
    metric.SetMovingInterpolator(
        itk.NearestNeighborInterpolateImageFunction[FloatImage, itk.D].New()
    )
    with pytest.raises(cnnmetric.MetricError, match="NearestNeighborInterpolateImageFunction"):
        metric.value(fixed, moving, identity)
    flat = write_difference_model(tmp_path / "flat.onnx", dimension=2)
    with pytest.raises(cnnmetric.MetricError, match="is 2D but the images are 3D"):
        cnnmetric.CNNImageToImageMetricv4(model=flat).value(fixed, moving, identity)


def test_same_seed_same_bits(fixed: Any, other_contrast: Any, small_model: Path) -> None:
    def evaluate(seed: int) -> tuple[float, NDArray[np.float64]]:
        metric = cnnmetric.CNNImageToImageMetricv4(
            model=small_model, sampling="Blocks", number_of_blocks=3, seed=seed, number_of_threads=2
        )
        return metric.value_and_derivative(fixed, other_contrast, affine())

    (value, derivative), again, other = evaluate(1), evaluate(1), evaluate(2)
    assert again[0] == value
    np.testing.assert_array_equal(again[1], derivative)
    assert other[0] != value


@pytest.mark.parametrize("kind", ["bspline", "displacement-field"])
def test_composite_of_which_nothing_is_optimised(
    kind: str, fixed: Any, other_contrast: Any, small_model: Path
) -> None:
    inner = bspline(fixed) if kind == "bspline" else displacement_field(other_contrast)
    noise = np.random.default_rng(4).normal(size=inner.GetNumberOfParameters())
    inner.SetParameters(itk_parameters(noise))
    composite = itk.CompositeTransform[itk.D, 3].New()
    composite.AddTransform(inner)
    metric = cnnmetric.CNNImageToImageMetricv4(model=small_model)
    expected = None
    if kind == "bspline":  # a field that is optimised has to lie on the virtual domain
        expected = metric.value(fixed, other_contrast, composite)
    composite.SetAllTransformsToOptimizeOff()
    value, derivative = metric.value_and_derivative(fixed, other_contrast, composite)
    assert expected in (None, value)
    assert derivative.size == 0
    maps = metric.maps(fixed, other_contrast, composite)
    assert np.abs(itk.array_from_image(maps.derivative)).max() > 0.0


def test_new_blocks_stay_until_the_next_ones(
    fixed: Any, other_contrast: Any, small_model: Path
) -> None:
    def values() -> list[float]:
        metric = cnnmetric.CNNImageToImageMetricv4(
            model=small_model, sampling="Blocks", number_of_blocks=2, number_of_threads=1
        )
        found = []
        for _ in range(3):
            found.append(metric.value(fixed, other_contrast, affine()))
            assert metric.value_and_derivative(fixed, other_contrast, affine())[0] == found[-1]
            metric.draw_new_blocks()
        return found

    found = values()
    assert len(set(found)) == 3
    assert values() == found


def test_original_images_are_given_up(fixed: Any, other_contrast: Any, small_model: Path) -> None:
    metric = cnnmetric.CNNImageToImageMetricv4(model=small_model)
    own = metric.value(fixed, other_contrast, affine())
    brighter = itk.multiply_image_filter(fixed, constant=2.0)
    metric.set_original_images(brighter, None)
    assert metric.value(fixed, other_contrast, affine()) != own
    metric.set_original_images(None, None)
    assert metric.value(fixed, other_contrast, affine()) == own
