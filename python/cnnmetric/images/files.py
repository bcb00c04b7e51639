# SPDX-License-Identifier: Apache-2.0
"""Read images and label maps from files, and refuse what ITK would read as something else.

ITK turns every kind of number into the kind asked for and fills what is missing of some files with
zeros, without a word.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import itk
import numpy as np

from cnnmetric.errors import DataError
from cnnmetric.images import dicom
from cnnmetric.images.arrays import check_right_angles
from cnnmetric.images.arrays import voxel_axes
from cnnmetric.images.nibabel_images import is_freesurfer
from cnnmetric.images.nibabel_images import read_freesurfer
from cnnmetric.images.nifti_placement import warn_of_two_places
from cnnmetric.images.truncation import check_whole
from cnnmetric.types import Image
from cnnmetric.types import LabelMap

_SHORT = np.iinfo(np.int16)
# Beyond, doubles leave whole numbers out.
_LARGEST_LABEL = 2**53


def read_image(
    file: str | Path, *, dimensions: Sequence[int] = (3,), dtype: Any = np.float32
) -> Image:
    """Read an image as floats.

    Parameters
    ----------
    file
        Of any format that ITK reads, an image of FreeSurfer (``.mgz``), or a folder with a DICOM
        series; of several, one is named as ``folder#1.2.840``.
    dimensions
        How many the image may have.
    dtype
        ``numpy.float32`` or ``numpy.float64``.

    Raises
    ------
    DataError
        If the file is missing, cannot be read, ends too early, has more than one value a voxel, is
        of another dimension, or its axes are not at right angles.
    """
    return _read(Path(file), itk.F if dtype == np.float32 else itk.D, dimensions)


def read_labels(file: str | Path) -> LabelMap:
    """Read a 3D label map, of any type of number that holds whole ones.

    Parameters
    ----------
    file
        As for :func:`read_image`.

    Returns
    -------
    LabelMap
        Of ``itk.SS`` where the labels fit, otherwise of ``itk.D``: ITK's filters take no whole
        numbers of more bits.

    Raises
    ------
    DataError
        As for :func:`read_image`; if a voxel is no whole number, or beyond 2**53.
    """
    image = _read(Path(file), itk.D, (3,))
    voxels = itk.array_view_from_image(image)
    if not np.isfinite(voxels).all():
        msg = f"the label map {file} has NaN or infinite voxels; make them the background, 0"
        raise DataError(msg)
    fractions = voxels[voxels != np.rint(voxels)]
    if fractions.size:
        msg = (
            f"the label map {file} holds values that are not whole numbers, such as "
            f"{fractions[0]:g}; was it resampled with other than nearest-neighbour interpolation?"
        )
        raise DataError(msg)
    lowest, highest = (int(value) for value in (voxels.min(), voxels.max()))
    if max(-lowest, highest) >= _LARGEST_LABEL:
        msg = (
            f"the label map {file} holds the labels {lowest} to {highest}, of which some would be "
            "taken for others; number its labels anew, below 2**53"
        )
        raise DataError(msg)
    if lowest < _SHORT.min or highest > _SHORT.max:
        return image
    return itk.cast_image_filter(image, ttype=[type(image), itk.Image[itk.SS, 3]])


def _read(file: Path, pixel_type: Any, dimensions: Sequence[int]) -> Image:
    if dicom.names_series(file):
        image = dicom.read_series(file, pixel_type)
    elif not file.exists():
        msg = f"there is no image file {file}"
        raise DataError(msg)
    elif is_freesurfer(file):
        image = read_freesurfer(file, np.float32 if pixel_type is itk.F else np.float64)
    else:
        image = _read_file(file, pixel_type)
    found = image.GetImageDimension()
    if found not in dimensions:
        wanted = " or ".join(f"{dimension}D" for dimension in dimensions)
        msg = f"{file} has {found} dimensions; a {wanted} image is needed"
        raise DataError(msg)
    check_right_angles(voxel_axes(image), f"image {file}")
    return image


def _read_file(file: Path, pixel_type: Any) -> Image:
    try:
        with _by_itself(file) as path:
            components = _components(path)
            image = itk.imread(str(path), pixel_type) if components == 1 else None
    except RuntimeError as error:
        msg = f"{file} cannot be read as an image: {_reason(error)}"
        raise DataError(msg) from error
    if image is None:
        msg = (
            f"{file} has {components} values a voxel, as colour, complex and vector images have; "
            "an image with one number a voxel is needed"
        )
        raise DataError(msg)
    check_whole(file, itk.array_view_from_image(image).size)
    warn_of_two_places(file, image)
    return image


@contextmanager
def _by_itself(file: Path) -> Iterator[Path]:
    """Give a path to a file that ITK does not take for another one.

    Of ``x.nii`` and ``x.nii.gz`` in one folder, ITK reads the former, whichever it is told; so it
    is with pairs of header and voxels.
    """
    compression = ".gz" if file.name.endswith(".gz") else ""
    name = Path(file.name.removesuffix(".gz"))
    pair = (".hdr", ".img")
    ends = {".nii": (".nii",), ".hdr": pair, ".img": pair}.get(name.suffix, ())
    parts = {
        end: [file.with_name(name.stem + end + packed) for packed in ("", ".gz")] for end in ends
    }
    if not any(all(path.exists() for path in both) for both in parts.values()):
        yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        for both in parts.values():
            alike = [path for path in both if path.name.endswith(".gz") == bool(compression)]
            for path in alike if alike[0].exists() else both:
                if path.exists():
                    os.symlink(path.resolve(), Path(folder) / path.name)
        yield Path(folder) / file.name


def _reason(error: RuntimeError) -> str:
    """Return what ITK says of an image that it cannot read, without what stands around it."""
    *before, last = str(error).strip().splitlines()
    # What follows is the state of the operating system, which need not have to do with it.
    if last.startswith("Reason: ") and before:
        return "it is damaged or ends too early"
    return last


def _components(file: Path) -> int:
    """Return the number of values a voxel; 1 where only reading will tell."""
    reader = itk.ImageIOFactory.CreateImageIO(str(file), itk.CommonEnums.IOFileMode_ReadMode)
    if reader is None:
        return 1
    reader.SetFileName(str(file))
    reader.ReadImageInformation()
    return int(reader.GetNumberOfComponents())
