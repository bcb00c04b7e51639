# SPDX-License-Identifier: Apache-2.0
"""Tell where the two places that a NIfTI header may give an image are not the same.

A header has a qform (rotation, voxel size, origin) and an sform (any affine). ITK takes one of
them by rules of its own, nibabel, FSL and SPM take the sform. Where they differ, a mask that is
made with another program lies elsewhere than its image.
"""

from __future__ import annotations

import gzip
import itertools
import struct
import warnings
import zlib
from pathlib import Path

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.images.arrays import voxel_axes
from cnnmetric.types import Image

_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])
_SAME = 0.1  # mm


# Of the header of NIfTI-1, the one that ITK reads: its size, and where it holds what.
_SIZE, _PIXDIM, _CODES, _QUATERNION, _SFORM = 348, 76, 252, 256, 280


def warn_of_two_places(file: Path, image: Image) -> None:
    """Warn if qform and sform of a file differ by more than 0.1 mm somewhere in the image.

    Parameters
    ----------
    file
        Of any format; others than NIfTI in one file have no two places.
    image
        As ITK has read it, 3D.
    """
    if not file.name.endswith((".nii", ".nii.gz")) or image.GetImageDimension() != 3:
        return
    both = _places(_head(file))
    if both is None:
        return
    corners = np.array(list(itertools.product(*((0, n - 1) for n in itk.size(image)))), dtype=float)
    taken = (corners @ voxel_axes(image).T + np.array(image.GetOrigin())) * _RAS_TO_LPS
    found = [corners @ place[:, :3].T + place[:, 3] for place in both]
    apart = np.linalg.norm(found[0] - found[1], axis=1).max()
    if not apart > _SAME:
        return
    is_qform = np.abs(found[0] - taken).max() < np.abs(found[1] - taken).max()
    ours, other = ("qform", "sform") if is_qform else ("sform", "qform")
    warnings.warn(
        f"the header of {file} places the image twice, up to {apart:.1f} mm apart; taken is the "
        f"{ours}, as in ITK. Programs that take the {other} put masks and label maps elsewhere: "
        "make both the same",
        stacklevel=2,
    )


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        with gzip.open(file) if packed else file.open("rb") as stream:
            return stream.read(_SIZE)
    except (OSError, EOFError, zlib.error):  # what is damaged is refused elsewhere
        return b""


def _places(head: bytes) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return qform and sform as 3 x 4 matrices; None where the header has not got both."""
    for order in "<>":
        if len(head) == _SIZE and struct.unpack_from(f"{order}i", head)[0] == _SIZE:
            if min(struct.unpack_from(f"{order}2h", head, _CODES)) <= 0:
                return None
            pixdim = struct.unpack_from(f"{order}4f", head, _PIXDIM)
            numbers = struct.unpack_from(f"{order}6f", head, _QUATERNION)
            rows = struct.unpack_from(f"{order}12f", head, _SFORM)
            return _qform(pixdim, numbers), np.reshape(np.array(rows), (3, 4))
    return None


def _qform(pixdim: tuple[float, ...], numbers: tuple[float, ...]) -> NDArray[np.float64]:
    """Return the matrix of a quaternion b, c, d and an origin, as NIfTI's header defines it."""
    b, c, d, *origin = numbers
    a = np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
    handedness = -1.0 if pixdim[0] < 0 else 1.0
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )
    axes = rotation * (np.array(pixdim[1:]) * [1.0, 1.0, handedness])
    return np.column_stack([axes, origin])
