# SPDX-License-Identifier: Apache-2.0
"""Images of other libraries to ITK's, and back.

Every kind of image that a user may hold is listed here once: a file, an ITK image of any pixel
type, an image of SimpleITK or nibabel, and a NumPy array with its voxel size.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import DataError
from cnnmetric.images import warping
from cnnmetric.images.arrays import check_right_angles
from cnnmetric.images.arrays import floats
from cnnmetric.images.arrays import image_like
from cnnmetric.images.arrays import placed
from cnnmetric.images.arrays import voxel_axes
from cnnmetric.images.files import read_image
from cnnmetric.images.nibabel_images import from_nibabel
from cnnmetric.images.nibabel_images import to_nibabel
from cnnmetric.types import Image
from cnnmetric.types import Mask

_DIMENSIONS = (2, 3)


@dataclass(frozen=True, kw_only=True)
class Converted:
    """An image as ITK has it, and the way back.

    Attributes
    ----------
    image
        Of the float type asked for; its first voxel has the index 0.
    dtype
        Of the voxels as they were given.
    restore
        Makes an image of the given kind of an ITK image: a NumPy array of an array, an ITK image
        of a file.
    """

    image: Image
    dtype: np.dtype[Any]
    restore: Callable[[Image], Any]


def as_itk(given: Any, *, role: str, dtype: Any = np.float32) -> Converted:
    """Take an image of any kind.

    Parameters
    ----------
    given
        Path of a file, ``itk.Image``, ``SimpleITK.Image``, image of nibabel, or a pair of a NumPy
        array (z, y, x) and its voxel size in mm (x, y, z); 2D or 3D.
    role
        What the image is, for messages, for example ``"fixed image"``.
    dtype
        ``numpy.float32``, or ``numpy.float64``, which holds large labels, too.

    Raises
    ------
    DataError
        If it is none of these, has more than one value a voxel, is neither 2D nor 3D, holds NaN or
        infinite values, in its voxels or in its geometry, or its axes are not at right angles.
    """
    if isinstance(given, (str, Path)):
        image = read_image(given, dimensions=_DIMENSIONS, dtype=dtype)
        found = Converted(image=image, dtype=np.dtype(dtype), restore=lambda image: image)
    elif _is_itk(given):
        found = _from_itk(given, role, dtype)
    elif _is_a("SimpleITK", "Image", given):
        found = _from_simpleitk(given, role, dtype)
    elif _is_a("nibabel.spatialimages", "SpatialImage", given):
        found = _from_nibabel(given, role, dtype)
    elif isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], np.ndarray):
        found = _from_array(*given, role, dtype)
    else:
        hint = "give (array, voxel size in mm as x, y, z)" if isinstance(given, np.ndarray) else ""
        msg = (
            f"the {role} is a {type(given).__name__}, and not a file name, an image of ITK, "
            f"SimpleITK or nibabel, or a pair of array and voxel size; {hint}".rstrip("; ")
        )
        raise DataError(msg)
    dimension = found.image.GetImageDimension()
    if dimension not in _DIMENSIONS:
        msg = f"the {role} is {dimension}D; a 2D or 3D image is needed"
        raise DataError(msg)
    if not _has_a_place(found.image):
        msg = (
            f"the {role} has a voxel size, origin or direction that is NaN or infinite; correct "
            "its header"
        )
        raise DataError(msg)
    check_right_angles(voxel_axes(found.image), role)
    if not np.isfinite(itk.array_view_from_image(found.image)).all():
        msg = f"the {role} has NaN or infinite voxels; replace them, for example by the background"
        raise DataError(msg)
    return found


def as_mask(given: Any, grid: Image, *, role: str) -> Mask:
    """Take a mask of any kind of image and any type of number, on the grid of an image.

    Parameters
    ----------
    given
        As for :func:`as_itk`; voxels that are not 0 count. On another grid it is resampled, nearest
        neighbour, as the headers place it.
    grid
        The image that it belongs to.
    role
        For messages.

    Raises
    ------
    DataError
        As for :func:`as_itk`; if it is of another dimension than the image, or holds no voxel.
    """
    mask = as_itk(given, role=role).image
    if mask.GetImageDimension() != grid.GetImageDimension():
        msg = (
            f"the {role} is {mask.GetImageDimension()}D and its image "
            f"{grid.GetImageDimension()}D; both must have the same dimension"
        )
        raise DataError(msg)
    inside = itk.array_view_from_image(warping.resample_labels(mask, grid)) != 0
    if not inside.any():
        msg = f"the {role} holds no voxel of its image; check its header, or leave it out"
        raise DataError(msg)
    return image_like(inside.astype(np.uint8), grid)


def optional_mask(given: Any, grid: Image, *, role: str) -> Mask | None:
    """Take a mask as :func:`as_mask` does, or None."""
    return None if given is None else as_mask(given, grid, role=role)


def _refuse_vectors(given: Any, role: str) -> None:
    number = given.GetNumberOfComponentsPerPixel()
    if number != 1:
        msg = (
            f"the {role} has {number} values a voxel, as colour and vector images have; an image "
            "with one number a voxel is needed"
        )
        raise DataError(msg)


def _is_a(module: str, name: str, given: Any) -> bool:
    """Tell whether this is an image of a library, which need not be installed."""
    library = sys.modules.get(module)
    return library is not None and isinstance(given, getattr(library, name))


def _has_a_place(image: Image) -> bool:
    """Tell whether the geometry of an image is finite; ITK's own checks let NaN through."""
    return bool(np.isfinite(voxel_axes(image)).all() and np.isfinite(image.GetOrigin()).all())


def _is_itk(given: Any) -> bool:
    return hasattr(given, "GetBufferedRegion") and hasattr(given, "GetNameOfClass")


def _from_itk(given: Any, role: str, dtype: Any) -> Converted:
    _refuse_vectors(given, role)
    array = itk.array_view_from_image(given)
    region = given.GetBufferedRegion()
    image = placed(
        floats(array, role, dtype),
        spacing=given.GetSpacing(),
        # Of the first voxel that there is: the index of cropped and padded images starts elsewhere.
        origin=given.TransformIndexToPhysicalPoint(region.GetIndex()),
        direction=itk.array_from_matrix(given.GetDirection()),
    )
    return Converted(image=image, dtype=array.dtype, restore=lambda image: image)


def _from_simpleitk(given: Any, role: str, dtype: Any) -> Converted:
    import SimpleITK

    _refuse_vectors(given, role)
    array = SimpleITK.GetArrayViewFromImage(given)
    dimension = given.GetDimension()
    image = placed(
        floats(array, role, dtype),
        spacing=given.GetSpacing(),
        origin=given.GetOrigin(),
        direction=np.reshape(given.GetDirection(), (dimension, dimension)),
    )

    def restore(image: Image) -> Any:
        made = SimpleITK.GetImageFromArray(itk.array_from_image(image))
        made.SetSpacing(tuple(image.GetSpacing()))
        made.SetOrigin(tuple(image.GetOrigin()))
        made.SetDirection(itk.array_from_matrix(image.GetDirection()).ravel().tolist())
        return made

    return Converted(image=image, dtype=array.dtype, restore=restore)


def _from_nibabel(given: Any, role: str, dtype: Any) -> Converted:
    return Converted(
        image=from_nibabel(given, role, dtype),
        dtype=np.asanyarray(given.dataobj).dtype,
        restore=to_nibabel,
    )


def _from_array(array: NDArray[Any], spacing: Any, role: str, dtype: Any) -> Converted:
    sizes = _numbers(spacing)
    if sizes.shape != (array.ndim,) or not (np.isfinite(sizes) & (sizes > 0)).all():
        msg = (
            f"the {role} is an array of {array.ndim} axes with the voxel size {spacing!r}; give "
            "one size above 0 in mm for every axis, finite, as numbers in the order x, y, z"
        )
        raise DataError(msg)
    if array.ndim not in _DIMENSIONS:
        msg = f"the {role} is {array.ndim}D; a 2D or 3D array is needed"
        raise DataError(msg)
    image = placed(floats(array, role, dtype), spacing=sizes)
    return Converted(image=image, dtype=array.dtype, restore=itk.array_from_image)


def _numbers(given: Any) -> NDArray[np.float64]:
    """Return what is given as numbers; none of what is none."""
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        return np.empty(0)
