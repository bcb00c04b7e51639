# SPDX-License-Identifier: Apache-2.0
"""Point files of elastix and transformix: ``point`` or ``index``, the number, one point a line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import DataError
from cnnmetric.files.points.point_set import PointSet
from cnnmetric.files.points.point_set import numbers
from cnnmetric.files.points.point_set import point_set
from cnnmetric.files.points.point_set import written
from cnnmetric.images.arrays import voxel_axes
from cnnmetric.types import Image

SUFFIXES = (".txt", ".pts")
_KINDS = ("point", "index")


def read(text: str, *, place: str, grid: Image | None) -> PointSet:
    """Read points in mm, or voxel indices of an image.

    As `Format.read` says; a `DataError` also if the file holds indices and there is no grid.
    """
    lines = [
        (number, line.split())
        for number, line in enumerate(text.splitlines(), start=1)
        if line.strip()
    ]
    if len(lines) < 2 or lines[0][1][0] not in _KINDS or len(lines[0][1] + lines[1][1]) != 2:
        msg = (
            f"{place} is no point file of elastix: its first line is 'point' (mm) or 'index' "
            "(voxels), its second the number of points, and one point a line follows"
        )
        raise DataError(msg)
    (_, (kind,)), (_, (count,)), *rows = lines
    if count != str(len(rows)):
        msg = f"{place} announces {count} points and holds {len(rows)}; correct its second line"
        raise DataError(msg)
    dimension = len(rows[0][1]) if rows else 3
    positions = []
    for number, row in rows:
        if len(row) != dimension or dimension not in (2, 3):
            msg = (
                f"{place}, line {number}, has {len(row)} numbers; give every point 3 coordinates "
                "(2D: every point 2)"
            )
            raise DataError(msg)
        positions.append(numbers(row, place=f"{place}, line {number}"))
    points = point_set(positions, place=place)
    return points if kind == "point" else points.moved(_in_mm(points, grid, place))


def write(points: PointSet) -> str:
    """Return the text of a file of points in mm; the format has no labels."""
    rows = [" ".join(written(position)) for position in points.positions]
    return "\n".join(["point", str(len(rows)), *rows]) + "\n"


def _in_mm(points: PointSet, grid: Image | None, place: str) -> NDArray[np.float64]:
    if grid is None:
        msg = (
            f"{place} holds voxel indices, which are places only on an image; give grid=, or write "
            "'point' and coordinates in mm"
        )
        raise DataError(msg)
    if grid.GetImageDimension() != points.dimension:
        msg = (
            f"{place} holds {points.dimension}D indices and the image is "
            f"{grid.GetImageDimension()}D; give indices of its voxels"
        )
        raise DataError(msg)
    indices = points.positions
    if not np.array_equal(indices, np.round(indices)):
        msg = (
            f"{place} says 'index' and holds fractions, which elastix rounds; give whole numbers, "
            "or 'point' and coordinates in mm"
        )
        raise DataError(msg)
    axes = voxel_axes(grid)
    found: NDArray[np.float64] = np.asarray(grid.GetOrigin()) + indices @ axes.T
    return found
