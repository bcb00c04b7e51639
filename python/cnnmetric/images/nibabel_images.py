# SPDX-License-Identifier: Apache-2.0
"""Images of nibabel as ITK's, and files that nibabel reads and ITK does not: FreeSurfer's."""

from __future__ import annotations

import gzip
import sys
import zlib
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import itk
import numpy as np

from cnnmetric.errors import CompatibilityError
from cnnmetric.errors import DataError
from cnnmetric.images.arrays import check_right_angles
from cnnmetric.images.arrays import floats
from cnnmetric.images.arrays import placed
from cnnmetric.images.arrays import voxel_axes
from cnnmetric.types import Image

# nibabel's axes point to the right and to the front, ITK's to the left and to the back.
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0])
_CHUNK = 2**20  # bytes
_SUFFIXES = (".mgz", ".mgh", ".mgh.gz")


def is_freesurfer(file: Path) -> bool:
    """Tell by its name whether a file is an image of FreeSurfer."""
    return file.name.lower().endswith(_SUFFIXES)


def read_freesurfer(file: Path, dtype: Any) -> Image:
    """Read an image of FreeSurfer.

    Parameters
    ----------
    file
        Which ends as :func:`is_freesurfer` wants.
    dtype
        ``numpy.float32`` or ``numpy.float64``.

    Raises
    ------
    CompatibilityError
        If nibabel is not installed.
    DataError
        If the file cannot be read, or is not 3D.
    """
    try:
        import nibabel
        from nibabel.filebasedimages import ImageFileError
        from nibabel.freesurfer.mghformat import MGHError
        from nibabel.spatialimages import HeaderDataError
    except ModuleNotFoundError as error:
        msg = (
            f"{file} is an image of FreeSurfer, which needs the package nibabel. "
            f"Run: {sys.executable} -m pip install nibabel"
        )
        raise CompatibilityError(msg) from error
    # KeyError and TypeError are of nibabel too: of an unknown type of number, and a short header.
    damaged = (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error)
    try:
        packed = file.suffix.lower() != ".mgh"
        # nibabel itself leaves the file open.
        with gzip.open(file) if packed else file.open("rb") as stream:
            image = nibabel.MGHImage.from_stream(stream)
            found = from_nibabel(image, f"image {file}", dtype)
            _read_to_the_end(stream)
            return found
    except DataError:
        raise
    except (*damaged, ImageFileError, MGHError, HeaderDataError) as error:
        reason = "its header is damaged" if isinstance(error, KeyError) else str(error)
        msg = f"{file} cannot be read as an image: {reason or 'it ends too early'}"
        raise DataError(msg) from error


def _read_to_the_end(stream: BufferedIOBase) -> None:
    """Let gzip check its checksum, which lies behind what an image is read from."""
    while stream.read(_CHUNK):
        pass


def from_nibabel(given: Any, role: str, dtype: Any) -> Image:
    """Return an image of nibabel as ITK's.

    Raises
    ------
    DataError
        If it is not 3D, has no finite affine, or its axes are not at right angles.
    """
    array = np.asanyarray(given.dataobj)
    while array.ndim > 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 3:
        msg = f"the {role} has the shape {given.shape}; a 3D image is needed"
        raise DataError(msg)
    if given.affine is None or not np.isfinite(given.affine).all():
        what = "no affine" if given.affine is None else "an affine with NaN or infinite numbers"
        msg = f"the {role} has {what}; correct its header, or give the image a finite affine"
        raise DataError(msg)
    axes = RAS_TO_LPS @ given.affine[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    check_right_angles(axes, role)
    return placed(
        floats(array, role, dtype).T,
        spacing=spacing,
        origin=RAS_TO_LPS @ given.affine[:3, 3],
        direction=axes / spacing,
    )


def to_nibabel(image: Image) -> Any:
    """Return an image of ITK as nibabel's."""
    import nibabel

    affine = np.eye(4)
    matrix = voxel_axes(image)
    affine[:3, :3] = RAS_TO_LPS @ matrix
    affine[:3, 3] = RAS_TO_LPS @ np.asarray(image.GetOrigin())
    return nibabel.Nifti1Image(itk.array_from_image(image).T, affine)
