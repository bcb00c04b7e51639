# SPDX-License-Identifier: Apache-2.0
"""Crops drawn where the network is, from images that stay there.

What `crops.CropSampler` does crop by crop, for many at once and without asking the device for a
result, so that a step can be captured as a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cnnmetric.training.data.aligned_pair import FOREGROUND
from cnnmetric.training.data.crops import CENTRE_SPREAD
from cnnmetric.training.data.crops import KNOTS
from cnnmetric.training.data.crops import LOWEST
from cnnmetric.training.data.crops import MAX_CENTRES
from cnnmetric.training.data.crops import RENDERED
from cnnmetric.training.data.crops import anatomy_in_both
from cnnmetric.training.data.crops import rendered_numbers
from cnnmetric.training.data.crops import rendered_version
from cnnmetric.training.data.device_random import between
from cnnmetric.training.data.device_random import directions
from cnnmetric.training.data.device_random import log_between
from cnnmetric.training.data.device_random import mirrors
from cnnmetric.training.data.device_random import normal
from cnnmetric.training.data.device_random import rotations
from cnnmetric.training.data.device_random import uniform
from cnnmetric.training.data.interpolation import patch_offsets
from cnnmetric.training.data.material import Material
from cnnmetric.training.data.rendering import render_pair
from cnnmetric.training.data.resident_images import ResidentImages
from cnnmetric.training.settings import TrainingSettings

# Of the three channels of a crop: whose contrast each one has.
CONTRAST_OF = [0, 1, 1]
# Knots closer than this are one.
CLOSEST = 1e-6


class ResidentCrops:
    """Batches of aligned crops, drawn on the device.

    The distribution is that of `crops.CropSampler`; the crops are others, since the random numbers
    are the device's.

    Parameters
    ----------
    materials
        Images and label maps to choose from.
    settings
        Number and edge of crops, ranges of the transforms.
    device
        Where images and batches are.
    """

    def __init__(
        self, materials: Sequence[Material], settings: TrainingSettings, *, device: torch.device
    ) -> None:
        self._settings = settings
        self._materials = materials
        self._device = device
        self._images = ResidentImages(shapes_of(materials), device=device)
        count = len(self._images.sizes)
        self._centres = torch.zeros(count, MAX_CENTRES, settings.dimension, device=device)
        self._counts = torch.ones(count, device=device)
        total = sum(material.weight for material in materials)
        shares: list[float] = []
        recontrast: list[bool] = []
        self._slots: dict[tuple[int, int], int] = {}  # of material and slot: the image
        self._labels: dict[int, list[torch.Tensor]] = {}
        for number, material in enumerate(materials):
            first = len(shares)
            for pair in material.pairs:
                self._put(len(shares), pair.images.to(device))
                shares.append(material.weight / total / len(material.pairs))
            if material.kind == "synthetic":
                self._labels[number] = [
                    torch.from_numpy(labels).to(device) for labels in material.label_maps
                ]
                self._slots |= {(number, slot): first + slot for slot in range(RENDERED)}
                shares += [material.weight / total / RENDERED] * RENDERED
            recontrast += [material.kind == "contrast"] * (len(shares) - first)
        self._shares = torch.tensor(shares, dtype=torch.float64).cumsum(0)[:-1].float().to(device)
        self._recontrast = torch.tensor(recontrast, device=device)
        self._shown: dict[tuple[int, int], int] = {}
        self._offsets = patch_offsets(settings.crop_edge, settings.dimension).to(device)
        self._contrast_of = torch.tensor(CONTRAST_OF, device=device)

    def render(self, step: int) -> None:
        """Make the pairs of label maps that are shown from this step on, if they are new."""
        for (material, slot), image in self._slots.items():
            version = rendered_version(step, slot)
            if self._shown.get((material, slot)) != version:
                rng = rendered_numbers(self._settings, material, slot, version)
                maps = self._labels[material]
                self._put(image, render_pair(maps[int(rng.integers(len(maps)))], rng))
                self._shown[material, slot] = version

    def draw(self, generator: torch.Generator, batches: int = 1) -> torch.Tensor:
        """Return crops ``(B, 3, e, e, e)``, in 2D without the last.

        B is the number of crops, so many times. Channels 0 and 1 are aligned; channel 2 is channel
        1 shifted by less than two patches.
        """
        settings = self._settings
        dimension, count = settings.dimension, settings.crops * batches
        chosen = torch.searchsorted(self._shares, uniform(generator, count), right=True)
        matrices = log_between(generator, *settings.scale, count, 1, 1)
        matrices = matrices * rotations(generator, settings.rotation, dimension, count)
        if settings.mirroring:
            matrices = matrices * mirrors(generator, dimension, count, 1)
        last = self._counts[chosen] - 1
        place = (uniform(generator, count) * (last + 1)).floor().minimum(last).long()
        centres = self._centres[chosen, place]
        centres = centres + CENTRE_SPREAD * normal(generator, count, dimension)
        lengths = between(generator, *settings.shift, count, 1)
        steps = lengths * directions(generator, count, dimension)
        shifts = (matrices @ steps[..., None])[..., 0]

        # One product for all crops.
        offsets = torch.tensordot(self._offsets, matrices, ([1], [-1])).movedim(0, -2)
        aligned = self._at(offsets + centres[:, None], chosen, slice(0, 2))
        shifted = self._at(offsets + (centres + shifts)[:, None], chosen, slice(1, 2))
        crops = torch.cat([aligned, shifted]).movedim(0, 1)
        crops = self._varied(generator, crops, self._recontrast[chosen])
        return crops.view(count, 3, *(settings.crop_edge,) * dimension)

    def _at(self, voxels: torch.Tensor, chosen: torch.Tensor, channels: slice) -> torch.Tensor:
        found = self._images.interpolate(voxels, chosen, channels, outside="zeros")
        return found.nan_to_num_()  # NaN is beyond the second image

    def _varied(
        self, generator: torch.Generator, crops: torch.Tensor, recontrast: torch.Tensor
    ) -> torch.Tensor:
        """Change contrasts; the shifted crop looks as the one that it was shifted from."""
        settings, count = self._settings, len(crops)
        wanted = uniform(generator, count, 2) < settings.remap_probability
        wanted = torch.stack([wanted[:, 0], wanted[:, 1] | recontrast], 1)
        remapped = self._remapped(generator, crops)
        crops = torch.where(wanted[:, self._contrast_of, None], remapped, crops)
        gamma, gain = (
            log_between(generator, 1 / largest, largest, count, 2, 1)[:, self._contrast_of]
            for largest in (settings.max_gamma, settings.max_gain)
        )
        crops = (crops.clamp(min=0) ** gamma * gain).clamp(max=1)
        level = between(generator, 0, settings.max_noise, count, 1, 1)
        noise = level * normal(generator, *crops.shape)
        return crops + noise * (crops > FOREGROUND / 2)

    def _remapped(self, generator: torch.Generator, crops: torch.Tensor) -> torch.Tensor:
        """Map intensities by random continuous functions that leave 0 where it is."""
        fewest, most = KNOTS
        shape = (len(crops), 2)
        inner = torch.floor(between(generator, fewest, most + 1, *shape, 1))
        numbers = torch.arange(most, device=self._device)
        # Those that are too many lie at the end, where the last one is.
        knots = between(generator, LOWEST, 1, *shape, most).where(numbers < inner, 1.0)
        zero, one = torch.zeros(*shape, 1, device=self._device), torch.ones_like(inner)
        knots = torch.cat([zero, knots.sort(-1).values, one], -1)[:, self._contrast_of]
        values = torch.cat([zero, between(generator, LOWEST, 1, *shape, most + 1)], -1)
        values = values[:, self._contrast_of]
        after = torch.searchsorted(knots, crops.contiguous(), right=True)
        after = after.clamp(1, most + 1)
        low, high = (knots.gather(-1, index) for index in (after - 1, after))
        share = ((crops - low) / (high - low).clamp(min=CLOSEST)).clamp(0, 1)
        return torch.lerp(values.gather(-1, after - 1), values.gather(-1, after), share)

    def _put(self, number: int, images: torch.Tensor) -> None:
        centres = anatomy_in_both(images)
        if len(centres) > MAX_CENTRES:
            kept = torch.arange(MAX_CENTRES, device=self._device)
            centres = centres[kept * len(centres) // MAX_CENTRES]
        self._images.put(number, images)
        self._centres[number, : len(centres)] = centres.flip(1).float()
        self._counts[number] = len(centres)


def shapes_of(materials: Sequence[Material]) -> list[Sequence[int]]:
    """Return the shapes of all pairs, and of the largest of label maps for each slot."""
    shapes: list[Sequence[int]] = []
    for material in materials:
        shapes += [pair.images.shape[1:] for pair in material.pairs]
        if material.kind == "synthetic":
            every = [labels.shape for labels in material.label_maps]
            shapes += [tuple(map(max, zip(*every, strict=True)))] * RENDERED
    return shapes
