# SPDX-License-Identifier: Apache-2.0
"""Two images in one picture, tile by tile."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Tints tell the tiles apart: the first image is warm, the second one cool.
_WARM, _COOL = np.array([1.0, 0.86, 0.66]), np.array([0.70, 0.90, 1.0])


def checkerboard(first: NDArray[Any], second: NDArray[Any], *, tile: int) -> NDArray[np.float64]:
    """Return red, green and blue, shape (rows, columns, 3), of two grey pictures of one shape.

    Parameters
    ----------
    first, second
        Grey values, rows and columns.
    tile
        Edge of a tile in pixels.
    """
    rows, columns = np.indices(first.shape)
    odd = ((rows // tile + columns // tile) % 2).astype(bool)[..., None]
    board: NDArray[np.float64] = np.where(odd, second[..., None] * _COOL, first[..., None] * _WARM)
    return board
