# SPDX-License-Identifier: Apache-2.0
"""Images whose geometry cannot be used are refused."""

from __future__ import annotations

from typing import Any

import itk
import nibabel
import numpy as np
import pytest
import SimpleITK

from cnnmetric.errors import DataError
from cnnmetric.images.conversion import as_itk

ARRAY = np.zeros((4, 5, 6), dtype=np.float32)


@pytest.mark.parametrize(
    "spacing", ["1,1,1", None, {"x": 1}, ("a", "b", "c"), (1, 1, np.inf), (1, 1, np.nan), (1, 1, 0)]
)
def test_a_voxel_size_that_is_none(spacing: Any) -> None:
    with pytest.raises(DataError, match=r"the fixed image is .* give one size above 0 in mm"):
        as_itk((ARRAY, spacing), role="fixed image")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [(0, 3), (1, 1)])
def test_an_affine_that_is_not_finite(place: tuple[int, int], value: float) -> None:
    image = nibabel.Nifti1Image(ARRAY, np.eye(4))
    image.affine[place] = value
    with pytest.raises(DataError, match="the fixed image has an affine with NaN or infinite"):
        as_itk(image, role="fixed image")


def test_an_image_without_an_affine() -> None:
    with pytest.raises(DataError, match="the fixed image has no affine; "):
        as_itk(nibabel.Nifti1Image(ARRAY, None), role="fixed image")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("library", [itk.image_from_array, SimpleITK.GetImageFromArray])
def test_an_origin_that_is_not_finite(library: Any, value: float) -> None:
    image = library(ARRAY)
    image.SetOrigin((0.0, value, 0.0))
    with pytest.raises(DataError, match="voxel size, origin or direction that is NaN or infinite"):
        as_itk(image, role="fixed image")


@pytest.mark.parametrize("library", [itk, SimpleITK])
def test_axes_that_are_not_at_right_angles(library: Any) -> None:
    """As of a CT with a tilted gantry; ITK's writer of NIfTI would straighten them silently."""
    sheared = np.eye(3)
    sheared[1:, 2] = np.sin(np.radians(20)), np.cos(np.radians(20))
    if library is itk:
        image = itk.image_from_array(ARRAY)
        image.SetDirection(sheared)
    else:
        image = SimpleITK.GetImageFromArray(ARRAY)
        image.SetDirection(sheared.ravel().tolist())
    with pytest.raises(DataError, match="axes of the fixed image are not at right angles"):
        as_itk(image, role="fixed image")
