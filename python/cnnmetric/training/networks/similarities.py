# SPDX-License-Identifier: Apache-2.0
"""Fixed layers that say what a place looks like, whatever the contrast of the image.

The self-similarity context of Heinrich et al. (MICCAI 2013), with more than one choice of the
voxels that are compared. All are squares of differences: an inverted image has the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from cnnmetric.training.networks.similarity_names import SIMILARITIES

# What the names of groups begin with whose neighbours are 1 voxel away.
NEAR = "near-"
# Distance of the other groups' neighbours, in voxels.
NEIGHBOUR = 2
# Edge and stride of the box in which squared differences are averaged, in voxels.
BOX, BOX_STRIDE = 3, 2
# Squared differences of normalised intensities far below this are noise: a hundredth of the
# dynamic range is about sqrt(3e-4 / 3).
NOISE_FLOOR = 3e-4
# The difference of normalised intensities, root of the mean square, whose strength is 1.
STRONG = 0.2


class Similarities(nn.Module):
    """Self-similarities of an image, in groups of channels.

    ====================  ==========================================================================
    ``context``           pairs of neighbours 2 voxels from the centre along different axes
    ``near-context``      the same at 1 voxel
    ``centre``            the centre and each of these neighbours, at 2 voxels
    ``near-centre``       the same at 1 voxel
    ``strength``          one channel: how much the neighbours of ``context`` differ altogether
    ====================  ==========================================================================

    A pair's squared difference, averaged over a box, becomes ``exp(-d / mean)``, where the mean is
    that of its group.

    Parameters
    ----------
    names
        Of the table above, ``context`` among them, each once; `TrainingSettings` sees to that.
    dimension
        2 or 3.

    Attributes
    ----------
    channels
        Of each group.
    dimension
        As given.
    """

    def __init__(self, names: Sequence[str], dimension: int) -> None:
        super().__init__()
        kernels = dict.fromkeys(("context", "near-context"), _context(dimension))
        kernels |= dict.fromkeys(("centre", "near-centre"), _centre(dimension))
        self._names = tuple(sorted(names, key=SIMILARITIES.index))
        self.channels = tuple(len(kernels.get(name, [1])) for name in self._names)
        self.dimension = dimension
        convolution = nn.Conv3d if dimension == 3 else nn.Conv2d
        self.differences = nn.ModuleDict()
        for name in filter(kernels.__contains__, self._names):
            step = 1 if name.startswith(NEAR) else NEIGHBOUR
            layer = convolution(1, len(kernels[name]), 3, dilation=step, bias=False)
            layer.weight = nn.Parameter(kernels[name], requires_grad=False)
            self.differences[name] = layer
        # Takes as many voxels off the border as near neighbours leave there. It is a convolution
        # because what is exported cannot cut voxels off otherwise.
        self.trim: nn.Module = nn.Identity()
        if any(name.startswith(NEAR) for name in self._names):
            only_centre = _kernel({(1,) * dimension: 1.0})[None]
            self.trim = convolution(1, 1, 3, bias=False)
            self.trim.weight = nn.Parameter(only_centre, requires_grad=False)
        self.box = (nn.AvgPool3d if dimension == 3 else nn.AvgPool2d)(BOX, BOX_STRIDE)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return ``(B, channels, mz, my, mx)`` of images ``(B, 1, Nz, Ny, Nx)``, group by group."""
        trimmed = self.trim(image)
        found, means = {}, {}
        for name, layer in self.differences.items():
            difference = layer(trimmed if name.startswith(NEAR) else image)
            distance = self.box(difference * difference)
            means[name] = distance.mean(1, keepdim=True)
            found[name] = torch.exp(-(distance / (means[name] + NOISE_FLOOR)))
        if "strength" in self._names:
            found["strength"] = torch.sqrt(means["context"] + NOISE_FLOOR) / STRONG
        return torch.cat(list(found.values()), 1)


def _context(dimension: int) -> torch.Tensor:
    """Return kernels ``(n, 1, 3, ...)``: differences of two face neighbours, not opposite ones."""
    faces = _faces(dimension)
    pairs = [
        (face, other)
        for number, face in enumerate(faces)
        for other in faces[:number]
        if not _opposite(face, other)
    ]
    return torch.stack([_kernel({face: 1.0, other: -1.0}) for face, other in pairs])


def _centre(dimension: int) -> torch.Tensor:
    """Return kernels ``(n, 1, 3, ...)``: differences of a face neighbour and the centre."""
    centre = (1,) * dimension
    return torch.stack([_kernel({face: 1.0, centre: -1.0}) for face in _faces(dimension)])


def _faces(dimension: int) -> list[tuple[int, ...]]:
    """Return the places of a 3 x 3 x 3 kernel's face neighbours, opposite ones in succession."""
    centre = (1,) * dimension
    return [
        (*centre[:axis], end, *centre[axis + 1 :]) for axis in range(dimension) for end in (0, 2)
    ]


def _opposite(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    return all(a + b == 2 for a, b in zip(first, second, strict=True))


def _kernel(values: dict[tuple[int, ...], float]) -> torch.Tensor:
    """Return a kernel ``(1, 3, ...)`` with these values at their places, and 0 elsewhere."""
    kernel = torch.zeros((3,) * len(next(iter(values))))
    for place, value in values.items():
        kernel[place] = value
    return kernel[None]
