# SPDX-License-Identifier: Apache-2.0
"""Maps of the structures in whole heads, from which pairs of images are made up."""

from __future__ import annotations

from pathlib import Path

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import DataError
from cnnmetric.images import warping
from cnnmetric.images.files import read_labels
from cnnmetric.training.data.pairs import isotropic_grid
from cnnmetric.training.data.rendering import FIRST_OUTSIDE

# FreeSurfer's number of a structure on the right: its number on the left. Both get one contrast.
RIGHT_TO_LEFT = {
    41: 2, 42: 3, 43: 4, 44: 5, 46: 7, 47: 8, 49: 10, 50: 11, 51: 12, 52: 13, 53: 17, 54: 18,
    57: 25, 58: 26, 60: 28, 62: 30, 63: 31, 137: 136, 164: 163,
}  # fmt: skip
# FreeSurfer's numbers of the parts of cortex and white matter, of both sides: first and end of the
# numbers, and the whole. Those of aparc+aseg, wmparc and their kin with finer parts.
PARCELS = ((1000, 3000, 3), (3000, 5003, 2), (11_000, 13_000, 3), (13_000, 15_000, 2))
BACKGROUND_MARGIN = 12


def find_label_maps(folder: Path) -> list[Path]:
    """Return the images in a folder in the order of their names.

    Raises
    ------
    DataError
        If the folder does not exist or holds no image that ITK can read by its name.
    """
    found = []
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            reader = itk.ImageIOFactory.CreateImageIO(
                str(path), itk.CommonEnums.IOFileMode_ReadMode
            )
            if reader is not None:
                found.append(path)
    if not found:
        msg = f"--source synthetic: {folder} is not a folder with images; name one of label maps"
        raise DataError(msg)
    return found


def load_label_map(path: Path) -> NDArray[np.int16]:
    """Return labels ``(nz, ny, nx)``, right structures named as left ones, cropped to the brain.

    Voxels that are no cubes are resampled, as images are. Parts of the cortex are one structure.

    Raises
    ------
    DataError
        If the image cannot be read, is not 3D, has no label in 1..499, or a negative one.
    """
    image = read_labels(path)
    labels = np.array(
        itk.array_view_from_image(warping.resample_labels(image, isotropic_grid(image)))
    )
    for first, end, whole in PARCELS:
        labels[(labels >= first) & (labels < end)] = whole
    brain = (labels > 0) & (labels < FIRST_OUTSIDE)
    if not brain.any():
        msg = (
            f"the label map {path} has no label between 1 and "
            f"{FIRST_OUTSIDE - 1} (the brain's); take it out of the folder"
        )
        raise DataError(msg)
    largest = np.iinfo(np.int16).max
    for label in (int(labels.min()), int(labels.max())):
        if not 0 <= label <= largest:
            msg = f"the label map {path} has the label {label}; give numbers from 0 to {largest}"
            raise DataError(msg)
    box = []
    for axis in range(3):
        inside = np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {axis})))
        start = max(int(inside[0]) - BACKGROUND_MARGIN, 0)
        box.append(slice(start, int(inside[-1]) + BACKGROUND_MARGIN + 1))
    cropped = labels[tuple(box)]
    for right, left in RIGHT_TO_LEFT.items():
        cropped[cropped == right] = left
    return np.ascontiguousarray(cropped)
