# SPDX-License-Identifier: Apache-2.0
"""What the learned metric pulls the moving image by, in the iterations of a level of a field."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from cnnmetric.errors import MetricError
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.metric.network import KeptDescriptors
from cnnmetric.types import Volume


class Force:
    """The metric's value, and its derivative by the warped intensities.

    Patches lie a stride apart. Where the first one starts changes from one iteration to the next,
    so that all voxels are treated alike. The starts are few and come round again: what the model
    describes of the fixed image by itself is computed once for each of them.

    Parameters
    ----------
    network
        The model.
    fixed_channel
        Which of its images the fixed one is, 0 or 1.
    fixed
        The fixed image on the grid of the level.
    random
        Chooses the place of the starts.
    """

    def __init__(
        self,
        network: DissimilarityNetwork,
        fixed_channel: int,
        fixed: Volume,
        random: np.random.Generator,
    ) -> None:
        self._network = network
        self._fixed_is_first = fixed_channel == 0
        self._fixed = fixed
        self._starts = starts(network.stride, fixed.ndim, random)
        self._kept: list[KeptDescriptors] = [{} for _ in self._starts]

    def __call__(
        self, iteration: int, warped: Volume, inside: NDArray[np.bool_] | None
    ) -> tuple[float, Volume]:
        """Return value and derivative of an iteration, by its number.

        Parameters
        ----------
        iteration
            Its number in the level.
        warped
            The moving image as it is warped now.
        inside
            Where patches count; None for everywhere.

        Raises
        ------
        MetricError
            If there is no such patch, or ONNX Runtime fails.
        """
        number = iteration % len(self._starts)
        part = self._part(number)
        weights = None if inside is None else self._weights(inside[part])
        result = self._network.map_and_gradient(
            *self._pair(part, warped),
            weights=weights,
            normalised=True,
            gradients_wanted=(not self._fixed_is_first, self._fixed_is_first),
            kept=self._kept[number],
        )
        derivative = np.zeros_like(warped)
        derivative[part] = result.gradient_second if self._fixed_is_first else result.gradient_first
        value = np.average(result.dissimilarity_map, weights=weights)
        return float(value), derivative

    @property
    def patch(self) -> int:
        """Edge of the patches, in voxels."""
        return self._network.receptive_field

    def value(self, warped: Volume, inside: NDArray[np.bool_] | None) -> float:
        """Return the value alone, as in the first iteration of a level."""
        part = self._part(0)
        weights = None if inside is None else self._weights(inside[part])
        scores = self._network(*self._pair(part, warped), normalised=True)
        return float(np.average(scores, weights=weights))

    def _part(self, number: int) -> tuple[slice, ...]:
        """Return the voxels from one of the starts on."""
        return tuple(slice(first, None) for first in self._starts[number])

    def _pair(self, part: tuple[slice, ...], warped: Volume) -> tuple[Volume, Volume]:
        """Return both images there, in the network's order."""
        fixed, moving = self._fixed[part], warped[part]
        return (fixed, moving) if self._fixed_is_first else (moving, fixed)

    def _weights(self, inside: NDArray[np.bool_]) -> Volume:
        """Return 1 for the patches whose centre is inside.

        Where there are none, for those that have something inside around their centre: a mask may
        be thinner than patches are apart.
        """
        first, stride = self._network.receptive_field // 2, self._network.stride
        centres = tuple(
            slice(first, first + stride * (n - 1) + 1, stride)
            for n in self._network.map_shape(inside.shape)
        )
        weights: Volume = inside[centres].astype(np.float32)
        if not weights.any():
            around = maximum_filter(inside, size=stride, mode="constant")
            weights = around[centres].astype(np.float32)
        if not weights.any():
            msg = "no patch lies inside of the masks; check where the masks lie, or leave them out"
            raise MetricError(msg)
        return weights


def starts(stride: int, dimension: int, random: np.random.Generator) -> list[tuple[int, ...]]:
    """Return where the patch grid starts, in voxels below the stride along each axis.

    Together the grids are as even as so few can be: in 3D, four of them make a face-centred
    lattice.
    """
    first = random.integers(0, stride, dimension).tolist()
    corners = [
        corner
        for corner in itertools.product(sorted({0, stride // 2}), repeat=dimension)
        if np.count_nonzero(corner) % 2 == 0
    ]
    return [
        tuple((start + step) % stride for start, step in zip(first, corner, strict=True))
        for corner in corners
    ]
