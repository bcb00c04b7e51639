# SPDX-License-Identifier: Apache-2.0
"""Everything that resamples images or handles displacements, in one place.

A displacement is ``T(x) - x`` in mm at every voxel of a grid, with components along the patient's
axes (ITK x, y, z): as an array of shape (z, y, x, 3), or as an ITK image of vectors. In 2D, arrays
have the shape (y, x, 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from cnnmetric.errors import DataError
from cnnmetric.types import Displacement
from cnnmetric.types import Image
from cnnmetric.types import LabelMap
from cnnmetric.types import Points
from cnnmetric.types import Transform
from cnnmetric.types import VectorImage

_INVERSION_STEPS = 100
_WHOLE_STEPS = 6
_INVERSION_TOLERANCE = 1e-3  # voxels


def resample_image(
    image: Image, grid: Image, transform: Transform = None, *, outside: float | None = None
) -> Image:
    """Resample an image on the grid of another one, linearly.

    Parameters
    ----------
    image
        ITK image; of floats where it is interpolated.
    grid
        ITK image whose voxels need not be there.
    transform
        From the grid's points to the image's; None if headers align them.
    outside
        Value of what is outside of the image's field of view; None for 0 of the image's type.
    """
    more = {} if outside is None else {"default_pixel_value": outside}
    return _resample(image, grid, transform, itk.LinearInterpolateImageFunction, **more)


def resample_labels(labels: LabelMap, grid: Image, transform: Transform = None) -> LabelMap:
    """Resample a label map on the grid of another image, nearest neighbour; 0 outside."""
    return _resample(labels, grid, transform, itk.NearestNeighborInterpolateImageFunction)


def displacement_of(transform: Transform, grid: Image) -> Displacement:
    """Return ``T(x) - x`` at every voxel of a grid."""
    dimension = grid.GetImageDimension()
    field_type = itk.Image[itk.Vector[itk.F, dimension], dimension]
    sampler = itk.TransformToDisplacementFieldFilter[field_type, itk.D].New()
    sampler.SetTransform(transform)
    sampler.SetReferenceImage(grid)
    sampler.UseReferenceImageOn()
    sampler.Update()
    return np.array(itk.array_view_from_image(sampler.GetOutput()))


def vector_image(displacement: Displacement, grid: Image, *, pixel: Any = itk.F) -> VectorImage:
    """Return a displacement as an ITK image of vectors.

    Parameters
    ----------
    displacement
        Array on the grid.
    grid
        Image with the geometry.
    pixel
        Type of a component: ``itk.F``, or ``itk.D``, of which ITK's transforms are made.

    Raises
    ------
    DataError
        If the displacement is of another shape than the grid, or not finite.
    """
    dimension = grid.GetImageDimension()
    expected = (*reversed([int(n) for n in itk.size(grid)]), dimension)
    if displacement.shape != expected:
        msg = f"the displacement has shape {displacement.shape} and must have {expected}"
        raise DataError(msg)
    if not np.isfinite(displacement).all():
        msg = "the displacement has NaN or infinite values"
        raise DataError(msg)
    # Not by itk.image_from_array, whose itk.VectorImage a transform does not take over unharmed.
    field = itk.Image[itk.Vector[pixel, dimension], dimension].New()
    field.SetRegions(itk.size(grid))
    field.Allocate()
    itk.array_view_from_image(field)[:] = displacement
    field.CopyInformation(grid)
    return field


def displacement_transform(displacement: Displacement, grid: Image) -> Transform:
    """Return the ITK transform of a displacement; outside of the grid, points stay.

    Raises
    ------
    DataError
        As :func:`vector_image`.
    """
    transform = itk.DisplacementFieldTransform[itk.D, grid.GetImageDimension()].New()
    transform.SetDisplacementField(vector_image(displacement, grid, pixel=itk.D))
    return transform


def composite_transform(transforms: Sequence[Transform], dimension: int) -> Transform:
    """Return one ITK transform for several, of which the last is the first to be applied."""
    composite = itk.CompositeTransform[itk.D, dimension].New()
    for transform in transforms:
        composite.AddTransform(transform)
    return composite


def flattened(transforms: Sequence[Transform]) -> list[Transform]:
    """Return ITK transforms, those inside of composite ones in their place."""
    found = []
    for given in transforms:
        transform = itk.down_cast(given)
        if transform.GetNameOfClass() == "CompositeTransform":
            number = transform.GetNumberOfTransforms()
            found += flattened([transform.GetNthTransform(place) for place in range(number)])
        else:
            found.append(transform)
    return found


def map_points(transform: Transform, points: Points) -> NDArray[np.float64]:
    """Return where a transform sends points, shape (n, dimension), in mm."""
    mapped = [tuple(transform.TransformPoint(point)) for point in points.tolist()]
    return np.array(mapped, dtype=np.float64).reshape(points.shape)


def composed(first: Displacement, then: Displacement, grid: Image) -> NDArray[np.floating[Any]]:
    """Return the displacement of two on one grid, one after the other.

    Beyond the grid's border, ``then`` is as it is there.
    """
    places = _voxel_coordinates(first, grid)
    return first + at_places(places, then)


def at_places(
    places: NDArray[np.floating[Any]], vectors: NDArray[np.floating[Any]]
) -> NDArray[np.floating[Any]]:
    """Return vectors (z, y, x, n) at places (3, z, y, x) in voxels, linearly.

    Beyond the border they are as there.
    """
    return np.stack(
        [
            map_coordinates(component, places, order=1, mode="nearest")
            for component in np.moveaxis(vectors, -1, 0)
        ],
        axis=-1,
    )


def inverted(displacement: Displacement, grid: Image) -> NDArray[np.float64]:
    """Return ``v`` with ``x + v(x) + u(x + v(x)) = x``, by fixed-point iteration.

    Chen et al., Medical Physics 35 (2008) 81-88. Whole steps diverge where ``u`` magnifies to more
    than twice the size, so that voxels that do not soon come to rest go on by half steps, which
    bear four times. Where ``u`` folds, or ends outside of the grid, there is no inverse, and the
    result is as near as the iteration came.
    """
    steps = _voxel_steps(displacement, grid)
    voxels = np.indices(steps.shape[:-1], dtype=float).reshape(steps.shape[-1], -1)
    found = np.zeros((voxels.shape[1], steps.shape[-1]))
    # Most voxels come to rest after a few steps, and few need all of them.
    restless = np.arange(len(found))
    for number in range(_INVERSION_STEPS):
        places = voxels[:, restless] + found[restless, ::-1].T
        change = -at_places(places, steps) - found[restless]
        found[restless] += change if number < _WHOLE_STEPS else change / 2
        restless = restless[np.abs(change).max(axis=1) >= _INVERSION_TOLERANCE]
        if not restless.size:
            break
    along_grid = found.reshape(steps.shape) * np.asarray(grid.GetSpacing())
    inverse: NDArray[np.float64] = along_grid @ np.asarray(grid.GetDirection()).T
    return inverse


def jacobian_determinant(displacement: Displacement, grid: Image) -> NDArray[np.float64]:
    """Return ``det J_T`` at every voxel of the grid, by central differences.

    At the outermost voxels differences are one-sided.
    """
    dimension = grid.GetImageDimension()
    # Along the grid's own axes, where neighbours differ along one axis at a time.
    along_grid = displacement @ np.asarray(grid.GetDirection())
    spacing = np.asarray(grid.GetSpacing())
    jacobian = np.empty((*displacement.shape, dimension))
    for axis in range(dimension):  # x, y, z
        jacobian[..., axis] = np.gradient(along_grid, spacing[axis], axis=dimension - 1 - axis)
    jacobian += np.eye(dimension)
    determinant: NDArray[np.float64] = np.linalg.det(jacobian)
    return determinant


def folded_share(determinant: NDArray[np.floating[Any]]) -> float:
    """Return the share of voxels at which ``det J_T <= 0``, the outermost left out.

    Images of two slices have no others, so that all of theirs count.
    """
    inner = determinant[(slice(1, -1),) * determinant.ndim]
    return float(((inner if inner.size else determinant) <= 0).mean())


def _resample(
    image: Image, grid: Image, transform: Transform, interpolator: Any, **more: Any
) -> Image:
    if transform is not None:
        more["transform"] = transform
    return itk.resample_image_filter(
        image,
        interpolator=interpolator.New(image),
        size=[int(n) for n in itk.size(grid)],
        output_spacing=grid.GetSpacing(),
        output_origin=grid.GetOrigin(),
        output_direction=grid.GetDirection(),
        **more,
    )


def _voxel_steps(displacement: Displacement, grid: Image) -> NDArray[np.floating[Any]]:
    """Return a displacement in voxels, along the grid's own axes x, y, z; (z, y, x, 3)."""
    along_grid = displacement @ np.asarray(grid.GetDirection())
    steps: NDArray[np.floating[Any]] = along_grid / np.asarray(grid.GetSpacing())
    return steps


def _voxel_coordinates(displacement: Displacement, grid: Image) -> NDArray[np.floating[Any]]:
    """Return where every voxel is sent to, in voxels of the grid; (3, z, y, x)."""
    steps = np.moveaxis(_voxel_steps(displacement, grid)[..., ::-1], -1, 0)
    found: NDArray[np.floating[Any]] = np.indices(steps.shape[1:]) + steps
    return found
