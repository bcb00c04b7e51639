# SPDX-License-Identifier: Apache-2.0
"""Arrays as the network takes them: checked, normalised, in blocks that fit into memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import NDArray

from cnnmetric.errors import DataError
from cnnmetric.metric import normalisation

Slices: TypeAlias = tuple[slice, ...]
Pair: TypeAlias = tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]

# 101 voxels an axis in 3D. ONNX Runtime lays out a convolution as a matrix, of 0.4 GB for such a
# block; larger ones cost memory in proportion, and save less than a tenth of the time.
VOXELS_OF_A_BLOCK = 2**20


def numbers(array: ArrayLike, *, name: str) -> NDArray[np.floating[Any]]:
    """Return an array of single precision as it is, and any other in double precision.

    Raises
    ------
    DataError
        If it is empty, does not hold real numbers, or holds NaN or infinite ones.
    """
    given = np.asarray(array)
    if given.dtype.kind not in "biuf" or given.size == 0:
        msg = f"the {name} is of {given.dtype} and shape {given.shape}; it must hold real numbers"
        raise DataError(msg)
    values = given if given.dtype == np.float32 else given.astype(np.float64, copy=False)
    if not np.isfinite(values).all():
        msg = f"the {name} has NaN or infinite values; replace them, for example by the background"
        raise DataError(msg)
    return values


def normalise(
    array: NDArray[np.floating[Any]], quantiles: tuple[float, float], *, name: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the intensities mapped to 0..1, and the slope of that map.

    The slope is zero where values are clipped; docs/reference/model-format.md defines the map.

    Raises
    ------
    DataError
        If the two quantiles of the array are equal.
    """
    array = array.astype(np.float64, copy=False)
    lower, upper = quantiles
    low, high = normalisation.quantile_range(array, lower=lower, upper=upper, name=f"the {name}")
    values = normalisation.normalise(array, low=low, high=high)
    slope = np.where((values > 0.0) & (values < 1.0), 1.0 / (high - low), 0.0)
    return values, slope.astype(np.float32)


def pair(first: ArrayLike, second: ArrayLike, *, names: tuple[str, str]) -> Pair:
    """Return two arrays of real numbers that have one shape.

    Raises
    ------
    DataError
        If one is not, or they have not.
    """
    one, other = numbers(first, name=names[0]), numbers(second, name=names[1])
    if one.shape != other.shape:
        msg = (
            f"the {names[0]} is of shape {one.shape} and the second of {other.shape}; resample one "
            "image on the voxels of the other"
        )
        raise DataError(msg)
    return one, other


def normalise_pair(
    arrays: Pair, quantiles: tuple[float, float], *, names: tuple[str, str]
) -> tuple[Pair, Pair]:
    """Return both images as the network takes them, and d network input / d intensity."""
    one, other = (
        normalise(array, quantiles, name=name) for array, name in zip(arrays, names, strict=True)
    )
    return (one[0], other[0]), (one[1], other[1])


def normalised_pair(arrays: Pair, *, names: tuple[str, str]) -> tuple[Pair, Pair]:
    """Return the same of images that are said to be normalised."""
    for array, name in zip(arrays, names, strict=True):
        check_normalised(array, name=name)
    slope = np.ones(1, dtype=np.float32)
    return arrays, (slope, slope)


def cut(images: Pair, voxels: Slices) -> NDArray[np.float32]:
    """Return a block of both images, in one array."""
    return np.stack([image[voxels] for image in images], dtype=np.float32, casting="same_kind")


def check_normalised(array: NDArray[np.floating[Any]], *, name: str) -> None:
    """Refuse intensities that :func:`normalise` cannot have returned.

    Raises
    ------
    DataError
        If a value is not within 0..1.
    """
    if array.min() < 0.0 or array.max() > 1.0:
        msg = (
            f"the {name} has values from {array.min():g} to {array.max():g} and not within 0..1; "
            "leave out normalised=True, or use what normalise() returns"
        )
        raise DataError(msg)


def blocks(
    shape: tuple[int, ...], *, receptive_field: int, stride: int
) -> Iterator[tuple[Slices, Slices]]:
    """Cut a map into blocks of about equal size, as few as the memory allows.

    Parameters
    ----------
    shape
        Number of patches along every axis.
    receptive_field, stride
        Of the network, in voxels.

    Yields
    ------
    tuple
        The patches of a block, and the voxels that they cover: a slice for every axis. Voxels
        belong to several blocks, patches to one.
    """
    edge = round(VOXELS_OF_A_BLOCK ** (1.0 / len(shape)))
    most = max(1, (edge - receptive_field) // stride + 1)
    axes = []
    for count in shape:
        ends = np.linspace(0, count, -(-count // most) + 1).round().astype(int).tolist()
        axes.append([slice(first, end) for first, end in itertools.pairwise(ends)])
    for patches in itertools.product(*axes):
        voxels = [slice(stride * k.start, stride * (k.stop - 1) + receptive_field) for k in patches]
        yield patches, tuple(voxels)
