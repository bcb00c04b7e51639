# SPDX-License-Identifier: Apache-2.0
"""A pseudo-siamese network that compares learned descriptors of local self-similarity.

Ours, not the paper's. The paper's network has to learn by itself that contrasts differ between
modalities; here the first layers are fixed and invariant to them: how alike the neighbours of a
voxel are to each other (`similarities`). What follows is learned, and each patch is turned into a
vector of unit length. The dissimilarity of two patches is the negative cosine of their vectors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from cnnmetric.training.networks.architecture import Descriptor
from cnnmetric.training.networks.architecture import Layer
from cnnmetric.training.networks.architecture import PatchNetwork
from cnnmetric.training.networks.architecture import check_dimension
from cnnmetric.training.networks.architecture import receptive_field
from cnnmetric.training.networks.architecture import stride
from cnnmetric.training.networks.similarities import BOX
from cnnmetric.training.networks.similarities import BOX_STRIDE
from cnnmetric.training.networks.similarities import NEIGHBOUR
from cnnmetric.training.networks.similarities import Similarities

# Descriptors much shorter than this are of patches without content; their cosine fades to 0.
SHORTEST = 0.05
# Edge and stride of the fixed layers; their channels are of no matter for what a patch sees.
FIXED = (Layer(1, 2 * NEIGHBOUR + 1, 1), Layer(1, BOX, BOX_STRIDE))


class SelfSimilarityNetwork(PatchNetwork):
    """Fixed self-similarity, then convolutions shared by both modalities, then the cosine.

    Parameters
    ----------
    layers
        The learned convolutions in order, with rectifiers between them; the last one's channels
        are the descriptor.
    dimension
        2 or 3.
    similarities
        Which fixed ones, by their names in `Similarities`.

    Attributes
    ----------
    receptive_field, stride
        In voxels, the fixed layers included: 15 and 4 with the default layers, whichever
        similarities there are.

    Raises
    ------
    SettingsError
        If the dimension is neither 2 nor 3.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        dimension: int = 3,
        similarities: Sequence[str] = ("context",),
    ) -> None:
        super().__init__()
        check_dimension(dimension)
        self.layers = tuple(layers)
        self.dimension = dimension
        self.similarities = Similarities(similarities, dimension)
        groups = self.similarities.channels
        self.receptive_field = receptive_field((*FIXED, *layers))
        self.stride = stride((*FIXED, *layers))
        convolution = nn.Conv3d if dimension == 3 else nn.Conv2d
        self.rectifier = nn.ReLU()
        self.descriptor = Descriptor()
        first = layers[0]
        self.first = convolution(sum(groups), first.channels, first.kernel, first.stride)
        self.convolutions = nn.ModuleList(
            convolution(before.channels, layer.channels, layer.kernel, layer.stride)
            for before, layer in pairwise(layers)
        )
        # The groups of the first layer begin as if each were alone.
        parts = torch.split(self.first.weight.detach(), list(groups), dim=1)
        others = [item.get_parameter("weight").detach() for item in self.convolutions]
        for weight in (*parts, *others):
            nn.init.kaiming_normal_(weight, nonlinearity="relu")
        for weight in parts:
            # Self-similarities are all positive: without their mean they tell places apart at
            # once. All groups together are as large as one would be.
            weight.sub_(weight.flatten(1).mean(1).reshape(-1, *(1,) * (dimension + 1)))
            weight.div_(math.sqrt(len(groups)))
        for module in (self.first, *self.convolutions):
            nn.init.zeros_(module.get_parameter("bias"))

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
        features: torch.Tensor = self.first(self.similarities(image))
        for convolution in self.convolutions:
            features = convolution(self.rectifier(features))
        length = torch.sqrt((features * features).sum(1, keepdim=True) + SHORTEST**2)
        unit: torch.Tensor = self.descriptor(features / length)
        return unit
