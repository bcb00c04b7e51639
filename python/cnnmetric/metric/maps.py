# SPDX-License-Identifier: Apache-2.0
"""What the network says of every place of an image pair (paper, Figure 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.types import Image


@dataclass(frozen=True)
class Maps:
    """Dissimilarity and derivative as ITK images of float, with the axes of the fixed image.

    Both lie on the evaluation grid, which covers the fixed image (in ITKv4: the virtual domain) up
    to what the patches do not fill. ``itk.array_from_image`` makes NumPy arrays (z, y, x) of them.

    Attributes
    ----------
    dissimilarity
        N(P) for every patch P, at the patch's centre: positive where the network takes the two
        images for unlike. NaN where a patch does not count (masks, field of view). Its spacing is
        the network's stride times the grid spacing.
    derivative
        dM/dI'm(x) for every voxel x of the grid: how the metric's value changes with the warped
        moving intensity there, per unit of intensity. Its spacing is the grid spacing.
    """

    dissimilarity: Image
    derivative: Image


Lattice = tuple[NDArray[np.float32], list[float], float]


def maps_from(lattices: tuple[Lattice, Lattice], direction: Any) -> Maps:
    """Make images of what the compiled part returns.

    Parameters
    ----------
    lattices
        Dissimilarity and derivative, each as (array z, y, x; position of the first value in mm,
        x, y, z; distance of neighbouring values in mm).
    direction
        Direction cosines of the grid, as ``image.GetDirection()`` returns them.
    """
    dissimilarity, derivative = (_image(*lattice, direction) for lattice in lattices)
    return Maps(dissimilarity, derivative)


def _image(
    array: NDArray[np.float32], origin: list[float], spacing: float, direction: Any
) -> Image:
    image = itk.image_from_array(array)
    image.SetOrigin(origin)
    image.SetSpacing([spacing] * array.ndim)
    image.SetDirection(np.asarray(direction))
    return image
