# SPDX-License-Identifier: Apache-2.0
"""A result in napari: the images in their place, and what the transform does to space.

World coordinates in napari are those of ITK in mm, in the order z, y, x of its axes.
"""

from __future__ import annotations

from typing import Any

import itk
import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import SettingsError
from cnnmetric.images.arrays import voxel_axes
from cnnmetric.registration.result import RegistrationResult
from cnnmetric.types import Image


def add_layers(viewer: Any, result: RegistrationResult, *, arrows_every: float = 6.0) -> list[Any]:
    """Add the fixed and the warped image, the displacement and the Jacobian to a viewer.

    Parameters
    ----------
    viewer
        A ``napari.Viewer``, or its model alone.
    result
        Of :func:`cnnmetric.register`.
    arrows_every
        Distance of the displacement's arrows, in mm.

    Returns
    -------
    list
        The layers, in this order: "fixed", "warped", "Jacobian determinant", which is hidden at
        first, and "displacement", whose arrows go from x to T(x).

    Raises
    ------
    SettingsError
        If the distance is not above 0.
    """
    if not arrows_every > 0:
        msg = f"arrows_every is {arrows_every}; give a distance in mm above 0"
        raise SettingsError(msg)
    grid = result.target
    affine = affine_of(grid)
    determinant = itk.array_from_image(result.jacobian().determinant)
    return [
        viewer.add_image(itk.array_from_image(grid), name="fixed", affine=affine),
        viewer.add_image(
            itk.array_from_image(result.warped_image),
            name="warped",
            affine=affine,
            colormap="magenta",
            blending="additive",
        ),
        viewer.add_image(
            determinant,
            name="Jacobian determinant",
            affine=affine,
            colormap="RdBu",
            contrast_limits=(0.0, 2.0),
            visible=False,
        ),
        viewer.add_vectors(
            _arrows(result, every=arrows_every), name="displacement", edge_width=0.5
        ),
    ]


def affine_of(image: Image) -> NDArray[np.float64]:
    """Return the matrix from array indices (z, y, x) to ITK's positions in mm (z, y, x).

    Parameters
    ----------
    image
        ITK image of dimension d, 2 or 3.

    Returns
    -------
    NDArray[np.float64]
        Of shape (d + 1, d + 1).
    """
    dimension = image.GetImageDimension()
    columns = voxel_axes(image)
    affine = np.eye(dimension + 1)
    affine[:dimension, :dimension] = columns[::-1, ::-1]
    start = image.GetBufferedRegion().GetIndex()
    affine[:dimension, dimension] = np.asarray(image.TransformIndexToPhysicalPoint(start))[::-1]
    return affine


def _arrows(result: RegistrationResult, *, every: float) -> NDArray[np.float64]:
    """Return start and direction of arrows in world coordinates, of shape (n, 2, dimension)."""
    grid = result.target
    displacement = itk.array_view_from_image(result.displacement)[..., ::-1]
    steps = [max(1, round(every / spacing)) for spacing in tuple(grid.GetSpacing())[::-1]]
    chosen = tuple(slice(step // 2, None, step) for step in steps)
    indices = np.moveaxis(np.indices(displacement.shape[:-1]), 0, -1)[chosen]
    affine = affine_of(grid)
    starts = indices @ affine[:-1, :-1].T + affine[:-1, -1]
    arrows = np.stack([starts, displacement[chosen]], axis=-2)
    return np.asarray(arrows.reshape(-1, 2, grid.GetImageDimension()), dtype=np.float64)
