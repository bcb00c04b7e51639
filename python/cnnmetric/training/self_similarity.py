# SPDX-License-Identifier: Apache-2.0
"""A pseudo-siamese network that compares learned descriptors of local self-similarity.

Ours, not the paper's. The paper's network has to learn by itself that contrasts differ between
modalities; here the first layers are fixed and invariant to them. They are the self-similarity
context of Heinrich et al. (MICCAI 2013): how alike the neighbours of a voxel are to each other.
What follows is learned, and each patch is turned into a vector of unit length. The dissimilarity
of two patches is the negative cosine of their vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from cnnmetric.training.architecture import Layer
from cnnmetric.training.architecture import PatchNetwork
from cnnmetric.training.architecture import check_dimension
from cnnmetric.training.architecture import receptive_field
from cnnmetric.training.architecture import stride

# Distance of the neighbours that are compared, in voxels.
NEIGHBOUR = 2
# Edge and stride of the box in which squared differences are averaged, in voxels.
BOX, BOX_STRIDE = 3, 2
# Squared differences of normalised intensities far below this are noise: a hundredth of the
# dynamic range is about sqrt(3e-4 / 3).
NOISE_FLOOR = 3e-4
# Descriptors much shorter than this are of patches without content; their cosine fades to 0.
SHORTEST = 0.05


class SelfSimilarityNetwork(PatchNetwork):
    """Fixed self-similarity, then convolutions shared by both modalities, then the cosine.

    Parameters
    ----------
    layers
        The learned convolutions in order, with rectifiers between them; the last one's channels
        are the descriptor.
    dimension
        2 or 3.

    Attributes
    ----------
    receptive_field, stride
        In voxels, the fixed layers included: 15 and 4 with the default layers.

    Raises
    ------
    SettingsError
        If the dimension is neither 2 nor 3.
    """

    def __init__(self, layers: Sequence[Layer], *, dimension: int = 3) -> None:
        super().__init__()
        check_dimension(dimension)
        self.layers = tuple(layers)
        self.dimension = dimension
        kernels = _neighbour_pairs(dimension)
        pairs = len(kernels)
        whole = (Layer(pairs, 2 * NEIGHBOUR + 1, 1), Layer(pairs, BOX, BOX_STRIDE), *layers)
        self.receptive_field = receptive_field(whole)
        self.stride = stride(whole)
        convolution = nn.Conv3d if dimension == 3 else nn.Conv2d
        self.differences = convolution(1, pairs, 3, dilation=NEIGHBOUR, bias=False)
        self.differences.weight = nn.Parameter(kernels, requires_grad=False)
        self.box = (nn.AvgPool3d if dimension == 3 else nn.AvgPool2d)(BOX, BOX_STRIDE)
        self.rectifier = nn.ReLU()
        inputs = (pairs, *(layer.channels for layer in layers[:-1]))
        self.convolutions = nn.ModuleList(
            convolution(before, layer.channels, layer.kernel, layer.stride)
            for before, layer in zip(inputs, layers, strict=True)
        )
        for name, weight in self.convolutions.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(weight)
            else:
                nn.init.kaiming_normal_(weight, nonlinearity="relu")
        with torch.no_grad():
            # Self-similarities are all positive: without their mean they tell places apart at once.
            first = self.convolutions.get_parameter("0.weight")
            first.sub_(first.flatten(1).mean(1).reshape(-1, *(1,) * (dimension + 1)))

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Score every patch of every block.

        Parameters
        ----------
        patches
            Normalised intensities, ``(B, 2, Nz, Ny, Nx)``, in 2D without z.

        Returns
        -------
        torch.Tensor
            Dissimilarities ``(B, 1, mz, my, mx)`` from -1 (alike) to 1.
        """
        product = self.describe(patches[:, :1]) * self.describe(patches[:, 1:])
        return -product.sum(1, keepdim=True)

    def describe(self, image: torch.Tensor) -> torch.Tensor:
        """Return unit vectors ``(B, channels, mz, my, mx)`` of images ``(B, 1, Nz, Ny, Nx)``."""
        difference = self.differences(image)
        distance = self.box(difference * difference)
        relative = distance / (distance.mean(1, keepdim=True) + NOISE_FLOOR)
        features = torch.exp(-relative)
        for convolution in self.convolutions[:-1]:
            features = self.rectifier(convolution(features))
        vector: torch.Tensor = self.convolutions[-1](features)
        return vector / torch.sqrt((vector * vector).sum(1, keepdim=True) + SHORTEST**2)


def _neighbour_pairs(dimension: int) -> torch.Tensor:
    """Return kernels ``(n, 1, 3, ...)``: differences of two face neighbours, not opposite ones."""
    faces = [(axis, end) for axis in range(dimension) for end in (0, 2)]
    kernels = []
    for number, (axis, end) in enumerate(faces):
        for other_axis, other_end in faces[:number]:
            if axis != other_axis:
                kernel = torch.zeros((3,) * dimension)
                for sign, where, place in ((1.0, axis, end), (-1.0, other_axis, other_end)):
                    position = [1] * dimension
                    position[where] = place
                    kernel[tuple(position)] = sign
                kernels.append(kernel)
    return torch.stack(kernels)[:, None]
