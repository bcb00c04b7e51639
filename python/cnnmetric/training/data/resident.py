# SPDX-License-Identifier: Apache-2.0
"""Patch pairs drawn where the network is, from images that stay there (Section 2.2).

What `sampling.PatchSampler` does patch by patch, for a whole batch at once and without asking the
device for a result, so that a step can be captured as a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import grid_sample

from cnnmetric.training.data.aligned_pair import FOREGROUND
from cnnmetric.training.data.aligned_pair import AlignedPair
from cnnmetric.training.data.interpolation import patch_offsets
from cnnmetric.training.data.near_misses import grade
from cnnmetric.training.data.near_misses import near_miss_lengths
from cnnmetric.training.loss import ALIGNED
from cnnmetric.training.loss import MISALIGNED
from cnnmetric.training.settings import TrainingSettings

# Transforms drawn for each patch, of which the first that is inside of the images is taken.
TRIES = 32


@dataclass(frozen=True)
class _Transforms:
    """As `geometry.PatchTransforms`, on the device; leading axes are free."""

    matrices: torch.Tensor
    centres: torch.Tensor

    def pick(self, chosen: torch.Tensor) -> _Transforms:
        """Return one of the transforms ``(B, T)`` for each patch."""
        rows = torch.arange(len(chosen), device=chosen.device)
        return _Transforms(self.matrices[rows, chosen], self.centres[rows, chosen])

    def where(self, condition: torch.Tensor, other: _Transforms) -> _Transforms:
        """Return these where the condition ``(B,)`` holds, the others elsewhere."""
        return _Transforms(
            torch.where(condition[:, None, None], self.matrices, other.matrices),
            torch.where(condition[:, None], self.centres, other.centres),
        )


class ResidentSampler:
    """Batches of patch pairs, drawn on the device.

    The distribution is that of `sampling.PatchSampler`; the patches are others, since the random
    numbers are the device's. Pairs lie in one image, one below the other along the slowest axis.

    Parameters
    ----------
    pairs
        The images.
    settings
        Batch size, and the ranges of the transforms.
    edge
        Patch edge in voxels: the network's receptive field.
    device
        Where images and batches are.
    """

    def __init__(
        self,
        pairs: Sequence[AlignedPair],
        settings: TrainingSettings,
        *,
        edge: int,
        device: torch.device,
    ) -> None:
        self._settings = settings
        self._edge = edge
        self._device = device
        self._dimension = settings.dimension
        shapes = [pair.images.shape[1:] for pair in pairs]
        others = [max(sizes) for sizes in zip(*(shape[1:] for shape in shapes), strict=True)]
        # A slice of zeros below each pair: a neighbour of weight 0 must not be NaN.
        starts = np.cumsum([0, *(shape[0] + 1 for shape in shapes)])
        self._stack = torch.zeros(2, 1, 1, int(starts[-1]), *others, device=device)
        for pair, start in zip(pairs, starts, strict=False):
            inside = (slice(start, start + pair.images.shape[1]),)
            inside += tuple(slice(0, size) for size in pair.images.shape[2:])
            self._stack[(slice(None), 0, 0, *inside)] = pair.images.to(device)
        whole = torch.tensor(self._stack.shape[:2:-1], device=device)
        self._normalise = 2 / (whole - 1).clamp(min=1).float()  # to grid_sample's coordinates
        self._has_outside = bool(self._stack.isnan().any())
        self._sizes = torch.tensor([tuple(shape[::-1]) for shape in shapes], device=device).float()
        self._starts = torch.zeros(len(pairs), self._dimension, device=device)  # (x, y, z)
        self._starts[:, -1] = torch.tensor(starts[:-1], device=device)
        self._offsets = patch_offsets(edge, self._dimension).to(device)
        self._corners = self._offsets[(self._offsets.abs() > (edge - 1) / 2 - 0.5).all(1)]

    @staticmethod
    def size(pairs: Sequence[AlignedPair]) -> int:
        """Return how many bytes of the device's memory these pairs take."""
        shapes = [pair.images.shape[1:] for pair in pairs]
        others = [max(sizes) for sizes in zip(*(shape[1:] for shape in shapes), strict=True)]
        return int(8 * sum(shape[0] + 1 for shape in shapes) * np.prod(others))

    def draw(
        self, generator: torch.Generator, batches: int = 1
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return patches ``(B, 2, p, p, p)`` (in 2D without the last) and labels ``(B,)``.

        B is the batch size, so many times.
        """
        settings = self._settings
        count = settings.batch_size * batches
        labels = torch.where(self._uniform(generator, count) < 0.5, ALIGNED, MISALIGNED)
        last = len(self._sizes) - 1  # which rounding must not pass
        chosen = (self._uniform(generator, count) * (last + 1)).long().clamp(max=last)
        aligned = labels == ALIGNED
        near = (self._uniform(generator, count) < settings.near_miss_fraction) & ~aligned

        first = self._random(generator, chosen)
        lengths = self._between(generator, *near_miss_lengths(settings), count, TRIES)
        moved = _Transforms(
            first.matrices @ self._rotations(generator, settings.near_miss_rotation, chosen),
            first.centres + self._steps(generator, first, lengths[..., None]),
        )
        independent = self._random(generator, chosen)
        in_both = torch.where(
            near[:, None],
            self._inside(moved, chosen, 1),
            self._inside(first, chosen, 1) | ~aligned[:, None],
        )
        place = _first(self._inside(first, chosen, 0) & in_both)
        other = independent.pick(_first(self._inside(independent, chosen, 1)))
        one = first.pick(place)
        second = one.where(aligned, moved.pick(place).where(near, other))
        if settings.near_miss_labels == "graded":
            offsets = lengths.gather(1, place[:, None])[:, 0]
            labels = torch.where(near, grade(offsets, settings), labels)
        return self._patches(generator, one, second, chosen), labels

    def _patches(
        self,
        generator: torch.Generator,
        first: _Transforms,
        second: _Transforms,
        chosen: torch.Tensor,
    ) -> torch.Tensor:
        """Interpolate both images, and vary intensities."""
        settings, dimension = self._settings, self._dimension
        edges = (self._edge,) * dimension
        patches = torch.stack(
            [
                self._interpolate(transforms, self._offsets, chosen, channel).view(-1, *edges)
                for channel, transforms in enumerate((first, second))
            ],
            dim=1,
        ).nan_to_num_()

        def factors(largest: float) -> torch.Tensor:
            limit = float(np.log(largest))
            shape = (len(chosen), 2) + (1,) * dimension
            return self._between(generator, -limit, limit, *shape).exp()

        if settings.max_gamma > 1:
            patches = patches.pow(factors(settings.max_gamma))
        if settings.max_gain > 1:
            patches = (patches * factors(settings.max_gain)).clamp(max=1)
        return patches

    def _interpolate(
        self, transforms: _Transforms, points: torch.Tensor, chosen: torch.Tensor, channel: int
    ) -> torch.Tensor:
        """Return intensities ``(n, ..., P)`` at points ``(P, d)`` of patches."""
        # One product for all patches.
        moved = torch.tensordot(points, transforms.matrices, ([1], [-1])).movedim(0, -2)
        voxels = moved + transforms.centres[..., None, :]
        return self._at(voxels, chosen, channel, mode="bilinear")

    def _at(
        self, voxels: torch.Tensor, chosen: torch.Tensor, channel: int, *, mode: str
    ) -> torch.Tensor:
        """Return intensities ``(n, ...)`` at voxels ``(n, ..., d)`` of the images chosen."""
        image = self._stack[channel]
        starts = self._starts[chosen].view(-1, *[1] * (voxels.ndim - 2), self._dimension)
        places = (voxels + starts) * self._normalise - 1
        grid = places.reshape(1, -1, *[1] * (self._dimension - 1), self._dimension)
        found = grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=True)
        return found.reshape(voxels.shape[:-1])

    def _inside(self, transforms: _Transforms, chosen: torch.Tensor, channel: int) -> torch.Tensor:
        """Return ``(n, T)``: whether the patches lie in an image, and where the settings want."""
        half = (self._edge - 1) / 2 * transforms.matrices.abs().sum(-1)
        sizes = self._sizes[chosen][:, None]
        centres = transforms.centres
        fits = ((centres >= half) & (centres <= sizes - 1 - half)).all(-1)
        if self._settings.patch_centres == "anatomy":
            fits &= self._at(centres, chosen, channel, mode="nearest") > FOREGROUND
        if self._has_outside:
            # The second image's field of view is convex: a patch is in it if its corners are.
            fits &= ~self._interpolate(transforms, self._corners, chosen, channel).isnan().any(-1)
        return fits

    def _random(self, generator: torch.Generator, chosen: torch.Tensor) -> _Transforms:
        """Return transforms ``(n, T)`` as `geometry.random_transforms` draws them."""
        settings = self._settings
        count, dimension = len(chosen), self._dimension
        low, high = map(float, np.log(settings.scale))
        factors = self._between(generator, low, high, count, TRIES, 1, 1).exp()
        matrices = factors * self._rotations(generator, settings.rotation, chosen)
        if settings.mirroring:
            drawn = self._uniform(generator, count, TRIES, 1, dimension)
            matrices = matrices * torch.where(drawn < 0.5, -1.0, 1.0)
        return _Transforms(matrices, self._positions(generator, matrices, chosen))

    def _positions(
        self, generator: torch.Generator, matrices: torch.Tensor, chosen: torch.Tensor
    ) -> torch.Tensor:
        """Return centres ``(n, T, d)`` anywhere that keeps the patch in its image."""
        last = self._sizes[chosen][:, None] - 1
        room = (last - (self._edge - 1) * matrices.abs().sum(-1)).clamp(min=0)
        return last / 2 + (self._uniform(generator, *room.shape) - 0.5) * room

    def _steps(
        self, generator: torch.Generator, transforms: _Transforms, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Return offsets in voxels, of lengths ``(..., 1)`` in patch voxels, any direction."""
        steps = lengths * self._directions(generator, *transforms.centres.shape)
        return (transforms.matrices @ steps[..., None])[..., 0]

    def _rotations(
        self, generator: torch.Generator, degrees: float, chosen: torch.Tensor
    ) -> torch.Tensor:
        """Return ``(n, T, d, d)`` as `geometry.random_rotations` draws them."""
        shape = (len(chosen), TRIES)
        limit = float(np.deg2rad(degrees))
        angles = self._between(generator, -limit, limit, *shape, 1, 1)
        cosine, sine = angles.cos(), angles.sin()
        if self._dimension == 2:
            rows = torch.cat([cosine, -sine], -1), torch.cat([sine, cosine], -1)
            return torch.cat(rows, -2)
        axes = self._directions(generator, *shape, 3)
        x, y, z = axes.unbind(-1)
        none = torch.zeros_like(x)
        cross = torch.stack([none, -z, y, z, none, -x, -y, x, none], -1).view(*shape, 3, 3)
        outer = axes[..., :, None] * axes[..., None, :]
        identity = torch.eye(3, device=self._device)
        return cosine * identity + sine * cross + (1 - cosine) * outer

    def _directions(self, generator: torch.Generator, *shape: int) -> torch.Tensor:
        vectors = torch.randn(shape, generator=generator, device=self._device)
        lengths: torch.Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
        return vectors / lengths

    def _uniform(self, generator: torch.Generator, *shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator, device=self._device)

    def _between(
        self, generator: torch.Generator, low: float, high: float, *shape: int
    ) -> torch.Tensor:
        return low + (high - low) * self._uniform(generator, *shape)


def _first(condition: torch.Tensor) -> torch.Tensor:
    """Return ``(n,)``: the first try ``(n, T)`` for which a condition holds, or 0."""
    tries = torch.arange(condition.shape[1], 0, -1, device=condition.device)
    return (condition * tries).argmax(1)
