# SPDX-License-Identifier: Apache-2.0
"""Pairs of images that stay on a device, to be interpolated all at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch.nn.functional import grid_sample


class ResidentImages:
    """Pairs in one image of two channels, one below the other along the slowest axis.

    A slice of zeros lies below each pair, and zeros beside smaller ones.

    Parameters
    ----------
    shapes
        Of each pair's images, ``(nz, ny, nx)``, in 2D without z. Their values are 0 at first.
    device
        Where they are.

    Attributes
    ----------
    sizes
        ``(n, d)``: edges of each pair in voxels (x, y, z).
    device
        As given.
    """

    def __init__(self, shapes: Sequence[Sequence[int]], *, device: torch.device) -> None:
        self.device = device
        slices, others = _extent(shapes)
        self._shapes = [tuple(shape) for shape in shapes]
        self._first = slices[:-1]
        self._stack = torch.zeros(1, 2, slices[-1], *others, device=device)
        whole = torch.tensor(self._stack.shape[:1:-1], device=device)
        self._normalise = 2 / (whole - 1).clamp(min=1).float()  # to grid_sample's coordinates
        self.sizes = torch.tensor([shape[::-1] for shape in self._shapes], device=device).float()
        self._starts = torch.zeros_like(self.sizes)
        self._starts[:, -1] = torch.tensor(self._first, device=device)

    @staticmethod
    def memory(shapes: Sequence[Sequence[int]]) -> int:
        """Return how many bytes of the device's memory such pairs take."""
        slices, others = _extent(shapes)
        return int(8 * slices[-1] * np.prod(others))

    def put(self, number: int, images: torch.Tensor) -> None:
        """Write a pair ``(2, nz, ny, nx)``, which may be smaller than its shape."""
        room = self._at(number, self._shapes[number])
        room.zero_()
        self._at(number, images.shape[1:]).copy_(images)
        self.sizes[number] = torch.tensor(images.shape[:0:-1], device=self.device).float()

    def has_outside(self) -> bool:
        """Whether there are places (NaN) beyond a field of view."""
        return bool(self._stack.isnan().any())

    def interpolate(
        self,
        voxels: torch.Tensor,
        chosen: torch.Tensor,
        channels: slice,
        *,
        mode: Literal["bilinear", "nearest"] = "bilinear",
        outside: Literal["border", "zeros"],
    ) -> torch.Tensor:
        """Return intensities ``(c, n, ...)`` at voxels ``(n, ..., d)`` of pairs chosen ``(n,)``.

        With ``outside="border"`` the voxels have to lie in their pair.
        """
        dimension = voxels.shape[-1]
        shape = (-1, *[1] * (voxels.ndim - 2), dimension)
        if outside == "zeros":  # and not the next pair
            last = self.sizes[chosen].view(shape)[..., -1]
            slowest = voxels[..., -1].clamp(min=-1).minimum(last)
            voxels = torch.cat([voxels[..., :-1], slowest[..., None]], -1)
        places = (voxels + self._starts[chosen].view(shape)) * self._normalise - 1
        grid = places.reshape(1, -1, *[1] * (dimension - 1), dimension)
        found = grid_sample(
            self._stack[:, channels], grid, mode=mode, padding_mode=outside, align_corners=True
        )
        return found.reshape(-1, *voxels.shape[:-1])

    def _at(self, number: int, shape: Sequence[int]) -> torch.Tensor:
        start = self._first[number]
        inside = [slice(start, start + shape[0]), *(slice(0, size) for size in shape[1:])]
        return self._stack[0][(slice(None), *inside)]


def _extent(shapes: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """Return the pairs' first slices and the end, and the largest sizes along the other axes."""
    # A slice of zeros below each pair: a neighbour of weight 0 must not be NaN.
    slices = np.cumsum([0, *(shape[0] + 1 for shape in shapes)])
    others = [max(sizes) for sizes in zip(*(shape[1:] for shape in shapes), strict=True)]
    return slices.tolist(), others
