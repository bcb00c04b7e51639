# SPDX-License-Identifier: Apache-2.0
"""Aligned pairs of images made up from label maps, with a random contrast each.

The idea of SynthSeg and SynthMorph (Billot et al. 2023; Hoffmann et al. 2022): who has seen every
contrast is not surprised by the next one. Two images of one label map are aligned exactly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import itk
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import conv3d
from torch.nn.functional import interpolate

from cnnmetric.errors import DataError

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
        If the image cannot be read, is not 3D, or has no label in 1..499.
    """
    try:
        image: Any = itk.imread(str(path), itk.SS)
    except (RuntimeError, TypeError, KeyError) as error:
        msg = f"cannot read the label map {path}: {error}"
        raise DataError(msg) from error
    labels = np.array(itk.array_view_from_image(image))
    brain = (labels > 0) & (labels < FIRST_OUTSIDE)
    if labels.ndim != 3 or not brain.any():
        msg = (
            f"the label map {path} is not a 3D image with labels between 1 and "
            f"{FIRST_OUTSIDE - 1} (the brain's); take it out of the folder"
        )
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
    present, flat = np.unique(labels, return_inverse=True)
    index = torch.from_numpy(flat.reshape(labels.shape))
    hidden = present == 0
    if rng.random() < STRIPPED:
        hidden |= present >= FIRST_OUTSIDE
    return torch.stack([_render(index, hidden, rng) for _ in range(2)])


def _render(
    index: torch.Tensor, hidden: NDArray[np.bool_], rng: np.random.Generator
) -> torch.Tensor:
    def noise() -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal(index.shape, dtype=np.float32))

    means = np.where(hidden, 0, rng.uniform(DARKEST, 1, len(hidden)))
    textures = np.where(hidden, 0, rng.uniform(0, MAX_TEXTURE * rng.random(), len(hidden)))
    image = torch.from_numpy(means.astype(np.float32))[index]
    image += torch.from_numpy(textures.astype(np.float32))[index] * noise()
    points = rng.normal(0, BIAS, (1, 1) + (BIAS_POINTS,) * 3).astype(np.float32)
    bias = interpolate(
        torch.from_numpy(points), size=index.shape, mode="trilinear", align_corners=True
    )
    image = _blur(image * bias[0, 0].exp(), rng.uniform(*BLUR))
    image += float(rng.uniform(0, MAX_NOISE)) * noise() * (image > 0.01)
    image /= float(np.quantile(image.numpy().ravel()[::37], BRIGHT_QUANTILE))
    return image.clamp_(0, 1)


def _blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Return the image convolved with a Gaussian, sigma in voxels; dark outside."""
    radius = max(1, round(3 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    blurred = image[None, None]
    for axis in range(3):
        shape, padding = [1] * 5, [0] * 3
        shape[axis + 2], padding[axis] = len(kernel), radius
        blurred = conv3d(blurred, kernel.reshape(shape), padding=padding)
    return blurred[0, 0]
