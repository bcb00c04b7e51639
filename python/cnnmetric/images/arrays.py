# SPDX-License-Identifier: Apache-2.0
"""Arrays of voxels as images of ITK."""

from __future__ import annotations

from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import DataError
from cnnmetric.types import Image
from cnnmetric.types import Points

_ORTHOGONAL = 1e-3


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


def check_right_angles(axes: NDArray[Any], role: str) -> None:
    """Refuse axes that are sheared: NIfTI cannot hold them, nor are inverses their transposes.

    Parameters
    ----------
    axes
        Steps from voxel to voxel, as columns.
    role
        What the image is, for the message.

    Raises
    ------
    DataError
        If two axes are not at right angles.
    """
    direction = axes / np.linalg.norm(axes, axis=0)
    if np.abs(direction.T @ direction - np.eye(len(axes))).max() > _ORTHOGONAL:
        msg = (
            f"the axes of the {role} are not at right angles (a sheared affine, or a CT with a "
            "tilted gantry); resample it first to a grid at right angles"
        )
        raise DataError(msg)


def number_outside(points: Points, grid: Image) -> int:
    """Return how many points lie outside of an image, whose voxels end half a voxel off centre."""
    voxels = (points - np.asarray(grid.GetOrigin())) @ np.linalg.inv(voxel_axes(grid)).T
    last = np.array([int(number) for number in itk.size(grid)]) - 1
    return int((~((voxels >= -0.5) & (voxels <= last + 0.5)).all(axis=1)).sum())


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
