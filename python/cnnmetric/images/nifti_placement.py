# SPDX-License-Identifier: Apache-2.0
"""Tell where the two places that a NIfTI header may give an image are not the same.

A header has a qform (rotation, voxel size, origin) and an sform (any affine). ITK takes one of
them by rules of its own, nibabel, FSL and SPM take the sform. Where they differ, a mask that is
made with another program lies elsewhere than its image.
"""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path

import itk
import numpy as np

from cnnmetric.images.arrays import voxel_axes
from cnnmetric.images.nibabel_images import RAS_TO_LPS
from cnnmetric.types import Image

_SAME = 0.1  # mm
_CODES = ("qform_code", "sform_code")


def warn_of_two_places(file: Path, image: Image) -> None:
    """Warn if qform and sform of a file differ by more than 0.1 mm somewhere in the image.

    Parameters
    ----------
    file
        Of any format; others than NIfTI have no two places.
    image
        As ITK has read it, with what it noted of the header.
    """
    header = image.GetMetaDataDictionary()
    has_both = all(header.HasKey(code) and int(header[code]) > 0 for code in _CODES)
    if image.GetImageDimension() != 3 or not has_both:
        return
    corners = np.array(list(itertools.product(*((0, n - 1) for n in itk.size(image)))), dtype=float)
    taken = (corners @ voxel_axes(image).T + np.array(image.GetOrigin())) @ RAS_TO_LPS
    qform = itk.array_from_matrix(header["qto_xyz"])[:3]
    sform = np.array([header[f"srow_{axis}"].split() for axis in "xyz"], dtype=float)
    found = [corners @ place[:, :3].T + place[:, 3] for place in (qform, sform)]
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
