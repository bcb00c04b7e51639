# SPDX-License-Identifier: Apache-2.0
"""The two-channel network (Section 2.2 of the paper; Zagoruyko and Komodakis 2015)."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn.functional import linear

from cnnmetric.errors import SettingsError


@dataclass(frozen=True)
class Layer:
    """One convolution: output channels, kernel edge and stride in voxels of its input."""

    channels: int
    kernel: int
    stride: int


def paper_layers() -> tuple[Layer, ...]:
    """Return our reconstruction of the paper's five layers: p = 17, s = 4, 1,981,409 parameters.

    The paper gives patch size, stride, number of layers and "2M parameters"; the numbers below
    are the ones that fit these facts and the authors' earlier networks, not a published list.
    """
    return layers(channels=(96, 192, 256, 512), kernels=(5, 3, 3, 1, 1), strides=(2, 2, 1, 1, 1))


def layers(
    *, channels: Sequence[int], kernels: Sequence[int], strides: Sequence[int]
) -> tuple[Layer, ...]:
    """Return the layer list; ``channels`` leaves out the last layer, whose output is the score."""
    return tuple(map(Layer, (*channels, 1), kernels, strides))


def receptive_field(layers: Sequence[Layer]) -> int:
    """Return the edge ``p``, in voxels, of the patch that one score depends on."""
    field = 1
    for layer in reversed(layers):
        field = (field - 1) * layer.stride + layer.kernel
    return field


def stride(layers: Sequence[Layer]) -> int:
    """Return the network stride ``s``: the distance, in voxels, of neighbouring patches."""
    product = 1
    for layer in layers:
        product *= layer.stride
    return product


def with_stride(network: TwoChannelNetwork, wanted: int) -> TwoChannelNetwork:
    """Return a network of the same weights that scores patches so many voxels apart.

    A patch's score stays what it was: strides become dilations of the layers after them, for
    patches closer to each other, and the last layer gets a stride for those further apart (grid
    stride s, Section 2.1).

    Raises
    ------
    SettingsError
        If the network pools, or neither stride is a multiple of the other.
    """
    if network.pooling or wanted < 1 or (network.stride % wanted and wanted % network.stride):
        what = f"stride {network.stride}{' with pooling' if network.pooling else ''}"
        msg = (
            f"a network of {what} cannot have "
            f"stride {wanted}: ask for a divisor or a multiple of it, and not of pooled ones"
        )
        raise SettingsError(msg)
    changed = copy.deepcopy(network)
    reached, dilation = 1, 1
    convolutions = cast("list[nn.Conv3d]", list(changed.convolutions))
    for layer, convolution in zip(network.layers, convolutions, strict=True):
        taken = math.gcd(layer.stride, wanted // reached) if wanted % reached == 0 else 1
        _set(convolution, stride=taken, dilation=dilation)
        dilation = dilation * layer.stride // taken
        reached *= taken
    _set(convolutions[-1], stride=wanted // reached * convolutions[-1].stride[0])
    changed.stride = wanted
    return changed


def _set(convolution: nn.Conv3d, **values: int) -> None:
    for name, value in values.items():
        setattr(convolution, name, (value,) * len(convolution.kernel_size))


def _parts(layer: Layer, *, pooling: bool) -> tuple[Layer, ...]:
    if not pooling:
        return (layer,)
    pool = Layer(layer.channels, layer.stride, layer.stride)
    return Layer(layer.channels, layer.kernel, 1), pool


def check_dimension(dimension: int) -> None:
    """Raise a SettingsError unless the dimension is 2 or 3."""
    if dimension not in (2, 3):
        msg = f"the network's dimension is {dimension}; it must be 2 or 3"
        raise SettingsError(msg)


class Descriptor(nn.Identity):
    """Marks the vectors that a network compares two patches by: the export makes them outputs.

    The network's score has to be minus the sum over channels of the product of the two.
    """


class PatchNetwork(nn.Module):
    """A network that scores every patch of its blocks: what export and metric rely on.

    Attributes
    ----------
    dimension
        2 or 3.
    receptive_field, stride
        ``p`` and ``s`` of the paper, in voxels.
    rectifier
        The one module for all rectifiers: where its input is zero, the gradient jumps.
    """

    dimension: int
    receptive_field: int
    stride: int
    rectifier: nn.ReLU


class TwoChannelNetwork(PatchNetwork):
    """Convolutions without padding, ReLU between them, and nothing after the last.

    The two variants are those that the paper found to be worse.

    Parameters
    ----------
    layers
        The convolutions in order; the last one must have a single channel.
    dimension
        2 or 3.
    branches
        1: both images go through all layers together. 2: pseudo-siamese, with half of every
        layer's channels for each image and weights of their own, until the last two layers.
    pooling
        Where a layer has a stride, take the largest of so many neighbours after its rectifier
        instead (Zagoruyko and Komodakis 2015).

    Attributes
    ----------
    receptive_field, stride
        ``p`` and ``s`` of the paper, in voxels, computed from the layers.
    branches, pooling
        As given.

    Raises
    ------
    SettingsError
        If the last layer has more than one channel, channels cannot be divided among the branches
        or the dimension is neither 2 nor 3.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        dimension: int = 3,
        branches: int = 1,
        pooling: bool = False,
    ) -> None:
        super().__init__()
        check_dimension(dimension)
        if layers[-1].channels != 1:
            msg = f"the last layer has {layers[-1].channels} channels; a score needs exactly 1"
            raise SettingsError(msg)
        apart = len(layers) - 2 if branches > 1 else 0
        if branches > 1 and (apart < 1 or any(layer.channels % 2 for layer in layers[:apart])):
            msg = "two branches need three layers or more, and even channels in all but two of them"
            raise SettingsError(msg)
        self.layers = tuple(layers)
        self.dimension = dimension
        self.branches = branches
        self.pooling = pooling
        whole = [part for layer in layers for part in _parts(layer, pooling=pooling)]
        self.receptive_field = receptive_field(whole)
        self.stride = stride(whole)
        convolution = nn.Conv3d if dimension == 3 else nn.Conv2d
        pool = nn.MaxPool3d if dimension == 3 else nn.MaxPool2d
        inputs = (2, *(layer.channels for layer in layers[:-1]))
        self.rectifier = nn.ReLU()
        self.convolutions = nn.ModuleList(
            convolution(
                before,
                layer.channels,
                layer.kernel,
                1 if pooling else layer.stride,
                groups=branches if number < apart else 1,
            )
            for number, (before, layer) in enumerate(zip(inputs, layers, strict=True))
        )
        self.pools = nn.ModuleList(
            pool(layer.stride) if pooling and layer.stride > 1 else nn.Identity()
            for layer in layers[:-1]
        )

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Score every patch of every block (the fully convolutional mode of Section 2.1).

        Parameters
        ----------
        patches
            Normalised intensities, ``(B, 2, Nz, Ny, Nx)``, in 2D without z.

        Returns
        -------
        torch.Tensor
            Dissimilarities ``(B, 1, mz, my, mx)`` with ``m = (N - p) // s + 1``.
        """
        features = patches
        for convolution, pool in zip(self.convolutions[:-1], self.pools, strict=True):
            features = pool(self.rectifier(convolution(features)))
        return cast("torch.Tensor", self.convolutions[-1](features))

    @property
    def has_products(self) -> bool:
        """Whether :meth:`score_single_patches` can compute this network."""
        return self.branches == 1 and not self.pooling

    def score_single_patches(self, patches: torch.Tensor) -> torch.Tensor:
        """Return what :meth:`forward` does, for patches of one score each, by matrix products.

        Of so few voxels each layer is one product, which a GPU does faster than a convolution in 3D
        of few channels.

        Parameters
        ----------
        patches
            ``(B, 2, p, p, p)``, in 2D without the last.

        Returns
        -------
        torch.Tensor
            Dissimilarities ``(B,)``.
        """
        device = patches.device.type
        if torch.is_autocast_enabled(device):  # before patches are copied, once for every product
            patches = patches.to(torch.get_autocast_dtype(device))
        features = patches.movedim(1, -1)
        for number, layer in enumerate(cast("list[nn.Conv3d]", list(self.convolutions))):
            for axis in range(self.dimension):
                features = features.unfold(1 + axis, layer.kernel_size[axis], layer.stride[axis])
            features = features.flatten(self.dimension + 1)
            features = linear(features, layer.weight.flatten(1), layer.bias)
            if number + 1 < len(self.convolutions):
                features = self.rectifier(features)
        return features.flatten()
