# SPDX-License-Identifier: Apache-2.0
"""Aligned pairs of images made up from label maps, with a random contrast each.

The idea of SynthSeg and SynthMorph (Billot et al. 2023; Hoffmann et al. 2022): who has seen every
contrast is not surprised by the next one. Two images of one label map are aligned exactly.
"""

from __future__ import annotations

from pathlib import Path

import itk
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch.nn.functional import interpolate

from cnnmetric.errors import DataError
from cnnmetric.images.files import read_labels

# FreeSurfer's number of a structure on the right: its number on the left. Both get one contrast.
RIGHT_TO_LEFT = {
    41: 2, 42: 3, 43: 4, 44: 5, 46: 7, 47: 8, 49: 10, 50: 11, 51: 12, 52: 13, 53: 17, 54: 18,
    57: 25, 58: 26, 60: 28, 62: 30, 137: 136, 164: 163,
}  # fmt: skip
# Labels from here on are outside of the brain, as in the training maps of SynthSeg.
FIRST_OUTSIDE = 500
BACKGROUND_MARGIN = 12

# Share of pairs whose head is removed around the brain.
STRIPPED = 0.75
# Contrast: mean of a label, SD of its voxels, SD of the logarithmic bias field, SD of noise.
DARKEST, MAX_TEXTURE, BIAS, MAX_NOISE = 0.05, 0.06, 0.12, 0.03
# Control points of the bias field along an axis, and blur in voxels.
BIAS_POINTS, BLUR = 4, (0.3, 1.1)
BRIGHT_QUANTILE = 0.998


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

    Raises
    ------
    DataError
        If the image cannot be read, is not 3D, has no label in 1..499, or a negative one.
    """
    labels = np.array(itk.array_view_from_image(read_labels(path)))
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


def render_pair(labels: NDArray[np.int16], rng: np.random.Generator) -> torch.Tensor:
    """Return two images ``(2, nz, ny, nx)`` in [0, 1] of one label map, with a contrast each."""
    present = np.flatnonzero(np.bincount(labels.ravel()))
    hidden = present == 0
    if rng.random() < STRIPPED:
        hidden |= present >= FIRST_OUTSIDE
    return torch.stack([_render(labels, present, hidden, rng) for _ in range(2)])


def _render(
    labels: NDArray[np.int16],
    present: NDArray[np.intp],
    hidden: NDArray[np.bool_],
    rng: np.random.Generator,
) -> torch.Tensor:
    def everywhere(values: NDArray[np.float64]) -> torch.Tensor:
        of_label = np.zeros(present[-1] + 1, np.float32)
        of_label[present] = np.where(hidden, 0, values)
        return torch.from_numpy(of_label[labels])

    def noise() -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal(labels.shape, dtype=np.float32))

    image = everywhere(rng.uniform(DARKEST, 1, len(present)))
    image += everywhere(rng.uniform(0, MAX_TEXTURE * rng.random(), len(present))) * noise()
    points = rng.normal(0, BIAS, (1, 1) + (BIAS_POINTS,) * 3).astype(np.float32)
    bias = interpolate(
        torch.from_numpy(points), size=labels.shape, mode="trilinear", align_corners=True
    )
    image *= bias[0, 0].exp()
    # Not by PyTorch's 3D convolution, which takes four times as long for one channel.
    image = torch.from_numpy(
        gaussian_filter(image.numpy(), rng.uniform(*BLUR), mode="constant", truncate=3)
    )
    image += float(rng.uniform(0, MAX_NOISE)) * noise() * (image > 0.01)
    image /= float(np.quantile(image.numpy().ravel()[::37], BRIGHT_QUANTILE))
    return image.clamp_(0, 1)
