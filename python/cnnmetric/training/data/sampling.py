# SPDX-License-Identifier: Apache-2.0
"""Online sampling of aligned and misaligned patch pairs (Section 2.2 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from cnnmetric.errors import DataError
from cnnmetric.training.data.aligned_pair import FOREGROUND
from cnnmetric.training.data.aligned_pair import AlignedPair
from cnnmetric.training.data.geometry import PatchTransforms
from cnnmetric.training.data.geometry import near_misses
from cnnmetric.training.data.geometry import random_transforms
from cnnmetric.training.data.interpolation import extract
from cnnmetric.training.data.interpolation import patch_offsets
from cnnmetric.training.data.material import Material
from cnnmetric.training.data.material import cumulative_shares
from cnnmetric.training.data.near_misses import grade
from cnnmetric.training.data.near_misses import near_miss_lengths
from cnnmetric.training.data.rendered import SLOTS
from cnnmetric.training.data.rendered import rendered_of
from cnnmetric.training.loss import ALIGNED
from cnnmetric.training.loss import MISALIGNED
from cnnmetric.training.settings import TrainingSettings

# How often a patch is drawn anew when it leaves the field of view, as the authors' early code did,
# or shows no anatomy where it has to. Both patches of a negative have to be right in the same try:
# where anatomy fills a tenth of the images, one try of a hundred is.
MAX_TRIES = 10_000

# One of the pairs made from label maps is replaced every so many steps.
RENDER_EVERY = 240

Batch = tuple[torch.Tensor, torch.Tensor]


class PatchSampler(Dataset[Batch]):
    """Batches of patch pairs, addressed by the step that uses them.

    Every sample takes a random image pair and a random transform per modality: the same for both
    (aligned) or two independent ones (misaligned), with equal probability. Unless settings say so,
    nothing is asked of the patches' content or of the overlap of misaligned ones, as the paper
    found that harmful.

    A batch is a function of seed and step alone, so it is the same from any worker process and
    after a resume.

    Parameters
    ----------
    materials
        Images and label maps to choose from.
    settings
        Seed, batch size, and the ranges of the transforms.
    edge
        Patch edge in voxels: the network's receptive field.

    Raises
    ------
    DataError
        If no patch is found within the field of view of both modalities, or none that has anatomy
        at its centre where settings ask for that.
    """

    def __init__(
        self, materials: Sequence[Material], settings: TrainingSettings, *, edge: int
    ) -> None:
        self._materials = materials
        self._settings = settings
        self._edge = edge
        self._shares = cumulative_shares(materials)
        self._rendered = rendered_of(
            materials, seed=settings.seed, every=RENDER_EVERY, prepare=_rendered_pair
        )
        self._offsets = patch_offsets(edge, settings.dimension)
        self._check_every_pair()

    def __len__(self) -> int:
        """Return the number of steps of the run."""
        return self._settings.steps

    def __getitem__(self, step: int) -> Batch:
        """Return patches ``(B, 2, p, p, p)`` (in 2D without the last) and labels ``(B,)``."""
        settings = self._settings
        rng = np.random.default_rng(np.random.SeedSequence([settings.seed, step]))
        labels = np.where(rng.random(settings.batch_size) < 0.5, ALIGNED, MISALIGNED)
        patches = self._sample(rng, labels, self._choose(rng, step))
        self._vary_intensities(rng, patches)
        return patches, torch.from_numpy(labels.astype(np.float32))

    def _choose(self, rng: np.random.Generator, step: int) -> list[AlignedPair]:
        """Return the pair of every sample."""
        count = self._settings.batch_size
        sizes = [len(item.pairs) or SLOTS for item in self._materials]
        if len(sizes) == 1:
            sources, places = np.zeros(count, np.int64), rng.integers(sizes[0], size=count)
        else:
            sources = np.searchsorted(self._shares, rng.random(count), side="right")
            places = rng.integers(np.array(sizes)[sources])
        return [
            self._materials[source].pairs[place]
            if self._materials[source].pairs
            else self._rendered[source].at(step, place)
            for source, place in zip(sources.tolist(), places.tolist(), strict=True)
        ]

    def _check_every_pair(self) -> None:
        """Draw patches from each pair, so that one without room stops the run at its start."""
        rng = np.random.default_rng(self._settings.seed)
        pairs = [pair for material in self._materials for pair in material.pairs]
        # No pair of a label map shows more than the map.
        for material in self._materials:
            for number, labels in enumerate(material.label_maps, 1):
                shown = torch.from_numpy(labels > 0).float().expand(2, *labels.shape)
                self._check(
                    rng, [AlignedPair(images=shown, spacing=1.0, name=f"of label map {number}")]
                )
        self._check(rng, pairs)

    def _check(self, rng: np.random.Generator, pairs: Sequence[AlignedPair]) -> None:
        for label in (ALIGNED, MISALIGNED):
            self._sample(rng, np.full(len(pairs), label), pairs)

    def _sample(
        self, rng: np.random.Generator, labels: NDArray[np.float64], pairs: Sequence[AlignedPair]
    ) -> torch.Tensor:
        """Return patches ``(n, 2, p, p, p)`` with these labels, one of each pair.

        Labels of near misses that are graded are changed in place.
        """
        settings = self._settings
        patches = torch.empty((len(labels), 2) + (self._edge,) * settings.dimension)
        shapes = [pair.images.shape[:0:-1] for pair in pairs]
        every = np.array(shapes).reshape(-1, settings.dimension)  # also of no pair
        pending = np.arange(len(labels))
        for _ in range(MAX_TRIES):
            sizes = every[pending]
            first, second, taught = self._draw(rng, labels[pending], sizes)
            inside = first.inside(sizes, self._edge) & second.inside(sizes, self._edge)
            if settings.patch_centres == "anatomy":
                for place in map(int, np.flatnonzero(inside)):
                    centres = (first.centres[place], second.centres[place])
                    inside[place] = self._on_anatomy(pairs[pending[place]], centres)
            for place in map(int, np.flatnonzero(inside)):
                index = pending[place]
                images = pairs[index].images
                for channel, transforms in enumerate((first, second)):
                    patches[index, channel] = extract(
                        images[channel : channel + 1],
                        self._offsets,
                        transforms.matrices[place],
                        transforms.centres[place],
                        outside="border",
                    )[0]
                inside[place] = not torch.isnan(patches[index]).any()
            labels[pending[inside]] = taught[inside]
            pending = pending[~inside]
            if not pending.size:
                return patches
        pair = pairs[pending[0]]
        size = " x ".join(map(str, every[pending[0]]))
        wanted, other = "", "lower --scale"
        if settings.patch_centres == "anatomy":
            wanted, other = " with anatomy at its centre", f"{other} or --patch-centres anywhere"
        msg = (
            f"no patch of {self._edge} voxels at scale {settings.scale[0]:g}.."
            f"{settings.scale[1]:g}{wanted} was found within both images of the pair {pair.name} "
            f"({size} voxels) in {MAX_TRIES} tries; leave the pair out, or {other}"
        )
        raise DataError(msg)

    def _on_anatomy(self, pair: AlignedPair, centres: Sequence[NDArray[np.float64]]) -> bool:
        """Return whether both images have anatomy at the centre of their patch."""
        voxels = [tuple(np.rint(centre[::-1]).astype(int).tolist()) for centre in centres]
        return all(
            float(image[voxel]) > FOREGROUND
            for image, voxel in zip(pair.images, voxels, strict=True)
        )

    def _draw(
        self, rng: np.random.Generator, labels: NDArray[np.float64], sizes: NDArray[np.int64]
    ) -> tuple[PatchTransforms, PatchTransforms, NDArray[np.float64]]:
        """Return both transforms of every sample, and what it is taught as."""
        settings = self._settings
        first, independent = (
            random_transforms(
                rng,
                sizes,
                edge=self._edge,
                scale=settings.scale,
                rotation=settings.rotation,
                mirroring=settings.mirroring,
                stretch=settings.max_stretch,
            )
            for _ in range(2)
        )
        second = first.where(labels == ALIGNED, independent)
        if settings.near_miss_fraction > 0:
            lengths = rng.uniform(*near_miss_lengths(settings), len(labels))
            moved = near_misses(rng, first, lengths=lengths, rotation=settings.near_miss_rotation)
            near = (rng.random(len(labels)) < settings.near_miss_fraction) & (labels == MISALIGNED)
            second = moved.where(near, second)
            if settings.near_miss_labels == "graded":
                labels = np.where(near, grade(lengths, settings), labels)
        return first, second, labels

    def _vary_intensities(self, rng: np.random.Generator, patches: torch.Tensor) -> None:
        settings = self._settings
        shape = (len(patches), 2) + (1,) * settings.dimension

        def factors(largest: float) -> torch.Tensor:
            logarithm = rng.uniform(-np.log(largest), np.log(largest), shape)
            return torch.from_numpy(np.exp(logarithm).astype(np.float32))

        if settings.max_gamma > 1:
            patches.pow_(factors(settings.max_gamma))
        if settings.max_gain > 1:
            patches.mul_(factors(settings.max_gain)).clamp_(max=1)


def _rendered_pair(images: torch.Tensor) -> AlignedPair:
    return AlignedPair(images=images, spacing=1.0, name="made from a label map")
