# SPDX-License-Identifier: Apache-2.0
"""Two images and their masks on the grids that a displacement field is found on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import itk
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cnnmetric.errors import DataError
from cnnmetric.images import warping
from cnnmetric.images.arrays import image_like
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.plugin import loading
from cnnmetric.registration.content_box import ContentBox
from cnnmetric.registration.content_box import normalised
from cnnmetric.types import Field
from cnnmetric.types import Image
from cnnmetric.types import Mask
from cnnmetric.types import Transform
from cnnmetric.types import Volume

_TRUNCATE = 3.0  # standard deviations


class _Resolution(Protocol):
    @property
    def grid_spacing(self) -> float: ...
    @property
    def image_smoothing(self) -> float: ...


@dataclass(frozen=True)
class Volumes:
    """What is on one grid; axes z, y, x (2D: y, x).

    Attributes
    ----------
    fixed, moving
        Intensities, 0 to 1; the moving image's through the initial transform.
    inside_fixed, inside_moving
        Their masks likewise, 1 inside and 0 outside; None for no mask.
    """

    fixed: Volume
    moving: Volume
    inside_fixed: Volume | None
    inside_moving: Volume | None

    def warped(self, field: Field, *, threads: int) -> Volume:
        """Return the moving image where a field takes it from."""
        return _sampled(self.moving, field, threads)

    def inside(self, field: Field, *, threads: int) -> NDArray[np.bool_] | None:
        """Return which voxels are inside of both masks, the moving one as a field warps it."""
        masks = [] if self.inside_fixed is None else [self.inside_fixed]
        if self.inside_moving is not None:
            masks.append(_sampled(self.inside_moving, field, threads))
        return np.all([mask > 0.5 for mask in masks], axis=0) if masks else None


def _sampled(volume: Volume, field: Field, threads: int) -> Volume:
    values = volume[..., np.newaxis]
    found: Volume = loading.core.sample_displaced(values, field, number_of_threads=threads)
    return found[..., 0]


class PairOnGrids:
    """Two images as they are resampled on cubes that fill the fixed image's content.

    Parameters
    ----------
    fixed, moving, fixed_mask, moving_mask, initial, network
        As for :func:`cnnmetric.registration.greedy.deform`.
    finest
        Voxel size in mm of the finest grid that will be asked for.

    Attributes
    ----------
    box
        What the grids fill.
    """

    def __init__(
        self,
        fixed: Image,
        moving: Image,
        *,
        network: DissimilarityNetwork,
        finest: float,
        initial: Transform | None,
        fixed_mask: Mask | None,
        moving_mask: Mask | None,
    ) -> None:
        self._images = [normalised(network, image) for image in (fixed, moving)]
        self._masks = fixed_mask, moving_mask
        self._initial = initial
        # Half of a patch: patches with their centres on the border of what is shown fit.
        margin = network.receptive_field / 2 * max(finest, network.spacing)
        self.box = ContentBox(self._images[0], network, margin=margin)

    def on_grid(self, of: _Resolution) -> Volumes:
        """Return what is on the grid of a level, or of a search.

        Raises
        ------
        DataError
            If the grid is too large, or the moving image has nothing there.
        """
        grid = self.box.grid(of.grid_spacing).image()
        fixed, moving = (_smoothed(image, of.image_smoothing) for image in self._images)
        resampled = _volume(warping.resample_image(moving, grid, self._initial))
        _check_overlap(resampled)
        return Volumes(
            fixed=_volume(warping.resample_image(fixed, grid)),
            moving=resampled,
            inside_fixed=_inside(self._masks[0], grid, None),
            inside_moving=_inside(self._masks[1], grid, self._initial),
        )


def _smoothed(image: Image, deviation: float) -> Image:
    if not deviation:
        return image
    sigma = deviation / np.array(image.GetSpacing())[::-1]
    voxels = gaussian_filter(itk.array_view_from_image(image), sigma, truncate=_TRUNCATE)
    return image_like(voxels, image)


def _volume(image: Image) -> Volume:
    found: Volume = np.clip(itk.array_from_image(image), 0.0, 1.0)
    return found


def _check_overlap(moving: Volume) -> None:
    if not moving.any():
        msg = (
            "the moving image shows nothing where the fixed image does, as their headers and the "
            "initial transform place them; give an initial transform that brings them together"
        )
        raise DataError(msg)


def _inside(mask: Mask | None, grid: Image, transform: Transform | None) -> Volume | None:
    """Return a mask on the grid of a level, 1 inside; None for no mask."""
    if mask is None:
        return None
    inside = itk.array_from_image(warping.resample_labels(mask, grid, transform)) != 0
    found: Volume = inside.astype(np.float32)
    return found
