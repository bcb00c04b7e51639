# SPDX-License-Identifier: Apache-2.0
"""Take up the transform of a result that was saved."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import itk
import numpy as np

from cnnmetric.errors import DataError
from cnnmetric.files.paths import as_path
from cnnmetric.images import warping
from cnnmetric.registration.result import CHECKSUMS
from cnnmetric.registration.result import LOG
from cnnmetric.registration.result import TRANSFORM
from cnnmetric.registration.result import checksum
from cnnmetric.registration.spatial_transform import SpatialTransform
from cnnmetric.types import Image

_FLAT = 0.1  # of a determinant of directions, which is 1 or -1
_ADVICE = "give a folder that RegistrationResult.save or `cnnmetric register` has written"


def load_transform(folder: str | Path) -> SpatialTransform:
    """Return the transform of a result that :meth:`RegistrationResult.save` has written.

    Parameters
    ----------
    folder
        With ``transform.h5``, and ``log.json``, which holds the grids of both images. Nothing else
        of it is read, and not the images.

    Returns
    -------
    SpatialTransform
        The same as was saved: it applies to images, label maps and points, and has an inverse.

    Raises
    ------
    DataError
        If a file is missing or damaged.
    SettingsError
        If it is not the name of a folder.

    Examples
    --------
    >>> result = cnnmetric.load_transform("out/")
    >>> labels = result.apply("T2_labels.nii.gz", labels=True)
    """
    place = as_path("folder", folder)
    if not place.is_dir():
        msg = f"there is no folder {place} with a saved result; {_ADVICE}"
        raise DataError(msg)
    missing = [name for name in (TRANSFORM, LOG) if not (place / name).is_file()]
    if missing:
        msg = f"{place} has no {' and no '.join(missing)}, so that it is no saved result; {_ADVICE}"
        raise DataError(msg)
    log = _read_log(place / LOG)
    grids = _grids(log, place / LOG)
    known = log.get(CHECKSUMS, {}).get(TRANSFORM)
    if known != checksum(place / TRANSFORM):
        msg = (
            f"{place / TRANSFORM} is damaged, or not the one that was saved with {LOG}; copy the "
            "folder once more, or register again"
        )
        raise DataError(msg)
    transforms = warping.flattened(itk.transformread(str(place / TRANSFORM)))
    found = SpatialTransform(
        transforms=tuple(transforms), target=grids["fixed"], source=grids["moving"]
    )
    dimensions = {int(transform.GetInputSpaceDimension()) for transform in transforms}
    if dimensions != {found.dimension} or found.source.GetImageDimension() != found.dimension:
        msg = (
            f"{place / TRANSFORM} and the images of {place / LOG} are of different dimensions; "
            "the files are of different results"
        )
        raise DataError(msg)
    return found


def _read_log(file: Path) -> dict[str, Any]:
    try:
        log = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{file} cannot be read ({error}); copy the folder once more, or register again"
        raise DataError(msg) from error
    if not isinstance(log, dict) or not isinstance(log.get(CHECKSUMS, {}), dict):
        msg = f"{file} is not the log of a registration; {_ADVICE}"
        raise DataError(msg)
    return log


def _grids(log: Mapping[str, Any], file: Path) -> dict[str, Image]:
    """Return images without content on the grids that the log names, by role."""
    try:
        return {role: _grid(log["images"][role]) for role in ("fixed", "moving")}
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        msg = (
            f"{file} does not hold the grids of the fixed and the moving image ({error!r}); "
            f"{_ADVICE}"
        )
        raise DataError(msg) from error


def _grid(geometry: Mapping[str, Any]) -> Image:
    size = [int(number) for number in geometry["size"]]
    dimension = len(size)
    spacing, origin = (
        [float(number) for number in geometry[name]] for name in ("spacing_mm", "origin_mm")
    )
    direction = np.array(geometry["direction"], dtype=float)
    axes = direction.shape == (dimension, dimension) and abs(np.linalg.det(direction)) > _FLAT
    if (
        dimension not in (2, 3)
        or min(size) < 1
        or not len(spacing) == len(origin) == dimension
        or not all(0 < number < math.inf for number in spacing)
        or not all(map(math.isfinite, origin))
        or not axes
    ):
        msg = "a size, voxel size, origin or direction is impossible"
        raise ValueError(msg)
    image = itk.Image[itk.F, dimension].New()
    image.SetRegions(size)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction)
    return image
