# SPDX-License-Identifier: Apache-2.0
"""The transform that a registration starts from, in every form in which users have one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np

from cnnmetric.errors import DataError
from cnnmetric.images import warping
from cnnmetric.registration import elastix_transforms
from cnnmetric.registration.saved import load_transform
from cnnmetric.registration.spatial_transform import SpatialTransform
from cnnmetric.types import Image
from cnnmetric.types import ParameterObject
from cnnmetric.types import Transform

_ELASTIX_SUFFIX = ".txt"
_KINDS = (
    "an ITK transform, an itk.ParameterObject of elastix, a file of either (.h5, .tfm, .mat; "
    "TransformParameters.0.txt), the result of an earlier registration, or its saved folder"
)


def initial_transforms(given: Any, fixed: Image, moving: Image) -> tuple[Transform, ...]:
    """Return ITK transforms from points of the fixed to points of the moving image.

    The last one is applied first; none if nothing is given.

    Parameters
    ----------
    given
        An ITK transform, elastix's transform parameters, the name of a file of either, an earlier
        result or the folder it was saved in, or None.
    fixed, moving
        The images.

    Raises
    ------
    DataError
        If it is none of these, cannot be read, is of another dimension or of single precision.
    """
    if given is None:
        return ()
    dimension = fixed.GetImageDimension()
    if isinstance(given, SpatialTransform):
        transforms = list(given.transforms)
    elif isinstance(given, itk.ParameterObject):
        transforms = elastix_transforms.to_itk(given, fixed)
    elif isinstance(given, (str, Path)):
        transforms = _read(Path(given), fixed, moving)
    elif hasattr(given, "TransformPoint") and hasattr(given, "GetNameOfClass"):
        # Copies, because the user may go on to change it.
        transforms = [transform.Clone() for transform in warping.flattened([given])]
    else:
        msg = f"the initial transform is a {type(given).__name__}; give {_KINDS}"
        raise DataError(msg)
    transforms = warping.flattened(transforms)
    for transform in transforms:
        elastix_transforms.check_dimension(int(transform.GetInputSpaceDimension()), fixed)
    try:
        warping.composite_transform(transforms, dimension)
    except TypeError as error:
        msg = "the initial transform holds one of single precision; make it of doubles (itk.D)"
        raise DataError(msg) from error
    return tuple(transforms)


def _read(file: Path, fixed: Image, moving: Image) -> list[Transform]:
    if file.is_dir():
        return list(load_transform(file).transforms)
    if not file.is_file():
        msg = f"there is no file {file} with an initial transform"
        raise DataError(msg)
    try:
        if file.suffix == _ELASTIX_SUFFIX:
            chain = elastix_transforms.read_chain(file)
            _check_directions(file, chain, fixed, moving)
            return elastix_transforms.to_itk(chain, fixed)
        # Of several transforms in a file, as in a composite one, the last is applied first.
        return list(itk.transformread(str(file)))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        msg = f"{file} cannot be read as a transform ({reason}); give {_KINDS}"
        raise DataError(msg) from error


def _check_directions(file: Path, chain: ParameterObject, *images: Image) -> None:
    straight = all(
        np.allclose(itk.array_from_matrix(image.GetDirection()), np.eye(image.GetImageDimension()))
        for image in images
    )
    if not straight and not elastix_transforms.uses_directions(chain):
        msg = (
            f'{file} was made with (UseDirectionCosines "false"), in coordinates without the '
            'directions of these images; make it with "true"'
        )
        raise DataError(msg)
