# SPDX-License-Identifier: Apache-2.0
"""Apply a transform to a file, and write what comes out to another one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cnnmetric.errors import DataError
from cnnmetric.errors import SettingsError
from cnnmetric.files.points.formats import check_points_file
from cnnmetric.files.points.formats import is_points_file
from cnnmetric.files.points.formats import read_points
from cnnmetric.files.points.formats import write_points
from cnnmetric.images.writing import check_image_file
from cnnmetric.images.writing import write_image
from cnnmetric.registration.spatial_transform import SpatialTransform


@dataclass(frozen=True, kw_only=True)
class TransformedFile:
    """What was written.

    Attributes
    ----------
    kind
        What the file holds.
    file
        Where it is.
    points
        Number of points; 0 for an image.
    outside
        How many of the points lie where only the linear part of the transform acts: outside of the
        fixed image of the registration.
    """

    kind: Literal["image", "labels", "points"]
    file: Path
    points: int = 0
    outside: int = 0


def transform_file(
    transform: SpatialTransform,
    given: str | Path,
    out: str | Path,
    *,
    labels: bool = False,
    overwrite: bool = False,
) -> TransformedFile:
    """Apply a transform to an image, a label map or a file of points.

    Parameters
    ----------
    transform
        Brings images from its source to the grid of its target, and points from target to source;
        the inverse of a result (:meth:`SpatialTransform.inverse`) does both the other way round.
    given
        An image, or a file of points (:func:`cnnmetric.read_points`), which its name tells. Voxel
        indices in a file of elastix count the target's voxels.
    out
        Where to. Points may change their format.
    labels
        The image is a label map.
    overwrite
        Replace a file that exists; never the one that is given.

    Returns
    -------
    TransformedFile
        What was written.

    Raises
    ------
    SettingsError
        If nothing can be written there.
    DataError
        If the file given cannot be read, or does not fit the transform.
    """
    source, target = Path(given), Path(out)
    if target.exists() and source.exists() and target.samefile(source):
        msg = f"{target} is the file to transform; name another one for the result"
        raise SettingsError(msg)
    if not is_points_file(source):
        check_image_file(target, overwrite=overwrite)
        write_image(transform.apply(source, labels=labels), target, overwrite=overwrite)
        return TransformedFile(kind="labels" if labels else "image", file=target)
    if labels:
        msg = f"{source} holds points, by its name; leave out --labels (in Python labels=True)"
        raise SettingsError(msg)
    check_points_file(target, overwrite=overwrite)
    points = read_points(source, grid=transform.target)
    if points.dimension != transform.dimension:
        msg = f"the points of {source} are {points.dimension}D and the transform is not"
        raise DataError(msg)
    write_points(transform.apply(points), target, overwrite=overwrite)
    return TransformedFile(
        kind="points",
        file=target,
        points=len(points.positions),
        outside=transform.number_outside(points.positions),
    )
