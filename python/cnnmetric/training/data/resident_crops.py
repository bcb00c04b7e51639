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
from cnnmetric.training.data.crops import RENDER_EVERY
from cnnmetric.training.data.crops import anatomy_in_both
from cnnmetric.training.data.device_random import between
from cnnmetric.training.data.device_random import directions
from cnnmetric.training.data.device_random import log_between
from cnnmetric.training.data.device_random import mirrors
from cnnmetric.training.data.device_random import normal
from cnnmetric.training.data.device_random import rotations
from cnnmetric.training.data.device_random import uniform
from cnnmetric.training.data.interpolation import patch_offsets
from cnnmetric.training.data.material import Material
from cnnmetric.training.data.resident_materials import ResidentMaterials
from cnnmetric.training.data.resident_materials import shapes_of
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
        self._device = device
        count = len(shapes_of(materials))
        self._centres = torch.zeros(count, MAX_CENTRES, settings.dimension, device=device)
        self._counts = torch.ones(count, device=device)
        self._materials = ResidentMaterials(
            materials,
            seed=settings.seed,
            every=RENDER_EVERY,
            device=device,
            noticed=self._find_centres,
        )
        recontrast = [kind == "contrast" for kind in self._materials.kinds]
        self._recontrast = torch.tensor(recontrast, device=device)
        self._offsets = patch_offsets(settings.crop_edge, settings.dimension).to(device)
        self._contrast_of = torch.tensor(CONTRAST_OF, device=device)

    def render(self, step: int) -> None:
        """Make the pairs of label maps that are shown from this step on, if they are new."""
        self._materials.render(step)

    def draw(self, generator: torch.Generator, batches: int = 1) -> torch.Tensor:
        """Return crops ``(B, 3, e, e, e)``, in 2D without the last.

        B is the number of crops, so many times. Channels 0 and 1 are aligned; channel 2 is channel
        1 shifted by less than two patches.
        """
        settings = self._settings
        dimension, count = settings.dimension, settings.crops * batches
        chosen = self._materials.choose(generator, count)
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
        found = self._materials.images.interpolate(voxels, chosen, channels, outside="zeros")
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
        # A saturated voxel belongs before the first of the knots at the end, which has the value.
        after = torch.minimum(after.clamp(1, most + 1), inner.long()[:, self._contrast_of] + 1)
        low, high = (knots.gather(-1, index) for index in (after - 1, after))
        share = ((crops - low) / (high - low).clamp(min=CLOSEST)).clamp(0, 1)
        return torch.lerp(values.gather(-1, after - 1), values.gather(-1, after), share)

    def _find_centres(self, number: int, images: torch.Tensor) -> None:
        centres = anatomy_in_both(images)
        if len(centres) > MAX_CENTRES:
            kept = torch.arange(MAX_CENTRES, device=self._device)
            centres = centres[kept * len(centres) // MAX_CENTRES]
        self._centres[number, : len(centres)] = centres.flip(1).float()
        self._counts[number] = len(centres)
