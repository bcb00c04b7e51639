# SPDX-License-Identifier: Apache-2.0
"""The part of a fixed image that shows something, and grids of cubes that fill it."""

from __future__ import annotations

from dataclasses import dataclass

import itk
import numpy as np

from cnnmetric.errors import DataError
from cnnmetric.images.arrays import image_like
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.types import Image

_CONTENT = 0.01  # of the normalised intensities
_MOST_VOXELS = 1.5e8  # of a grid, for which about 15 GB are needed


def normalised(network: DissimilarityNetwork, image: Image) -> Image:
    """Return an image with the intensities that the network takes, 0 to 1."""
    return image_like(network.normalise(itk.array_view_from_image(image)), image)


@dataclass(frozen=True)
class CubeGrid:
    """A grid of cubes.

    Attributes
    ----------
    shape
        Number of voxels along z, y, x.
    spacing
        Their edge in mm.
    origin, direction
        As ITK images have them.
    """

    shape: tuple[int, ...]
    spacing: float
    origin: list[float]
    direction: object

    def image(self) -> Image:
        """Return an image without content on the grid."""
        dimension = len(self.shape)
        image = itk.Image[itk.F, dimension].New()
        image.SetRegions([int(n) for n in self.shape[::-1]])
        image.SetSpacing([self.spacing] * dimension)
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)
        return image


class ContentBox:
    """The part of the normalised fixed image that has content, with a margin.

    Parameters
    ----------
    fixed
        The image, normalised.
    network
        The model.
    margin
        Its width, in mm.
    """

    def __init__(self, fixed: Image, network: DissimilarityNetwork, *, margin: float) -> None:
        self.spacing = np.array(fixed.GetSpacing())[::-1]
        self._least = network.receptive_field + 2 * network.stride  # wherever the patches start
        inside = np.argwhere(itk.array_view_from_image(fixed) > _CONTENT)
        self.first = inside.min(axis=0) - margin / self.spacing  # in voxels, z, y, x
        self.extent = (inside.max(axis=0) - self.first) * self.spacing + margin  # in mm
        self._fixed = fixed

    def grid(self, spacing: float, *, least: int = 0) -> CubeGrid:
        """Return the grid of cubes that fills the box, with at least so many along every axis."""
        voxels = np.maximum(np.ceil(self.extent / spacing), max(self._least, least))
        if voxels.prod() > _MOST_VOXELS:
            msg = (
                f"a grid of {spacing:g} mm over {' x '.join(f'{e:.0f}' for e in self.extent)} mm "
                f"has {voxels.prod():.1e} voxels, and {_MOST_VOXELS:.1e} is the most; give a "
                "larger grid_spacing, or correct the images' spacing if it is not in mm"
            )
            raise DataError(msg)
        shape = tuple(int(n) for n in voxels)
        axes = itk.array_from_matrix(self._fixed.GetDirection())
        corner = np.array(self._fixed.GetOrigin()) + axes @ (self.first * self.spacing)[::-1]
        return CubeGrid(shape, spacing, corner.tolist(), self._fixed.GetDirection())
