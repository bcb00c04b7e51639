# SPDX-License-Identifier: Apache-2.0
"""Generated images, masks and models for the tests of the metric."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import cast

import itk
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from cnnmetric.training.export.model_file import CHECKSUM
from cnnmetric.training.export.model_file import ModelDescription
from cnnmetric.training.export.model_file import export_model
from cnnmetric.training.networks.architecture import TwoChannelNetwork
from cnnmetric.training.networks.architecture import layers


def rotation(angle: float, dimension: int = 3) -> NDArray[np.float64]:
    """Return direction cosines: a rotation about z, and in 3D about x as well, in radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    about_z = np.array([[cos, -sin], [sin, cos]])
    if dimension == 2:
        return about_z
    in_3d = np.eye(3)
    in_3d[:2, :2] = about_z
    about_x = np.eye(3)
    about_x[1:, 1:] = about_z
    return in_3d @ about_x


def image_of(
    array: NDArray[Any],
    *,
    spacing: Sequence[float],
    origin: Sequence[float],
    direction: NDArray[np.float64],
) -> Any:
    """Return an ITK image of an array (z, y, x) with the given geometry (x, y, z; mm)."""
    image = itk.image_from_array(np.ascontiguousarray(array))
    image.SetSpacing([float(value) for value in spacing])
    image.SetOrigin([float(value) for value in origin])
    image.SetDirection(direction)
    return image


def points_of(image: Any) -> NDArray[np.float64]:
    """Return the physical position of every voxel, shape (z, y, x, dimension); x, y, z in mm."""
    size = itk.size(image)
    axes = np.meshgrid(*[np.arange(n) for n in reversed(size)], indexing="ij")
    index = np.stack(list(reversed(axes)), axis=-1)
    matrix = np.asarray(image.GetDirection()) * np.asarray(image.GetSpacing())
    points: NDArray[np.float64] = index @ matrix.T + np.asarray(image.GetOrigin())
    return points


def anatomy(points: NDArray[np.float64], *, modality: str) -> NDArray[np.float32]:
    """Return a smooth made-up anatomy around the origin, at physical points, in a contrast."""
    radius = np.linalg.norm(points / np.array([16.0, 19.0, 17.0])[: points.shape[-1]], axis=-1)
    folds = np.sin(points @ np.array([0.31, 0.23, 0.27])[: points.shape[-1]]) * np.cos(
        points @ np.array([-0.19, 0.33, 0.11])[: points.shape[-1]]
    )
    tissue = 1.0 / (1.0 + np.exp(6.0 * (radius - 1.0 + 0.1 * folds)))
    contrast = 0.6 + 0.4 * folds if modality == "T1" else 0.7 - 0.5 * folds + 0.2 * folds**2
    values: NDArray[np.float32] = (tissue * contrast).astype(np.float32)
    return values


def empty_image(
    size: Sequence[int], *, spacing: Sequence[float], angle: float, dtype: Any = np.float32
) -> Any:
    """Return an image of zeros (size x, y, z in voxels), centred on the origin and rotated."""
    dimension = len(size)
    direction = rotation(angle, dimension)
    half_extent = (np.asarray(size) - 1) * np.asarray(spacing) / 2
    array = np.zeros(tuple(reversed(size)), dtype=dtype)
    return image_of(array, spacing=spacing, origin=-direction @ half_extent, direction=direction)


def subject(modality: str, *, size: Sequence[int], spacing: Sequence[float], angle: float) -> Any:
    """Return an image of the anatomy on a grid of its own."""
    image = empty_image(size, spacing=spacing, angle=angle)
    itk.array_view_from_image(image)[:] = anatomy(points_of(image), modality=modality)
    return image


def moved_subject(*, angle: float, shift: NDArray[np.float64]) -> Any:
    """Return the anatomy in T1, turned (radians) and shifted (mm), on a grid of its own."""
    image = empty_image((60, 60, 60), spacing=(1.0, 1.1, 1.0), angle=-0.1)
    in_fixed_space = (points_of(image) - shift) @ rotation(angle)
    itk.array_view_from_image(image)[:] = anatomy(in_fixed_space, modality="T1")
    return image


def ball_mask(image: Any, *, radius: float) -> Any:
    """Return a mask on the grid of an image: a ball around the origin, radius in mm."""
    inside = np.linalg.norm(points_of(image), axis=-1) <= radius
    return image_of(
        inside.astype(np.uint8),
        spacing=list(image.GetSpacing()),
        origin=list(image.GetOrigin()),
        direction=np.asarray(image.GetDirection()),
    )


def write_small_model(
    path: Path,
    *,
    dimension: int = 3,
    seed: int = 0,
    quantiles: tuple[float, float] = (0.0, 1.0),
    modalities: tuple[str, str] = ("T1", "T2"),
) -> Path:
    """Export an untrained network of the paper's shape with few channels: fast and far from flat.

    The biases keep every second unit on and the others off for any image. So the gates are
    exercised, but none switches between the two evaluations of a finite difference, which would
    measure the kink. For the same reason no intensity is clipped, unless quantiles are given.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = layers(channels=(8, 12, 12, 16), kernels=(5, 3, 3, 1, 1), strides=(2, 2, 1, 1, 1))
    network = TwoChannelNetwork(shape, dimension=dimension)
    level = torch.rand((64, 2, *(1,) * dimension), generator=generator)
    noise = torch.randn((64, 2, *(17,) * dimension), generator=generator)
    values = (level + 0.2 * noise).clamp(0.0, 1.0)
    with torch.no_grad():
        convolutions = cast("list[nn.Conv3d]", list(network.convolutions))
        for convolution in convolutions:
            assert convolution.bias is not None
            # He's initialisation, without which five layers flatten the image to a constant.
            scale = (2.0 / convolution.weight[0].numel()) ** 0.5
            weight = torch.randn(convolution.weight.shape, generator=generator)
            convolution.weight.copy_(scale * weight)
            convolution.bias.zero_()
            values = convolution(values)
            if convolution is convolutions[-1]:
                break
            axes = [0, *range(2, dimension + 2)]
            margin = 0.5 * (values.amax(axes) - values.amin(axes))
            on = torch.arange(len(margin)) % 2 == 0
            convolution.bias.copy_(
                torch.where(on, margin - values.amin(axes), -margin - values.amax(axes))
            )
            bias = convolution.bias.reshape(1, -1, *(1,) * dimension)
            values = torch.relu(values + bias)
    description = ModelDescription(
        spacing=1.0,
        modalities=modalities,
        lower_quantile=quantiles[0],
        upper_quantile=quantiles[1],
    )
    export_model(network, path, description)
    return path


def unsealed(path: Path) -> onnx.ModelProto:
    """Return a model without its checksum, to be changed and written again."""
    model = onnx.load(path)
    kept = {entry.key: entry.value for entry in model.metadata_props}
    assert kept.pop(CHECKSUM, None)
    onnx.helper.set_model_props(model, kept)
    return model


def write_difference_model(path: Path, *, dimension: int = 3) -> Path:
    """Export weights set by hand so that N is the mean absolute difference of two smoothed patches.

    A true metric for two images of one modality (both named T1), and no training: registrations in
    tests take seconds and have a known answer.
    """
    shape = layers(channels=(2, 1, 1, 1), kernels=(5, 3, 3, 1, 1), strides=(2, 2, 1, 1, 1))
    network = TwoChannelNetwork(shape, dimension=dimension)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
            if parameter.ndim > 1:  # weights: an average over the window
                parameter.fill_(1.0 / parameter[0, 0].numel())
        first = next(network.parameters())
        first[0, 1] *= -1.0  # ReLU(f - m) in one channel
        first[1, 0] *= -1.0  # ReLU(m - f) in the other; the next layer adds them to |f - m|
    export_model(network, path, ModelDescription(spacing=1.0, modalities=("T1", "T1b")))
    return path
