# SPDX-License-Identifier: Apache-2.0
"""Random numbers, directions and rotations of whole batches, drawn on a device.

As `geometry` draws them one by one; no function asks the device for a result.
"""

from __future__ import annotations

import math

import torch


def uniform(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Return numbers from 0 to 1."""
    return torch.rand(shape, generator=generator, device=generator.device)


def normal(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Return numbers of mean 0 and SD 1."""
    return torch.randn(shape, generator=generator, device=generator.device)


def between(generator: torch.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    """Return numbers of this range."""
    return low + (high - low) * uniform(generator, *shape)


def log_between(generator: torch.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    """Return numbers of this range, whose logarithm is uniform."""
    return between(generator, math.log(low), math.log(high), *shape).exp()


def directions(generator: torch.Generator, *shape: int) -> torch.Tensor:
    """Return vectors of length 1 along the last axis."""
    vectors = normal(generator, *shape)
    lengths: torch.Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / lengths


def rotations(
    generator: torch.Generator, degrees: float, dimension: int, *shape: int
) -> torch.Tensor:
    """Return ``(*shape, d, d)``: rotations by up to ``degrees`` either way about random axes."""
    limit = math.radians(degrees)
    angles = between(generator, -limit, limit, *shape, 1, 1)
    cosine, sine = angles.cos(), angles.sin()
    if dimension == 2:
        return torch.cat([torch.cat([cosine, -sine], -1), torch.cat([sine, cosine], -1)], -2)
    axes = directions(generator, *shape, 3)
    x, y, z = axes.unbind(-1)
    none = torch.zeros_like(x)
    cross = torch.stack([none, -z, y, z, none, -x, -y, x, none], -1).view(*shape, 3, 3)
    outer = axes[..., :, None] * axes[..., None, :]
    identity = torch.eye(3, device=generator.device)
    return cosine * identity + sine * cross + (1 - cosine) * outer


def stretches(
    generator: torch.Generator, largest: float, dimension: int, *shape: int
) -> torch.Tensor:
    """Return ``(*shape, d, d)``: symmetric matrices that stretch along random axes."""
    factors = log_between(generator, 1 / largest, largest, *shape, 1, dimension)
    axes = rotations(generator, 180, dimension, *shape)
    return axes * factors @ axes.mT


def mirrors(generator: torch.Generator, dimension: int, *shape: int) -> torch.Tensor:
    """Return ``(*shape, d)``: 1 or -1 for each axis."""
    return torch.where(uniform(generator, *shape, dimension) < 0.5, -1.0, 1.0)
