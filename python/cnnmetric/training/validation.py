# SPDX-License-Identifier: Apache-2.0
"""Pairs that are not trained on: loss, accuracy, and the metric around their true alignment."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch

from cnnmetric.training.checkpoint import Progress
from cnnmetric.training.data.aligned_pair import AlignedPair
from cnnmetric.training.data.material import Material
from cnnmetric.training.networks.architecture import PatchNetwork
from cnnmetric.training.objectives import Objective
from cnnmetric.training.settings import TrainingSettings

# Whole-voxel shifts of the curves, on either side of 0.
SHIFTS = (1, 2, 4, 8)
# Edge of the block in the middle of a pair that the curves are taken from, in voxels.
BLOCK = 64


class Validator:
    """The same batches of held-out pairs again and again.

    Parameters
    ----------
    pairs
        Held-out pairs, at least one.
    objective
        What is asked of the network.
    settings
        Of the run. The batches' seed differs from the training's.
    """

    def __init__(
        self, pairs: Sequence[AlignedPair], objective: Objective, settings: TrainingSettings
    ) -> None:
        self._objective = objective
        material = Material(kind="real", pairs=pairs)
        sampler = objective.sampler([material], replace(settings, seed=settings.seed + 1))
        self._batches = [sampler[n] for n in range(settings.validation_batches)]

    @torch.no_grad()
    def validate(self, progress: Progress, device: torch.device) -> None:
        """Append loss and accuracy to the progress, and keep the weights if they are the best."""
        found = [self._objective.loss(batch, device) for batch in self._batches]
        loss = statistics.fmean(value.item() for value, _ in found)
        accuracy = statistics.fmean(value.item() for _, value in found)
        progress.validations.append((progress.step, loss, accuracy))
        if progress.best_step == progress.step:
            state = self._objective.network.state_dict()
            progress.best = copy.deepcopy({name: value.cpu() for name, value in state.items()})


@dataclass(frozen=True, kw_only=True)
class ShiftCurve:
    """Mean dissimilarity of a pair whose second image is shifted by whole voxels (Figure 3).

    Attributes
    ----------
    pair
        The label of `AlignedPair`.
    axis
        ``"x"``, ``"y"`` or ``"z"``.
    shifts
        In voxels.
    values
        Of the metric M, one per shift.
    """

    pair: str
    axis: str
    shifts: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def minimum_at_zero(self) -> bool:
        """Whether no shift looks better than the true alignment."""
        return self.values[self.shifts.index(0)] == min(self.values)

    def record(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        derived = {"minimum_at_zero": self.minimum_at_zero, "right_signs": self.right_signs}
        return asdict(self) | derived

    @property
    def right_signs(self) -> float:
        """The share of steps between neighbouring shifts that lead up, away from 0."""
        steps = pairwise(zip(self.shifts, self.values, strict=True))
        return statistics.fmean(
            (after > before) == (place >= 0) for (place, before), (_, after) in steps
        )


@torch.no_grad()
def shift_curves(network: PatchNetwork, pair: AlignedPair) -> list[ShiftCurve]:
    """Return a pair's curve along every axis that is long enough, from the middle of its images."""
    images = torch.nan_to_num(pair.images)
    device = next(network.parameters()).device
    reach = SHIFTS[-1]
    edges = [min(BLOCK, n - 2 * reach) for n in images.shape[1:]]
    if min(edges) < network.receptive_field:
        return []
    starts = [(n - edge) // 2 for n, edge in zip(images.shape[1:], edges, strict=True)]
    shifts = (*(-n for n in reversed(SHIFTS)), 0, *SHIFTS)

    def block(channel: int, axis: int, shift: int) -> torch.Tensor:
        # What an image shows moves by +n where it is cut n voxels before.
        found = images[channel]
        for place, (start, edge) in enumerate(zip(starts, edges, strict=True)):
            found = found.narrow(place, start - shift * (place == axis), edge)
        return found

    curves = []
    for axis, name in enumerate("zyx"[-len(edges) :]):
        values = [
            network(torch.stack([block(0, axis, 0), block(1, axis, shift)])[None].to(device))
            .float()
            .mean()
            .item()
            for shift in shifts
        ]
        curves.append(ShiftCurve(pair=pair.label, axis=name, shifts=shifts, values=tuple(values)))
    return curves
