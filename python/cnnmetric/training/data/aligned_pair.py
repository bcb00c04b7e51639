# SPDX-License-Identifier: Apache-2.0
"""Images of one subject in two modalities, ready to take patches from; needs no ITK."""

from __future__ import annotations

from dataclasses import dataclass

import torch

# Normalised intensities above this are taken for anatomy.
FOREGROUND = 0.02


@dataclass(frozen=True)
class AlignedPair:
    """Two modalities of one subject on one grid.

    Attributes
    ----------
    images
        Normalised intensities ``(2, nz, ny, nx)``, in 2D without z; NaN outside the second
        image's field of view.
    spacing
        Edge of the (cubic) voxels in mm.
    name
        The first file's name, for messages.
    label
        Of `pairs.PairFiles`, for what is passed on.
    """

    images: torch.Tensor
    spacing: float
    name: str
    label: str = ""
