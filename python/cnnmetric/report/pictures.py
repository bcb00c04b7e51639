# SPDX-License-Identifier: Apache-2.0
"""Pictures that need no script: three planes of the images, before and after."""

from __future__ import annotations

import base64
import tempfile
from pathlib import Path

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.images import warping
from cnnmetric.images.arrays import placed
from cnnmetric.images.arrays import voxel_axes
from cnnmetric.images.checkerboard import checkerboard
from cnnmetric.types import Image

_EDGE = 240  # pixels of the longest axis of the head
_GAP = 6
_BACKGROUND = 14
_TILE = 20.0  # mm, checkerboard

Picture = NDArray[np.uint8]


def planes(*images: Image) -> Picture:
    """Return fixed, before, after and two checkerboards, a row for each plane; RGB bytes.

    Parameters
    ----------
    images
        Fixed image, and moving image before and after, all of bytes on one grid.

    Notes
    -----
    The planes lie along the patient's axes: axial, coronal, sagittal, through the middle of what
    the fixed image shows. The patient's left is on the left. In 2D it is one row, as stored.
    """
    flat = images[0].GetImageDimension() == 2
    spacing = float(min(images[0].GetSpacing()))
    if not flat:
        grid, spacing = _patient_grid(images[0])
        images = tuple(warping.resample_image(image, grid) for image in images)
    fixed, before, after = (itk.array_from_image(image) for image in images)
    if flat:
        return _row(fixed, before, after, spacing)
    cuts = [n // 2 for n in fixed.shape]  # z, y, x
    rows = []
    for axis in range(3):
        slices = [np.take(volume, cuts[axis], axis=axis) for volume in (fixed, before, after)]
        # The patient's x grows to the left and y to the back; z grows upwards.
        turned = [part[:, ::-1] if axis == 0 else part[::-1, ::-1] for part in slices]
        rows.append(_row(turned[0], turned[1], turned[2], spacing))
    width = max(row.shape[1] for row in rows)
    return np.concatenate([_centred(row, width) for row in rows])


def as_data_uri(picture: Picture) -> str:
    """Return a picture as the address of a PNG that is its own content."""
    pixel = itk.Image[itk.RGBPixel[itk.UC], 2]
    image = itk.image_from_array(np.ascontiguousarray(picture), ttype=pixel)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture.png"
        itk.imwrite(image, str(file))
        return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode("ascii")


def _row(fixed: Picture, before: Picture, after: Picture, spacing: float) -> Picture:
    tile = max(2, round(_TILE / spacing))
    grey = [np.repeat(part[..., None], 3, axis=-1) for part in (fixed, before, after)]
    boards = [checkerboard(fixed, moving, tile=tile).astype(np.uint8) for moving in (before, after)]
    padded = [
        np.pad(part, ((_GAP, 0), (_GAP, 0), (0, 0)), constant_values=_BACKGROUND)
        for part in [*grey, *boards]
    ]
    return np.concatenate(padded, axis=1)


def _centred(row: Picture, width: int) -> Picture:
    left = (width - row.shape[1]) // 2
    sides = ((0, 0), (left, width - row.shape[1] - left), (0, 0))
    return np.pad(row, sides, constant_values=_BACKGROUND)


def _patient_grid(fixed: Image) -> tuple[Image, float]:
    """Return a grid of cubes along the patient's axes around what an image shows, and its voxel."""
    shown = np.argwhere(itk.array_view_from_image(fixed) > 12)[:, ::-1]
    if not len(shown):
        shown = np.array([[0, 0, 0], np.array(itk.size(fixed)) - 1])
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * (
        np.ptp(shown, axis=0)
    ) + shown.min(axis=0)
    matrix = voxel_axes(fixed)
    points = corners @ matrix.T + np.array(fixed.GetOrigin())
    margin = 0.04 * np.ptp(points, axis=0).max()
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    spacing = float((high - low).max() / _EDGE)
    size = np.maximum(1, np.ceil((high - low) / spacing)).astype(int)
    grid = placed(np.zeros(size[::-1], dtype=np.uint8), spacing=[spacing] * 3, origin=low)
    return grid, spacing
