# SPDX-License-Identifier: Apache-2.0
"""What every method, whatever its software, has to hand in: a displacement field.

So that all are judged by one measure, labels are warped and folding is counted by the code here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import DataError

# Before registration, after the last transform without local deformation, and at the end.
STEPS = ("before", "linear", "deformable")


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Where a method sends the points of the fixed image.

    Attributes
    ----------
    step
        ``"linear"`` or ``"deformable"``.
    displacement
        ``T(x) - x`` in mm along the patient axes (ITK x, y, z) for every voxel x of the fixed
        image, which point T(x) of the moving image belongs there; float, shape (z, y, x, 3).
    seconds
        Wall-clock time of this step.
    """

    step: str
    displacement: NDArray[np.floating[Any]]
    seconds: float


def field_of(displacement: NDArray[np.floating[Any]], fixed: Any) -> Any:
    """Return a displacement ``(z, y, x, 3)`` as an ITK image of vectors on the fixed grid.

    Raises
    ------
    DataError
        If the displacement is not on the fixed image's grid, or not finite.
    """
    expected = (*itk.array_view_from_image(fixed).shape, 3)
    if displacement.shape != expected:
        msg = f"the displacement has shape {displacement.shape} and must have {expected}"
        raise DataError(msg)
    if not np.isfinite(displacement).all():
        msg = "the displacement has NaN or infinite values"
        raise DataError(msg)
    # Not by itk.image_from_array, whose itk.VectorImage the transform would not take over unharmed.
    field = itk.Image[itk.Vector[itk.D, 3], 3].New()
    field.SetRegions(itk.size(fixed))
    field.Allocate()
    itk.array_view_from_image(field)[:] = displacement
    field.CopyInformation(fixed)
    return field


def warp_image(moving: Any, displacement: NDArray[np.floating[Any]], fixed: Any) -> Any:
    """Resample the moving image on the grid of the fixed one, linearly; 0 outside of it."""
    interpolator = itk.LinearInterpolateImageFunction.New(moving)
    return _resample(moving, field_of(displacement, fixed), fixed, interpolator)


def warp_labels(
    labels: Any, displacement: NDArray[np.floating[Any]], fixed: Any, reference: Any
) -> Any:
    """Resample the moving label map on the grid of the fixed one, nearest neighbour.

    Outside of the fixed image's grid, on which the displacement is given, points stay.
    """
    interpolator = itk.NearestNeighborInterpolateImageFunction.New(labels)
    return _resample(labels, field_of(displacement, fixed), reference, interpolator)


def _resample(moving: Any, field: Any, reference: Any, interpolator: Any) -> Any:
    transform = itk.DisplacementFieldTransform[itk.D, 3].New()
    transform.SetDisplacementField(field)
    return itk.resample_image_filter(
        moving,
        transform=transform,
        interpolator=interpolator,
        reference_image=reference,
        use_reference_image=True,
    )


def folded_share(displacement: NDArray[np.floating[Any]], fixed: Any) -> float:
    """Return the share of the fixed image's voxels at which ``det J_T <= 0``.

    Derivatives are central differences; the outermost voxels, where these are one-sided, are left
    out.
    """
    # Along the grid's own axes, where neighbours differ along one axis at a time.
    along_grid = displacement @ np.asarray(fixed.GetDirection())
    spacing = np.asarray(fixed.GetSpacing())
    jacobian = np.empty((*displacement.shape, 3))
    for axis in range(3):  # x, y, z
        jacobian[..., axis] = np.gradient(along_grid, spacing[axis], axis=2 - axis)
    jacobian += np.eye(3)
    inner = jacobian[1:-1, 1:-1, 1:-1]
    return float((np.linalg.det(inner) <= 0).mean())
