# SPDX-License-Identifier: Apache-2.0
"""The metric of every control point for every displacement (the paper, Section 4).

g_n(u) = N(I_f(P_n), I_m(P_n + u)): the dissimilarity of the patch around control point n to the one
that lies u away in the moving image, for all whole u up to a radius. Control points lie a stride of
the network apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cnnmetric.errors import DataError
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.types import Volume

_MOST = 2.5e8  # potentials, which are 1 GB

Potentials: TypeAlias = NDArray[np.float32]
"""Shape (lattice z, y, x, displacements), the latter in the order of :func:`displacements`."""


Inside: TypeAlias = tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]
"""Which voxels of two volumes count; None for all."""


def displacements(radius: int, dimension: int) -> NDArray[np.float32]:
    """Return all whole displacements, (n, dimension), along z, y, x, from short to long.

    Where all cost the same, outside of masks and between backgrounds, the first one is none at all.
    """
    axis = range(-radius, radius + 1)
    every = np.array(list(itertools.product(axis, repeat=dimension)), dtype=np.float32)
    return every[np.argsort((every**2).sum(axis=1), kind="stable")]


class PotentialsOfPair:
    """Potentials of two volumes, from either of them.

    Models that describe every image by itself do so once, and a potential is a product of two
    vectors. Others are evaluated once for every displacement, hundreds of times the work.

    Parameters
    ----------
    network
        The model.
    volumes
        Of its first and its second modality, of one shape, normalised.
    inside
        For each of them, which voxels count; None for all. Patches with their centre elsewhere are
        as dissimilar as they are alike: 0.
    """

    def __init__(
        self,
        network: DissimilarityNetwork,
        volumes: tuple[Volume, Volume],
        inside: Inside = (None, None),
    ) -> None:
        self._network = network
        self._volumes = volumes
        self._inside = inside
        self._descriptors = self._dense() if network.has_descriptors else None

    def of(self, image: int, radius: int) -> Potentials:
        """Return the potentials of the control points in one of the two volumes, 0 or 1.

        Raises
        ------
        DataError
            If they are too many for the memory.
        """
        shape = self._volumes[0].shape
        number = (2 * radius + 1) ** len(shape) * np.prod(
            [-(-length // self._network.stride) for length in shape], dtype=float
        )
        if number > _MOST:
            msg = (
                f"a search of radius {radius} over {' x '.join(map(str, shape))} voxels weighs "
                f"{number:.1e} displacements, and {_MOST:.1e} is the most; give a smaller radius, "
                "or a larger grid_spacing"
            )
            raise DataError(msg)
        each = self._evaluated if self._descriptors is None else self._products
        values = list(each(image, radius))
        return np.ascontiguousarray(np.moveaxis(np.stack(values), 0, -1))

    def _dense(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the descriptor of the patch around every voxel, (z, y, x, channels)."""
        stride, reach = self._network.stride, self._network.receptive_field // 2
        shape, dimension = self._volumes[0].shape, self._network.dimension
        # So long that all starts have a patch for every voxel.
        padded = [np.pad(volume, (reach, reach + stride)) for volume in self._volumes]
        found: list[NDArray[np.float32]] = []
        for start in itertools.product(range(stride), repeat=dimension):
            first, second = (volume[tuple(slice(k, None) for k in start)] for volume in padded)
            described = self._network.describe(first, second, normalised=True)
            if not found:
                found = [np.empty((*shape, len(d)), dtype=np.float32) for d in described]
            every = tuple(slice(k, None, stride) for k in start)
            for dense, values in zip(found, described, strict=True):
                target = dense[every]
                kept = tuple(slice(n) for n in target.shape[:-1])
                target[:] = np.moveaxis(values, 0, -1)[kept]
        for dense, inside in zip(found, self._inside, strict=True):
            if inside is not None:
                dense[~inside] = 0
        return found[0], found[1]

    def _products(self, image: int, radius: int) -> Iterator[NDArray[np.float32]]:
        """Yield the potentials of every displacement, from the descriptors."""
        assert self._descriptors is not None
        stride, shape = self._network.stride, self._volumes[0].shape
        lattice = np.ascontiguousarray(
            self._descriptors[image][(slice(None, None, stride),) * len(shape)]
        )
        padded = np.pad(self._descriptors[1 - image], [(radius, radius)] * len(shape) + [(0, 0)])
        for window in _windows(shape, radius, stride):
            yield -np.einsum("...c,...c->...", lattice, padded[window])

    def _evaluated(self, image: int, radius: int) -> Iterator[NDArray[np.float32]]:
        """Yield the potentials of every displacement, each by an evaluation."""
        stride, before = self._network.stride, self._network.receptive_field // 2
        # A patch of even edge reaches one voxel further before its centre than behind it.
        behind = self._network.receptive_field - 1 - before
        fixed = np.pad(self._volumes[image], (before, behind))
        moving = np.pad(self._volumes[1 - image], (before + radius, behind + radius))
        lattice, there = (
            np.ones_like(volume, dtype=np.bool_) if inside is None else inside
            for volume, inside in (
                (self._volumes[number], self._inside[number]) for number in (image, 1 - image)
            )
        )
        lattice = lattice[(slice(None, None, stride),) * lattice.ndim]
        there = np.pad(there, radius, constant_values=self._inside[1 - image] is None)
        for window, centres in zip(
            _windows(fixed.shape, radius, 1),
            _windows(self._volumes[0].shape, radius, stride),
            strict=True,
        ):
            pair = (fixed, moving[window]) if image == 0 else (moving[window], fixed)
            values = self._network(*pair, normalised=True)
            yield values * (lattice & there[centres])


def _windows(shape: tuple[int, ...], radius: int, stride: int) -> Iterator[tuple[slice, ...]]:
    """Yield, for every displacement, where the voxels of a volume are in its padded version."""
    for displacement in displacements(radius, len(shape)).astype(int):
        yield tuple(
            slice(radius + step, radius + step + length, stride)
            for step, length in zip(displacement.tolist(), shape, strict=True)
        )
