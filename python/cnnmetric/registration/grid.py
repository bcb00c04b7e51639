# SPDX-License-Identifier: Apache-2.0
"""How fine the finest evaluation grid of a registration is, from what the images show.

A patch covers a fixed number of voxels of the grid. In a small brain it covers more of the anatomy
than in the brains that a network was trained on, unless the grid is finer, too. Newborns gain by
0.7 times the model's voxel size. Adults lose by it with B-splines; the one adult that a
displacement field was tried on gained, too, and is kept at the model's own voxel size for the work
and the memory that the finer grid takes (studies/notes/grid-spacing.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import itk
import numpy as np

from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.types import Image

# Mean extent of a brain, in model voxels, from which on the model's own voxel size is right.
ADULT = 140.0
# Up to which the grids of the shipped files for linear transforms are right.
NEWBORN = 100.0
FINEST = 0.7
_ROUNDED_TO = 0.05
# Of the images' own voxels: a finer grid has nothing more to see.
_OF_THE_VOXELS = 0.8
_CONTENT = 0.05  # of the normalised intensities


@dataclass(frozen=True, kw_only=True)
class GridChoice:
    """A voxel size of the evaluation grid, in mm, and why it was chosen, in one sentence."""

    spacing: float
    reason: str


def choose_grid(fixed: Image, moving: Image, network: DissimilarityNetwork) -> GridChoice:
    """Choose the voxel size of the finest level.

    It is the model's voxel size times a factor between :data:`FINEST` and 1 that grows with the
    mean extent of what the fixed image shows, but not less than 0.8 times the voxels of the finer
    of the two images.
    """
    extent = content_extent(fixed, network)
    least = finest_that_helps(fixed, moving)
    share = extent / (ADULT * network.spacing)
    factor = float(np.clip(round(share / _ROUNDED_TO) * _ROUNDED_TO, FINEST, 1.0))
    spacing = round(factor * network.spacing, 4)
    reason = (
        f"{factor:g} times the model's {network.spacing:g} mm, because what the fixed image shows "
        f"has a mean extent of {extent:.0f} mm"
    )
    if spacing < least:
        spacing = float(f"{least:.4g}")
        reason = (
            f"{_OF_THE_VOXELS:g} times the images' voxels of {least / _OF_THE_VOXELS:.3g} mm; a "
            "finer grid has nothing more to see"
        )
    return GridChoice(spacing=spacing, reason=reason)


def coarser_if_large(fixed: Image, network: DissimilarityNetwork) -> float:
    """Return the factor that keeps the number of voxels of a linear stage's grids in bounds."""
    return max(1.0, content_extent(fixed, network) / (NEWBORN * network.spacing))


def content_extent(image: Image, network: DissimilarityNetwork) -> float:
    """Return the geometric mean of the edges, in mm, of the box around what an image shows."""
    shown = np.argwhere(network.normalise(itk.array_view_from_image(image)) > _CONTENT)
    voxels = shown.max(axis=0) - shown.min(axis=0) + 1
    edges = voxels * np.asarray(image.GetSpacing())[::-1]
    return float(np.exp(np.log(edges).mean()))


def mean_spacing(image: Image) -> float:
    """Return the geometric mean of an image's voxel edges, in mm."""
    return float(np.exp(np.log(np.asarray(image.GetSpacing())).mean()))


def finest_that_helps(fixed: Image, moving: Image) -> float:
    """Return the voxel size, in mm, below which a grid has nothing more to see in two images."""
    return _OF_THE_VOXELS * min(mean_spacing(fixed), mean_spacing(moving))


def coarsest_that_fits(image: Image, network: DissimilarityNetwork) -> float:
    """Return the largest voxel size, in mm, at which an image holds two patches along each axis."""
    edges = np.asarray(itk.size(image)) * np.asarray(image.GetSpacing())
    return float(edges.min() / (network.receptive_field + network.stride))
