# SPDX-License-Identifier: Apache-2.0
"""Linear interpolation of image pairs at the voxels of a patch."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import grid_sample


def patch_offsets(edge: int, dimension: int) -> torch.Tensor:
    """Return ``(p ** d, d)``: each voxel's offset (x, y, z) from the centre, x fastest."""
    axis = torch.arange(edge, dtype=torch.float32) - (edge - 1) / 2
    axes = torch.meshgrid(*[axis] * dimension, indexing="ij")
    return torch.stack(axes[::-1], dim=-1).reshape(-1, dimension)


def extract(
    images: torch.Tensor,
    offsets: torch.Tensor,
    matrix: NDArray[np.float64],
    centre: NDArray[np.float64],
    *,
    outside: Literal["border", "zeros"],
) -> torch.Tensor:
    """Interpolate a patch linearly.

    Parameters
    ----------
    images
        ``(c, nz, ny, nx)``, in 2D without z.
    offsets
        Of :func:`patch_offsets`.
    matrix, centre
        A patch's transform (x, y, z) from offsets to voxels, see `geometry.PatchTransforms`.
    outside
        What is beyond the image: its border's values, or zeros.

    Returns
    -------
    torch.Tensor
        ``(c, p, p, p)``, in 2D without the last.
    """
    dimension = len(centre)
    # Normalised coordinates: -1 and 1 are the centres of an axis' first and last voxel.
    half = (np.array(images.shape[:0:-1]) - 1) / 2
    grid = offsets @ torch.from_numpy((matrix / half[:, None]).T.astype(np.float32))
    grid += torch.from_numpy((centre / half - 1).astype(np.float32))
    edge = round(len(offsets) ** (1 / dimension))
    return grid_sample(
        images[None],
        grid.reshape(1, *[edge] * dimension, dimension),
        mode="bilinear",
        padding_mode=outside,
        align_corners=True,
    )[0]
