# SPDX-License-Identifier: Apache-2.0
"""The images of all sources of a run, where the network is."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

import torch

from cnnmetric.training.data.device_random import uniform
from cnnmetric.training.data.material import Material
from cnnmetric.training.data.rendered import SLOTS
from cnnmetric.training.data.rendered import rendered_of
from cnnmetric.training.data.resident_images import ResidentImages
from cnnmetric.training.data.sources import Kind


class ResidentMaterials:
    """Pairs of images on a device, chosen by the weights of their sources.

    Pairs of label maps are there after the first call of :meth:`render`.

    Parameters
    ----------
    materials
        Images and label maps.
    seed
        Of the run.
    every
        One pair of a label map is replaced every so many steps.
    device
        Where they are.
    noticed
        Called with number and images of each pair that is put there.

    Attributes
    ----------
    images
        The pairs, one after the other.
    kinds
        Of which kind of source each pair is.
    """

    def __init__(
        self,
        materials: Sequence[Material],
        *,
        seed: int,
        every: int,
        device: torch.device,
        noticed: Callable[[int, torch.Tensor], None] = lambda number, images: None,
    ) -> None:
        self.images = ResidentImages(shapes_of(materials), device=device)
        self.kinds: list[Kind] = []
        self._noticed = noticed
        self._rendered = rendered_of(
            materials, seed=seed, every=every, prepare=lambda images: images, device=device
        )
        self._first: dict[int, int] = {}  # of a material of label maps: its first pair
        total = sum(material.weight for material in materials)
        shares: list[float] = []
        for number, material in enumerate(materials):
            count = len(material.pairs)
            for pair in material.pairs:
                self._put(len(self.kinds), pair.images.to(device))
                self.kinds.append(material.kind)
            if material.kind == "synthetic":
                count, self._first[number] = SLOTS, len(self.kinds)
                self.kinds += [material.kind] * SLOTS
            shares += [material.weight / total / count] * count
        self._shares = torch.tensor(shares, dtype=torch.float64).cumsum(0)[:-1].float().to(device)

    def render(self, step: int) -> None:
        """Make the pairs of label maps that are shown from this step on, if they are new."""
        for number, rendered in self._rendered.items():
            for slot, images in rendered.changed(step):
                self._put(self._first[number] + slot, images)

    def choose(self, generator: torch.Generator, count: int) -> torch.Tensor:
        """Return numbers of pairs ``(count,)``."""
        return torch.searchsorted(self._shares, uniform(generator, count), right=True)

    def _put(self, number: int, images: torch.Tensor) -> None:
        self.images.put(number, images)
        self._noticed(number, images)


def shapes_of(materials: Sequence[Material]) -> list[Sequence[int]]:
    """Return the shapes of all pairs, and of the largest of label maps for each slot."""
    shapes: list[Sequence[int]] = []
    for material in materials:
        shapes += [pair.images.shape[1:] for pair in material.pairs]
        if material.kind == "synthetic":
            every = [labels.shape for labels in material.label_maps]
            shapes += [tuple(map(max, zip(*every, strict=True)))] * SLOTS
    return shapes
