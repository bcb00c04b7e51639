# SPDX-License-Identifier: Apache-2.0
"""Which voxels of an image count."""

from __future__ import annotations

import itk
import numpy as np

from cnnmetric.images.arrays import image_like
from cnnmetric.types import Image
from cnnmetric.types import Mask


def foreground_mask(image: Image, *, threshold: float = 0.01) -> Mask:
    """Return the voxels above ``threshold`` of the maximum as a mask (paper, Section 3.1)."""
    voxels = itk.array_view_from_image(image)
    return image_like((voxels > threshold * voxels.max()).astype(np.uint8), image)
