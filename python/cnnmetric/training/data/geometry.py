# SPDX-License-Identifier: Apache-2.0
"""Random patch transforms: position, scale, rotation and mirroring (Section 2.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PatchTransforms:
    """Where ``n`` patches lie on their images: ``x -> centre + matrix x``.

    ``x`` is an offset from the patch's centre in patch voxels; the result is a continuous index
    of the image. Axes are in ITK order (x, y, z).

    Attributes
    ----------
    matrices
        ``(n, d, d)``: scale times rotation times mirroring.
    centres
        ``(n, d)`` in voxels.
    """

    matrices: Array
    centres: Array

    def half_extents(self, edge: int) -> Array:
        """Return ``(n, d)``: half the bounding box, in voxels, of patches with that edge."""
        return np.asarray((edge - 1) / 2 * np.abs(self.matrices).sum(axis=2))

    def inside(self, sizes: NDArray[np.int64], edge: int) -> NDArray[np.bool_]:
        """Return ``(n,)``: whether the whole patch lies within an image of ``sizes (n, d)``."""
        half = self.half_extents(edge)
        fits = (self.centres >= half) & (self.centres <= sizes - 1 - half)
        return np.asarray(fits.all(axis=1))

    def where(self, condition: NDArray[np.bool_], other: PatchTransforms) -> PatchTransforms:
        """Return these transforms where the condition ``(n,)`` holds, the others elsewhere."""
        return PatchTransforms(
            np.where(condition[:, None, None], self.matrices, other.matrices),
            np.where(condition[:, None], self.centres, other.centres),
        )


def random_transforms(
    rng: np.random.Generator,
    sizes: NDArray[np.int64],
    *,
    edge: int,
    scale: tuple[float, float],
    rotation: float,
    mirroring: bool,
    stretch: float = 1.0,
) -> PatchTransforms:
    """Draw transforms whose position is uniform over all that keep the patch inside the image.

    A patch that is too large for its image at the scale and rotation drawn is put in the middle;
    :meth:`PatchTransforms.inside` tells.

    Parameters
    ----------
    rng
        Source of randomness.
    sizes
        Image sizes ``(n, d)`` in voxels, ITK order.
    edge
        Patch edge in voxels.
    scale, rotation, mirroring, stretch
        As in ``TrainingSettings``, `stretch` its ``max_stretch``; rotation in degrees.
    """
    count, dimension = sizes.shape
    factors = np.exp(rng.uniform(np.log(scale[0]), np.log(scale[1]), count))
    matrices = factors[:, None, None] * random_rotations(rng, count, dimension, rotation)
    if stretch > 1:
        matrices = matrices @ random_stretches(rng, count, dimension, stretch)
    mirrors = rng.choice([-1.0, 1.0], (count, dimension))
    if mirroring:
        matrices = matrices * mirrors[:, None, :]
    half = PatchTransforms(matrices, np.zeros((count, dimension))).half_extents(edge)
    room = sizes - 1 - 2 * half
    centres = (sizes - 1) / 2 + (rng.random((count, dimension)) - 0.5) * np.maximum(room, 0)
    return PatchTransforms(matrices, centres)


def near_misses(
    rng: np.random.Generator, transforms: PatchTransforms, *, lengths: Array, rotation: float
) -> PatchTransforms:
    """Move transforms a little: in a random direction, and a turn.

    Parameters
    ----------
    rng
        Source of randomness.
    transforms
        The ones to start from.
    lengths
        ``(n,)``: offsets in patch voxels.
    rotation
        Largest rotation in degrees.
    """
    count, dimension = transforms.centres.shape
    steps = lengths[:, None] * random_directions(rng, count, dimension)
    turns = random_rotations(rng, count, dimension, rotation)
    return PatchTransforms(
        transforms.matrices @ turns,
        transforms.centres + np.einsum("nij,nj->ni", transforms.matrices, steps),
    )


def random_rotations(rng: np.random.Generator, count: int, dimension: int, degrees: float) -> Array:
    """Return ``(count, d, d)``: rotations by up to ``degrees`` either way about random axes."""
    angles = np.deg2rad(rng.uniform(-degrees, degrees, count))
    cosine, sine = np.cos(angles), np.sin(angles)
    if dimension == 2:
        return np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], axis=1)
    axes = random_directions(rng, count, 3)
    cross = np.zeros((count, 3, 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        cross[:, i, j] = -axes[:, k]
        cross[:, j, i] = axes[:, k]
    outer = axes[:, :, None] * axes[:, None, :]
    cosine, sine = cosine[:, None, None], sine[:, None, None]
    turned: Array = cosine * np.eye(3) + sine * cross + (1 - cosine) * outer
    return turned


def random_stretches(rng: np.random.Generator, count: int, dimension: int, largest: float) -> Array:
    """Return ``(count, d, d)``: symmetric matrices that stretch along random axes.

    The factors are log-uniform from the inverse of the largest to the largest.
    """
    factors = largest ** rng.uniform(-1, 1, (count, 1, dimension))
    axes = random_rotations(rng, count, dimension, 180)
    return np.asarray(axes * factors @ axes.transpose(0, 2, 1))


def random_directions(rng: np.random.Generator, count: int, dimension: int) -> Array:
    """Return ``(count, d)``: vectors of length 1."""
    vectors = rng.standard_normal((count, dimension))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
