# SPDX-License-Identifier: Apache-2.0
"""Aligned pairs of images made up from label maps, with a random contrast each.

The idea of SynthSeg and SynthMorph (Billot et al. 2023; Hoffmann et al. 2022): who has seen every
contrast is not surprised by the next one. Two images of one label map are aligned exactly.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch.nn.functional import interpolate

# Labels from here on are outside of the brain, as in the training maps of SynthSeg.
FIRST_OUTSIDE = 500
# Share of pairs whose head is removed around the brain.
STRIPPED = 0.75
# Contrast: mean of a label, SD of its voxels, SD of the logarithmic bias field, SD of noise.
DARKEST, MAX_TEXTURE, BIAS, MAX_NOISE = 0.05, 0.06, 0.12, 0.03
# Control points of the bias field along an axis, and blur in voxels.
BIAS_POINTS, BLUR = 4, (0.3, 1.1)
BRIGHT_QUANTILE = 0.998


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
