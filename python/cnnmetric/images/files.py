# SPDX-License-Identifier: Apache-2.0
"""Read images and label maps from files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import itk
import numpy as np

from cnnmetric.errors import DataError
from cnnmetric.types import Image
from cnnmetric.types import LabelMap


def read_image(
    file: str | Path, *, dimensions: Sequence[int] = (3,), dtype: Any = np.float32
) -> Image:
    """Read an image as floats.

    Parameters
    ----------
    file
        Of any format that ITK reads.
    dimensions
        How many the image may have.
    dtype
        ``numpy.float32`` or ``numpy.float64``.

    Raises
    ------
    DataError
        If the file is missing, cannot be read, has more than one value a voxel, or is of another
        dimension.
    """
    return _read(Path(file), itk.F if dtype == np.float32 else itk.D, dimensions)


def read_labels(file: str | Path) -> LabelMap:
    """Read a 3D label map (0 to 32767); raises :class:`DataError` as :func:`read_image` does."""
    return _read(Path(file), itk.SS, (3,))


def _read(file: Path, pixel_type: Any, dimensions: Sequence[int]) -> Image:
    if not file.exists():
        msg = f"there is no image file {file}"
        raise DataError(msg)
    try:
        components = _components(file)
        image = itk.imread(str(file), pixel_type) if components == 1 else None
    except RuntimeError as error:
        msg = f"{file} cannot be read as an image: {str(error).strip().splitlines()[-1]}"
        raise DataError(msg) from error
    if image is None:
        msg = (
            f"{file} has {components} values a voxel, as colour and vector images have; an image "
            "with one number a voxel is needed"
        )
        raise DataError(msg)
    found = image.GetImageDimension()
    if found not in dimensions:
        wanted = " or ".join(f"{dimension}D" for dimension in dimensions)
        msg = f"{file} has {found} dimensions; a {wanted} image is needed"
        raise DataError(msg)
    return image


def _components(file: Path) -> int:
    """Return the number of values a voxel; 1 where only reading will tell."""
    reader = itk.ImageIOFactory.CreateImageIO(str(file), itk.CommonEnums.IOFileMode_ReadMode)
    if reader is None:
        return 1
    reader.SetFileName(str(file))
    reader.ReadImageInformation()
    return int(reader.GetNumberOfComponents())
