# SPDX-License-Identifier: Apache-2.0
"""The displacement field that a discrete search finds between two images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnnmetric.images import warping
from cnnmetric.metric.network import DissimilarityNetwork
from cnnmetric.registration.discrete.coupled_convex import consistent
from cnnmetric.registration.discrete.coupled_convex import solve
from cnnmetric.registration.discrete.discrete_search import DiscreteSearch
from cnnmetric.registration.discrete.potentials import PotentialsOfPair
from cnnmetric.registration.pair_on_grids import Volumes


def search_field(
    volumes: Volumes,
    *,
    network: DissimilarityNetwork,
    fixed_channel: int,
    search: DiscreteSearch,
    threads: int = 0,
) -> NDArray[np.float32]:
    """Search from both sides, and return the displacement of the fixed volume's voxels.

    Parameters
    ----------
    volumes
        On the search's grid.
    network, fixed_channel
        The model, and which of its images the fixed one is, 0 or 1.
    search
        Settings.
    threads
        0 for all processors.

    Returns
    -------
    numpy.ndarray
        In voxels along z, y, x; shape (z, y, x, 3).
    """
    of_fixed, of_moving = (
        (volume, None if mask is None else mask > 0.5)
        for volume, mask in (
            (volumes.fixed, volumes.inside_fixed),
            (volumes.moving, volumes.inside_moving),
        )
    )
    first, second = (of_moving, of_fixed) if fixed_channel else (of_fixed, of_moving)
    pair = PotentialsOfPair(network, (first[0], second[0]), (first[1], second[1]))
    forward, backward = (
        _on_every_voxel(
            solve(
                pair.of(image, search.radius),
                search.radius,
                smoothing=search.field_smoothing,
                threads=threads,
            ),
            network.stride,
            volumes.fixed.shape,
        )
        for image in (fixed_channel, 1 - fixed_channel)
    )
    return consistent(forward, backward, threads=threads)


def _on_every_voxel(
    lattice: NDArray[np.float32], stride: int, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return a field on the voxels between control points, beyond the last one as there."""
    places = np.indices(shape, dtype=np.float32) / stride
    found: NDArray[np.float32] = warping.at_places(places, lattice)
    return found
