# SPDX-License-Identifier: Apache-2.0
"""Aligned pairs of images made up from label maps, with a random contrast each.

The idea of SynthSeg and SynthMorph (Billot et al. 2023; Hoffmann et al. 2022): who has seen every
contrast is not surprised by the next one. Two images of one label map are aligned exactly.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch.nn.functional import conv3d
from torch.nn.functional import interpolate

# Labels from here on are outside of the brain, as in the training maps of SynthSeg.
FIRST_OUTSIDE = 500
# Share of pairs whose head is removed around the brain.
STRIPPED = 0.75
# Contrast: mean of a label, SD of its voxels, SD of the logarithmic bias field, SD of noise.
DARKEST, MAX_TEXTURE, BIAS, MAX_NOISE = 0.05, 0.06, 0.12, 0.03
# Control points of the bias field along an axis, and blur in voxels.
BIAS_POINTS, BLUR = 4, (0.3, 1.1)
# Where the blur's kernel ends, in SD.
BLUR_ENDS = 3.0
# The image's brightest value: this quantile of every so many voxels.
BRIGHT_QUANTILE, EVERY = 0.998, 37


def render_pair(labels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return two images ``(2, nz, ny, nx)`` in [0, 1] of one label map, with a contrast each.

    They are made on the device of the labels, whose noise differs from that of other devices.
    """
    labels = labels.int()
    present = torch.bincount(labels.flatten()).nonzero().flatten().cpu().numpy()
    hidden = present == 0
    if rng.random() < STRIPPED:
        hidden |= present >= FIRST_OUTSIDE
    return torch.stack([_render(labels, present, hidden, rng) for _ in range(2)])


def _render(
    labels: torch.Tensor,
    present: NDArray[np.int64],
    hidden: NDArray[np.bool_],
    rng: np.random.Generator,
) -> torch.Tensor:
    generator = torch.Generator(labels.device).manual_seed(int(rng.integers(2**63)))

    def everywhere(values: NDArray[np.float64]) -> torch.Tensor:
        of_label = torch.zeros(int(present[-1]) + 1)
        of_label[present] = torch.from_numpy(np.where(hidden, 0, values)).float()
        return of_label.to(labels.device)[labels]

    def noise() -> torch.Tensor:
        return torch.randn(labels.shape, generator=generator, device=labels.device)

    image = everywhere(rng.uniform(DARKEST, 1, len(present)))
    image += everywhere(rng.uniform(0, MAX_TEXTURE * rng.random(), len(present))) * noise()
    points = torch.from_numpy(rng.normal(0, BIAS, (1, 1) + (BIAS_POINTS,) * 3)).float()
    bias = interpolate(
        points.to(labels.device), size=labels.shape, mode="trilinear", align_corners=True
    )
    image = _blurred(image * bias[0, 0].exp(), rng.uniform(*BLUR))
    image += float(rng.uniform(0, MAX_NOISE)) * noise() * (image > 0.01)
    image /= torch.quantile(image.flatten()[::EVERY], BRIGHT_QUANTILE)
    return image.clamp_(0, 1)


def _blurred(image: torch.Tensor, width: float) -> torch.Tensor:
    """Return an image blurred by a Gaussian of this SD in voxels, dark beyond its border."""
    if image.device.type == "cpu":  # four times as fast as a 3D convolution of one channel there
        blurred = gaussian_filter(image.numpy(), width, mode="constant", truncate=BLUR_ENDS)
        return torch.from_numpy(blurred)
    return blurred_by_convolutions(image, width)


def blurred_by_convolutions(image: torch.Tensor, width: float) -> torch.Tensor:
    """Return what SciPy's Gaussian filter does, on any device."""
    radius = math.floor(BLUR_ENDS * width + 0.5)
    places = torch.arange(-radius, radius + 1, device=image.device)
    weights = (-0.5 * (places / width) ** 2).exp()
    weights /= weights.sum()
    found = image[None, None]
    for axis in range(3):
        shape = [1] * 5
        shape[2 + axis] = len(weights)
        padding = [radius if other == axis else 0 for other in range(3)]
        found = conv3d(found, weights.view(shape), padding=padding)
    return found[0, 0]
