# SPDX-License-Identifier: Apache-2.0
"""What the network says of two aligned images, and of the same images slightly displaced.

The curves of the paper's Figure 3 around the result of a registration. The images are put on a
coarse grid once; a displacement by whole voxels of it is a cut of the array at another place, so
that nothing but the network takes time. :mod:`cnnmetric.evaluation.plausibility` follows one
parameter of a transform in fine steps instead, with its derivative.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from dataclasses import replace

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import DataError
from cnnmetric.images import warping
from cnnmetric.images.arrays import image_like
from cnnmetric.images.arrays import voxel_axes
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.registration.content_box import ContentBox
from cnnmetric.registration.content_box import CubeGrid
from cnnmetric.registration.content_box import normalised
from cnnmetric.report.comparison import Comparison
from cnnmetric.types import Image
from cnnmetric.types import Mask
from cnnmetric.types import Transform
from cnnmetric.types import Volume

STEPS = (2, 4)  # voxels of the grid
FEWEST = 30  # patches, from which on a share says something
_MARGIN = max(STEPS)
_MOST_VOXELS = 4e5  # of the grid: the network takes a second at most
_CONTENT = 0.05  # of the normalised intensities: what an image shows
_COARSER = 1.1


@dataclass(frozen=True, kw_only=True)
class Displaced:
    """The metric with the moving image displaced from the result.

    Attributes
    ----------
    axis
        Of the fixed image's grid: 0 for x, 1 for y, 2 for z.
    millimetres
        By how much.
    value
        Of the metric.
    """

    axis: int
    millimetres: float
    value: float


class Neighbourhood:
    """A fixed image, and ways to put the moving image on it.

    Parameters
    ----------
    fixed, moving
        ITK images of float.
    comparison
        Model, modality and masks.
    """

    def __init__(self, fixed: Image, moving: Image, comparison: Comparison) -> None:
        self.network = DissimilarityNetwork(
            comparison.model, device=comparison.device, number_of_threads=comparison.threads
        )
        self._channel = self.network.fixed_channel(comparison.fixed_modality)
        self._comparison = comparison
        self.fixed_image = normalised(self.network, fixed)
        self.moving_image = normalised(self.network, moving)
        self._take(_grid(self.fixed_image, self.network))
        mask = comparison.fixed_mask
        if self._counts.sum() < (1 if mask is None else FEWEST):
            self._take(_grid_at(_inside(self.fixed_image, mask), self.network))

    def _take(self, grid: CubeGrid) -> None:
        """Put the fixed image on a grid, and count the patches that show something of it."""
        self.grid = grid
        self.fixed = self._on_grid(self.fixed_image, None)
        self._counts = self._at_centres(_cut(self.fixed)) > _CONTENT
        mask = self._mask(self._comparison.fixed_mask, None)
        if mask is not None:
            self._counts &= mask

    @property
    def modalities(self) -> tuple[str, str]:
        """The model's modalities of the fixed and of the moving image."""
        first, second = self.network.modalities
        return (second, first) if self._channel else (first, second)

    def warped(self, transform: Transform | None) -> Volume:
        """Return the moving image on the grid, normalised."""
        return self._on_grid(self.moving_image, transform)

    def counted(self, transform: Transform | None) -> NDArray[np.bool_]:
        """Return which patches count: those with content of the fixed image, inside of masks."""
        mask = self._mask(self._comparison.moving_mask, transform)
        if mask is None or not (self._counts & mask).any():
            return self._counts
        found: NDArray[np.bool_] = self._counts & mask
        return found

    def map(
        self, warped: Volume, *, shift: tuple[int, ...] = (), swapped: bool = False
    ) -> NDArray[np.float32]:
        """Return the dissimilarity of every patch.

        Parameters
        ----------
        warped
            The moving image on the grid.
        shift
            By which it is displaced, in voxels along z, y, x, at most the largest of
            :data:`STEPS`; none for no displacement.
        swapped
            Take the fixed image for the other modality of the model.
        """
        pair = (_cut(self.fixed), _cut(warped, shift))
        first = self._channel != int(swapped)
        return self.network(*(pair[::-1] if first else pair), normalised=True)

    def displacements(self) -> list[tuple[int, int, tuple[int, ...]]]:
        """Return axis (x, y, z), voxels and shift (z, y, x) of all displacements."""
        dimension = self.fixed.ndim
        found = []
        for axis, step, sign in itertools.product(range(dimension), STEPS, (-1, 1)):
            shift = [0] * dimension
            shift[dimension - 1 - axis] = sign * step
            found.append((axis, sign * step, tuple(shift)))
        return found

    def map_image(self, dissimilarity: NDArray[np.float32]) -> Image:
        """Return a map as an image: one voxel a patch, at the patch's centre."""
        stride, half = self.network.stride, self.network.receptive_field // 2
        image = itk.image_from_array(np.ascontiguousarray(dissimilarity))
        direction = itk.array_from_matrix(self.grid.image().GetDirection())
        first = (half + _MARGIN) * self.grid.spacing
        image.SetOrigin((np.array(self.grid.origin) + direction.sum(axis=1) * first).tolist())
        image.SetSpacing([stride * self.grid.spacing] * dissimilarity.ndim)
        image.SetDirection(direction)
        return image

    def overlap(self, warped: Volume) -> float:
        """Return the Dice overlap of what the two images show."""
        fixed, moving = self.fixed > _CONTENT, warped > _CONTENT
        return float(2 * (fixed & moving).sum() / max(1, fixed.sum() + moving.sum()))

    def _on_grid(self, image: Image, transform: Transform | None) -> Volume:
        found = itk.array_from_image(warping.resample_image(image, self.grid.image(), transform))
        clipped: Volume = np.clip(found, 0.0, 1.0)
        return clipped

    def _mask(self, mask: Image | None, transform: Transform | None) -> NDArray[np.bool_] | None:
        if mask is None:
            return None
        resampled = warping.resample_labels(mask, self.grid.image(), transform)
        found: NDArray[np.bool_] = self._at_centres(_cut(itk.array_from_image(resampled))) != 0
        return found

    def _at_centres(self, volume: Volume) -> Volume:
        first, stride = self.network.receptive_field // 2, self.network.stride
        shape = self.network.map_shape(volume.shape)
        return volume[tuple(slice(first, first + stride * (n - 1) + 1, stride) for n in shape)]


def _grid(fixed: Image, network: DissimilarityNetwork) -> CubeGrid:
    """Return the finest grid that is cheap, not finer than the model's voxels.

    Around what the fixed image shows there is room for half of a patch, so that patches have their
    centres up to its border, and for the displacements.
    """
    around = network.receptive_field // 2
    shown = ContentBox(fixed, network, margin=0.0).extent
    spacing = network.spacing
    while np.prod(shown / spacing + 2 * around) > _MOST_VOXELS:
        spacing *= _COARSER
    margin = (around + _MARGIN) * spacing
    least = network.receptive_field + 2 * (network.stride + _MARGIN)
    return ContentBox(fixed, network, margin=margin).grid(spacing, least=least)


def _inside(image: Image, mask: Mask | None) -> Image:
    """Return an image that is 0 outside of a mask."""
    if mask is None:
        return image
    inside = itk.array_view_from_image(mask) != 0
    return image_like(itk.array_view_from_image(image) * inside, image)


def _grid_at(shown: Image, network: DissimilarityNetwork) -> CubeGrid:
    """Return a grid around what an image shows, with the centre of a patch in its midst.

    What is shown may be thinner than patches are apart.
    """
    places = np.argwhere(itk.array_view_from_image(shown) > _CONTENT)
    if not places.size:
        msg = "the fixed image shows nothing inside of the fixed mask"
        raise DataError(msg)
    grid = _grid(shown, network)
    voxels = grid.image()
    middle = places[np.linalg.norm(places - places.mean(axis=0), axis=1).argmin()]
    place = shown.TransformIndexToPhysicalPoint([int(n) for n in middle[::-1]])
    first = network.receptive_field // 2 + _MARGIN
    there = np.array(voxels.TransformPhysicalPointToContinuousIndex(place)) - first
    beside = (there + network.stride / 2) % network.stride - network.stride / 2
    return replace(grid, origin=(np.array(grid.origin) + voxel_axes(voxels) @ beside).tolist())


def _cut(volume: Volume, shift: tuple[int, ...] = ()) -> Volume:
    """Return a volume without its margin, what it shows displaced by a shift.

    It moves by +n where it is cut n voxels before.
    """
    steps = shift or (0,) * volume.ndim
    return volume[
        tuple(
            slice(_MARGIN - step, length - _MARGIN - step)
            for step, length in zip(steps, volume.shape, strict=True)
        )
    ]
