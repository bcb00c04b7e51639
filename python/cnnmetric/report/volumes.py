# SPDX-License-Identifier: Apache-2.0
"""Volumes of a report: bytes on one grid, as compressed NIfTI that a browser reads."""

from __future__ import annotations

import base64
import tempfile
from dataclasses import dataclass
from pathlib import Path

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.images import warping
from cnnmetric.images.arrays import placed
from cnnmetric.types import Image
from cnnmetric.types import Transform

_MOST_VOXELS = 8e6  # of a volume, so that the page stays below some 15 MB
_QUANTILES = (0.01, 0.999)
# log2 of the Jacobian determinant that the ends of its colours mean, and the byte for folding.
JACOBIAN_RANGE = 1.0
FOLDED = 255
_MIDDLE, _LAST = 128, 253
_FINER = 4  # times the voxels of the metric's map
_SHOWN = 12  # of 255

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Volumes:
    """What a report shows, as ITK images of bytes.

    Attributes
    ----------
    fixed, before, after
        The fixed image, and the moving one on its grid, where the registration started and as
        registered.
    jacobian
        ``log2 det J_T`` where the fixed image shows something, from minus to plus
        :data:`JACOBIAN_RANGE`, 128 for no change of volume; :data:`FOLDED` where the transform
        folds.
    dissimilarity
        Of the metric, on the metric's own coarse grid.
    dissimilarity_range
        Values that its bytes 0 and 255 mean.
    """

    fixed: Image
    before: Image
    after: Image
    jacobian: Image
    dissimilarity: Image
    dissimilarity_range: tuple[float, float]


def volumes_of(
    *,
    fixed: Image,
    moving: Image,
    before: Transform | None,
    after: Transform,
    jacobian: Image,
    dissimilarity: Image,
    counted: NDArray[np.bool_],
) -> Volumes:
    """Put all on the grid of the fixed image, or a coarser one if that is very fine.

    Parameters
    ----------
    fixed, moving
        ITK images of float.
    before, after
        Transforms from the fixed to the moving image.
    jacobian
        Determinant on the fixed grid.
    dissimilarity
        Map of the metric.
    counted
        Which of its patches count, of the array's shape.
    """
    grid = _display_grid(fixed)
    window = _window(fixed), _window(moving)
    determinant = warping.resample_image(jacobian, grid) if grid is not fixed else jacobian
    values = itk.array_from_image(dissimilarity)
    low, high = (float(q) for q in np.quantile(values[counted], (0.02, 0.99)))
    high = max(high, low + 1e-6)
    fixed_bytes = _windowed(warping.resample_image(fixed, grid), window[0])
    shown = itk.array_view_from_image(fixed_bytes) > _SHOWN
    return Volumes(
        fixed=fixed_bytes,
        before=_windowed(warping.resample_image(moving, grid, before), window[1]),
        after=_windowed(warping.resample_image(moving, grid, after), window[1]),
        jacobian=_like(_jacobian_bytes(itk.array_view_from_image(determinant), shown), grid),
        dissimilarity=_finer(
            _like(np.where(counted, _scaled(values, low, high), 0).astype(np.uint8), dissimilarity)
        ),
        dissimilarity_range=(low, high),
    )


def as_base64(image: Image) -> str:
    """Return an image as the text of a compressed NIfTI file; 2D images get a third axis."""
    if image.GetImageDimension() == 2:
        image = _with_third_axis(image)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "volume.nii.gz"
        itk.imwrite(image, str(file), compression=True)
        return base64.b64encode(file.read_bytes()).decode("ascii")


def _finer(image: Image) -> Image:
    """Return a coarse map interpolated, so that its voxels are not taken for structure."""
    size = (np.array(itk.size(image)) - 1) * _FINER + 1
    grid = placed(
        np.zeros(size[::-1], dtype=np.uint8),
        spacing=np.array(image.GetSpacing()) / _FINER,
        origin=image.GetOrigin(),
        direction=itk.array_from_matrix(image.GetDirection()),
    )
    return warping.resample_image(image, grid)


def _display_grid(fixed: Image) -> Image:
    size = np.array(itk.size(fixed))
    coarser = (float(size.prod()) / _MOST_VOXELS) ** (1 / size.size)
    if coarser <= 1:
        return fixed
    smaller = np.maximum(1, np.round(size / coarser)).astype(int)
    return placed(
        np.zeros(smaller[::-1], dtype=np.float32),
        spacing=np.array(fixed.GetSpacing()) * size / smaller,
        origin=fixed.GetOrigin(),
        direction=itk.array_from_matrix(fixed.GetDirection()),
    )


def _window(image: Image) -> tuple[float, float]:
    """Return the intensities that are shown as black and white."""
    values = itk.array_view_from_image(image)
    low, high = (float(q) for q in np.quantile(values, _QUANTILES))
    return low, max(high, low + 1e-6)


def _windowed(image: Image, window: tuple[float, float]) -> Image:
    return _like(_scaled(itk.array_view_from_image(image), *window), image)


def _scaled(values: NDArray[np.floating], low: float, high: float) -> Bytes:
    found: Bytes = np.rint(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return found


def _jacobian_bytes(determinant: NDArray[np.floating], shown: NDArray[np.bool_]) -> Bytes:
    """Return the bytes of a determinant: where the image shows nothing, only of folding."""
    share = np.log2(np.maximum(determinant, 1e-3)) / JACOBIAN_RANGE
    found: Bytes = np.clip(np.rint(_MIDDLE + share * (_LAST - _MIDDLE)), 0, _LAST).astype(np.uint8)
    found[~shown] = _MIDDLE
    found[determinant <= 0] = FOLDED
    return found


def _like(array: Bytes, grid: Image) -> Image:
    return placed(
        array,
        spacing=grid.GetSpacing(),
        origin=grid.GetOrigin(),
        direction=itk.array_from_matrix(grid.GetDirection()),
    )


def _with_third_axis(image: Image) -> Image:
    direction = np.eye(3)
    direction[:2, :2] = itk.array_from_matrix(image.GetDirection())
    spacing = list(image.GetSpacing())
    return placed(
        itk.array_from_image(image)[None],
        spacing=[*spacing, min(spacing)],
        origin=[*image.GetOrigin(), 0.0],
        direction=direction,
    )
