# SPDX-License-Identifier: Apache-2.0
"""Arrays of voxels as images of ITK."""

from __future__ import annotations

from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import DataError
from cnnmetric.types import Image


def image_like(array: NDArray[Any], grid: Image) -> Image:
    """Return an ITK image of an array (z, y, x) with the geometry of another image."""
    image = itk.image_from_array(np.ascontiguousarray(array))
    image.CopyInformation(grid)
    return image


def voxel_axes(grid: Image) -> NDArray[np.float64]:
    """Return the steps from voxel to voxel in mm, as columns: direction times spacing (x, y, z)."""
    axes: NDArray[np.float64] = itk.array_from_matrix(grid.GetDirection()) * np.array(
        grid.GetSpacing()
    )
    return axes


def placed(
    array: NDArray[Any], *, spacing: Any, origin: Any = None, direction: Any = None
) -> Image:
    """Return an ITK image of an array (z, y, x) with a geometry (x, y, z; mm)."""
    image = itk.image_from_array(np.ascontiguousarray(array))
    image.SetSpacing([float(value) for value in spacing])
    if origin is not None:
        image.SetOrigin([float(value) for value in origin])
    if direction is not None:
        image.SetDirection(np.asarray(direction, dtype=float))
    return image


def floats(array: NDArray[Any], role: str, dtype: Any) -> NDArray[Any]:
    """Return an array as floats, or refuse it: what is no real number, and what is empty."""
    if array.dtype.kind not in "biuf":
        msg = f"the {role} holds {array.dtype}; real numbers are needed"
        raise DataError(msg)
    if array.size == 0:
        msg = f"the {role} has no voxels; update the filter that makes it"
        raise DataError(msg)
    return np.array(array, dtype=dtype)
