# SPDX-License-Identifier: Apache-2.0
"""Patch pairs drawn where the network is, from images that stay there (Section 2.2).

What `sampling.PatchSampler` does patch by patch, for a whole batch at once and without asking the
device for a result, so that a step can be captured as a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cnnmetric.training.data.aligned_pair import FOREGROUND
from cnnmetric.training.data.device_random import between
from cnnmetric.training.data.device_random import directions
from cnnmetric.training.data.device_random import log_between
from cnnmetric.training.data.device_random import mirrors
from cnnmetric.training.data.device_random import rotations
from cnnmetric.training.data.device_random import stretches
from cnnmetric.training.data.device_random import uniform
from cnnmetric.training.data.interpolation import patch_offsets
from cnnmetric.training.data.material import Material
from cnnmetric.training.data.near_misses import grade
from cnnmetric.training.data.near_misses import near_miss_lengths
from cnnmetric.training.data.resident_materials import ResidentMaterials
from cnnmetric.training.data.sampling import RENDER_EVERY
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
    numbers are the device's.

    Parameters
    ----------
    materials
        Images and label maps to choose from.
    settings
        Batch size, and the ranges of the transforms.
    edge
        Patch edge in voxels: the network's receptive field.
    device
        Where images and batches are.
    """

    def __init__(
        self,
        materials: Sequence[Material],
        settings: TrainingSettings,
        *,
        edge: int,
        device: torch.device,
    ) -> None:
        self._settings = settings
        self._edge = edge
        self._dimension = settings.dimension
        self._materials = ResidentMaterials(
            materials, seed=settings.seed, every=RENDER_EVERY, device=device
        )
        self._images = self._materials.images
        self._has_outside = self._images.has_outside()
        self._offsets = patch_offsets(edge, self._dimension).to(device)
        self._corners = self._offsets[(self._offsets.abs() > (edge - 1) / 2 - 0.5).all(1)]

    def render(self, step: int) -> None:
        """Make the pairs of label maps that are shown from this step on, if they are new."""
        self._materials.render(step)

    def draw(
        self, generator: torch.Generator, batches: int = 1
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return patches ``(B, 2, p, p, p)`` (in 2D without the last) and labels ``(B,)``.

        B is the batch size, so many times.
        """
        settings = self._settings
        count = settings.batch_size * batches
        labels = torch.where(uniform(generator, count) < 0.5, ALIGNED, MISALIGNED)
        chosen = self._materials.choose(generator, count)
        aligned = labels == ALIGNED
        near = (uniform(generator, count) < settings.near_miss_fraction) & ~aligned

        first = self._random(generator, chosen)
        lengths = between(generator, *near_miss_lengths(settings), count, TRIES)
        moved = _Transforms(
            first.matrices @ self._rotations(generator, settings.near_miss_rotation, count),
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
            shape = (len(chosen), 2) + (1,) * dimension
            return log_between(generator, 1 / largest, largest, *shape)

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
        here = slice(channel, channel + 1)
        return self._images.interpolate(voxels, chosen, here, outside="border")[0]

    def _inside(self, transforms: _Transforms, chosen: torch.Tensor, channel: int) -> torch.Tensor:
        """Return ``(n, T)``: whether the patches lie in an image, and where the settings want."""
        half = (self._edge - 1) / 2 * transforms.matrices.abs().sum(-1)
        sizes = self._images.sizes[chosen][:, None]
        centres = transforms.centres
        fits = ((centres >= half) & (centres <= sizes - 1 - half)).all(-1)
        if self._settings.patch_centres == "anatomy":
            here = slice(channel, channel + 1)
            found = self._images.interpolate(
                centres, chosen, here, mode="nearest", outside="border"
            )
            fits &= found[0] > FOREGROUND
        if self._has_outside:
            # The second image's field of view is convex: a patch is in it if its corners are.
            fits &= ~self._interpolate(transforms, self._corners, chosen, channel).isnan().any(-1)
        return fits

    def _random(self, generator: torch.Generator, chosen: torch.Tensor) -> _Transforms:
        """Return transforms ``(n, T)`` as `geometry.random_transforms` draws them."""
        settings = self._settings
        count = len(chosen)
        factors = log_between(generator, *settings.scale, count, TRIES, 1, 1)
        matrices = factors * self._rotations(generator, settings.rotation, count)
        if settings.max_stretch > 1:
            matrices = matrices @ stretches(
                generator, settings.max_stretch, self._dimension, count, TRIES
            )
        if settings.mirroring:
            matrices = matrices * mirrors(generator, self._dimension, count, TRIES, 1)
        return _Transforms(matrices, self._positions(generator, matrices, chosen))

    def _positions(
        self, generator: torch.Generator, matrices: torch.Tensor, chosen: torch.Tensor
    ) -> torch.Tensor:
        """Return centres ``(n, T, d)`` anywhere that keeps the patch in its image."""
        last = self._images.sizes[chosen][:, None] - 1
        room = (last - (self._edge - 1) * matrices.abs().sum(-1)).clamp(min=0)
        return last / 2 + (uniform(generator, *room.shape) - 0.5) * room

    def _rotations(self, generator: torch.Generator, degrees: float, count: int) -> torch.Tensor:
        return rotations(generator, degrees, self._dimension, count, TRIES)

    def _steps(
        self, generator: torch.Generator, transforms: _Transforms, lengths: torch.Tensor
    ) -> torch.Tensor:
        """Return offsets in voxels, of lengths ``(..., 1)`` in patch voxels, any direction."""
        steps = lengths * directions(generator, *transforms.centres.shape)
        return (transforms.matrices @ steps[..., None])[..., 0]


def _first(condition: torch.Tensor) -> torch.Tensor:
    """Return ``(n,)``: the first try ``(n, T)`` for which a condition holds, or 0."""
    tries = torch.arange(condition.shape[1], 0, -1, device=condition.device)
    return (condition * tries).argmax(1)
