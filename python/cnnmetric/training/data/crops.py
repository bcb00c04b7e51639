# SPDX-License-Identifier: Apache-2.0
"""Aligned crops of image pairs, in which every patch is compared with every other one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from cnnmetric.training.data.aligned_pair import FOREGROUND
from cnnmetric.training.data.geometry import random_directions
from cnnmetric.training.data.geometry import random_rotations
from cnnmetric.training.data.interpolation import extract
from cnnmetric.training.data.interpolation import patch_offsets
from cnnmetric.training.data.material import Material
from cnnmetric.training.data.material import cumulative_shares
from cnnmetric.training.data.rendered import SLOTS
from cnnmetric.training.data.rendered import rendered_of
from cnnmetric.training.settings import TrainingSettings

# No more than so many voxels of anatomy are kept to draw the crops' centres from.
MAX_CENTRES = 200_000
# SD of a crop's centre about such a voxel, so that borders are seen from both sides.
CENTRE_SPREAD = 2.0
# One of the pairs made from label maps is replaced every so many steps.
RENDER_EVERY = 12
# Knots of the random intensity map, and its lowest value away from 0.
KNOTS, LOWEST = (2, 6), 0.03


@dataclass(frozen=True)
class _Source:
    """Two aligned images ``(2, nz, ny, nx)`` and voxels (x, y, z) that show anatomy in both.

    With ``recontrast`` they are one image, of which the second needs another contrast.
    """

    images: torch.Tensor
    centres: NDArray[np.int32]
    recontrast: bool = False


class CropSampler(Dataset[torch.Tensor]):
    """Batches of aligned crops, addressed by the step that uses them.

    Every crop has a random rotation, magnification, mirroring and place in the anatomy of a random
    pair, real or made from a label map. A batch is a function of seed and step alone.

    Parameters
    ----------
    materials
        Images and label maps to choose from.
    settings
        Seed, number and edge of crops, ranges of the transforms.
    """

    def __init__(
        self,
        materials: Sequence[Material],
        settings: TrainingSettings,
    ) -> None:
        self._settings = settings
        self._materials = materials
        self._images = [
            [_source(pair.images, settings.seed, item.kind == "contrast") for pair in item.pairs]
            for item in materials
        ]
        self._shares = cumulative_shares(materials)
        self._rendered = rendered_of(
            materials,
            seed=settings.seed,
            every=RENDER_EVERY,
            prepare=partial(_source, seed=settings.seed),
        )
        self._offsets = patch_offsets(settings.crop_edge, settings.dimension)

    def __len__(self) -> int:
        """Return the number of steps of the run."""
        return self._settings.steps

    def __getitem__(self, step: int) -> torch.Tensor:
        """Return crops ``(B, 3, e, e, e)``, in 2D without the last.

        Channels 0 and 1 are aligned; channel 2 is channel 1 shifted by less than two patches.
        """
        settings = self._settings
        rng = np.random.default_rng(np.random.SeedSequence([settings.seed, step]))
        shape = (settings.crops, 3) + (settings.crop_edge,) * settings.dimension
        crops = torch.empty(shape)
        sources = []
        for crop in crops:
            sources.append(self._choose(rng, step))
            self._draw(rng, sources[-1], crop)
        self._vary_intensities(rng, crops, [source.recontrast for source in sources])
        return crops

    def _choose(self, rng: np.random.Generator, step: int) -> _Source:
        chosen = 0
        if len(self._materials) > 1:
            chosen = int(np.searchsorted(self._shares, rng.random(), side="right"))
        if self._materials[chosen].kind == "synthetic":
            return self._rendered[chosen].at(step, int(rng.integers(SLOTS)))
        images = self._images[chosen]
        return images[rng.integers(len(images))]

    def _draw(self, rng: np.random.Generator, source: _Source, crop: torch.Tensor) -> None:
        settings = self._settings
        dimension = settings.dimension
        magnification = np.exp(rng.uniform(*np.log(settings.scale)))
        matrix = magnification * random_rotations(rng, 1, dimension, settings.rotation)[0]
        mirrors = rng.choice([-1.0, 1.0], dimension)
        if settings.mirroring:
            matrix = matrix * mirrors
        centre = source.centres[rng.integers(len(source.centres))]
        centre = centre + rng.normal(0, CENTRE_SPREAD, dimension)
        length = rng.uniform(*settings.shift)
        shift = matrix @ (length * random_directions(rng, 1, dimension)[0])
        places = ((slice(0, 2), centre), (slice(1, 2), centre + shift))
        for target, (channels, place) in zip((crop[:2], crop[2:]), places, strict=True):
            images = source.images[channels]
            found = extract(images, self._offsets, matrix, place, outside="zeros")
            target[:] = found.nan_to_num_()  # NaN is beyond the second image

    def _vary_intensities(
        self, rng: np.random.Generator, crops: torch.Tensor, recontrast: Sequence[bool]
    ) -> None:
        """Change contrasts; the shifted crop looks as the one that it was shifted from."""
        settings = self._settings
        for crop, required in zip(crops, recontrast, strict=True):
            for channels in (slice(0, 1), slice(1, 3)):
                wanted = rng.random() < settings.remap_probability
                if wanted or (required and channels.start == 1):
                    crop[channels] = _remap(rng, crop[channels])
                gamma, gain = (
                    float(np.exp(rng.uniform(-1, 1) * np.log(largest)))
                    for largest in (settings.max_gamma, settings.max_gain)
                )
                crop[channels] = (crop[channels].clamp(min=0) ** gamma * gain).clamp(max=1)
            level = float(rng.uniform(0, settings.max_noise))
            noise = torch.from_numpy(rng.standard_normal(crop.shape, dtype=np.float32))
            crop += level * noise * (crop > FOREGROUND / 2)


def anatomy_in_both(images: torch.Tensor) -> torch.Tensor:
    """Return the voxels ``(n, d)`` that show anatomy in both images; all, where none does."""
    centres = torch.nonzero((images > FOREGROUND).all(0))
    return centres if len(centres) else torch.nonzero(torch.ones_like(images[0]))


def _source(images: torch.Tensor, seed: int, recontrast: bool = False) -> _Source:
    centres = anatomy_in_both(images).numpy()
    if len(centres) > MAX_CENTRES:
        chosen = np.random.default_rng(seed).choice(len(centres), MAX_CENTRES, replace=False)
        centres = centres[chosen]
    places = np.ascontiguousarray(centres[:, ::-1], dtype=np.int32)
    return _Source(images, places, recontrast)


def _remap(rng: np.random.Generator, images: torch.Tensor) -> torch.Tensor:
    """Map intensities by a random continuous function that leaves 0 where it is."""
    inner = int(rng.integers(KNOTS[0], KNOTS[1] + 1))
    knots = np.concatenate([[0], np.sort(rng.uniform(LOWEST, 1, inner)), [1]])
    values = np.concatenate([[0], rng.uniform(LOWEST, 1, inner + 1)])
    return torch.from_numpy(np.interp(images.numpy(), knots, values).astype(np.float32))
