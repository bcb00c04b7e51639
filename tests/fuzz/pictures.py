# SPDX-License-Identifier: Apache-2.0
"""Small images for the cases."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter


@functools.cache
def texture(size: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    """Return smooth random intensities from 0 to 1000, axes z, y, x."""
    noise = np.random.default_rng(seed).standard_normal(size)
    smooth = gaussian_filter(noise, 2.0, mode="wrap")
    smooth -= smooth.min()
    largest = smooth.max()
    values: NDArray[np.float32] = (1000.0 * smooth / (largest or 1.0)).astype(np.float32)
    values.flags.writeable = False
    return values


def picture(
    array: NDArray[Any],
    *,
    spacing: Sequence[float] | None = None,
    origin: Sequence[float] | None = None,
    direction: NDArray[np.float64] | None = None,
) -> Any:
    """Return an ITK image of an array (z, y, x) with a geometry (x, y, z; mm)."""
    image = itk.image_from_array(np.array(array))
    if spacing is not None:
        image.SetSpacing([float(value) for value in spacing])
    if origin is not None:
        image.SetOrigin([float(value) for value in origin])
    if direction is not None:
        image.SetDirection(direction)
    return image


def pair(dimension: int = 3, *, size: int = 20) -> tuple[Any, Any]:
    """Return two different images of the same grid."""
    fixed, moving = (picture(texture((size,) * dimension, seed)) for seed in (0, 1))
    return fixed, moving
