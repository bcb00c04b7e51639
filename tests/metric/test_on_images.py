# SPDX-License-Identifier: Apache-2.0
"""`MetricOnImages` places images and masks by their headers, whatever their type and index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest

from cnnmetric.errors import DataError
from cnnmetric.metric.on_images import MetricOnImages
from support.metric_images import ball_mask
from support.metric_images import image_of
from support.metric_images import subject


@pytest.fixture(scope="module")
def fixed() -> Any:
    return subject("T1", size=(44, 48, 40), spacing=(1.1, 1.0, 1.2), angle=0.2)


@pytest.fixture(scope="module")
def moving() -> Any:
    return subject("T2", size=(46, 44, 42), spacing=(1.0, 1.1, 1.0), angle=-0.1)


def value(fixed: Any, moving: Any, model: Path, **options: Any) -> float:
    return MetricOnImages(fixed, moving, model=model, **options).value([0.5, -0.3, 0.2])


def test_a_cropped_image_lies_where_its_index_says(
    fixed: Any, moving: Any, small_model: Path
) -> None:
    region = itk.ImageRegion[3]([4, 3, 2], [36, 40, 34])
    cut = itk.extract_image_filter(fixed, extraction_region=region)
    same = itk.region_of_interest_image_filter(fixed, region_of_interest=region)
    assert value(cut, moving, small_model) == value(same, moving, small_model)
    padded = itk.constant_pad_image_filter(
        moving, pad_lower_bound=[5, 4, 3], pad_upper_bound=[5, 4, 3]
    )
    expected = value(fixed, moving, small_model, grid_spacing=1.0)
    found = value(fixed, padded, small_model, grid_spacing=1.0, required_ratio=0.1)
    assert found == pytest.approx(expected, abs=0.02)  # more patches count: the field of view


def test_a_common_shift_of_both_images_changes_nothing(
    fixed: Any, moving: Any, small_model: Path
) -> None:
    away = [300.0, -200.0, 100.0]
    shifted = []
    for image in (fixed, moving):
        copy = itk.image_duplicator(image)
        copy.SetOrigin((np.asarray(image.GetOrigin()) + away).tolist())
        shifted.append(copy)
    first, second = shifted
    assert value(first, second, small_model) == pytest.approx(
        value(fixed, moving, small_model), rel=1e-4
    )


def stored_otherwise(image: Any, *, order: tuple[int, int, int], flip: int | None) -> Any:
    """Return the same voxels at the same places, with other axes (x, y, z) in memory."""
    array = itk.array_from_image(image).transpose([2 - axis for axis in reversed(order)])
    direction = np.asarray(image.GetDirection())[:, list(order)]
    spacing = [image.GetSpacing()[axis] for axis in order]
    origin = np.asarray(image.GetOrigin())
    if flip is not None:
        last = (array.shape[2 - flip] - 1) * spacing[flip]
        origin = origin + last * direction[:, flip]
        direction[:, flip] *= -1
        array = np.flip(array, axis=2 - flip)
    return image_of(array, spacing=spacing, origin=origin.tolist(), direction=direction)


@pytest.mark.parametrize(
    ("order", "flip"), [((2, 1, 0), None), ((0, 2, 1), 0), ((1, 0, 2), 2), ((0, 1, 2), 1)]
)
def test_the_order_of_the_axes_in_memory_changes_nothing(
    order: tuple[int, int, int], flip: int | None, fixed: Any, moving: Any, small_model: Path
) -> None:
    other = stored_otherwise(moving, order=order, flip=flip)
    expected = value(fixed, moving, small_model)
    assert value(fixed, other, small_model) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("pixel", [itk.SS, itk.UC, itk.D])
def test_images_of_any_type_are_taken(pixel: Any, moving: Any, small_model: Path) -> None:
    scaled = itk.multiply_image_filter(moving, constant=150.0)
    rounded = itk.image_duplicator(scaled)
    voxels = itk.array_view_from_image(rounded)
    voxels[:] = np.round(voxels)
    typed = itk.cast_image_filter(rounded, ttype=[type(rounded), itk.Image[pixel, 3]])
    assert value(typed, moving, small_model) == value(rounded, moving, small_model)


@pytest.mark.parametrize("side", ["fixed_mask", "moving_mask"])
def test_a_mask_lies_where_its_header_says(
    side: str, fixed: Any, moving: Any, small_model: Path
) -> None:
    image = fixed if side == "fixed_mask" else moving
    mask = ball_mask(image, radius=15.0)
    options: dict[str, Any] = {"required_ratio": 0.05}
    expected = value(fixed, moving, small_model, **{side: mask}, **options)
    floats = itk.cast_image_filter(mask, ttype=[type(mask), itk.Image[itk.F, 3]])
    larger = itk.constant_pad_image_filter(
        floats, pad_lower_bound=[6, 5, 4], pad_upper_bound=[2, 3, 4]
    )
    for given in (floats, larger):
        assert value(fixed, moving, small_model, **{side: given}, **options) == expected
    assert value(fixed, moving, small_model, **options) != expected


def test_what_cannot_be_used_is_named(fixed: Any, moving: Any, small_model: Path) -> None:
    flat = subject("T1", size=(40, 40), spacing=(1.0, 1.0), angle=0.0)
    with pytest.raises(DataError, match="the fixed image is 3D and the moving image 2D"):
        value(fixed, flat, small_model)
    with pytest.raises(DataError, match=r"there is no image file no\.nii"):
        value("no.nii", moving, small_model)
    with pytest.raises(DataError, match="the moving image is a NoneType, and not a file name"):
        value(fixed, None, small_model)
    with pytest.raises(DataError, match="the moving mask is a int, and not a file name"):
        value(fixed, moving, small_model, moving_mask=1)
    mask = ball_mask(fixed, radius=10.0)
    mask.SetOrigin([900.0, 0.0, 0.0])
    with pytest.raises(DataError, match="the fixed mask holds no voxel of its image"):
        value(fixed, moving, small_model, fixed_mask=mask)


def test_what_the_user_should_know_is_a_warning(
    fixed: Any, moving: Any, difference_model: Path
) -> None:
    with pytest.warns(UserWarning, match=r'MetricOnImages: .*"T1w" is not a modality'):
        value(fixed, moving, difference_model, fixed_modality="T1w")
