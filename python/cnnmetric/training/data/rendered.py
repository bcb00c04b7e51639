# SPDX-License-Identifier: Apache-2.0
"""Pairs made from label maps during a run: a few are in use at a time, and replaced in turn."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Generic
from typing import TypeVar

import numpy as np
import torch

from cnnmetric.training.data.material import Material
from cnnmetric.training.data.rendering import render_pair

# Pairs that are in use at a time.
SLOTS = 6

T = TypeVar("T")


class RenderedPairs(Generic[T]):
    """What each slot shows at each step, a function of seed, material and step alone.

    Parameters
    ----------
    label_maps
        ``(nz, ny, nx)`` each; pairs are made where they are.
    seed
        Of the run.
    material
        Which of the run's sources this is.
    every
        One pair is replaced every so many steps.
    prepare
        Makes of two images ``(2, nz, ny, nx)`` what is shown.
    """

    def __init__(
        self,
        label_maps: Sequence[torch.Tensor],
        *,
        seed: int,
        material: int,
        every: int,
        prepare: Callable[[torch.Tensor], T],
    ) -> None:
        self._label_maps = label_maps
        self._seed = seed
        self._material = material
        self._every = every
        self._prepare = prepare
        self._shown: dict[int, tuple[int, T]] = {}
        self._versions: dict[int, int] = {}

    def at(self, step: int, slot: int) -> T:
        """Return what a slot shows at a step; the last one is kept."""
        version = self._version(step, slot)
        if slot not in self._shown or self._shown[slot][0] != version:
            self._shown[slot] = version, self._render(slot, version)
        return self._shown[slot][1]

    def changed(self, step: int) -> Iterator[tuple[int, T]]:
        """Yield the slots that show something else than at the last call, and what."""
        for slot in range(SLOTS):
            version = self._version(step, slot)
            if self._versions.get(slot) != version:
                self._versions[slot] = version
                yield slot, self._render(slot, version)

    def _version(self, step: int, slot: int) -> int:
        # The slots change in turn, each in its own time.
        return (step + slot * self._every) // (SLOTS * self._every)

    def _render(self, slot: int, version: int) -> T:
        # The last number keeps these streams apart from the steps'.
        numbers = [self._seed, slot, version, self._material + 1]
        rng = np.random.default_rng(np.random.SeedSequence(numbers))
        labels = self._label_maps[int(rng.integers(len(self._label_maps)))]
        return self._prepare(render_pair(labels, rng))


def rendered_of(
    materials: Sequence[Material],
    *,
    seed: int,
    every: int,
    prepare: Callable[[torch.Tensor], T],
    device: torch.device | None = None,
) -> dict[int, RenderedPairs[T]]:
    """Return what each material of label maps shows, by its place among the materials."""
    return {
        number: RenderedPairs(
            [torch.from_numpy(labels).to(device) for labels in material.label_maps],
            seed=seed,
            material=number,
            every=every,
            prepare=prepare,
        )
        for number, material in enumerate(materials)
        if material.kind == "synthetic"
    }
