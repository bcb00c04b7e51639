# SPDX-License-Identifier: Apache-2.0
"""Intensities to [0, 1] (docs/reference/model-format.md); in C++ IntensityNormalisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import DataError

_FLOAT = np.finfo(np.float32)


def quantile_range(
    intensities: NDArray[np.floating[Any]], *, lower: float, upper: float, name: str
) -> tuple[float, float]:
    """Return the two intensities that are mapped to 0 and 1.

    Parameters
    ----------
    intensities
        All voxels of the full-resolution image, any shape.
    lower, upper
        Quantiles in 0..1.
    name
        What the image is called in error messages.

    Raises
    ------
    DataError
        If the image has voxels that are NaN or infinite, if the quantiles coincide, or if their
        distance is none that single precision holds.
    """
    if not np.isfinite(intensities).all():
        msg = f"{name} has NaN or infinite voxels; replace them, for example by the background"
        raise DataError(msg)
    low, high = (float(q) for q in np.quantile(intensities, [lower, upper]))
    if low == high:
        msg = (
            f"{name} is constant between its quantiles {lower:g} and {upper:g} (both are {low:g}): "
            "it has no contrast to compare; leave it out, or crop its background"
        )
        raise DataError(msg)
    if not _FLOAT.tiny <= high - low <= _FLOAT.max:
        msg = (
            f"{name} has intensities from {low:g} to {high:g} (its quantiles {lower:g} and "
            f"{upper:g}), a range that single precision does not hold; scale it, for example to "
            "0..1000"
        )
        raise DataError(msg)
    return low, high


def normalise(
    intensities: NDArray[np.floating[Any]], *, low: float, high: float
) -> NDArray[np.float32]:
    """Return ``clip((I - low) / (high - low), 0, 1)``; NaN, which marks no data, is kept."""
    scaled = (intensities - low) * (1 / (high - low))
    return np.asarray(np.clip(scaled, 0, 1), dtype=np.float32)
